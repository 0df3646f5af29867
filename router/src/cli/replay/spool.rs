//! Requests of a trace, kept until every planner has had them: in memory, or on the disk when there are many.
//!
//! A trace is read once, whatever its length, and may come from a pipe. What is kept of a request takes 24 bytes.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
};

use anyhow::Context;
use predictor::replay::{compare::Requests, site::Arrival};

/// Requests that are kept in memory: 96 MiB of them.
const IN_MEMORY: usize = 4 << 20;

/// Requests out of order that are sorted at a time.
const LATE: usize = 1 << 20;

/// Bytes of a request in the file.
const RECORD: usize = 24;

/// Requests that are read from the file at a time.
const READ: usize = 1 << 12;

/// Written in the place of a service time that is not known.
const UNKNOWN: u32 = u32::MAX;

/// Requests as they come, most of them in order.
#[derive(Debug, Default)]
pub(super) struct Spool {
    /// Those that came in order.
    ordered: Run,
    /// Those that came after a later one, sorted a million at a time.
    late: Vec<Run>,
    gathered: Vec<Arrival>,
    last_us: u64,
}

/// Requests in order.
#[derive(Debug, Default)]
struct Run {
    begin: Vec<Arrival>,
    file: Option<BufWriter<File>>,
    count: u64,
}

/// All requests of a trace, in order.
#[derive(Debug)]
pub(super) struct Kept {
    runs: Vec<Stored>,
}

#[derive(Debug)]
struct Stored {
    begin: Vec<Arrival>,
    file: Option<File>,
    count: u64,
}

impl Spool {
    /// Keeps a request.
    pub(super) fn push(&mut self, arrival: Arrival) -> anyhow::Result<()> {
        if self.last_us <= arrival.at_us {
            self.last_us = arrival.at_us;
            return self.ordered.push(arrival).context(NO_ROOM);
        }
        self.gathered.push(arrival);
        if self.gathered.len() == LATE {
            self.sort_late().context(NO_ROOM)?;
        }
        Ok(())
    }

    fn sort_late(&mut self) -> io::Result<()> {
        self.gathered.sort_by_key(|arrival| arrival.at_us);
        let mut run = Run::default();
        for arrival in self.gathered.drain(..) {
            run.push(arrival)?;
        }
        self.late.push(run);
        Ok(())
    }

    /// Returns all of them, in order.
    pub(super) fn finish(mut self) -> anyhow::Result<Kept> {
        if !self.gathered.is_empty() {
            self.sort_late().context(NO_ROOM)?;
        }
        let runs = std::iter::once(self.ordered).chain(self.late).map(Run::finish);
        Ok(Kept { runs: runs.collect::<io::Result<_>>().context(NO_ROOM)? })
    }
}

/// What may be wrong when a temporary file cannot be written.
const NO_ROOM: &str = "cannot keep the requests in a temporary file of 24 bytes each; \
                       set TMPDIR to a folder with room for them";

impl Run {
    fn push(&mut self, arrival: Arrival) -> io::Result<()> {
        self.count += 1;
        if self.begin.len() < IN_MEMORY {
            self.begin.push(arrival);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::with_capacity(1 << 16, tempfile::tempfile()?)),
        };
        file.write_all(&written(&arrival))
    }

    fn finish(self) -> io::Result<Stored> {
        let file = match self.file {
            Some(file) => Some(file.into_inner().map_err(io::IntoInnerError::into_error)?),
            None => None,
        };
        Ok(Stored { begin: self.begin, file, count: self.count })
    }
}

impl Kept {
    /// Returns how many there are.
    pub(super) fn count(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }
}

impl Requests for Kept {
    fn each(&self) -> Box<dyn Iterator<Item = Result<Arrival, String>> + '_> {
        match &self.runs[..] {
            [run] => Box::new(run.each()),
            runs => Box::new(Merged::new(runs)),
        }
    }
}

impl Stored {
    fn each(&self) -> impl Iterator<Item = Result<Arrival, String>> + '_ {
        let on_disk = self.count - self.begin.len() as u64;
        let file = self.file.iter().flat_map(move |file| Reading {
            file,
            next: 0,
            count: on_disk,
            buffer: Vec::new(),
            at: 0,
        });
        self.begin.iter().map(|arrival| Ok(*arrival)).chain(file)
    }
}

/// Several runs in one order.
struct Merged<'a> {
    runs: Vec<Box<dyn Iterator<Item = Result<Arrival, String>> + 'a>>,
    heads: Vec<Option<Arrival>>,
    next: BinaryHeap<Reverse<(u64, usize)>>,
    wrong: Option<String>,
}

impl<'a> Merged<'a> {
    fn new(runs: &'a [Stored]) -> Self {
        let runs: Vec<Box<dyn Iterator<Item = Result<Arrival, String>> + 'a>> =
            runs.iter().map(|run| Box::new(run.each()) as Box<_>).collect();
        let heads = vec![None; runs.len()];
        let mut merged = Self { runs, heads, next: BinaryHeap::new(), wrong: None };
        for number in 0..merged.heads.len() {
            merged.advance(number);
        }
        merged
    }

