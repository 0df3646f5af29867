//! Scenarios of a workload file with their traces.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, ensure};
use policies::{
    cost::{PriceBook, Terms},
    workload::Scenario,
};
use predictor::{
    replay::{
        compare::Part,
        distribution::{Distribution, Quantiles},
        load::Load,
        scenario::site,
        site::Arrival,
    },
    trace::{Count, Record, Request},
};

use super::{
    super::input::{
        counts::{Gaps, Rows, check_span},
        traces::{self, Place},
    },
    gather::{Gatherer, part},
    loaded::Loaded,
};

/// Reads the trace of `scenario`: those of `places`, or else the one that it names, in `folder`.
pub(super) fn load(
    scenario: &Scenario,
    places: &[Place],
    folder: &Path,
    book: &PriceBook,
    terms: Terms,
) -> anyhow::Result<Loaded> {
    let named = match (&scenario.trace, places) {
        (Some(named), []) => vec![Place::File(folder.join(&named.path))],
        (_, given) => given.to_vec(),
    };
    let told = |problem: &str| match (&scenario.trace, places) {
        (Some(trace), []) => trace.problem(problem).to_string(),
        _ => format!("scenario {}: the traces {problem}", scenario.name),
    };
    let mut reader =
        Reader { exact: (scenario.scale - 1.0).abs() < f64::EPSILON, ..Reader::default() };
    let summary = traces::read(&named, |_, record| reader.take(&record))
        .with_context(|| told("cannot be replayed"))?;
    let profiles = match &scenario.profiles {
        Some(file) => profiles(&folder.join(&file.path))
            .with_context(|| file.problem("cannot be used").to_string())?,
        None => BTreeMap::new(),
    };
    let mut loaded = Loaded::named(&scenario.name);
    loaded.assumed.clone_from(&scenario.assumed);
    loaded.notes = summary.notes();
    let mut sites = Sites { scenario, profiles, book, terms, without: (0, 0) };
    if reader.exact && reader.single != 0 {
        ensure!(reader.rows.is_empty(), told("have both requests and counts of them"));
        sites.requests(reader, &mut loaded).with_context(|| told("cannot be replayed"))?;
    } else {
        if reader.single != 0 {
            loaded.notes.push("with a scale, single requests are counted by the second".into());
        }
        let loads = reader
            .rows
            .finish(scenario.scale, Gaps::Empty)
            .with_context(|| told("cannot be replayed"))?;
        loaded.notes.extend(loads.notes);
        for (function, load) in loads.by_name {
            if let Some(time) = sites.service_time(&function, load.total()) {
                let site = site(scenario, sites.name(&function), time, &load, book, terms);
                loaded.parts.push(Part { load: load.into(), work: None, site });
            }
        }
    }
    let (functions, requests) = sites.without;
    if functions != 0 {
        loaded.notes.push(format!(
            "left out: {requests} requests of {functions} functions whose durations nobody tells; give `service_time`"
        ));
    }
    ensure!(loaded.count() != 0, loaded.with_notes(&told("has no requests to replay")));
    if loaded.requests.is_none() {
        loaded.mode_by_requests();
    }
    Ok(loaded)
}

/// Records while they are read.
#[derive(Debug, Default)]
struct Reader {
    /// Single requests are kept one by one; else they are counted by the second.
    exact: bool,
    rows: Rows,
    gatherer: Gatherer,
    functions: Vec<String>,
    single: u64,
}

impl Reader {
    fn take(&mut self, record: &Record<'_>) -> anyhow::Result<()> {
        match record {
            Record::Count(count) => self.rows.push(count.function.unwrap_or_default(), count),
            Record::Request(request) => {
                self.single += 1;
                self.request(request)
            }
            Record::Profile(_) => {
                anyhow::bail!("it tells of functions, not of requests; name it under `profiles`")
            }
        }
    }

    fn request(&mut self, request: &Request<'_>) -> anyhow::Result<()> {
        let function = request.function.unwrap_or_default();
        if !self.exact {
            let at_us = request.at_us / 1_000_000 * 1_000_000;
            let count = Count { at_us, count: 1, function: request.function, trigger: None };
            return self.rows.push(function, &count);
        }
        let known = self.functions.iter().position(|known| known == function);
        let site = known.unwrap_or_else(|| {
            self.functions.push(function.to_owned());
            self.functions.len() - 1
        });
        let site = u16::try_from(site).context("there are more than 65,536 functions")?;
        self.gatherer
            .add(Arrival { service_us: request.duration_us, ..Arrival::plain(request.at_us, site) })
    }
}

