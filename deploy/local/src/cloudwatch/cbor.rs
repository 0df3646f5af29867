//! CBOR (RFC 8949) as far as AWS's `rpc-v2-cbor` protocol uses it, to and from JSON values.
//!
//! By hand, because it is little: numbers, text, lists and maps. Times are tag 1; in JSON they are their seconds since
//! 1970. Byte strings are missing: no call of ours has one.

use serde_json::{Map, Number, Value};

/// How deep a request may nest; the calls need five levels.
const DEPTH_MAX: usize = 32;
/// Members of answers that are times.
const TIMES: &str = "Timestamps";

/// Reads one value.
///
/// # Errors
/// Says what is wrong, and at which byte.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at < bytes.len() {
        return Err(format!("{} bytes after its end", bytes.len() - reader.at));
    }
    Ok(value.unwrap_or(Value::Null))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| format!("it ends within the value at byte {}", self.at))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// The number that follows a head: `None` where the length is not known (31).
    fn argument(&mut self, info: u8) -> Result<Option<u64>, String> {
        let length = match info {
            0..=23 => return Ok(Some(u64::from(info))),
            24..=27 => 1 << (info - 24),
            31 => return Ok(None),
            _ => return Err(format!("a reserved head before byte {}", self.at)),
        };
        let bytes = self.take(length)?;
        Ok(Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
    }

    /// The next value, or nothing at a break.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, String> {
        if DEPTH_MAX < depth {
            return Err(format!("it nests deeper than {DEPTH_MAX}"));
        }
        let at = self.at;
        let head = self.take(1)?[0];
        let (major, info) = (head >> 5, head & 31);
        if major == 7 {
            return self.simple(info, at);
        }
        let argument = self.argument(info)?;
        let unknown = || format!("a value of no known length at byte {at}");
        Ok(Some(match major {
            0 => argument.ok_or_else(unknown)?.into(),
            1 => {
                let below = i64::try_from(argument.ok_or_else(unknown)?);
                below
                    .map(|below| Value::from(-1 - below))
                    .map_err(|_| format!("a number out of range at byte {at}"))?
            }
            3 => Value::String(self.text(argument)?),
            4 => {
                let mut items = Vec::new();
                while argument.is_none_or(|count| (items.len() as u64) < count) {
                    match self.value(depth + 1)? {
                        Some(item) => items.push(item),
                        None if argument.is_none() => break,
                        None => return Err(format!("a break within a list at byte {}", self.at)),
                    }
                }
                Value::Array(items)
            }
            5 => {
                let mut members = Map::new();
                let mut read = 0;
                while argument.is_none_or(|count| read < count) {
                    let name = match self.value(depth + 1)? {
                        Some(Value::String(name)) => name,
                        None if argument.is_none() => break,
                        _ => return Err(format!("a member without a name at byte {}", self.at)),
                    };
                    let value = self.value(depth + 1)?;
                    let value = value
                        .ok_or_else(|| format!("a member without a value at byte {}", self.at))?;
                    members.insert(name, value);
                    read += 1;
                }
                Value::Object(members)
            }
            6 if argument == Some(1) => match self.value(depth + 1)? {
                Some(Value::Number(seconds)) => Value::Number(seconds),
                _ => return Err(format!("a time that is no number at byte {at}")),
            },
            _ => {
                return Err(format!(
                    "bytes or a tag that the local cloud does not read at byte {at}"
                ));
            }
        }))
    }

    fn text(&mut self, length: Option<u64>) -> Result<String, String> {
        let mut bytes = Vec::new();
        match length {
            Some(length) => bytes.extend_from_slice(self.take(length)?),
            // In pieces, each a text of known length.
            None => loop {
                let head = self.take(1)?[0];
                if head == 0xff {
                    break;
                }
                let length = if head >> 5 == 3 { self.argument(head & 31)? } else { None };
                let length = length
                    .ok_or_else(|| format!("a piece of text before byte {} is none", self.at))?;
                bytes.extend_from_slice(self.take(length)?);
            },
        }
        String::from_utf8(bytes)
            .map_err(|_| format!("text that is no UTF-8 before byte {}", self.at))
    }

    fn simple(&mut self, info: u8, at: usize) -> Result<Option<Value>, String> {
        let number = match info {
            20 | 21 => return Ok(Some(Value::Bool(info == 21))),
            22 | 23 => return Ok(Some(Value::Null)),
            25 => {
                let bytes = self.take(2)?;
                half(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            26 => {
                let bytes = self.take(4)?.try_into().expect("four bytes were taken");
                f64::from(f32::from_be_bytes(bytes))
            }
            27 => f64::from_be_bytes(self.take(8)?.try_into().expect("eight bytes were taken")),
            31 => return Ok(None),
            _ => {
                return Err(format!(
                    "a simple value that the local cloud does not read at byte {at}"
                ));
            }
        };
        // No metric is NaN or infinite at AWS either.
        let number = Number::from_f64(number);
        number
            .map(|n| Some(Value::Number(n)))
            .ok_or_else(|| format!("NaN or infinity at byte {at}"))
    }
}

/// A float of 16 bits (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let value = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 => {
            if mantissa == 0.0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -value } else { value }
}

