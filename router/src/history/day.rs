//! One day of all services, as one object of a bucket.
//!
//! [`records`] of which each is an hour of a service. Hours stay as bytes until one of them is written to: most of a day's are
//! only passed on.

use std::sync::Arc;

use super::{
    batch::{Batch, Merge, Merged, merge},
    bytes::Unread,
    hour::Hour,
    records::{self, Records},
};

/// What every object begins with.
const MAGIC: &[u8] = b"pacer-history\n";

/// The records of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Day {
    records: Records,
}

impl Day {
    /// Merges the hours of `batch` into it; they are all of this day.
    pub(super) fn merge(&mut self, batch: &Batch, how: Merge) -> Result<Merged, Unread> {
        let mut all = Merged::default();
        for (number, service, hour) in batch.hours() {
            let record = self.records.entry((number % 24, service.clone())).or_default();
            let (mut stored, damaged) = match Hour::decode(record) {
                _ if record.is_empty() => (Hour::default(), 0),
                Ok(stored) => (stored, 0),
                Err(Unread::Damaged(_)) => (Hour::default(), 1),
                Err(newer) => return Err(newer),
            };
            all += Merged { damaged, ..merge(&mut stored, hour, how) };
            *record = stored.encode();
        }
        Ok(all)
    }

    /// Returns every record: the hour of the day, the service, its bytes.
    pub(super) fn records(self) -> impl Iterator<Item = (u64, Arc<str>, Vec<u8>)> {
        self.records.into_iter().map(|((hour, service), record)| (hour, service, record))
    }

    /// Writes it.
    pub(super) fn encode(&self) -> Vec<u8> {
        records::encode(MAGIC, &self.records)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are not those of a day, or of a version that came later.
    pub(super) fn decode(object: &[u8]) -> Result<Self, Unread> {
        let records = records::decode(MAGIC, object)?;
        if records.keys().any(|(hour, _)| 24 <= *hour) {
            return Err(Unread::Damaged("a record is of no hour of a day"));
        }
        Ok(Self { records })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hour::Step, *};

    fn batch(steps: &[(&str, u64, u64)]) -> Batch {
        let mut batch = Batch::default();
        for &(service, at_s, requests) in steps {
            batch.set(service, at_s, Step::new(requests, 0));
        }
        batch
    }

    /// The requests of each step: hour, service, step.
    fn steps(day: Day) -> Vec<(u64, String, usize, u64)> {
        let steps = day.records().flat_map(|(hour, service, record)| {
            let steps = Hour::decode(&record).expect("it was written just now");
            let known: Vec<_> = steps.known().collect();
            known
                .into_iter()
                .map(move |(step, known)| (hour, service.to_string(), step, known.requests))
        });
        steps.collect()
    }

    #[test]
    fn a_day_comes_back_and_is_merged_into() {
        const DAY_S: u64 = 20_000 * 86_400;
        let mut day = Day::default();
        assert_eq!(Day::decode(&day.encode()), Ok(Day::default()));
        let first = batch(&[("film", DAY_S, 1), ("film", DAY_S + 86_390, 2), ("thumb", DAY_S, 3)]);
        let merged = day.merge(&first, Merge::Replace);
        assert_eq!(merged, Ok(Merged { steps: 3, had: 0, damaged: 0 }));
        let mut day = Day::decode(&day.encode()).expect("it was written just now");
        let second = batch(&[("film", DAY_S, 9), ("film", DAY_S + 10, 4)]);
        let merged = day.clone().merge(&second, Merge::Replace);
        assert_eq!(merged, Ok(Merged { steps: 2, had: 1, damaged: 0 }));
        day.merge(&second, Merge::Fill).expect("all of it can be read");
        let film = |hour, step, requests| (hour, "film".to_owned(), step, requests);
        let thumb = (0, "thumb".to_owned(), 0, 3);
        assert_eq!(steps(day), [film(0, 0, 1), film(0, 1, 4), thumb, film(23, 359, 2)]);
    }

    #[test]
    fn every_spoilt_byte_is_told() {
        let mut day = Day::default();
        day.merge(&batch(&[("film", 0, 1), ("thumb", 7_200, 5)]), Merge::Fill).unwrap();
        let bytes = day.encode();
        for place in 0..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[place] ^= 0x10;
            assert!(Day::decode(&spoilt).is_err(), "byte {place}");
            assert!(Day::decode(&bytes[..place]).is_err(), "cut at {place}");
        }
        let newer = [MAGIC, &[7]].concat();
        assert_eq!(Day::decode(&newer), Err(Unread::Newer(7, 1)));
        assert!(Day::decode(b"<html>").unwrap_err().to_string().contains("does not begin as"));
    }
}
