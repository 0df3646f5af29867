//! What a trace is like: its span, its load, what its records have and lack, and what a report has to say about that.

use std::collections::BTreeMap;

use super::{Format, Record};

/// Counted over the records of a trace, in any order.
#[derive(Debug, Default, Clone)]
pub struct Statistics {
    /// Time of the first arrival, in microseconds.
    pub first_us: Option<u64>,
    /// Time of the last arrival or the start of the last step, in microseconds.
    pub last_us: Option<u64>,
    /// Arrivals: requests, and what the counts add up to.
    pub arrivals: u64,
    /// Records that are one request.
    pub requests: u64,
    /// Records that are counts.
    pub counts: u64,
    /// Records that are profiles of functions.
    pub profiles: u64,
    /// Requests whose duration is known.
    pub durations: u64,
    /// Sum of those durations, in microseconds.
    pub duration_us_total: u64,
    /// Requests that took no time at all, as far as the trace can tell.
    pub durations_zero: u64,
    /// Requests that became another protocol (status 101), as WebSockets do.
    pub upgraded: u64,
    /// Requests whose status is 500 or more.
    pub failed: u64,
    /// Records whose time is a whole number of seconds.
    pub whole_seconds: u64,
    /// Arrivals by host.
    pub hosts: Names,
    /// Arrivals by function.
    pub functions: Names,
}

impl Statistics {
    /// Takes in one record.
    pub fn add(&mut self, record: &Record<'_>) {
        match record {
            Record::Count(count) => {
                self.counts += 1;
                self.arrive(count.at_us, count.count, count.function);
            }
            Record::Request(request) => {
                self.requests += 1;
                self.arrive(request.at_us, 1, request.function);
                if let Some(host) = request.host {
                    self.hosts.add(host, 1);
                }
                if let Some(us) = request.duration_us {
                    self.durations += 1;
                    self.duration_us_total = self.duration_us_total.saturating_add(us.into());
                    self.durations_zero += u64::from(us == 0);
                }
                self.upgraded += u64::from(request.status == Some(101));
                self.failed += u64::from(request.status.is_some_and(|status| 500 <= status));
            }
            Record::Profile(profile) => {
                self.profiles += 1;
                self.functions.add(profile.function, 0);
            }
        }
    }

    fn arrive(&mut self, at_us: u64, arrivals: u64, function: Option<&str>) {
        self.first_us = Some(self.first_us.map_or(at_us, |first_us| first_us.min(at_us)));
        self.last_us = self.last_us.max(Some(at_us));
        self.arrivals = self.arrivals.saturating_add(arrivals);
        self.whole_seconds += u64::from(at_us.is_multiple_of(1_000_000));
        if let Some(function) = function {
            self.functions.add(function, arrivals);
        }
    }

    /// Returns what has to be said of a trace in `format`, a sentence each.
    pub fn notes(&self, format: Format) -> Vec<String> {
        let mut notes = Vec::new();
        let unknown = self.requests - self.durations;
        match format {
            Format::Alb => {
                if 0 < unknown {
                    notes.push(format!(
                        "{unknown} of {} requests have no duration: no target answered them (refused, redirected, or \
                         answered by the load balancer itself, or the target failed)",
                        self.requests
                    ));
                }
                if 0 < self.upgraded {
                    notes.push(format!(
                        "{} connections were upgraded (WebSockets): their duration is that of the upgrade",
                        self.upgraded
                    ));
                }
            }
            Format::CommonLog => notes.push(
                "the log has no durations; its times are when a request came (Apache) or when it was answered (nginx)"
                    .to_owned(),
            ),
            Format::Counts | Format::AzureInvocations => {
                notes.push("the trace counts arrivals by step: when in its step each came is not known".to_owned());
            }
            Format::Requests if 0 < unknown => {
                notes.push(format!("{unknown} of {} requests have no duration", self.requests));
            }
            Format::Requests => {}
            Format::AzureFunctions => {
                notes.push("durations of single requests are not known: they are drawn from percentiles".to_owned());
            }
        }
        if 0 < self.requests
            && self.whole_seconds == self.requests + self.counts
            && self.first_us != self.last_us
        {
            notes.push(
                "times are whole seconds: when in its second each request came is not known"
                    .to_owned(),
            );
        }
        if 0 < self.durations_zero {
            notes.push(format!(
                "{} requests took less than the trace can tell: their duration is 0",
                self.durations_zero
            ));
        }
        for (names, what) in [(&self.hosts, "hosts"), (&self.functions, "functions")] {
            if 0 < names.beyond() {
                notes.push(format!(
                    "there are more than {} {what}: {} arrivals of the others are counted together",
                    Names::MAX,
                    names.beyond()
                ));
            }
        }
        notes
    }
}

