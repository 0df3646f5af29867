//! In which availability zone the next task of a service runs.

use std::collections::BTreeSet;

/// The zone of the next task beside those of `running`: that with the fewest, as the service scheduler spreads tasks; of
/// equals the first. None when all are `down`.
pub(super) fn next<'a>(
    zones: &'a [String],
    running: &[&str],
    down: &BTreeSet<String>,
) -> Option<&'a String> {
    let there = zones.iter().filter(|zone| !down.contains(*zone));
    there.min_by_key(|zone| running.iter().filter(|other| *other == zone).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_spread_over_the_zones_that_are_there() {
        let zones = ["a", "b", "c"].map(str::to_owned);
        let place = |running: &[&str], down: &[&str]| {
            let down = down.iter().map(|&zone| zone.to_owned()).collect();
            next(&zones, running, &down).map(String::as_str)
        };
        assert_eq!(place(&[], &[]), Some("a"));
        assert_eq!(place(&["a"], &[]), Some("b"));
        assert_eq!(place(&["a", "b", "c"], &[]), Some("a"));
        assert_eq!(place(&["a", "c", "c"], &[]), Some("b"));
        assert_eq!(place(&["a", "c", "c"], &["b"]), Some("a"));
        assert_eq!(place(&[], &["a", "b", "c"]), None);
    }
}
