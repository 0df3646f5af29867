//! The header of a CSV: what it is a CSV of, and what its columns hold.

use super::Cells;
use crate::trace::{Format, Undetected, time};

/// What a column holds; the number of a time is which decimal of a second its values count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Timestamp(u32),
    Count,
    Function,
    App,
    Trigger,
    Duration(u32),
    Method,
    Url,
    Host,
    Query,
    Status,
    BytesIn,
    BytesOut,
    Memory,
    ContextTokens,
    GeneratedTokens,
    Invocations,
    DurationMean,
    DurationPercentile(u8),
    MemoryMean,
    MemoryPercentile(u8),
    Ignored,
}

impl Column {
    /// Returns what a name stands for.
    fn of(name: &str) -> Self {
        match name {
            "timestamp" | "timestamp_s" => Self::Timestamp(0),
            "timestamp_ms" => Self::Timestamp(3),
            "timestamp_us" => Self::Timestamp(6),
            "count" | "invocations" => Self::Count,
            "function" => Self::Function,
            "app" => Self::App,
            "trigger" => Self::Trigger,
            "duration_s" => Self::Duration(0),
            "duration_ms" => Self::Duration(3),
            "duration_us" => Self::Duration(6),
            "method" => Self::Method,
            "url" | "path" => Self::Url,
            "host" => Self::Host,
            "query" => Self::Query,
            "status" => Self::Status,
            "request_bytes" => Self::BytesIn,
            "response_bytes" => Self::BytesOut,
            "memory_mb" => Self::Memory,
            "context_tokens" => Self::ContextTokens,
            "generated_tokens" => Self::GeneratedTokens,
            "duration_count" => Self::Invocations,
            "duration_avg_ms" => Self::DurationMean,
            "memory_avg_mb" => Self::MemoryMean,
            _ => percentile(name, "duration_p", "_ms")
                .map(Self::DurationPercentile)
                .or_else(|| percentile(name, "memory_p", "_mb").map(Self::MemoryPercentile))
                .unwrap_or(Self::Ignored),
        }
    }

    /// Returns what messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Timestamp(_) => "timestamp",
            Self::Count => "count",
            Self::Function => "function",
            Self::App => "app",
            Self::Trigger => "trigger",
            Self::Duration(_) => "duration",
            Self::Method => "method",
            Self::Url => "url",
            Self::Host => "host",
            Self::Query => "query",
            Self::Status => "status",
            Self::BytesIn => "request_bytes",
            Self::BytesOut => "response_bytes",
            Self::Memory => "memory_mb",
            Self::ContextTokens => "context_tokens",
            Self::GeneratedTokens => "generated_tokens",
            Self::Invocations => "duration_count",
            Self::DurationMean => "duration_avg_ms",
            Self::DurationPercentile(_) => "duration percentile",
            Self::MemoryMean => "memory_avg_mb",
            Self::MemoryPercentile(_) => "memory percentile",
            Self::Ignored => "cell",
        }
    }

    /// Tells whether rows of a format have it; what they do not have is ignored.
    const fn is_of(self, format: Format) -> bool {
        match format {
            Format::Counts | Format::AzureInvocations => {
                matches!(self, Self::Timestamp(_) | Self::Count | Self::Function | Self::Trigger)
            }
            Format::AzureFunctions => matches!(
                self,
                Self::Function
                    | Self::App
                    | Self::Trigger
                    | Self::Invocations
                    | Self::DurationMean
                    | Self::DurationPercentile(_)
                    | Self::MemoryMean
                    | Self::MemoryPercentile(_)
            ),
            Format::Requests => matches!(
                self,
                Self::Timestamp(_)
                    | Self::Function
                    | Self::App
                    | Self::Duration(_)
                    | Self::Method
                    | Self::Url
                    | Self::Host
                    | Self::Query
                    | Self::Status
                    | Self::BytesIn
                    | Self::BytesOut
                    | Self::Memory
                    | Self::ContextTokens
                    | Self::GeneratedTokens
            ),
            Format::Alb | Format::CommonLog => false,
        }
    }
}

