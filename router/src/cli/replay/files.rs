//! Traces from the disk.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use predictor::{
    replay::{
        arrivals::{Scaled, Step},
        load::Load,
    },
    trace::{Format, Grid, LINE_BYTES_MAX, Reader, Record, Sorter},
};

/// Lines by which a file's format is told.
const LOOK: usize = 8;

/// The load of each function of a trace; of a trace without functions, that of one without a name.
pub(super) struct Counts {
    pub(super) loads: BTreeMap<String, Load>,
    pub(super) notes: Vec<String>,
}

/// Reads a trace as counts by step, each multiplied by `scale`.
pub(super) fn counts(file: &Path, scale: f64) -> anyhow::Result<Counts> {
    let mut sorter: Sorter<(String, u64)> = Sorter::default();
    let mut grid: Grid<(String, u64)> = Grid::default();
    let mut rows: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let mut single = 0_u64;
    let mut pass = |sorter: &mut Sorter<(String, u64)>, grid: &mut Grid<(String, u64)>| {
        while let Some((at_us, row)) = sorter.pop() {
            grid.push(at_us, row);
        }
        while let Some((at_us, (function, count))) = grid.pop() {
            rows.entry(function).or_default().push((at_us, count));
        }
    };
    let notes = lines(file, |record| {
        match record {
            Record::Count(count) => {
                let function = count.function.unwrap_or_default().to_owned();
                sorter.push(count.at_us, (function, count.count));
            }
            Record::Request(request) => {
                // Single requests are counted by the second.
                single += 1;
                let function = request.function.unwrap_or_default().to_owned();
                sorter.push(request.at_us / 1_000_000 * 1_000_000, (function, 1));
            }
            Record::Profile(_) => {
                anyhow::bail!("it tells of functions, not of requests; name it under `profiles`")
            }
        }
        pass(&mut sorter, &mut grid);
        Ok(())
    })?;
    sorter.finish();
    pass(&mut sorter, &mut grid);
    grid.finish();
    pass(&mut sorter, &mut grid);
    let mut notes = notes;
    if sorter.late() != 0 {
        notes.push(format!(
            "{} rows came more than ten minutes late and were moved to when they came",
            sorter.late()
        ));
    }
    if grid.off() != 0 {
        notes.push(format!("{} rows do not fit the trace's steps and were left out", grid.off()));
    }
    if grid.missing() != 0 {
        notes.push(format!("{} steps are missing and taken as empty", grid.missing()));
    }
    if single != 0 {
        notes.push("single requests are replayed by the second".to_owned());
    }
    let step_us = grid.step_us().unwrap_or(1_000_000);
    let loads =
        rows.into_iter().map(|(function, rows)| (function, Load::new(steps(rows, step_us, scale))));
    Ok(Counts { loads: loads.collect(), notes })
}

/// Adds up rows of the same time, and scales them.
fn steps(rows: Vec<(u64, u64)>, us: u64, scale: f64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(rows.len());
    for (at_us, count) in rows {
        match steps.last_mut() {
            Some(last) if last.at_us == at_us => last.count += count,
            _ => steps.push(Step { at_us, us, count }),
        }
    }
    Scaled::new(steps.into_iter(), scale).collect()
}

/// Reads the duration percentiles of functions, in microseconds.
pub(super) fn profiles(file: &Path) -> anyhow::Result<BTreeMap<String, Vec<(f64, f64)>>> {
    let mut profiles = BTreeMap::new();
    lines(file, |record| {
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

/// Gives every record of a file to `take`; returns what a report must say of it.
fn lines(
    file: &Path,
    mut take: impl FnMut(Record<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<String>> {
    let name = file.display();
    let open = File::open(file).with_context(|| format!("cannot open {name}"))?;
    let mut input = BufReader::with_capacity(1 << 16, open);
    let zipped =
        input.fill_buf().with_context(|| format!("cannot read {name}"))?.starts_with(&[0x1f, 0x8b]);
    let input: Box<dyn Read> =
        if zipped { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) };
    let mut input = BufReader::with_capacity(1 << 16, input);

    let mut first = Vec::new();
    let mut broken = None;
    while first.len() < LOOK {
        let mut line = Vec::new();
        match next_line(&mut input, &mut line) {
            Ok(true) => first.push(line),
            Ok(false) => break,
            Err(error) => {
                broken = Some((error, line));
                break;
            }
        }
    }
    let format =
        Format::detect(first.iter().map(Vec::as_slice)).with_context(|| format!("{name}"))?;
    let mut reader = Reader::new(format);
    for line in &first {
        if let Some(record) = reader.line(line) {
            take(record)?;
        }
    }
    let mut line = Vec::new();
    while broken.is_none() {
        line.clear();
        match next_line(&mut input, &mut line) {
            Ok(true) => {
                if let Some(record) = reader.line(&line) {
                    take(record)?;
                }
            }
            Ok(false) => break,
            Err(error) => broken = Some((error, std::mem::take(&mut line))),
        }
    }
    let mut notes = Vec::new();
    if let Some((error, fragment)) = broken {
        reader.broken_off(&fragment);
        notes.push(format!("{name} breaks off ({error}): what came before is replayed"));
    }
    let tally = reader.tally();
    if let Some(bad) = &tally.first_malformed {
        notes.push(format!(
            "{name}: {} of {} lines cannot be read; the first is line {}: {}",
            tally.malformed, tally.lines, bad.number, bad.reason
        ));
    }
    if !reader.ignored_columns().is_empty() {
        notes.push(format!("{name}: columns not used: {}", reader.ignored_columns().join(", ")));
    }
    Ok(notes)
}

/// Reads a line without its end, of which no more is kept than a line may have. Returns whether there was one.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut any = false;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        // One byte more than allowed tells that it is too long.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}
