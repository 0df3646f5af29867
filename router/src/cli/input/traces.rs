//! Traces from the disk and from standard input: files in the order of what they tell, lines without their ends.

use std::{
    fmt::Write,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use predictor::trace::{Format, LINE_BYTES_MAX, Reader, Record};

/// Lines by which a file's format is told.
const LOOK: usize = 8;

/// The name by which standard input is asked for.
const STDIN: &str = "-";

/// Where one trace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file that was named: what it is must be told, or it is refused.
    File(PathBuf),
    /// A file found in a folder that was named: one that is no trace is left out.
    Found(PathBuf),
    /// Standard input.
    Stdin,
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Found(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }
}

/// What was read of all files, for a report to tell.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Formats that were found.
    pub(crate) formats: Vec<Format>,
    lines: u64,
    malformed: u64,
    capped: u64,
    first_malformed: Option<String>,
    broken: Vec<String>,
    left_out: Vec<String>,
    ignored: Vec<String>,
}

/// Most names that a note lists.
const NAMES_MAX: usize = 3;

impl Summary {
    /// Returns what a reader of the report should know, a sentence each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = self.broken.clone();
        if let Some(first) = &self.first_malformed {
            notes.push(format!(
                "{} of {} lines cannot be read; the first: {first}",
                self.malformed, self.lines
            ));
        }
        if self.capped != 0 {
            notes.push(format!("{} durations beyond 71 minutes are taken as that", self.capped));
        }
        if !self.left_out.is_empty() {
            notes.push(format!("left out, no traces: {}", listed(&self.left_out)));
        }
        if !self.ignored.is_empty() {
            notes.push(format!("columns not used: {}", self.ignored.join(", ")));
        }
        notes
    }

    fn take_in(&mut self, name: &str, reader: &Reader, format: Format) {
        let tally = reader.tally();
        self.lines += tally.lines;
        self.malformed += tally.malformed;
        self.capped += tally.durations_capped;
        if let (None, Some(bad)) = (&self.first_malformed, &tally.first_malformed) {
            // Without the line itself: a report is passed on, and a query may hold what is not for everybody.
            self.first_malformed = Some(format!("{name}:{}: {}", bad.number, bad.reason));
        }
        if !self.formats.contains(&format) {
            self.formats.push(format);
        }
        for column in reader.ignored_columns() {
            if !self.ignored.iter().any(|known| known == column) {
                self.ignored.push(column.clone());
            }
        }
    }
}

/// Lists the first few names, and says how many more there are.
fn listed(names: &[String]) -> String {
    let mut out = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    if NAMES_MAX < names.len() {
        // Writing to a string cannot fail.
        let _ = write!(out, " and {} more", names.len() - NAMES_MAX);
    }
    out
}

/// Finds the traces that `paths` name: files, all files below folders, and `-` for standard input.
pub(crate) fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for path in paths {
        if path == Path::new(STDIN) {
            anyhow::ensure!(
                !places.contains(&Place::Stdin),
                "`-` is given twice: standard input can be read once"
            );
            places.push(Place::Stdin);
        } else if path.is_dir() {
            let before = places.len();
            below(path, &mut places)?;
            anyhow::ensure!(
                before != places.len(),
                "{}: the folder holds no files",
                path.display()
            );
        } else {
            places.push(Place::File(path.clone()));
        }
    }
    Ok(places)
}

/// Adds all files below `folder`, but for hidden ones.
fn below(folder: &Path, places: &mut Vec<Place>) -> anyhow::Result<()> {
    let told = || format!("cannot read the folder {}", folder.display());
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .with_context(told)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(told)?;
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            below(&path, places)?;
        } else {
            places.push(Place::Found(path));
        }
    }
    Ok(())
}