/// Arrivals by name, for as many names as fit.
#[derive(Debug, Default, Clone)]
pub struct Names {
    /// Places in `arrivals`, in the order of the names.
    places: BTreeMap<Box<str>, usize>,
    arrivals: Vec<u64>,
    /// The name that came last, and its place: most come in a row.
    last: (String, usize),
    beyond: u64,
}

impl Names {
    /// How many names are told apart. The Azure traces have some 50,000 functions; a site has a handful of hosts, and
    /// strangers who ask for a thousand more.
    pub const MAX: usize = 1 << 16;

    fn add(&mut self, name: &str, arrivals: u64) {
        if self.last.0 != name || self.arrivals.is_empty() {
            let place = match self.places.get(name) {
                Some(place) => *place,
                None if self.arrivals.len() < Self::MAX => {
                    self.places.insert(name.into(), self.arrivals.len());
                    self.arrivals.push(0);
                    self.arrivals.len() - 1
                }
                None => {
                    self.beyond = self.beyond.saturating_add(arrivals);
                    return;
                }
            };
            self.last.0.clear();
            self.last.0.push_str(name);
            self.last.1 = place;
        }
        let sum = &mut self.arrivals[self.last.1];
        *sum = sum.saturating_add(arrivals);
    }

    /// Returns the names and the arrivals of each, in the order of the names.
    pub fn arrivals(&self) -> impl Iterator<Item = (&str, u64)> {
        self.places.iter().map(|(name, place)| (&**name, self.arrivals[*place]))
    }

    /// Returns how many names are told apart.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Tells whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Returns the arrivals of names that came when there was no room for more.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Count, Request};

    fn request(at_us: u64) -> Request<'static> {
        Request { at_us, ..Request::default() }
    }

    fn of(records: &[Record<'_>]) -> Statistics {
        let mut statistics = Statistics::default();
        for record in records {
            statistics.add(record);
        }
        statistics
    }

    #[test]
    fn arrivals_are_counted_by_name_and_time() {
        let count =
            |at_us, count, function| Record::Count(Count { at_us, count, function, trigger: None });
        let statistics = of(&[
            count(60, 5, Some("b")),
            count(0, 2, Some("b")),
            count(60, 7, Some("a")),
            count(60, 0, None),
            count(120, 1, Some("b")),
        ]);
        assert_eq!(
            (statistics.first_us, statistics.last_us, statistics.arrivals),
            (Some(0), Some(120), 15)
        );
        assert_eq!(statistics.functions.arrivals().collect::<Vec<_>>(), [("a", 7), ("b", 8)]);
        assert_eq!(Statistics::default().first_us, None);
    }

    #[test]
    fn names_are_bounded() {
        let mut names = Names::default();
        for n in 0..=Names::MAX {
            names.add(&n.to_string(), 2);
        }
        names.add("0", 1);
        names.add("new", 1);
        names.add("", 1);
        assert_eq!((names.len(), names.beyond()), (Names::MAX, 4));
        assert_eq!(names.arrivals().next(), Some(("0", 3)));
        let mut names = Names::default();
        names.add("", 1);
        assert_eq!(names.arrivals().collect::<Vec<_>>(), [("", 1)]);
    }

    #[test]
    fn a_report_is_told_what_the_trace_lacks() {
        let alb = of(&[
            Record::Request(Request { duration_us: Some(0), status: Some(101), ..request(1) }),
            Record::Request(Request { status: Some(502), ..request(2) }),
        ]);
        let notes = alb.notes(Format::Alb);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].starts_with("1 of 2 requests have no duration: no target answered"));
        assert!(notes[1].starts_with("1 connections were upgraded"));
        assert!(notes[2].starts_with("1 requests took less than the trace can tell"));

        let log = of(&[Record::Request(request(1_000_000)), Record::Request(request(2_000_000))])
            .notes(Format::CommonLog);
        assert!(
            log[0].starts_with("the log has no durations")
                && log[1].starts_with("times are whole seconds")
        );

        let known = of(&[Record::Request(Request { duration_us: Some(5), ..request(1) })]);
        assert_eq!(known.notes(Format::Requests), Vec::<String>::new());
    }
}
