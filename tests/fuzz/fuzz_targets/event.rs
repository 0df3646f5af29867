//! An event of any bytes is read or refused; what was read, each format can say again.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use http::Version;
use lambda_event::{Format, Request, read_event};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok((_, request)) = read_event(payload) else { return };
    for format in Format::ALL {
        let (path, query) = (request.uri().path(), request.uri().query());
        let mut event = Vec::new();
        format.write_event(
            &mut event,
            &Request {
                method: request.method(),
                path,
                query,
                headers: request.headers(),
                body: request.body(),
                source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                request_id: "id",
                epoch_ms: 0,
                domain: "a.example",
                protocol: Version::HTTP_11,
            },
        );
        if request.method().as_str().len() <= 255 {
            let length = request.body().len() as u64;
            let query_len = query.map_or(0, str::len);
            let bound = format.event_size_max(request.headers(), path.len(), query_len, length);
            assert!(event.len() as u64 <= bound, "{format:?}: {} > {bound}", event.len());
        }
        let (seen, again) = match read_event(&event) {
            Ok(read) => read,
            // A full map has no room for `host` or `content-length`; decoded and encoded again, a long query is longer.
            Err(_) if 1000 < request.headers().len() || 10_000 < event.len() => return,
            Err(error) => panic!("{format:?} is not read again: {error}"),
        };
        assert_eq!(seen, format);
        assert_eq!(again.method(), request.method());
        assert_eq!(again.uri().path(), path);
        assert_eq!(again.body(), request.body());
    }
});
