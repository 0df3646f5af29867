//! The headers in which a function tells the gateway what an invoke cost.
//!
//! Invoke's own answer shows neither the billed time nor whether the environment was new; the adapter knows
//! both. The gateway takes these headers off before the client sees the response, and lets no client send one.

use http::HeaderName;

/// Every header of Pacer's own begins so, on its way in and out.
pub const PREFIX: &str = "x-pacer-";

/// Duration of this invoke in whole milliseconds, rounded up; includes the start if it was cold.
pub const BILLED_MS: HeaderName = HeaderName::from_static("x-pacer-billed-ms");

/// The part of it that began with the event, in microseconds: what it lacks of the bill can be learned to a part of a
/// millisecond.
pub const DURATION_US: HeaderName = HeaderName::from_static("x-pacer-duration-us");

/// Memory size of the function, in MiB as Lambda counts it.
pub const MEMORY_MB: HeaderName = HeaderName::from_static("x-pacer-memory-mb");

/// Which execution environment answered: its log stream's name, else a random number in hex.
pub const ENVIRONMENT: HeaderName = HeaderName::from_static("x-pacer-environment");

/// `1` when this was the first invoke of its environment, else `0`.
pub const COLD_START: HeaderName = HeaderName::from_static("x-pacer-cold-start");

/// How long the environment took to get ready, in whole milliseconds; only on a cold start.
pub const INIT_MS: HeaderName = HeaderName::from_static("x-pacer-init-ms");

/// `1` when the environment is one of provisioned concurrency: its time has a price of its own. Not sent otherwise.
pub const PROVISIONED: HeaderName = HeaderName::from_static("x-pacer-provisioned");

/// `1` beside a 503: the request did not run, and may be sent elsewhere whatever its method.
pub const BUSY: HeaderName = HeaderName::from_static("x-pacer-busy");
