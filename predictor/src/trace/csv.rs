//! CSV with a header: counts, requests, invocations by function, and profiles of functions.
//!
//! Commas, quotes as in RFC 4180, a row a line. The header says what a file is; columns that are not known are ignored
//! and listed, never guessed at. A blank cell is a value that is not there.

mod cells;
mod header;

pub(super) use self::header::Header;
use self::{
    cells::Cells,
    header::{Column, NOT_KNOWN},
};
use super::{
    Count, Format, NOT_A_NUMBER, Profile, Reason, Record, Request, Undetected, duration, text, time,
};

/// The rows of one file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    header: Option<Result<Header, Undetected>>,
    cells: Cells,
    durations_us: Vec<(u8, u32)>,
    memory_mb: Vec<(u8, f32)>,
}

impl Rows {
    /// Takes the first line as the header, and knows it again where files were put together.
    pub(super) fn is_header(&mut self, format: Format, line: &[u8]) -> bool {
        match &self.header {
            Some(Ok(header)) => *header.line == *line,
            Some(Err(_)) => false,
            None => {
                let header = Header::read(line).and_then(|header| {
                    if header.format == format {
                        Ok(header)
                    } else {
                        Err(Undetected("it names the columns of another format"))
                    }
                });
                let is_header = header.is_ok();
                self.header = Some(header);
                is_header
            }
        }
    }

    pub(super) fn ignored(&self) -> &[String] {
        match &self.header {
            Some(Ok(header)) => &header.ignored,
            _ => &[],
        }
    }

    /// Reads one row.
    pub(super) fn read<'a>(
        &'a mut self,
        line: &'a [u8],
        scratch: &'a mut String,
        capped: &mut u64,
    ) -> Result<Record<'a>, Reason> {
        let Self { header, cells, durations_us, memory_mb } = self;
        let header = match header {
            Some(Ok(header)) => header,
            Some(Err(why)) => return Err(Reason::NoHeader(*why)),
            None => return Err(Reason::NoHeader(NOT_KNOWN)),
        };
        let cells = cells.split(text::text(line, scratch))?;
        let mut row = Row::default();
        durations_us.clear();
        memory_mb.clear();
        let mut found = 0;
        let mut refused = None;
        for cell in cells {
            let column = header.columns.get(found).copied().unwrap_or(Column::Ignored);
            found += 1;
            let cell = cell.trim();
            if cell.is_empty() || column == Column::Ignored || refused.is_some() {
                continue;
            }
            let taken = match column {
                Column::DurationPercentile(percent) => {
                    duration(cell.as_bytes(), 3, capped).map(|us| durations_us.push((percent, us)))
                }
                Column::MemoryPercentile(percent) => {
                    megabytes(cell).map(|mb| memory_mb.push((percent, mb)))
                }
                _ => row.set(column, cell, capped),
            };
            refused = taken.err().map(|why| Reason::field(column.name(), why));
        }
        // Too many or too few cells make nonsense of each of them, so that is said first.
        if found != header.columns.len() {
            return Err(Reason::Cells { found, expected: header.columns.len() });
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        let missing = |column: Column| Reason::field(column.name(), "is blank");
        if header.format == Format::AzureFunctions {
            durations_us.sort_unstable_by_key(|(percent, _)| *percent);
            memory_mb.sort_unstable_by_key(|(percent, _)| *percent);
            if !durations_us.is_sorted_by_key(|(_, us)| us) {
                return Err(Reason::field("duration percentile", "is below a lower one"));
            }
            if !memory_mb.is_sorted_by(|a, b| a.1 <= b.1) {
                return Err(Reason::field("memory percentile", "is below a lower one"));
            }
            return Ok(Record::Profile(Profile {
                function: row.request.function.ok_or(missing(Column::Function))?,
                app: row.request.app,
                trigger: row.trigger,
                invocations: row.invocations,
                duration_mean_us: row.request.duration_us,
                durations_us,
                memory_mean_mb: row.request.memory_mb,
                memory_mb,
            }));
        }
        let at_us = row.at_us.ok_or(missing(Column::Timestamp(0)))?;
        Ok(if header.format == Format::Requests {
            Record::Request(Request { at_us, ..row.request })
        } else {
            let count = row.count.ok_or(missing(Column::Count))?;
            Record::Count(Count {
                at_us,
                count,
                function: row.request.function,
                trigger: row.trigger,
            })
        })
    }
}

