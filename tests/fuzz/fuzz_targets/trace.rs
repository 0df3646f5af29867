//! A trace of any bytes is read line by line, each of which is counted once; what comes out is in order of time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use predictor::trace::{Format, Grid, Reader, Record, Sorter, Statistics};

fuzz_target!(|file: &[u8]| {
    let lines = || file.split_inclusive(|byte| *byte == b'\n');
    let Ok(format) = Format::detect(lines().take(20)) else { return };
    let mut reader = Reader::new(format);
    let mut statistics = Statistics::default();
    let mut sorter = Sorter::default();
    let mut grid = Grid::default();
    let (mut records, mut sorted, mut passed, mut present_us) = (0, 0, 0, 0);
    for line in lines() {
        let Some(record) = reader.line(line) else { continue };
        statistics.add(&record);
        records += 1;
        match record {
            Record::Count(count) => sorter.push(count.at_us, ()),
            Record::Request(request) => sorter.push(request.at_us, ()),
            Record::Profile(_) => sorted += 1,
        }
    }
    let tally = reader.tally();
    assert_eq!(tally.records, records);
    assert_eq!(
        tally.lines,
        records + tally.headers + tally.comments + tally.blank + tally.malformed
    );
    assert_eq!(tally.malformed == 0, tally.first_malformed.is_none());
    let _ = statistics.notes(format);

    sorter.finish();
    while let Some((at_us, ())) = sorter.pop() {
        assert!(present_us <= at_us);
        present_us = at_us;
        sorted += 1;
        grid.push(at_us, ());
        passed += std::iter::from_fn(|| grid.pop()).count() as u64;
    }
    assert_eq!(sorted, records);
    grid.finish();
    passed += std::iter::from_fn(|| grid.pop()).count() as u64;
    assert_eq!(passed + grid.off(), records - statistics.profiles);
});
