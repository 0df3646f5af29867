//! Counts from recorded traffic: access logs and CSVs, whatever `pacer replay` reads.
//!
//! A request is the service's whose route matches it, as in the gateway; what has no URL is of the function that it names,
//! or of `--service`. What the gateway would not have been asked is left out, and counted.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use http::{HeaderMap, Method};
use policies::route::Head;
use predictor::trace::{Format, Record, Request};

use super::{
    super::input::{
        counts::{Gaps, Rows},
        traces,
    },
    Asked, Gathered, Missing,
    time::show,
};
use crate::history::STEP_S;

/// A stretch without any request from which on a reader should know of it: logs may be missing.
const SILENCE_S: u64 = 3_600;

/// Records while they are read.
struct Reader<'a> {
    asked: &'a Asked<'a>,
    gathered: Gathered,
    rows: Rows,
    /// Rows name functions: one that is not listed was not called.
    by_function: bool,
    single: u64,
    unmatched: (u64, String),
    not_asked: u64,
    headers: HeaderMap,
}

/// Reads the files.
pub(super) fn gather(
    files: &[PathBuf],
    asked: &Asked<'_>,
    missing: Option<Missing>,
) -> anyhow::Result<Gathered> {
    let places = traces::find(files)?;
    let mut reader = Reader {
        asked,
        gathered: Gathered::default(),
        rows: Rows::default(),
        by_function: false,
        single: 0,
        unmatched: (0, String::new()),
        not_asked: 0,
        headers: HeaderMap::new(),
    };
    let summary = traces::read(&places, |format, record| reader.take(format, &record))?;
    let mut notes = summary.notes();
    let (unmatched, first) = &reader.unmatched;
    if *unmatched != 0 {
        notes.push(format!(
            "left out: {unmatched} requests of no service of the policy; the first: {first}"
        ));
    }
    if reader.not_asked != 0 {
        notes.push(format!(
            "left out: {} requests that a load balancer answered itself, or upgraded (WebSockets)",
            reader.not_asked
        ));
    }
    ensure!(
        reader.rows.is_empty() || reader.single == 0,
        "some of the traces have requests and others counts of them: backfill them apart"
    );
    let Reader { mut gathered, rows, by_function, .. } = reader;
    if rows.is_empty() {
        requests(&mut gathered, missing, &mut notes);
    } else {
        let loads = rows.finish(1.0, if by_function { Gaps::Empty } else { Gaps::Unknown })?;
        notes.extend(loads.notes);
        for (service, load) in loads.by_name {
            let steps = gathered.services.entry(service).or_default();
            for step in load.steps() {
                steps.count(step.at_us, step.us, step.count)?;
            }
        }
        let zero = if by_function { Missing::Zero } else { Missing::Unknown };
        if missing.unwrap_or(zero) == Missing::Zero {
            gathered.fill();
        }
    }
    gathered.notes.extend(notes);
    Ok(gathered)
}

/// Makes steps of single requests: between the first and the last of all, a step without one had none.
fn requests(gathered: &mut Gathered, missing: Option<Missing>, notes: &mut Vec<String>) {
    let Some((first, last)) = gathered.span() else { return };
    // A log begins and ends within a step: what of it was logged would be taken for all of it.
    let (mut from, until) = (first + STEP_S, last.saturating_sub(STEP_S));
    let mut all: Vec<u64> =
        gathered.services.values().flat_map(|steps| steps.iter().map(|(at_s, _)| at_s)).collect();
    all.sort_unstable();
    let silences = all.windows(2).map(|pair| (pair[0] + STEP_S, pair[1]));
    let silences: Vec<_> = silences.filter(|(from, until)| from + SILENCE_S <= *until).collect();
    let unknown = missing == Some(Missing::Unknown);
    if let Some((from, until)) = silences.iter().max_by_key(|(from, until)| until - from) {
        let taken = if unknown {
            "not known"
        } else {
            "no requests; if logs are missing, give --missing unknown"
        };
        notes.push(format!(
            "{} times nothing was logged for an hour or more, the longest {} h from {}: taken as {taken}",
            silences.len(),
            (until - from) / 3_600,
            show(*from)
        ));
    }
    for steps in gathered.services.values_mut() {
        steps.keep(from, until);
    }
    for &(silent, loud) in silences.iter().filter(|_| unknown) {
        gathered.services.values_mut().for_each(|steps| steps.fill(from, silent));
        from = loud;
    }
    gathered.services.values_mut().for_each(|steps| steps.fill(from, until));
}

impl Reader<'_> {
    fn take(&mut self, format: Format, record: &Record<'_>) -> anyhow::Result<()> {
        match record {
            Record::Count(count) => {
                self.by_function |= count.function.is_some();
                let Some(service) = self.named(count.function)? else {
                    self.unmatched(count.count, || count.function.unwrap_or_default().to_owned());
                    return Ok(());
                };
                self.rows.push(&service, count)
            }
            Record::Request(request) => self.request(format, request),
            Record::Profile(_) => {
                bail!("it tells of functions, not of their requests: give the file of those")
            }
        }
    }

    fn request(&mut self, format: Format, request: &Request<'_>) -> anyhow::Result<()> {
        let answered = request.duration_us.is_some() || request.target.is_some();
        let balancer =
            format == Format::Alb && !answered && request.status.is_some_and(|status| status < 500);
        if balancer || request.status == Some(101) {
            self.not_asked += 1;
            return Ok(());
        }
        let service = match request.path {
            Some(path) if self.asked.service.is_none() => self.routed(path, request),
            _ => self.named(request.function)?,
        };
        let Some(service) = service else {
            // Without its query, which may hold what is not for everybody.
            let path = request.path.or(request.function).unwrap_or_default();
            self.unmatched(1, || format!("{} {path}", request.method.unwrap_or("GET")));
            return Ok(());
        };
        self.single += 1;
        let steps = self.gathered.services.entry(service).or_default();
        steps.request(request.at_us, request.duration_us);
        Ok(())
    }

    /// Returns the service whose route matches.
    fn routed(&self, path: &str, request: &Request<'_>) -> Option<String> {
        let policy = self.asked.policy;
        let path = policies::path::normal(path).ok()?;
        let method = request.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let method = method.unwrap_or(Method::GET);
        let host = request.host.unwrap_or_default();
        let headers = &self.headers;
        let head = Head { host, path: &path, query: request.query, method: &method, headers };
        let route = policy.table.find(&head)?;
        Some(policy.service(policy.route(route).service).name.to_string())
    }

    /// Returns the service of that name; what has no name is of the only service, or of the one that was asked for.
    fn named(&self, function: Option<&str>) -> anyhow::Result<Option<String>> {
        match function.filter(|_| self.asked.service.is_none()) {
            None => self.asked.only().map(Some),
            Some(name) => {
                let known = self.asked.policy.services.iter().any(|service| *service.name == *name);
                Ok(known.then(|| name.to_owned()))
            }
        }
    }

    fn unmatched(&mut self, count: u64, what: impl FnOnce() -> String) {
        if self.unmatched.0 == 0 {
            self.unmatched.1 = what();
        }
        self.unmatched.0 += count;
    }
}