/// What the cells of a row said so far.
#[derive(Debug, Default)]
struct Row<'a> {
    at_us: Option<u64>,
    count: Option<u64>,
    trigger: Option<&'a str>,
    invocations: Option<u64>,
    request: Request<'a>,
}

impl<'a> Row<'a> {
    fn set(&mut self, column: Column, cell: &'a str, capped: &mut u64) -> Result<(), &'static str> {
        let request = &mut self.request;
        match column {
            Column::Timestamp(digits) => {
                self.at_us = Some(time::timestamp(cell.as_bytes(), digits)?);
            }
            Column::Count => self.count = Some(whole(cell)?),
            Column::Function => request.function = Some(cell),
            Column::App => request.app = Some(cell),
            Column::Trigger => self.trigger = Some(cell),
            Column::Duration(digits) => {
                request.duration_us = Some(duration(cell.as_bytes(), 6 - digits, capped)?);
            }
            Column::Method => request.method = Some(cell),
            // A host or query of its own is better than one within the URL, whichever comes first.
            Column::Url => {
                let (host, query) = (request.host, request.query);
                request.set_url(cell);
                request.host = host.or(request.host);
                request.query = query.or(request.query);
            }
            Column::Host => request.host = text::host_of(cell),
            Column::Query => request.query = Some(cell),
            Column::Status => request.status = super::status(cell.as_bytes())?,
            Column::BytesIn => request.bytes_in = Some(whole(cell)?),
            Column::BytesOut => request.bytes_out = Some(whole(cell)?),
            Column::Memory | Column::MemoryMean => request.memory_mb = Some(megabytes(cell)?),
            Column::ContextTokens => request.context_tokens = Some(whole(cell)?),
            Column::GeneratedTokens => request.generated_tokens = Some(whole(cell)?),
            Column::Invocations => self.invocations = Some(whole(cell)?),
            Column::DurationMean => {
                request.duration_us = Some(duration(cell.as_bytes(), 3, capped)?);
            }
            Column::DurationPercentile(_) | Column::MemoryPercentile(_) | Column::Ignored => {}
        }
        Ok(())
    }
}

/// Reads a whole number; tools that keep numbers as floats write `42.0`.
fn whole(cell: &str) -> Result<u64, &'static str> {
    let (digits, zeros) = cell.split_once('.').unwrap_or((cell, ""));
    if digits.starts_with('-') && time::scaled(&digits.as_bytes()[1..], 0).is_some() {
        return Err("is negative");
    }
    if !zeros.bytes().all(|byte| byte == b'0') {
        return Err("is not a whole number");
    }
    time::scaled(digits.as_bytes(), 0).ok_or(NOT_A_NUMBER)
}

