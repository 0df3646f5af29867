//! Records as one object of a bucket: a magic, a version, then each record (a number, a name, its bytes), then a seal over all.

use std::{collections::BTreeMap, sync::Arc};

use super::bytes::{self, Unread};

/// How these bytes are laid out.
const VERSION: u64 = 1;

/// Records by number and name.
pub(super) type Records = BTreeMap<(u64, Arc<str>), Vec<u8>>;

/// Writes them.
pub(super) fn encode(magic: &[u8], records: &Records) -> Vec<u8> {
    let mut out = magic.to_vec();
    bytes::put(&mut out, VERSION);
    bytes::put(&mut out, records.len() as u64);
    for ((number, name), record) in records {
        bytes::put(&mut out, *number);
        bytes::put_bytes(&mut out, name.as_bytes());
        bytes::put_bytes(&mut out, record);
    }
    bytes::seal(&mut out);
    out
}

/// Reads them.
///
/// # Errors
/// When the bytes do not begin with `magic`, are not what was written, or of a version that came later.
pub(super) fn decode(magic: &[u8], object: &[u8]) -> Result<Records, Unread> {
    let mut rest = object;
    if bytes::take_bytes(&mut rest, magic.len() as u64) != Ok(magic) {
        return Err(Unread::Damaged("it does not begin as what pacer keeps does"));
    }
    // A version that came later may be sealed otherwise.
    match bytes::take(&mut rest)? {
        VERSION => {}
        newer => return Err(Unread::Newer(newer, VERSION)),
    }
    let mut rest = &bytes::unseal(object)?[object.len() - rest.len()..];
    let mut records = Records::new();
    for _ in 0..bytes::take(&mut rest)? {
        let number = bytes::take(&mut rest)?;
        let name = std::str::from_utf8(bytes::take_counted(&mut rest)?)
            .map_err(|_| Unread::Damaged("a record has no name"))?;
        records.insert((number, name.into()), bytes::take_counted(&mut rest)?.to_vec());
    }
    if rest.is_empty() { Ok(records) } else { Err(Unread::Damaged("it has more than its records")) }
}