/// Gives every record of the traces to `take`, file by file in the order of their first records.
///
/// A load balancer's files are named by when they were written and by which of its nodes; those of several load balancers
/// are not in order by name.
pub(crate) fn read(
    places: &[Place],
    mut take: impl FnMut(Format, Record<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut traces = Vec::with_capacity(places.len());
    for place in places {
        // Opened again when its turn comes: thousands of files must not be open at once. A pipe can be read once only.
        let first_us = match place {
            Place::Stdin => None,
            Place::File(path) if places.len() == 1 || !path.is_file() => None,
            Place::File(path) | Place::Found(path) => {
                let mut trace = match Trace::open(place) {
                    Ok(trace) => trace,
                    Err(why) if matches!(place, Place::Found(_)) => {
                        summary.left_out.push(format!("{} ({why:#})", path.display()));
                        continue;
                    }
                    Err(why) => return Err(why),
                };
                let mut first = None;
                trace.look(|record| {
                    first = first.or(at_us(&record));
                    Ok(())
                })?;
                first
            }
        };
        traces.push((first_us, place));
    }
    traces.sort_by_key(|(first_us, _)| *first_us);
    for (_, place) in traces {
        let mut trace = Trace::open(place)?;
        let format = trace.format;
        let mut take = |record: Record<'_>| take(format, record);
        let read = trace.look(&mut take).and_then(|()| trace.rest(&mut take));
        read.with_context(|| trace.name.clone())?;
        if let Some(why) = &trace.broken {
            let name = &trace.name;
            summary.broken.push(format!("{name} breaks off ({why}): what came before is used"));
        }
        summary.take_in(&trace.name, &trace.reader, trace.format);
    }
    Ok(summary)
}

fn at_us(record: &Record<'_>) -> Option<u64> {
    match record {
        Record::Count(count) => Some(count.at_us),
        Record::Request(request) => Some(request.at_us),
        Record::Profile(_) => None,
    }
}

/// One file, opened and told.
struct Trace {
    name: String,
    input: BufReader<Box<dyn Read>>,
    format: Format,
    reader: Reader,
    /// Its first lines, by which its format was told.
    first: Vec<Vec<u8>>,
    /// Why no more could be read.
    broken: Option<String>,
}

impl Trace {
    fn open(place: &Place) -> anyhow::Result<Self> {
        let name = place.name();
        let open: Box<dyn Read> = match place {
            Place::Stdin => Box::new(std::io::stdin()),
            Place::File(path) | Place::Found(path) => {
                Box::new(File::open(path).with_context(|| format!("cannot open {name}"))?)
            }
        };
        let mut input = BufReader::with_capacity(1 << 16, open);
        let begin = input.fill_buf().with_context(|| format!("cannot read {name}"))?;
        let zipped = begin.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn Read> =
            if zipped { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) };
        let mut input = BufReader::with_capacity(1 << 16, input);
        let (mut first, mut broken) = (Vec::new(), None);
        while first.len() < LOOK {
            let mut line = Vec::new();
            match next_line(&mut input, &mut line) {
                Ok(true) => first.push(line),
                Ok(false) => break,
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        let format = Format::detect(first.iter().map(Vec::as_slice)).with_context(|| {
            let off = broken.as_ref().map_or(String::new(), |why| format!(" breaks off ({why})"));
            format!("{name}{off}")
        })?;
        Ok(Self { name, input, format, reader: Reader::new(format), first, broken })
    }

    /// Gives what its first lines tell to `take`.
    fn look(
        &mut self,
        mut take: impl FnMut(Record<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for line in &self.first {
            if let Some(record) = self.reader.line(line) {
                take(record)?;
            }
        }
        Ok(())
    }

    /// Gives what all other lines tell to `take`.
    fn rest(
        &mut self,
        mut take: impl FnMut(Record<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut line = Vec::new();
        while self.broken.is_none() {
            line.clear();
            match next_line(&mut self.input, &mut line) {
                Ok(true) => {
                    if let Some(record) = self.reader.line(&line) {
                        take(record)?;
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    self.broken = Some(error.to_string());
                    self.reader.broken_off(&line);
                }
            }
        }
        Ok(())
    }
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
