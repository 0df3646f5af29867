//! Names of S3 buckets.

/// Whether a bucket may be called this (S3 user guide, "General purpose bucket naming rules", read 2026-11).
pub(crate) fn is_bucket_name(text: &str) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| is_edge(byte) || b"-.".contains(byte))
        && [bytes.first(), bytes.last()].into_iter().flatten().all(is_edge)
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_are_as_s3_has_them() {
        for name in ["abc", "my-bucket.2026", &"a".repeat(63)] {
            assert!(is_bucket_name(name), "{name}");
        }
        for name in
            ["ab", "Abc", "a_b", "-abc", "abc-", "a..b", "192.168.1.1", &"a".repeat(64), "_local"]
        {
            assert!(!is_bucket_name(name), "{name}");
        }
    }
}
