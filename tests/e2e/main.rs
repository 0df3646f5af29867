//! End to end: every promise of the gateway, held against the real binary over real sockets.
//!
//! Each test starts what it needs (the gateway, upstreams that it scripts byte by byte, the local cloud) on ports that
//! the system chooses, and ends it. Nothing of the gateway is replaced, and nobody sleeps to wait: a test waits for the
//! event, for `harness::PATIENCE` at most.

mod harness;

mod access;
mod act;
mod backfill;
mod container;
mod credentials;
mod demo;
mod ecs;
mod forecast;
mod forwarding;
mod gateways;
mod hot_hot;
mod http;
mod iam;
mod lambda;
mod lambda_errors;
mod lambda_hostile;
mod lambda_state;
mod lambda_streams;
mod learning;
mod ledger;
mod local_lambda;
mod observation;
mod otlp;
mod policies_cli;
mod radar;
mod reload;
mod replay;
mod replay_policy;
mod routing;
mod shutdown;
mod slots;
mod status;
mod timeouts;
mod tls;
mod warm;
