//! Policies for the tests of this crate, written as an operator would.

use crate::{
    load::{Loaded, MemorySource, load},
    policy::Policy,
    schema,
};

/// Two lanes, and a route for each thing that a test asks about.
pub(crate) const HYBRID: &str = "
version: 1
metrics: off
services:
  thumb:
    lambda:
      function: thumb:live
      max_in_flight: 10
      assume: { memory: 1769MiB, timeout: 30s, arch: arm64 }
    container:
      upstreams: [http://127.0.0.1:9000]
      requests_per_task: 4
routes:
  - { match: { path: /auto }, service: thumb }
  - { match: { path: /short }, service: thumb, class: sprinter }
  - { match: { path: /long }, service: thumb, class: marathon }
  - { match: { path: /only-container }, service: thumb, class: sprinter, lanes: [container] }
  - { match: { path: /only-lambda }, service: thumb, class: marathon, lanes: [lambda] }
";

/// Loads one file that must be a policy.
pub(crate) fn policy(text: &str) -> Policy {
    loaded(&MemorySource::file("policy.yaml", text)).policy
}

/// Loads `policy.yaml` of `source`, which must be a policy, and one for editors too.
pub(crate) fn loaded(source: &MemorySource) -> Loaded {
    let loaded = load("policy.yaml", source).unwrap_or_else(|problems| panic!("{problems}"));
    schema::tests::holds(source, &loaded.files);
    loaded
}

/// Returns all that is wrong with one file that must not be a policy.
pub(crate) fn problems(text: &str) -> String {
    let source = MemorySource::file("policy.yaml", text);
    load("policy.yaml", &source).expect_err("the test writes a bad policy").to_string()
}
