//! An AWS-shaped cloud on loopback: Lambda and ECS with real processes.
