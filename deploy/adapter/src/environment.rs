//! What one execution environment knows of itself, for the gateway's books.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{HeaderMap, HeaderValue};
use lambda_event::report;

/// Returns whether Lambda takes a snapshot of this environment after its start.
pub(crate) fn is_snapstart() -> bool {
    is_initialized_by("snap-start")
}

/// Tells how Lambda came to start this environment (AWS Lambda developer guide, "Defined runtime environment variables").
fn is_initialized_by(kind: &str) -> bool {
    std::env::var("AWS_LAMBDA_INITIALIZATION_TYPE").is_ok_and(|of| of == kind)
}

/// An environment that is ready.
#[derive(Debug)]
pub(crate) struct Environment {
    id: String,
    memory_mb: Option<HeaderValue>,
    /// It is one of provisioned concurrency.
    provisioned: bool,
    /// Until the first event was taken.
    unreported_init: Option<Duration>,
}

/// The part of the report that is settled when an event arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    received: Instant,
    init: Option<Duration>,
}

impl Visit {
    pub(crate) fn is_cold(&self) -> bool {
        self.init.is_some()
    }
}

impl Environment {
    /// That was ready now, after a start that began at `begun`.
    pub(crate) fn started(begun: Instant) -> anyhow::Result<Self> {
        let id = match std::env::var("AWS_LAMBDA_LOG_STREAM_NAME") {
            Ok(name) if HeaderValue::from_str(&name).is_ok() => name,
            Ok(_) | Err(_) => random_id()?,
        };
        Ok(Self::new(id, begun))
    }

    /// That woke at `begun` from a snapshot. Its variables are the snapshot's, equal in all its copies: the id is drawn.
    pub(crate) fn restored(begun: Instant) -> anyhow::Result<Self> {
        Ok(Self::new(random_id()?, begun))
    }

    fn new(id: String, begun: Instant) -> Self {
        let memory = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        let memory_mb =
            memory.ok().and_then(|size| size.parse::<u32>().ok()).map(HeaderValue::from);
        let provisioned = is_initialized_by("provisioned-concurrency");
        Environment { id, memory_mb, provisioned, unreported_init: Some(begun.elapsed()) }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes that an event was received now. The first one bears the start.
    pub(crate) fn receive(&mut self) -> Visit {
        Visit { received: Instant::now(), init: self.unreported_init.take() }
    }

    /// Adds what `visit` cost until now to the headers of its answer.
    pub(crate) fn report(&self, visit: &Visit, headers: &mut HeaderMap) {
        self.report_start(visit, headers);
        let took = visit.received.elapsed();
        let billed = took + visit.init.unwrap_or_default();
        headers.insert(report::BILLED_MS, HeaderValue::from(milliseconds_up(billed)));
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        headers.insert(report::DURATION_US, HeaderValue::from(took_us));
    }

    /// Adds what is known when an answer begins: all but the billed time, which is known when it has ended, and a stream
    /// has no place for it there.
    pub(crate) fn report_start(&self, visit: &Visit, headers: &mut HeaderMap) {
        if let Some(memory) = &self.memory_mb {
            headers.insert(report::MEMORY_MB, memory.clone());
        }
        let id = HeaderValue::from_str(&self.id).expect("the id was checked when it was taken");
        headers.insert(report::ENVIRONMENT, id);
        if self.provisioned {
            headers.insert(report::PROVISIONED, HeaderValue::from(1_u16));
        }
        headers.insert(report::COLD_START, HeaderValue::from(u16::from(visit.is_cold())));
        if let Some(init) = visit.init {
            headers.insert(report::INIT_MS, HeaderValue::from(milliseconds_up(init)));
        }
    }
}

/// Lambda bills whole milliseconds, and the one that was begun.
fn milliseconds_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Drawn from the system at the moment of the call: a seed kept in memory would be the same in each copy of a snapshot.
fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom to name this environment")?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_millisecond_that_was_begun_is_billed() {
        assert_eq!(milliseconds_up(Duration::ZERO), 0);
        assert_eq!(milliseconds_up(Duration::from_micros(1)), 1);
        assert_eq!(milliseconds_up(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds_up(Duration::from_nanos(7_000_001)), 8);
    }

    #[test]
    fn only_the_first_event_bears_the_start() {
        let begun = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        let mut environment = Environment::restored(begun).unwrap();
        let mut headers = HeaderMap::new();
        let visit = environment.receive();
        environment.report(&visit, &mut headers);
        let number =
            |headers: &HeaderMap, name| headers[&name].to_str().unwrap().parse::<u64>().unwrap();
        assert!(2000 <= number(&headers, report::INIT_MS));
        assert!(2000 <= number(&headers, report::BILLED_MS));
        assert_eq!(headers[report::COLD_START], "1");

        let visit = environment.receive();
        let mut headers = HeaderMap::new();
        environment.report(&visit, &mut headers);
        assert_eq!(headers.get(report::INIT_MS), None);
        assert!(number(&headers, report::BILLED_MS) < 2000);
        assert_eq!(headers[report::COLD_START], "0");
    }

    #[test]
    fn copies_of_a_snapshot_have_different_names() {
        let name = || Environment::restored(Instant::now()).unwrap().id().to_owned();
        assert_ne!(name(), name());
    }
}
