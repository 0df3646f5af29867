//! Recorded traffic: lines in, arrivals out.
//!
//! Pure and streaming. The caller opens files, unpacks them and splits them into lines; a [`Reader`] a file turns lines
//! into [`Record`]s without allocating; a [`Sorter`] puts them in order of time within a bounded window; a [`Grid`] finds
//! the step of counted arrivals; [`Statistics`] say what the trace is like, and what has to be said about it.
//!
//! Nothing is dropped silently: each line is a record, a header, a comment, blank, or malformed, and [`Tally`] counts
//! them. A record that misses a value has none: nothing is made up here.

mod alb;
mod common_log;
mod csv;
mod grid;
mod sorter;
mod statistics;
mod text;
mod time;

use std::fmt;

pub use self::{
    grid::Grid,
    sorter::Sorter,
    statistics::{Names, Statistics},
};

/// The longest line that is read, in bytes: the fields of a load balancer's line are cut to a few KiB each.
///
/// A caller may stop collecting a line one byte beyond it: the reader needs no more to refuse it.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Access log of an AWS Application Load Balancer.
    ///
    /// A request arrives at its `request_creation_time`; its duration is the `target_processing_time`, which ends when
    /// the response head begins, and includes any waiting at the target.
    Alb,
    /// Common Log Format, or Combined. Its times are whole seconds; it has no durations.
    CommonLog,
    /// CSV of arrivals: `timestamp,count`, a row a step.
    Counts,
    /// CSV of requests: a row each, with a timestamp and whichever of the known columns there are.
    Requests,
    /// CSV of arrivals by function, as made from the Azure Functions traces: `timestamp_s,function,trigger,invocations`.
    AzureInvocations,
    /// CSV of functions, a row each: percentiles of their durations and memory. It has no arrivals.
    AzureFunctions,
}

impl Format {
    /// Tells what the first lines of a file are written in: that of the first line which is in any.
    ///
    /// A CSV is known by its header, so that must be the first of its lines; a log may begin with a line that is cut.
    pub fn detect<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Undetected> {
        let mut refused = None;
        for line in lines {
            let line = trimmed(line, refused.is_none());
            if is_blank(line) || line.starts_with(b"#") {
                continue;
            }
            if let Some(log) = Self::of_log_line(line) {
                return Ok(log);
            }
            if refused.is_none() {
                match csv::Header::read(line) {
                    Ok(header) => return Ok(header.format()),
                    Err(why) => refused = Some(why),
                }
            }
        }
        Err(refused.unwrap_or(Undetected("it has no lines")))
    }

