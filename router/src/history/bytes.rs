//! The bytes that records are made of: varints, and a seal that tells damage from data.
//!
//! A format of our own: what is kept is three kinds of numbers in a fixed order, which fits into fifty lines and comes out
//! at a third of what `postcard` would make of the same structs (it writes no differences). The seal is a CRC-32, from the
//! crate that reads gzip for us already: a store has checksums of its own for its pages, an object in a bucket has none.

use flate2::Crc;

/// Bytes of the seal.
const SEAL: usize = 4;

/// Why bytes are not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    /// Written by a Pacer that came later.
    #[error("it is of version {0}, which a newer pacer wrote; this one reads version {1}")]
    Newer(u64, u64),
    /// Not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// Writes seven bits a byte, the lowest first; the highest bit says that more follow (LEB128).
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while 0x7f < number {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front.
pub(crate) fn take(from: &mut &[u8]) -> Result<u64, Unread> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (&byte, rest) = from.split_first().ok_or(Unread::Damaged("it ends early"))?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if place == 9 && 1 < bits {
            break;
        }
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Unread::Damaged("a number is too long"))
}

/// Writes the difference of two numbers: small ones are short, whichever way they go.
pub(crate) fn put_difference(out: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from).cast_signed();
    put(out, ((difference << 1) ^ (difference >> 63)).cast_unsigned());
}

/// Takes a difference off the front, and returns the number that it leads to.
pub(crate) fn take_difference(bytes: &mut &[u8], from: u64) -> Result<u64, Unread> {
    let folded = take(bytes)?;
    let difference = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
    Ok(from.wrapping_add_signed(difference))
}

/// Takes so many bytes off the front.
pub(crate) fn take_bytes<'a>(from: &mut &'a [u8], count: u64) -> Result<&'a [u8], Unread> {
    let count = usize::try_from(count).map_err(|_| Unread::Damaged("a length is absurd"))?;
    let (bytes, rest) = from.split_at_checked(count).ok_or(Unread::Damaged("it ends early"))?;
    *from = rest;
    Ok(bytes)
}

/// Writes bytes after their number.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes off the front that [`put_bytes`] wrote.
pub(crate) fn take_counted<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Unread> {
    let count = take(from)?;
    take_bytes(from, count)
}

/// Closes what was written.
pub(crate) fn seal(out: &mut Vec<u8>) {
    let sum = sum(out);
    out.extend_from_slice(&sum);
}

/// Returns what was written before the seal.
pub(crate) fn unseal(bytes: &[u8]) -> Result<&[u8], Unread> {
    let end = bytes.len().checked_sub(SEAL).ok_or(Unread::Damaged("it ends early"))?;
    let (body, seal) = bytes.split_at(end);
    if sum(body) == seal { Ok(body) } else { Err(Unread::Damaged("its checksum is wrong")) }
}

fn sum(bytes: &[u8]) -> [u8; SEAL] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_differences_come_back() {
        for number in [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, number);
            let mut rest = &out[..];
            assert_eq!((take(&mut rest), rest), (Ok(number), &[][..]));
            for from in [0, 5, number, u64::MAX] {
                let mut out = Vec::new();
                put_difference(&mut out, from, number);
                assert_eq!(take_difference(&mut &out[..], from), Ok(number));
            }
        }
        let mut near = Vec::new();
        put_difference(&mut near, 1_000, 990);
        assert_eq!(near.len(), 1);
    }

    #[test]
    fn what_is_no_number_is_told() {
        assert_eq!(take(&mut &[0x80][..]), Err(Unread::Damaged("it ends early")));
        assert_eq!(take(&mut &[0xff; 11][..]), Err(Unread::Damaged("a number is too long")));
        assert!(take_bytes(&mut &[1][..], u64::MAX).is_err());
    }

    #[test]
    fn every_flipped_bit_breaks_the_seal() {
        let mut sealed = b"what was asked".to_vec();
        seal(&mut sealed);
        assert_eq!(unseal(&sealed), Ok(&b"what was asked"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&flipped).is_err(), "bit {bit}");
        }
        assert!(unseal(&[1, 2]).is_err());
    }
}
