//! Tests of whole files: what becomes of each line, whatever it is.

use proptest::prelude::*;

use super::*;

const FORMATS: [Format; 6] = [
    Format::Alb,
    Format::CommonLog,
    Format::Counts,
    Format::Requests,
    Format::AzureInvocations,
    Format::AzureFunctions,
];

const ALB: &str = "http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 \
                   0.000 0.001 0.000 200 200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - - \
                   arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \
                   \"Root=1-58337262-36d228ad5d99923122bbe354\" \"-\" \"-\" 0 2018-07-02T22:22:48.364000Z \"forward\" \"-\" \
                   \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_1234abcd5678ef90 \"-\" \"-\" \"-\"";

const COMBINED: &str = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326 \
                        \"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"";

/// Reads one line that is a request.
pub(super) fn one(format: Format, line: &[u8], look: impl FnOnce(&Request<'_>)) {
    let mut reader = Reader::new(format);
    if let Some(record) = reader.line(line) {
        let Record::Request(request) = record else { panic!("{record:?} is no request") };
        look(&request);
        return;
    }
    panic!("{:?}", reader.tally());
}

/// Returns what is wrong with a line.
pub(super) fn malformed(format: Format, line: &[u8]) -> String {
    let mut reader = Reader::new(format);
    let record = reader.line(line).map(|record| format!("{record:?}"));
    assert_eq!(record, None);
    reader.tally().first_malformed.as_ref().expect("it is malformed").reason.to_string()
}

/// Reads a file.
pub(super) fn read(format: Format, lines: &[&str]) -> Reader {
    let mut reader = Reader::new(format);
    for line in lines {
        let _ = reader.line(line.as_bytes());
    }
    conserved(reader.tally());
    reader
}

fn conserved(tally: &Tally) {
    let sum = tally.records + tally.headers + tally.comments + tally.blank + tally.malformed;
    assert_eq!(sum, tally.lines, "{tally:?}");
    assert_eq!(0 < tally.malformed, tally.first_malformed.is_some(), "{tally:?}");
    assert!(tally.mixed <= tally.malformed, "{tally:?}");
}

#[test]
fn logs_are_detected_behind_a_line_that_is_cut() {
    for (line, format) in [(ALB, Format::Alb), (COMBINED, Format::CommonLog)] {
        assert_eq!(Format::detect([line.as_bytes()]), Ok(format));
        let lines = [&line.as_bytes()[line.len() - 40..], b"", line.as_bytes()];
        assert_eq!(Format::detect(lines), Ok(format));
    }
    let none: [&[u8]; 0] = [];
    assert!(Format::detect(none).is_err());
    assert!(Format::detect([&b"# comment"[..], b"", b"  "]).is_err());
    assert!(Format::detect([&b"Enable AccessLog for ELB: app/my-lb at 2026-01-01"[..]]).is_err());
    assert!(
        Format::detect([&b"2023-10-04T17:05:15.514108Z 203.0.113.1 36280 443 TLSv1.2 -"[..]])
            .is_err()
    );
}

#[test]
fn each_line_is_counted_as_what_it_is() {
    let reader = read(
        Format::Alb,
        &["", "# comment", ALB, " \t", COMBINED, "garbage", "timestamp,count", ALB, "\r\n"],
    );
    let tally = reader.tally();
    assert_eq!((tally.lines, tally.records, tally.headers, tally.comments), (9, 2, 0, 1));
    assert_eq!((tally.blank, tally.malformed, tally.mixed), (3, 3, 2));
    let first = tally.first_malformed.as_ref().unwrap();
    assert_eq!(first.number, 5);
    assert_eq!(first.reason, Reason::LooksLike(Format::CommonLog));
    assert!(first.excerpt.starts_with("127.0.0.1 - frank [10/Oct/2000"));

    let reader = read(Format::CommonLog, &[ALB]);
    assert_eq!(
        reader.tally().first_malformed.as_ref().unwrap().reason,
        Reason::LooksLike(Format::Alb)
    );
    let reader = read(Format::Counts, &["timestamp,count", "1,2", ALB]);
    assert_eq!(
        reader.tally().first_malformed.as_ref().unwrap().reason,
        Reason::LooksLike(Format::Alb)
    );
}

#[test]
fn a_file_of_nothing_has_nothing() {
    for format in FORMATS {
        assert_eq!(*read(format, &[]).tally(), Tally::default());
    }
}

#[test]
fn a_line_of_a_megabyte_is_read_and_a_longer_one_refused() {
    let url = "x".repeat(LINE_BYTES_MAX - ALB.len());
    let long = ALB.replace(":80/ ", &format!(":80/{url} "));
    one(Format::Alb, long.as_bytes(), |request| {
        assert_eq!(request.path.map(str::len), Some(url.len() + 1));
    });
    assert_eq!(
        malformed(Format::Alb, format!("{long}x").as_bytes()),
        "it is longer than 1048576 bytes"
    );

    // What is worst to look at: quotes, backslashes, brackets and commas.
    for piece in
        ["\"", "\\\"", "\" ", "[", "\\", "[10/Oct/2000:13:55:36 -0700] \"", ",", "\",", "\u{e9}"]
    {
        for format in FORMATS {
            let _ = read(format, &["timestamp,count", &piece.repeat(LINE_BYTES_MAX / piece.len())]);
        }
    }
}

#[test]
fn the_end_of_a_broken_file_is_malformed_even_if_it_looks_well() {
    let mut reader = Reader::new(Format::Alb);
    assert!(reader.line(ALB.as_bytes()).is_some());
    reader.broken_off(ALB.as_bytes());
    conserved(reader.tally());
    let first = reader.tally().first_malformed.as_ref().unwrap();
    assert_eq!(
        (first.number, first.reason.to_string().as_str()),
        (2, "it is where the file breaks off")
    );
}

#[test]
fn an_excerpt_can_be_printed() {
    let mut reader = Reader::new(Format::Alb);
    assert_eq!(reader.line(b"\x1b[31m\0\xff\xc3\xa9\tend"), None);
    let excerpt = &reader.tally().first_malformed.as_ref().unwrap().excerpt;
    assert_eq!(excerpt, "\\u{1b}[31m\\u{0}\\xff\u{e9}\\tend");
}

#[test]
fn reading_a_line_allocates_nothing() {
    let mut alb = Reader::new(Format::Alb);
    let mut log = Reader::new(Format::CommonLog);
    let mut requests = Reader::new(Format::Requests);
    let mut statistics = Statistics::default();
    let row = "807256800,GET,\"/images/a,b.gif\",200,1713";
    let _ = requests.line(b"timestamp_s,method,url,status,response_bytes");
    let mut all = |records: &mut u64| {
        for (reader, line) in [(&mut alb, ALB), (&mut log, COMBINED), (&mut requests, row)] {
            let record = reader.line(line.as_bytes()).expect("the line is a record");
            statistics.add(&record);
            *records += 1;
        }
    };
    let mut records = 0;
    all(&mut records);
    let allocated = allocation_counter::measure(|| (0..100).for_each(|_| all(&mut records)));
    assert_eq!((allocated.count_total, records), (0, 303));
}

/// Lines that are nearly right.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let seeds = prop::sample::select(vec![
        ALB,
        COMBINED,
        "timestamp,count",
        "893971860,11",
        "timestamp_s,method,url,status,response_bytes",
        "807256800,GET,\"/a \"\"b\"\"\",200,1713",
        "function,duration_p0_ms,duration_p100_ms,memory_p1_mb",
        "f,1,2,3.5",
        "timestamp_s,function,trigger,invocations",
        "28800,f,timer,1",
    ]);
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<u8>())), 0..4);
    (seeds, edits).prop_map(|(seed, edits)| {
        let mut line = seed.as_bytes().to_vec();
        for (place, byte) in edits {
            if line.is_empty() {
                break;
            }
            let at = place.index(line.len());
            match byte {
                Some(byte) => line[at] = byte,
                None => drop(line.remove(at)),
            }
        }
        line
    })
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = prop_oneof![3 => nearly(), 1 => prop::collection::vec(any::<u8>(), 0..80)];
    prop::collection::vec(line, 0..12)
}

proptest! {
    #[test]
    fn whatever_the_lines_each_is_counted_once(lines in lines()) {
        let detected = Format::detect(lines.iter().map(Vec::as_slice));
        for format in FORMATS.into_iter().chain(detected) {
            let mut reader = Reader::new(format);
            let mut statistics = Statistics::default();
            let mut records = 0;
            for line in &lines {
                if let Some(record) = reader.line(line) {
                    statistics.add(&record);
                    records += 1;
                }
            }
            conserved(reader.tally());
            prop_assert_eq!(reader.tally().lines, lines.len() as u64);
            prop_assert_eq!(reader.tally().records, records);
            prop_assert_eq!(statistics.requests + statistics.counts + statistics.profiles, records);
            let _ = statistics.notes(format);
        }
    }

    #[test]
    fn a_detected_format_reads_the_line_that_gave_it_away(lines in lines()) {
        if let Ok(format) = Format::detect(lines.iter().map(Vec::as_slice)) {
            let mut reader = Reader::new(format);
            for line in &lines {
                let _ = reader.line(line);
            }
            let tally = reader.tally();
            prop_assert!(!format.is_csv() || 0 < tally.headers, "{:?}", tally);
        }
    }
}