    /// Returns the name used in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alb => "ALB access log",
            Self::CommonLog => "Common Log Format",
            Self::Counts => "CSV of counts",
            Self::Requests => "CSV of requests",
            Self::AzureInvocations => "CSV of invocations by function",
            Self::AzureFunctions => "CSV of function profiles",
        }
    }

    const fn is_csv(self) -> bool {
        !matches!(self, Self::Alb | Self::CommonLog)
    }

    fn of_log_line(line: &[u8]) -> Option<Self> {
        if alb::is_like(line) {
            Some(Self::Alb)
        } else if common_log::is_like(line) {
            Some(Self::CommonLog)
        } else {
            None
        }
    }

    /// Tells what a line is written in, by its shape.
    fn of_line(line: &[u8]) -> Option<Self> {
        Self::of_log_line(line)
            .or_else(|| csv::Header::read(line).ok().map(|header| header.format()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the format of a file is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undetected(&'static str);

impl fmt::Display for Undetected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Undetected {}

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Record<'a> {
    /// Arrivals in a step.
    Count(Count<'a>),
    /// One arrival.
    Request(Request<'a>),
    /// A function, and what its requests need.
    Profile(Profile<'a>),
}

/// Arrivals in a step of time. How long a step is stands in no line: see [`Grid`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count<'a> {
    /// Start of the step, in microseconds of Unix time, or since an unknown start.
    pub at_us: u64,
    /// How many arrived.
    pub count: u64,
    /// Whose requests they are.
    pub function: Option<&'a str>,
    /// What the function is started by: `http`, `queue`, `timer`.
    pub trigger: Option<&'a str>,
}

/// One request. What its line does not have is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Request<'a> {
    /// When it arrived, in microseconds of Unix time, or since an unknown start.
    pub at_us: u64,
    /// How long it took; see [`Format::Alb`] for what its logs mean by that.
    pub duration_us: Option<u32>,
    /// Status that the client was sent.
    pub status: Option<u16>,
    /// Address of the server that answered it; none for a Lambda function.
    pub target: Option<&'a str>,
    /// Method of the request.
    pub method: Option<&'a str>,
    /// Host that was asked for, without a port.
    pub host: Option<&'a str>,
    /// Path of the URL, percent-encoded as it was logged.
    pub path: Option<&'a str>,
    /// Query of the URL, without its `?`.
    pub query: Option<&'a str>,
    /// Bytes received; a load balancer counts the headers too.
    pub bytes_in: Option<u64>,
    /// Bytes sent; a load balancer counts the headers too.
    pub bytes_out: Option<u64>,
    /// Function that it was for.
    pub function: Option<&'a str>,
    /// Application of the function.
    pub app: Option<&'a str>,
    /// Memory that it took.
    pub memory_mb: Option<f32>,
    /// Tokens given to a language model: known on arrival.
    pub context_tokens: Option<u64>,
    /// Tokens that it made: known afterwards.
    pub generated_tokens: Option<u64>,
}

/// What the requests of one function need.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Profile<'a> {
    /// Its name.
    pub function: &'a str,
    /// Its application.
    pub app: Option<&'a str>,
    /// What it is started by.
    pub trigger: Option<&'a str>,
    /// How many requests its durations are of.
    pub invocations: Option<u64>,
    /// Mean duration.
    pub duration_mean_us: Option<u32>,
    /// Percent and duration in microseconds, both rising.
    pub durations_us: &'a [(u8, u32)],
    /// Mean memory.
    pub memory_mean_mb: Option<f32>,
    /// Percent and memory, both rising.
    pub memory_mb: &'a [(u8, f32)],
}

/// Reads the lines of one file.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    csv: csv::Rows,
    scratch: String,
    tally: Tally,
}

impl Reader {
    /// Starts a file that is written in `format`.
    pub fn new(format: Format) -> Self {
        Self { format, csv: csv::Rows::default(), scratch: String::new(), tally: Tally::default() }
    }

    /// Reads the next line, with or without its end.
    pub fn line<'a>(&'a mut self, line: &'a [u8]) -> Option<Record<'a>> {
        let Self { format, csv, scratch, tally } = self;
        tally.lines += 1;
        let line = trimmed(line, tally.lines == 1);
        if LINE_BYTES_MAX < line.len() {
            tally.refuse(line, Reason::TooLong);
            return None;
        }
        if is_blank(line) {
            tally.blank += 1;
            return None;
        }
        if line.starts_with(b"#") {
            tally.comments += 1;
            return None;
        }
        if format.is_csv() && csv.is_header(*format, line) {
            tally.headers += 1;
            return None;
        }
        let capped = &mut tally.durations_capped;
        let record = match format {
            Format::Alb => alb::read(line, scratch, capped).map(Record::Request),
            Format::CommonLog => common_log::read(line, scratch).map(Record::Request),
            Format::Counts
            | Format::Requests
            | Format::AzureInvocations
            | Format::AzureFunctions => csv.read(line, scratch, capped),
        };
        match record {
            Ok(record) => {
                tally.records += 1;
                Some(record)
            }
            Err(reason) => {
                let other = Format::of_line(line).filter(|other| other != format);
                tally.mixed += u64::from(other.is_some());
                tally.refuse(line, other.map_or(reason, Reason::LooksLike));
                None
            }
        }
    }

    /// Counts what is left of a line at the end of a file that broke off, such as a truncated gzip: its numbers may have
    /// lost digits, so it is malformed whatever it looks like.
    pub fn broken_off(&mut self, line: &[u8]) {
        self.tally.lines += 1;
        self.tally.refuse(line, Reason::BrokenOff);
    }

    /// Returns what it reads.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns what came of the lines so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Returns the names of the columns that are not read, once the header was.
    pub fn ignored_columns(&self) -> &[String] {
        self.csv.ignored()
    }
}

/// What came of the lines of a file: `lines = records + headers + comments + blank + malformed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines given.
    pub lines: u64,
    /// Lines that are a record.
    pub records: u64,
    /// Headers; more than one when files were put together.
    pub headers: u64,
    /// Lines that begin with `#`.
    pub comments: u64,
    /// Lines of nothing.
    pub blank: u64,
    /// Lines that are none of these.
    pub malformed: u64,
    /// Malformed lines that look like another format.
    pub mixed: u64,
    /// Durations beyond 2^32 - 1 microseconds (71 minutes), which were read as that.
    pub durations_capped: u64,
    /// The first malformed line.
    pub first_malformed: Option<Malformed>,
}

impl Tally {
    fn refuse(&mut self, line: &[u8], reason: Reason) {
        self.malformed += 1;
        let number = self.lines;
        self.first_malformed.get_or_insert_with(|| Malformed {
            number,
            reason,
            excerpt: excerpt(line),
        });
    }
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Its number, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: Reason,
    /// Its beginning, with what cannot be printed escaped.
    pub excerpt: String,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is in another format than the file.
    LooksLike(Format),
    /// It is longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// It is the last one of a file that broke off.
    BrokenOff,
    /// It ends too early.
    Cut {
        /// What it does not have.
        before: &'static str,
    },
    /// There was no header to say what its cells are.
    NoHeader(Undetected),
    /// A quoted cell of it does not end.
    OpenQuote,
    /// It has not as many cells as its header.
    Cells {
        /// Those it has.
        found: usize,
        /// Those that the header has.
        expected: usize,
    },
    /// A value of it cannot be.
    Field {
        /// Which one.
        name: &'static str,
        /// What is wrong with it: `is not a number`.
        why: &'static str,
    },
}

impl Reason {
    const fn field(name: &'static str, why: &'static str) -> Self {
        Self::Field { name, why }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LooksLike(format) => {
                write!(f, "it looks like a line of another format: {format}")
            }
            Self::TooLong => write!(f, "it is longer than {LINE_BYTES_MAX} bytes"),
            Self::BrokenOff => f.write_str("it is where the file breaks off"),
            Self::Cut { before } => write!(f, "it ends before its {before}"),
            Self::NoHeader(why) => write!(f, "it is no header: {why}"),
            Self::OpenQuote => f.write_str("a quoted cell of it does not end"),
            Self::Cells { found, expected } => {
                write!(f, "it has {found} cells, its header {expected}")
            }
            Self::Field { name, why } => write!(f, "its {name} {why}"),
        }
    }
}

