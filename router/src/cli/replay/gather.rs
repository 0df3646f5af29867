//! Single requests of a trace: kept in order, and counted by what is decided about together.

use std::sync::Arc;

use predictor::{
    replay::{
        compare::{Part, Requests, Work},
        distribution::Distribution,
        latency::Latencies,
        load::{Collected, Collector},
        site::{Arrival, Site},
    },
    trace::Sorter,
};

use super::spool::{Kept, Spool};

/// Durations that a stream must have before they stand for those of its other requests: as many as the gateway learns from.
pub(super) const ENOUGH: u64 = policies::decide::MIN_SEEN as u64;

/// Requests while they are read.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    sorter: Sorter<Arrival>,
    spool: Spool,
    /// By site, by stream.
    known: Vec<Vec<Known>>,
}

/// What is known of the requests of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// How many there are.
    pub(super) requests: u64,
    /// How long those took that tell it.
    pub(super) durations: Latencies,
}

/// Requests that were read.
#[derive(Debug)]
pub(super) struct Gathered {
    /// All of them.
    pub(super) kept: Kept,
    /// What is known of them, by site, by stream.
    pub(super) known: Vec<Vec<Known>>,
    /// How many came more than ten minutes out of order, and were put where they belong.
    pub(super) late: u64,
}

impl Gatherer {
    /// Keeps a request.
    pub(super) fn add(&mut self, arrival: Arrival) -> anyhow::Result<()> {
        let (site, stream) = (usize::from(arrival.site), usize::from(arrival.stream));
        if self.known.len() <= site {
            self.known.resize(site + 1, Vec::new());
        }
        let streams = &mut self.known[site];
        if streams.len() <= stream {
            streams.resize(stream + 1, Known::default());
        }
        let known = &mut streams[stream];
        known.requests += 1;
        if let Some(us) = arrival.service_us {
            known.durations.add(us.into());
        }
        self.sorter.push(arrival.at_us, arrival);
        self.pass()
    }

    fn pass(&mut self) -> anyhow::Result<()> {
        while let Some((_, arrival)) = self.sorter.pop() {
            self.spool.push(arrival)?;
        }
        Ok(())
    }

    /// Returns what was read.
    pub(super) fn finish(mut self) -> anyhow::Result<Gathered> {
        self.sorter.finish();
        self.pass()?;
        let late = self.sorter.late();
        Ok(Gathered { kept: self.spool.finish()?, known: self.known, late })
    }
}

impl Known {
    /// Returns how long its requests take, when enough of them tell it.
    pub(super) fn service_time(&self) -> Option<Distribution> {
        (ENOUGH <= self.durations.count()).then(|| Distribution::from(&self.durations))
    }

    /// Returns how many requests do not tell how long they took.
    pub(super) fn silent(&self) -> u64 {
        self.requests - self.durations.count()
    }
}

impl Gathered {
    /// Returns how long requests of a site took, all that tell it.
    pub(super) fn durations(&self, site: usize) -> Latencies {
        let mut all = Latencies::default();
        for known in &self.known[site] {
            all.merge(&known.durations);
        }
        all
    }

    /// Counts the requests of each site by steps; `streams` tells of each stream what its requests take on average, in
    /// microseconds, and which share of them is for containers first.
    pub(super) fn collect(&self, streams: &[Vec<(f64, f64)>]) -> anyhow::Result<Vec<Collected>> {
        let mut sites: Vec<Collector> = streams.iter().map(|_| Collector::default()).collect();
        for arrival in self.kept.each() {
            let arrival = arrival.map_err(anyhow::Error::msg)?;
            let site = usize::from(arrival.site);
            let (mean_us, home) = streams[site][usize::from(arrival.stream)];
            let us = arrival.service_us.map_or(mean_us, f64::from);
            sites[site].add(arrival.at_us, us as u64, (us * home) as u64);
        }
        Ok(sites.into_iter().map(Collector::finish).collect())
    }
}

/// Puts a site and what was counted of its requests together.
pub(super) fn part(site: Site, collected: Collected) -> Part {
    let Collected { arrivals, work, home } = collected;
    let work = Work { all: Arc::new(work), home: Arc::new(home) };
    Part { load: Arc::new(arrivals), work: Some(work), site }
}