fn percentile(name: &str, before: &str, after: &str) -> Option<u8> {
    let percent = name.strip_prefix(before)?.strip_suffix(after)?;
    percent.parse().ok().filter(|percent| *percent <= 100 && !name.contains('+'))
}

/// What the cells of a file are.
#[derive(Debug, Clone)]
pub(in crate::trace) struct Header {
    pub(super) format: Format,
    pub(super) columns: Vec<Column>,
    /// Names of the columns that are not read.
    pub(super) ignored: Vec<String>,
    /// As it was written, to be known again.
    pub(super) line: Box<[u8]>,
}

impl Header {
    /// Reads the line that names the columns.
    pub(in crate::trace) fn read(line: &[u8]) -> Result<Self, Undetected> {
        if line.len() > HEADER_BYTES_MAX {
            return Err(Undetected("its first line is too long for a header"));
        }
        if line.starts_with(b"\x1f\x8b") {
            return Err(Undetected("it is packed with gzip"));
        }
        if line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff") {
            return Err(Undetected("it is in UTF-16: UTF-8 is needed"));
        }
        let mut cells = Cells::default();
        let Ok(line_text) = std::str::from_utf8(line) else { return Err(NOT_KNOWN) };
        let names = cells.split(line_text).map_err(|_| NOT_KNOWN)?;
        let names: Vec<String> = names.map(|name| name.trim().to_ascii_lowercase()).collect();

        let mut columns = Vec::with_capacity(names.len());
        for name in &names {
            let column = Column::of(name);
            // The second of two columns for one value has no say.
            let taken = columns
                .iter()
                .any(|other| std::mem::discriminant(other) == std::mem::discriminant(&column));
            let percentile =
                matches!(column, Column::DurationPercentile(_) | Column::MemoryPercentile(_));
            let taken = if percentile { columns.contains(&column) } else { taken };
            columns.push(if taken { Column::Ignored } else { column });
        }
        let format = format_of(&columns, &names)?;
        let mut ignored = Vec::new();
        for (column, name) in columns.iter_mut().zip(names) {
            if !column.is_of(format) {
                *column = Column::Ignored;
                ignored.push(name);
            }
        }
        Ok(Self { format, columns, ignored, line: line.into() })
    }

    pub(in crate::trace) fn format(&self) -> Format {
        self.format
    }
}

/// Longer lines than this name no columns: a bound on the work for malformed lines, which are all looked at.
const HEADER_BYTES_MAX: usize = 8 << 10;

pub(super) const NOT_KNOWN: Undetected = Undetected(
    "neither a line of an ALB access log, nor one in the Common Log Format, nor a CSV header such as timestamp,count",
);

fn format_of(columns: &[Column], names: &[String]) -> Result<Format, Undetected> {
    let has = |wanted: fn(&Column) -> bool| columns.iter().any(wanted);
    let timed = has(|column| matches!(column, Column::Timestamp(_)));
    let function = has(|column| *column == Column::Function);
    if timed && has(|column| *column == Column::Count) {
        return Ok(if function { Format::AzureInvocations } else { Format::Counts });
    }
    // A timestamp alone is a request; beside columns that all are strangers, it may well be the start of a step.
    if timed
        && (columns.len() == 1
            || has(|column| {
                !matches!(column, Column::Timestamp(_)) && column.is_of(Format::Requests)
            }))
    {
        return Ok(Format::Requests);
    }
    if function && has(|column| matches!(column, Column::DurationPercentile(_))) {
        return Ok(Format::AzureFunctions);
    }
    if timed {
        return Err(Undetected(
            "a CSV with a timestamp, but without a column that is known beside it, such as count",
        ));
    }
    if names.len() == 1
        && (names[0].contains(';') || names[0].contains('\t'))
        && names[0].contains("timestamp")
    {
        return Err(Undetected("a CSV whose columns are not separated by commas"));
    }
    if 1 < names.len() && time::timestamp(names[0].as_bytes(), 0).is_ok() {
        return Err(Undetected(
            "a CSV without a header: its first line has to name the columns, as in timestamp,count",
        ));
    }
    if 1 < names.len()
        && names
            .iter()
            .all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    {
        return Err(Undetected("a CSV without a column named timestamp"));
    }
    Err(NOT_KNOWN)
}
