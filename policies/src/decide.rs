//! Chooses the lane for one request.
//!
//! Pure: no clock, no I/O, no randomness (`draw` is an argument). Equal inputs give equal decisions, so a decision seen
//! in production can be replayed from its log line, and the simulator decides exactly as the gateway does.

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Short, light, stateless: Lambda is its home.
    Sprinter,
    /// Long, heavy, steady: a warm container is its home.
    Marathon,
}

/// Where a request runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// AWS Lambda.
    Lambda,
    /// A container.
    Container,
}