const NOT_A_NUMBER: &str = "is not a number";
const NOT_A_STATUS: &str = "is not a status";

/// Takes the end of a line off, and the byte order mark that some editors put before the first.
fn trimmed(line: &[u8], first: bool) -> &[u8] {
    let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn excerpt(line: &[u8]) -> String {
    const BYTES_MAX: usize = 160;
    let mut excerpt = String::new();
    for chunk in line[..line.len().min(BYTES_MAX)].utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                excerpt.extend(letter.escape_default());
            } else {
                excerpt.push(letter);
            }
        }
        excerpt.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    if BYTES_MAX < line.len() {
        excerpt.push_str("...");
    }
    excerpt
}

/// Reads a status; `-` and 000 are none.
fn status(text: &[u8]) -> Result<Option<u16>, &'static str> {
    match text {
        b"-" | b"000" => Ok(None),
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
            Ok(Some(text.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))))
        }
        _ => Err(NOT_A_STATUS),
    }
}

/// Reads a duration times 10^`digits` as microseconds; those beyond 71 minutes are counted in `capped`.
fn duration(text: &[u8], digits: u32, capped: &mut u64) -> Result<u32, &'static str> {
    if text.first() == Some(&b'-') && time::scaled(&text[1..], 0).is_some() {
        return Err("is negative");
    }
    let us = time::scaled(text, digits).ok_or(NOT_A_NUMBER)?;
    Ok(u32::try_from(us).unwrap_or_else(|_| {
        *capped += 1;
        u32::MAX
    }))
}

#[cfg(test)]
mod tests;