/// Writes `value`; what stands under a member called `Timestamps` is written as times.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, value, false);
    bytes
}

fn write(bytes: &mut Vec<u8>, value: &Value, is_time: bool) {
    match value {
        Value::Null => bytes.push(0xf6),
        Value::Bool(value) => bytes.push(0xf4 + u8::from(*value)),
        Value::Number(number) => {
            if is_time {
                head(bytes, 6, 1);
            }
            match (number.as_u64(), number.as_f64()) {
                (Some(number), _) => head(bytes, 0, number),
                (None, number) => {
                    bytes.push(0xfb);
                    bytes.extend(number.unwrap_or_default().to_be_bytes());
                }
            }
        }
        Value::String(text) => {
            head(bytes, 3, text.len() as u64);
            bytes.extend(text.as_bytes());
        }
        Value::Array(items) => {
            head(bytes, 4, items.len() as u64);
            for item in items {
                write(bytes, item, is_time);
            }
        }
        Value::Object(members) => {
            head(bytes, 5, members.len() as u64);
            for (name, value) in members {
                head(bytes, 3, name.len() as u64);
                bytes.extend(name.as_bytes());
                write(bytes, value, name == TIMES);
            }
        }
    }
}

fn head(bytes: &mut Vec<u8>, major: u8, argument: u64) {
    let all = argument.to_be_bytes();
    let (info, length) = match argument {
        0..=23 => {
            bytes.push(major << 5 | argument as u8);
            return;
        }
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    bytes.push(major << 5 | info);
    bytes.extend(&all[all.len() - length..]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_survive_the_round_trip() {
        let value = json!({
            "text": "ő", "long": "x".repeat(300), "numbers": [0, 23, 24, 255, 256, 65_536, 4_294_967_296u64, 1.5, -0.25],
            "none": null, "yes": true, "no": false, "Timestamps": [1_763_000_000, 1.5], "list": [[], {}],
        });
        assert_eq!(decode(&encode(&value)), Ok(value));
    }

    /// Examples of RFC 8949, appendix A, and times.
    #[test]
    fn what_clients_may_send_is_read() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect()
        };
        for (bytes, expected) in [
            ("00", json!(0)),
            ("1903e8", json!(1000)),
            ("20", json!(-1)),
            ("3903e7", json!(-1000)),
            ("f93c00", json!(1.0)),
            ("f97bff", json!(65504.0)),
            ("f90001", json!(5.960_464_477_539_063e-8)),
            ("f9c400", json!(-4.0)),
            ("fa47c35000", json!(100_000.0)),
            ("fbc010666666666666", json!(-4.1)),
            ("f4", json!(false)),
            ("f6", json!(null)),
            ("c11a514b67b0", json!(1_363_896_240)),
            ("c1fb41d452d9ec200000", json!(1_363_896_240.5)),
            ("62c3bc", json!("\u{fc}")),
            ("83010203", json!([1, 2, 3])),
            ("a26161016162820203", json!({ "a": 1, "b": [2, 3] })),
            ("7f657374726561646d696e67ff", json!("streaming")),
            ("9f018202039f0405ffff", json!([1, [2, 3], [4, 5]])),
            ("bf61610161629f0203ffff", json!({ "a": 1, "b": [2, 3] })),
        ] {
            assert_eq!(decode(&hex(bytes)), Ok(expected), "{bytes}");
        }
        for (bytes, part) in [
            ("", "ends within"),
            ("0000", "1 bytes after its end"),
            ("6261", "ends within"),
            ("1c", "reserved head"),
            ("61ff", "no UTF-8"),
            ("9bffffffffffffffff", "ends within"),
            ("7bffffffffffffffff", "ends within"),
            ("a10102", "without a name"),
            ("82ff", "a break within a list"),
            ("bf6161ff", "without a value"),
            ("41ff", "bytes or a tag"),
            ("c249010000000000000000", "bytes or a tag"),
            ("c161", "ends within"),
            ("f97e00", "NaN"),
            ("3bffffffffffffffff", "out of range"),
            ("f8ff", "simple value"),
        ] {
            let error = decode(&hex(bytes)).unwrap_err();
            assert!(error.contains(part), "{bytes}: {error}");
        }
        assert!(decode(&[0x81; 1000]).unwrap_err().contains("nests deeper"));
    }
}