    fn advance(&mut self, number: usize) {
        match self.runs[number].next() {
            None => self.heads[number] = None,
            Some(Ok(arrival)) => {
                self.heads[number] = Some(arrival);
                self.next.push(Reverse((arrival.at_us, number)));
            }
            Some(Err(why)) => self.wrong = Some(why),
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Arrival, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(why) = self.wrong.take() {
            self.next.clear();
            return Some(Err(why));
        }
        let Reverse((_, number)) = self.next.pop()?;
        let arrival = self.heads[number].take()?;
        self.advance(number);
        Some(Ok(arrival))
    }
}

/// Requests from the file. Each reader has its own place in it: planners run side by side.
struct Reading<'a> {
    file: &'a File,
    /// Requests that were taken from the file.
    next: u64,
    count: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Reading<'_> {
    fn fill(&mut self) -> io::Result<()> {
        let left = self.count - self.next;
        let some = usize::try_from(left).unwrap_or(READ).min(READ);
        self.buffer.resize(some * RECORD, 0);
        self.file.read_exact_at(&mut self.buffer, self.next * RECORD as u64)?;
        self.next += some as u64;
        self.at = 0;
        Ok(())
    }
}

impl Iterator for Reading<'_> {
    type Item = Result<Arrival, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.buffer.len() {
            if self.next == self.count {
                return None;
            }
            if let Err(error) = self.fill() {
                self.next = self.count;
                self.buffer.clear();
                self.at = 0;
                return Some(Err(format!("the temporary file cannot be read: {error}")));
            }
        }
        let record = self.buffer[self.at..].first_chunk()?;
        self.at += RECORD;
        Some(Ok(read(record)))
    }
}

fn written(arrival: &Arrival) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&arrival.at_us.to_le_bytes());
    let service_us = arrival.service_us.map_or(UNKNOWN, |us| us.min(UNKNOWN - 1));
    record[8..12].copy_from_slice(&service_us.to_le_bytes());
    record[12..16].copy_from_slice(&arrival.event_bytes.to_le_bytes());
    record[16..20].copy_from_slice(&arrival.answer_bytes.to_le_bytes());
    record[20..22].copy_from_slice(&arrival.site.to_le_bytes());
    record[22..].copy_from_slice(&arrival.stream.to_le_bytes());
    record
}

fn read(record: &[u8; RECORD]) -> Arrival {
    let number = |at: usize| {
        u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
    };
    let half = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
    let service_us = number(8);
    Arrival {
        at_us: u64::from(number(0)) | u64::from(number(4)) << 32,
        service_us: (service_us != UNKNOWN).then_some(service_us),
        event_bytes: number(12),
        answer_bytes: number(16),
        site: half(20),
        stream: half(22),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(at_us: u64) -> Arrival {
        Arrival {
            service_us: (!at_us.is_multiple_of(3)).then_some(at_us as u32),
            stream: (at_us % 7) as u16,
            event_bytes: 5,
            answer_bytes: u32::MAX,
            ..Arrival::plain(at_us, (at_us % 5) as u16)
        }
    }

    fn times(spool: Spool) -> Vec<Arrival> {
        let kept = spool.finish().unwrap();
        let read: Vec<_> = kept.each().map(Result::unwrap).collect();
        assert_eq!(read.len() as u64, kept.count());
        assert_eq!(kept.each().map(Result::unwrap).collect::<Vec<_>>(), read, "a second time");
        read
    }

    #[test]
    fn requests_come_back_as_they_were() {
        for at_us in [0, 1, 1 << 40, u64::MAX] {
            assert_eq!(read(&written(&arrival(at_us))), arrival(at_us));
        }
    }

    #[test]
    fn what_came_late_stands_where_it_belongs() {
        let mut spool = Spool::default();
        let came = [5_u64, 6, 9, 3, 8, 20, 1, 20];
        for at_us in came {
            spool.push(arrival(at_us)).unwrap();
        }
        let mut sorted = came;
        sorted.sort_unstable();
        assert_eq!(times(spool), sorted.map(arrival));
    }

    #[test]
    fn what_has_no_room_in_memory_is_kept_on_the_disk() {
        let mut spool = Spool::default();
        let count = IN_MEMORY as u64 + 3 * READ as u64 + 1;
        for at_us in 0..count {
            spool.push(arrival(at_us)).unwrap();
        }
        spool.push(arrival(7)).unwrap();
        let kept = spool.finish().unwrap();
        assert_eq!(kept.count(), count + 1);
        let mut expected = (0..8).chain(7..count);
        assert!(kept.each().all(|read| read.unwrap() == arrival(expected.next().unwrap())));
        assert_eq!(expected.next(), None);
    }
}