fn megabytes(cell: &str) -> Result<f32, &'static str> {
    let mb: f32 = cell.parse().map_err(|_| NOT_A_NUMBER)?;
    if mb.is_finite() && 0.0 <= mb { Ok(mb) } else { Err("is not a size") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Reader, tests::read};

    const PROFILES: &str = "function,owner,app,trigger,duration_avg_ms,duration_count,duration_min_ms,duration_p0_ms,\
                            duration_p50_ms,duration_p100_ms,memory_samples,memory_avg_mb,memory_p1_mb,memory_p100_mb";

    fn detect(header: &str) -> Result<Format, String> {
        Format::detect([header.as_bytes()]).map_err(|why| why.to_string())
    }

    /// Reads a file of two lines.
    fn row<R>(header: &str, line: &str, look: impl FnOnce(Record<'_>) -> R) -> Result<R, String> {
        let mut reader = Reader::new(detect(header)?);
        assert_eq!(reader.line(header.as_bytes()), None);
        if let Some(record) = reader.line(line.as_bytes()) {
            return Ok(look(record));
        }
        Err(reader.tally().first_malformed.as_ref().unwrap().reason.to_string())
    }

    fn check(header: &str, line: &str, expected: Record<'_>) {
        let same = row(header, line, |found| assert_eq!(found, expected, "{line}"));
        assert_eq!(same, Ok(()), "{line}");
    }

    fn refused(header: &str, line: &str, why: &str) {
        assert_eq!(row(header, line, |found| format!("{found:?}")), Err(why.to_owned()), "{line}");
    }

    #[test]
    fn a_header_says_what_a_file_is() {
        for (header, format) in [
            ("timestamp,count", Format::Counts),
            (" Timestamp , COUNT ", Format::Counts),
            ("count,timestamp_ms,region", Format::Counts),
            ("timestamp_s,function,trigger,invocations", Format::AzureInvocations),
            ("timestamp_s,function,app,duration_ms", Format::Requests),
            ("timestamp_s,context_tokens,generated_tokens", Format::Requests),
            ("\"timestamp_s\",\"method\",\"url\"", Format::Requests),
            ("timestamp", Format::Requests),
            (PROFILES, Format::AzureFunctions),
        ] {
            assert_eq!(detect(header), Ok(format), "{header}");
        }
        for (header, why) in [
            ("", "it has no lines"),
            (
                "893971800,2",
                "a CSV without a header: its first line has to name the columns, as in timestamp,count",
            ),
            (
                "timestamp,value",
                "a CSV with a timestamp, but without a column that is known beside it, such as count",
            ),
            ("timestamp;count", "a CSV whose columns are not separated by commas"),
            ("time,count", "a CSV without a column named timestamp"),
            ("hello", NOT_KNOWN.0),
            ("{\"timestamp\": 1}", NOT_KNOWN.0),
        ] {
            assert_eq!(detect(header), Err(why.to_owned()), "{header}");
        }
        assert_eq!(Format::detect([&b"\x1f\x8b\x08"[..]]).unwrap_err().0, "it is packed with gzip");
        assert_eq!(
            Format::detect([&b"\xff\xfet\0"[..]]).unwrap_err().0,
            "it is in UTF-16: UTF-8 is needed"
        );
        // As spreadsheets write it, below a comment.
        let lines = [&b"\xef\xbb\xbf# made by hand\r\n"[..], b"\r\n", b"timestamp,count\r\n"];
        assert_eq!(Format::detect(lines), Ok(Format::Counts));
    }

    #[test]
    fn counts_are_read() {
        let count = |at_us, count| Record::Count(Count { at_us, count, ..Count::default() });
        check("timestamp,count", "893971860,11", count(893_971_860_000_000, 11));
        check("timestamp,count", "893971860, 11.0\r\n", count(893_971_860_000_000, 11));
        check("timestamp,count", "1970-01-01T00:01:00Z,0", count(60_000_000, 0));
        check("count,region,timestamp_ms", "7,,1500", count(1_500_000, 7));
        check(
            "timestamp_s,function,trigger,invocations",
            "28800,03817ffa0b91,timer,1",
            Record::Count(Count {
                at_us: 28_800_000_000,
                count: 1,
                function: Some("03817ffa0b91"),
                trigger: Some("timer"),
            }),
        );
        for (line, why) in [
            ("893971860", "it has 1 cells, its header 2"),
            ("893971860,11,", "it has 3 cells, its header 2"),
            ("893971860,", "its count is blank"),
            (",11", "its timestamp is blank"),
            ("893971860,-1", "its count is negative"),
            ("893971860,1.5", "its count is not a whole number"),
            ("893971860,many", "its count is not a number"),
            ("893971860,99999999999999999999", "its count is not a number"),
            ("-60,1", "its timestamp is before 1970"),
            ("893971860,\"1", "a quoted cell of it does not end"),
            (
                "2014-07-01 00:00:00,5",
                "its timestamp names no time zone: it needs a Z or an offset such as +02:00",
            ),
        ] {
            refused("timestamp,count", line, why);
        }
    }

    #[test]
    fn requests_are_read() {
        check(
            "timestamp_s,function,app,duration_ms",
            "0.003860,337cd24a7d5f,1573b95c039e,57154.000",
            Record::Request(Request {
                at_us: 3_860,
                duration_us: Some(57_154_000),
                function: Some("337cd24a7d5f"),
                app: Some("1573b95c039e"),
                ..Request::default()
            }),
        );
        check(
            "timestamp_s,context_tokens,generated_tokens",
            "1700158546.680590,374,44",
            Record::Request(Request {
                at_us: 1_700_158_546_680_590,
                context_tokens: Some(374),
                generated_tokens: Some(44),
                ..Request::default()
            }),
        );
        let http =
            "timestamp_s,method,url,status,response_bytes,memory_mb,duration_s,host,request_bytes";
        check(
            http,
            "807256800,GET,/images/a%20b.gif?x,200,1713,128.5,0,A.example:80,0",
            Record::Request(Request {
                at_us: 807_256_800_000_000,
                duration_us: Some(0),
                status: Some(200),
                method: Some("GET"),
                host: Some("A.example"),
                path: Some("/images/a%20b.gif"),
                query: Some("x"),
                bytes_in: Some(0),
                bytes_out: Some(1713),
                memory_mb: Some(128.5),
                ..Request::default()
            }),
        );
        check(
            http,
            "807256800,,\"http://b.example/say \"\"hi\"\", you\",,,,,,",
            Record::Request(Request {
                at_us: 807_256_800_000_000,
                host: Some("b.example"),
                path: Some("/say \"hi\", you"),
                ..Request::default()
            }),
        );
        refused(http, "807256800,GET,/a,b,200,1713,,,,", "it has 10 cells, its header 9");
        refused(http, "807256800,GET,/a,ok,1713,,,,", "its status is not a status");
        refused(http, "807256800,GET,/a,200,1713,NaN,,,", "its memory_mb is not a size");
        refused(http, "807256800,GET,/a,200,1713,,-1,,", "its duration is negative");
        refused(http, "807256800,GET,/a,200,1713,,1e3,,", "its duration is not a number");
    }

    #[test]
    fn profiles_are_read() {
        check(
            PROFILES,
            "02303cf08342,19dd6699ad7a,3bf463d0f6aa,http,3082,4,764.0,764,2849,4925,1012,27.5,23.0,29.5",
            Record::Profile(Profile {
                function: "02303cf08342",
                app: Some("3bf463d0f6aa"),
                trigger: Some("http"),
                invocations: Some(4),
                duration_mean_us: Some(3_082_000),
                durations_us: &[(0, 764_000), (50, 2_849_000), (100, 4_925_000)],
                memory_mean_mb: Some(27.5),
                memory_mb: &[(1, 23.0), (100, 29.5)],
            }),
        );
        check(
            PROFILES,
            "f,,,,,,,,,,,,,",
            Record::Profile(Profile { function: "f", ..Profile::default() }),
        );
        refused(PROFILES, ",,,,,,,,,,,,,", "its function is blank");
        refused(PROFILES, "f,,,,,,,5,4,6,,,,", "its duration percentile is below a lower one");
        refused(PROFILES, "f,,,,,,,,,,,,2,1", "its memory percentile is below a lower one");
    }

    #[test]
    fn columns_that_are_not_read_are_listed() {
        let header = "timestamp,count,Region,timestamp_ms,duration_ms";
        let reader = read(Format::Counts, &[header, "1,2,x,3,4"]);
        assert_eq!(reader.ignored_columns(), ["region", "timestamp_ms", "duration_ms"]);
    }

    #[test]
    fn a_header_comes_once_for_each_file_that_was_put_in() {
        let reader = read(
            Format::Counts,
            &["timestamp,count", "1,2", "timestamp,count", "3,4", "timestamp_s,method"],
        );
        let tally = reader.tally();
        assert_eq!((tally.headers, tally.records, tally.malformed, tally.mixed), (2, 2, 1, 1));
        let first = tally.first_malformed.as_ref().unwrap();
        assert_eq!(
            first.reason.to_string(),
            "it looks like a line of another format: CSV of requests"
        );
    }

    #[test]
    fn without_its_header_no_row_is_read() {
        for first in ["1,2", "timestamp_s,method"] {
            let reader = read(Format::Counts, &[first, "3,4"]);
            let tally = reader.tally();
            assert_eq!((tally.headers, tally.records, tally.malformed), (0, 0, 2), "{first}");
        }
        let reader = read(Format::Counts, &["1,2"]);
        let why = reader.tally().first_malformed.as_ref().unwrap().reason.to_string();
        assert!(why.starts_with("it is no header: a CSV without a header"), "{why}");
    }

    #[test]
    fn durations_beyond_the_range_are_counted() {
        let mut reader = Reader::new(Format::Requests);
        let _ = reader.line(b"timestamp,duration_s");
        let Some(Record::Request(request)) = reader.line(b"1,4294.967295") else {
            panic!("it is a request")
        };
        assert_eq!(request.duration_us, Some(u32::MAX));
        let Some(Record::Request(request)) = reader.line(b"1,5000") else {
            panic!("it is a request")
        };
        assert_eq!(request.duration_us, Some(u32::MAX));
        assert_eq!(reader.tally().durations_capped, 1);
    }
}