/// What sites are made of.
struct Sites<'a> {
    scenario: &'a Scenario,
    profiles: BTreeMap<String, Vec<(f64, f64)>>,
    book: &'a PriceBook,
    terms: Terms,
    /// Functions whose durations nobody tells, and their requests.
    without: (usize, u64),
}

impl Sites<'_> {
    fn name<'n>(&'n self, function: &'n str) -> &'n str {
        if function.is_empty() { &self.scenario.name } else { function }
    }

    /// Returns how long requests of `function` take as far as its profile or the scenario say; else counts what is left out.
    fn service_time(&mut self, function: &str, requests: u64) -> Option<Distribution> {
        let profile = self.profiles.get(function).cloned().map(Quantiles::new);
        let profile = profile.and_then(Result::ok).map(Distribution::Quantiles);
        let time = profile.or_else(|| self.scenario.service_time.as_ref().map(Distribution::from));
        if time.is_none() {
            self.without = (self.without.0 + 1, self.without.1 + requests);
        }
        time
    }

    /// Takes requests as they came, with the durations that they tell.
    fn requests(&mut self, reader: Reader, loaded: &mut Loaded) -> anyhow::Result<()> {
        let Reader { gatherer, functions, .. } = reader;
        let gathered = gatherer.finish()?;
        if gathered.late != 0 {
            loaded.notes.push(format!(
                "{} requests stood more than ten minutes out of order, and were put where they belong",
                gathered.late
            ));
        }
        let mut times = Vec::with_capacity(functions.len());
        let mut drawn = 0;
        for (function, known) in functions.iter().zip(&gathered.known) {
            let known = &known[0];
            let time = match self.service_time(function, 0) {
                Some(time) => time,
                None => known.service_time().with_context(|| {
                    format!(
                        "nobody tells how long requests of {} take; write `service_time`",
                        self.name(function)
                    )
                })?,
            };
            drawn += known.silent();
            times.push((known.service_time(), time));
        }
        self.without = (0, 0);
        if drawn != 0 {
            loaded.notes.push(format!(
                "{drawn} of {} requests do not tell how long they took: drawn from what is written",
                gathered.kept.count()
            ));
        }
        let share = |time: &Distribution| {
            let of_any =
                site(self.scenario, "", time.clone(), &Load::default(), self.book, self.terms);
            vec![(time.mean_us(), of_any.home_share())]
        };
        let shares: Vec<_> =
            times.iter().map(|(own, time)| share(own.as_ref().unwrap_or(time))).collect();
        let collected = gathered.collect(&shares)?;
        for ((collected, function), (own, time)) in collected.into_iter().zip(&functions).zip(times)
        {
            let load = &collected.arrivals;
            if let Some((first, last)) = load.span_us() {
                check_span(first, last)?;
            }
            let name = self.name(function);
            let mut site = site(
                self.scenario,
                name,
                own.unwrap_or_else(|| time.clone()),
                load,
                self.book,
                self.terms,
            );
            site.streams[0].service_time = time;
            loaded.parts.push(part(site, collected));
        }
        loaded.requests = Some(gathered.kept);
        Ok(())
    }
}

/// Reads the duration percentiles of functions, in microseconds.
fn profiles(file: &Path) -> anyhow::Result<BTreeMap<String, Vec<(f64, f64)>>> {
    let mut profiles = BTreeMap::new();
    traces::read(&[Place::File(file.to_owned())], |_, record| {
        let Record::Profile(profile) = record else {
            anyhow::bail!("it tells of requests, not of functions");
        };
        let point = |&(percent, us): &(u8, u32)| (f64::from(percent) / 100.0, f64::from(us));
        let points: Vec<_> = profile.durations_us.iter().map(point).collect();
        if !points.is_empty() {
            profiles.insert(profile.function.to_owned(), points);
        }
        Ok(())
    })?;
    Ok(profiles)
}
