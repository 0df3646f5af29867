//! Where a gateway keeps what outlives it, and where several meet, as written: `state` and `gateways`.

use std::{path::PathBuf, sync::Arc};

use super::{
    fields::{Fields, Written},
    scalar::{self, Scalar, Shape},
};
use crate::policy::{Gateways, State};

/// A group where none is written.
const GROUP: &str = "default";

/// Reads `{ table, group }`.
pub(crate) fn gateways(fields: &mut Fields<'_, '_>) -> Option<Written<Gateways>> {
    let mut fields = fields.fields("gateways")?;
    let (place, field) = (fields.place.clone(), fields.path.clone());
    let table = fields.value("table", TABLE);
    if !fields.has_value("table") {
        fields.missing("table", "write the name of a DynamoDB table, such as `pacer-gateways`");
    }
    let group = fields.value("group", NAME);
    fields.done();
    let group = group.map_or_else(|| GROUP.into(), |group| group.value);
    Some(Written { value: Gateways { table: table?.value, group }, place, field })
}

/// A directory, or a bucket and what its keys begin with: at least what tells one from the other.
pub(crate) const STATE: Scalar<State> = scalar::scalar(
    state,
    Shape::Form(
        r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?|(?![a-zA-Z0-9]+://).+)$",
    ),
);
const TABLE: Scalar<Arc<str>> = scalar::scalar(table, Shape::Form("^[A-Za-z0-9_.-]{3,255}$"));
const NAME: Scalar<Arc<str>> = scalar::scalar(group, Shape::Form("^[a-z0-9_.-]{1,64}$"));

fn state(text: &str) -> Result<State, String> {
    let expected = || {
        format!(
            "expected a directory such as `/var/lib/pacer` or a place in S3 such as `s3://bucket/prefix`, got `{text}`"
        )
    };
    let Some(rest) = text.strip_prefix("s3://") else {
        return if text.is_empty() || text.contains("://") || text.contains('\0') {
            Err(expected())
        } else {
            Ok(State::Directory(PathBuf::from(text)))
        };
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    bucket_name(bucket).map_err(|why| format!("no bucket can be named `{bucket}`: {why}"))?;
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let safe = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'-' | b'_' | b'.' | b'*' | b'\'' | b'(' | b')')
    };
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(safe);
    // Keys have 1,024 bytes at most; what is kept below the prefix has names of its own.
    if !prefix.is_empty() && (512 < prefix.len() || !prefix.split('/').all(is_part)) {
        return Err(format!(
            "expected a prefix of at most 512 letters, digits and `!-_.*'()`, in parts between `/`, got `{prefix}`"
        ));
    }
    Ok(State::S3 { bucket: bucket.into(), prefix: prefix.into() })
}

/// Holds a name to the rules of general purpose buckets (Amazon S3 user guide, "Bucket naming rules", read November
/// 2026); what is known by a reserved ending (access points, directory buckets, tables) is called in another way.
fn bucket_name(name: &str) -> Result<(), &'static str> {
    const RESERVED_STARTS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
    const RESERVED_ENDS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    let outer = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = name.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Err("names have 3 to 63 characters");
    }
    let plain = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    };
    if !bytes.iter().all(plain) {
        return Err("names are made of a-z, 0-9, `.` and `-`");
    }
    if !outer(bytes.first()) || !outer(bytes.last()) {
        return Err("names begin and end with a letter or a digit");
    }
    if name.contains("..") {
        return Err("no two `.` stand side by side");
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("names do not look like IP addresses");
    }
    if RESERVED_STARTS.iter().any(|start| name.starts_with(start))
        || RESERVED_ENDS.iter().any(|end| name.ends_with(end))
    {
        return Err("this beginning or end is reserved by S3");
    }
    Ok(())
}

/// Table names of the Amazon DynamoDB developer guide, "Naming rules".
fn table(text: &str) -> Result<Arc<str>, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (3..=255).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    Err(format!(
        "expected the name of a DynamoDB table, 3 to 255 of the characters a-z, A-Z, 0-9, `_`, `.` and `-`, got `{text}`"
    ))
}

fn group(text: &str) -> Result<Arc<str>, String> {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
    };
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    Err(format!(
        "expected a name of at most 64 of the characters a-z, 0-9, `-`, `_` and `.`, got `{text}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_a_directory_or_a_place_in_s3() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(State::S3 { bucket: bucket.into(), prefix: prefix.into() })
        };
        assert_eq!(state("/var/lib/pacer"), Ok(State::Directory("/var/lib/pacer".into())));
        assert_eq!(state("state"), Ok(State::Directory("state".into())));
        assert_eq!(state("s3://my.bucket-1/pacer/prod/"), s3("my.bucket-1", "pacer/prod"));
        assert_eq!(state("s3://bucket"), s3("bucket", ""));
        for wrong in [
            "",
            "gs://bucket/a",
            "https://bucket.s3.amazonaws.com",
            "s3://",
            "s3:///a",
            "s3://bucket//a",
            "s3://bucket/a/../b",
            "s3://bucket/a b",
        ] {
            assert!(state(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn buckets_are_named_by_the_rules_of_s3() {
        for right in ["abc", "0-9", "my.log.bucket", &"a".repeat(63)] {
            assert_eq!(bucket_name(right), Ok(()), "{right}");
        }
        for wrong in [
            "ab",
            &"a".repeat(64),
            "Bucket",
            "my_bucket",
            "-bucket",
            "bucket.",
            "a..b",
            "192.168.5.4",
            "xn--bucket",
            "bucket-s3alias",
            "bucket--euw1-az1--x-s3",
        ] {
            assert!(bucket_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_and_groups_are_names() {
        for right in ["abc", "Pacer_gateways.prod-1", &"t".repeat(255)] {
            assert!(table(right).is_ok(), "{right}");
        }
        for wrong in ["ab", "a b c", &"t".repeat(256), "täble"] {
            assert!(table(wrong).is_err(), "{wrong}");
        }
        for right in ["a", "prod-eu_1.b", &"g".repeat(64)] {
            assert!(group(right).is_ok(), "{right}");
        }
        for wrong in ["", "Prod", "a/b", &"g".repeat(65)] {
            assert!(group(wrong).is_err(), "{wrong}");
        }
    }
}
