//! Recorded traffic as commands read it: files, folders and pipes, and counts by step.

pub(crate) mod counts;
pub(crate) mod traces;
