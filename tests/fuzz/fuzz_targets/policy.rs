//! A policy file of any bytes is loaded, or its problems are told: nothing panics, and what loads, loads again alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::load::{MemorySource, load};

fuzz_target!(|text: &str| {
    let source = MemorySource::file("policy.yaml", text)
        .with_file("other.yaml", "services: { other: { lambda: { function: other } } }\n")
        .with_env("NAME", "value");
    match load("policy.yaml", &source) {
        Ok(loaded) => {
            let again = load("policy.yaml", &source).expect("what has loaded loads");
            assert_eq!(format!("{:?}", again.warnings), format!("{:?}", loaded.warnings));
        }
        Err(problems) => assert!(!problems.to_string().is_empty(), "a refusal has a reason"),
    }
});
