//! An answer of any bytes is a response or an error in each format; a response has what a client may see, and can be said
//! again.
#![no_main]

use bytes::Bytes;
use http::Method;
use lambda_event::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let payload = Bytes::copy_from_slice(payload);
    for format in Format::ALL {
        for method in [Method::GET, Method::HEAD] {
            let Ok(response) = format.read_response(&method, &payload) else { continue };
            assert!((200..=599).contains(&response.status.as_u16()));
            for name in response.headers.keys().map(http::HeaderName::as_str) {
                assert!(!name.starts_with("x-amz") && name != "transfer-encoding", "{name}");
                assert!(name != "content-length" || method == Method::HEAD);
            }
            assert!(method == Method::GET || response.body.is_empty());
            let mut again = Vec::new();
            format.write_response(&mut again, response.status, &response.headers, &response.body);
            let again = format.read_response(&method, &Bytes::from(again));
            let again = again.expect("what was read can be written");
            assert_eq!(again.status, response.status);
            assert_eq!(again.body, response.body);
        }
    }
    let _ = lambda_event::log_tail::read_log(&payload);
    let _ = lambda_event::log_tail::read(&payload);
});
