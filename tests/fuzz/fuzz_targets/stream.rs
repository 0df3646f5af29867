//! A streamed response of any bytes, cut anywhere, gives the same as in one piece.
#![no_main]

use bytes::Bytes;
use http::HeaderValue;
use lambda_event::stream::{CONTENT_TYPE, Head, Reader};
use libfuzzer_sys::fuzz_target;

type Whole = Result<(Option<Head>, Vec<u8>), String>;

fn read(pieces: impl Iterator<Item = Bytes>) -> Whole {
    let mut reader = Reader::new(Some(&HeaderValue::from_static(CONTENT_TYPE)));
    let (mut head, mut body) = (None, Vec::new());
    for piece in pieces {
        let piece = reader.push(piece).map_err(|error| error.to_string())?;
        if piece.head.is_some() {
            assert!(head.is_none(), "a head comes once");
            head = piece.head;
        }
        assert!(head.is_some() || piece.body.is_empty(), "no body comes before the head");
        body.extend_from_slice(&piece.body);
    }
    let last = reader.finish().map_err(|error| error.to_string())?;
    Ok((head.or(last), body))
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, stream) = input;
    let stream = Bytes::from(stream);
    let whole = read(std::iter::once(stream.clone()));
    let mut rest = stream.clone();
    let mut pieces: Vec<Bytes> =
        cuts.iter().map(|&cut| rest.split_to(usize::from(cut).min(rest.len()))).collect();
    pieces.push(rest);
    let cut = read(pieces.into_iter());
    match (&whole, &cut) {
        (Ok((Some(a), whole)), Ok((Some(b), cut))) => {
            assert_eq!((a.status, &a.headers, whole), (b.status, &b.headers, cut));
        }
        // Which fault is seen first may depend on the cuts.
        (Err(_), Err(_)) => {}
        _ => panic!("whole {whole:?}, cut {cut:?}"),
    }
});
