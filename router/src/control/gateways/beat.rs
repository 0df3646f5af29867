//! The beat: what a gateway writes of itself every two seconds, and all others read.
//!
//! A DynamoDB item holds at most 400 KB and is billed by the kilobyte, so what was asked and what is busy go as compressed
//! JSON; what a person looks for in the table's console is in attributes of its own.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::Arc,
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::division::View;
use crate::control::{act::Names, asked::Services, freeze::Order};

/// Steps of what was asked that a beat tells: a minute, so that none is missed while the table cannot be reached for some
/// seconds.
pub(super) const STEPS: usize = 6;

/// Bytes of what was asked and what is busy: an item's 400 KB (Amazon DynamoDB, "Service quotas", item size), and room for
/// its other attributes.
const LOAD_MAX: usize = 350_000;

/// Bytes that are unpacked of another gateway's load: what is more is not of our making.
const UNPACKED_MAX: u64 = 16 * 1024 * 1024;

/// What a gateway has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Load {
    /// By step, the number of which is its place since 1970.
    pub(super) asked: BTreeMap<u64, Services>,
    /// Slots taken, by task, where there are any.
    pub(super) busy: BTreeMap<Arc<str>, u32>,
    /// Tasks that it is about to stop: of the one that leads.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub(super) retiring: Names,
    /// The latest order to freeze, or to go on, that it knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) order: Option<Order>,
}

/// What a gateway tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beat {
    /// Its name: random, for the life of the process.
    pub(super) id: Arc<str>,
    /// Grows with each beat.
    pub(super) sequence: u64,
    /// When it started, in Unix time: for people.
    pub(super) started_s: u64,
    /// The machine that it runs on: for people.
    pub(super) host: Arc<str>,
    /// Where it listens: for people.
    pub(super) address: Arc<str>,
    /// It stops, and finishes what it has.
    pub(super) drains: bool,
    /// Whom it divides slots with.
    pub(super) view: Option<View>,
    pub(super) load: Load,
}

impl Load {
    /// Packs it into at most [`LOAD_MAX`] bytes. What does not fit is left out: busy tasks first, which only help to choose
    /// a task to stop, then the services that were asked least.
    pub(super) fn pack(&self) -> Vec<u8> {
        self.pack_within(LOAD_MAX)
    }

    fn pack_within(&self, most: usize) -> Vec<u8> {
        let mut packed = deflate(self);
        let mut load = None;
        while most < packed.len() {
            let load = load.get_or_insert_with(|| self.clone());
            load.halve();
            packed = deflate(load);
        }
        if let Some(left) = load {
            let services = |load: &Self| load.asked.values().map(BTreeMap::len).max().unwrap_or(0);
            warn!(
                busy_tasks = self.busy.len(),
                told_of_tasks = left.busy.len(),
                services = services(self),
                told_of_services = services(&left),
                "what is asked and busy does not fit into an item of the table; the rest is not told to other gateways"
            );
        }
        packed
    }

    fn halve(&mut self) {
        if !self.busy.is_empty() {
            let mut busy: Vec<_> = std::mem::take(&mut self.busy).into_iter().collect();
            busy.truncate(busy.len() / 2);
            self.busy = busy.into_iter().collect();
            return;
        }
        for services in self.asked.values_mut() {
            let mut most: Vec<_> = std::mem::take(services).into_iter().collect();
            most.sort_by_key(|(_, asked)| Reverse(asked.service_us));
            most.truncate(most.len() / 2);
            *services = most.into_iter().collect();
        }
    }

    /// Reads what [`Load::pack`] made; `None` when it is not of that make.
    pub(super) fn unpack(packed: &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        DeflateDecoder::new(packed).take(UNPACKED_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

fn deflate(load: &Load) -> Vec<u8> {
    let text = serde_json::to_vec(load).expect("names and numbers only");
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::asked::Step;

    fn load(services: u64, tasks: u64) -> Load {
        let step = |step: u64| {
            let services = (0..services).map(|n| {
                let asked = n.wrapping_mul(7919 + step) % 100_000;
                let service_us = asked * (n * 37 % 91_193);
                let step = Step { asked, service_us, ..Step::default() };
                (format!("team-{}-service-{n}", n % 17).into(), step)
            });
            (176_000_000 + step, services.collect())
        };
        let task = |n: u64| {
            let id = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64
                | u128::from(n.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
            (format!("{id:032x}").into(), (n % 16 + 1) as u32)
        };
        Load {
            asked: (0..STEPS as u64).map(step).collect(),
            busy: (0..tasks).map(task).collect(),
            retiring: Names::new(),
            order: None,
        }
    }

    #[test]
    fn a_load_is_read_as_it_was_packed_and_what_is_none_is_refused() {
        let load = load(3, 2);
        assert_eq!(Load::unpack(&load.pack()), Some(load));
        assert_eq!(Load::unpack(b"no load"), None);
    }

    #[test]
    fn a_thousand_services_and_five_thousand_busy_tasks_fit_whole() {
        let load = load(1000, 5000);
        let packed = load.pack();
        assert!(packed.len() < LOAD_MAX, "{} bytes", packed.len());
        assert_eq!(Load::unpack(&packed), Some(load));
    }

    #[test]
    fn what_does_not_fit_is_left_out_tasks_first_then_what_was_asked_least() {
        let load = load(400, 2000);
        let left = Load::unpack(&load.pack_within(30_000)).unwrap();
        assert!(left.busy.len() < 2000);
        let left = Load::unpack(&load.pack_within(3_000)).unwrap();
        assert!(left.busy.is_empty());
        for (step, services) in &left.asked {
            assert!(!services.is_empty() && services.len() < 400);
            let least = services.values().map(|asked| asked.service_us).min().unwrap();
            let gone = load.asked[step].iter().filter(|(name, _)| !services.contains_key(*name));
            assert!(gone.map(|(_, asked)| asked.service_us).all(|us| us <= least));
        }
    }
}
