//! End to end against the real binary.
