//! Which of the gateways in the table live.
//!
//! One lives while its beat changes. Only this process' own monotonic clock is asked, and only for as long as it could read:
//! a table that cannot be reached makes nobody die, nor does this process' own sleep.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::info;

use super::{
    beat::{Beat, Load},
    division::View,
};

/// How long a gateway lives without a new beat: four of its beats.
pub(super) const LIVE_FOR: Duration = Duration::from_secs(10);

/// When two reads lie further apart than this, nobody was watched meanwhile, and everybody gets the full time anew: whoever
/// could not read could most likely not beat either. Longer than the pause between two rounds that go well.
const GAP_MAX: Duration = Duration::from_secs(3);

/// The other gateways that the table tells of.
#[derive(Debug)]
pub(super) struct Members {
    me: Arc<str>,
    others: BTreeMap<Arc<str>, Member>,
    read: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    beat: Beat,
    /// For how long its beat was seen to stay the same.
    unchanged: Duration,
}

impl Member {
    fn lives(&self) -> bool {
        self.unchanged < LIVE_FOR
    }
}

impl Members {
    pub(super) fn new(me: Arc<str>) -> Self {
        Self { me, others: BTreeMap::new(), read: None }
    }

    /// Takes in the beats that the table had at `now`.
    pub(super) fn read(&mut self, beats: Vec<Beat>, now: Instant) {
        let passed = self.read.map_or(Duration::ZERO, |read| now.duration_since(read));
        self.read = Some(now);
        let mut before = std::mem::take(&mut self.others);
        for beat in beats.into_iter().filter(|beat| beat.id != self.me) {
            let id = beat.id.clone();
            let member = match before.remove(&id) {
                None => {
                    info!(
                        gateway = &*id,
                        host = &*beat.host,
                        address = &*beat.address,
                        "a gateway is there"
                    );
                    Member { beat, unchanged: Duration::ZERO }
                }
                Some(old) if old.beat.sequence != beat.sequence => {
                    if !old.lives() {
                        info!(gateway = &*id, "a gateway is back");
                    }
                    Member { beat, unchanged: Duration::ZERO }
                }
                Some(old) => {
                    let lived = old.lives();
                    let watched = passed <= GAP_MAX || !lived;
                    let unchanged = if watched { old.unchanged + passed } else { Duration::ZERO };
                    let member = Member { unchanged, ..old };
                    if lived && !member.lives() {
                        info!(gateway = &*id, "a gateway is gone: it beats no more");
                    }
                    member
                }
            };
            self.others.insert(id, member);
        }
        for id in before.into_keys() {
            info!(gateway = &*id, "a gateway has left");
        }
    }

    /// Returns the beats of the others that live, by name.
    pub(super) fn live(&self) -> impl Iterator<Item = &Beat> {
        self.others.values().filter(|member| member.lives()).map(|member| &member.beat)
    }

    /// Returns who lives, this gateway among them.
    pub(super) fn view(&self) -> View {
        View::new(self.live().map(|beat| beat.id.clone()).chain([self.me.clone()]))
    }

    /// Returns whom each of the others divides slots with.
    pub(super) fn views(&self) -> Vec<Option<View>> {
        self.live().map(|beat| beat.view.clone()).collect()
    }

    /// Returns what each of the others has to do.
    pub(super) fn loads(&self) -> impl Iterator<Item = &Load> {
        self.live().map(|beat| &beat.load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(id: &str, sequence: u64) -> Beat {
        Beat { id: id.into(), sequence, ..Beat::default() }
    }

    fn live(members: &Members) -> Vec<&str> {
        members.live().map(|beat| &*beat.id).collect()
    }

    /// Reads `beats` every two seconds, from `from` to `to` seconds after `start`.
    fn read(
        members: &mut Members,
        start: Instant,
        from: u64,
        to: u64,
        beats: &dyn Fn(u64) -> Vec<Beat>,
    ) {
        for second in (from..=to).step_by(2) {
            members.read(beats(second), start + Duration::from_secs(second));
        }
    }

    #[test]
    fn one_that_beats_no_more_is_gone_after_ten_seconds_and_one_that_left_at_once() {
        let (mut members, start) = (Members::new("me".into()), Instant::now());
        read(&mut members, start, 0, 10, &|second| {
            vec![beat("a", second), beat("b", second), beat("me", 1)]
        });
        assert_eq!(live(&members), ["a", "b"]);
        read(&mut members, start, 12, 18, &|second| vec![beat("a", second), beat("b", 10)]);
        assert_eq!(live(&members), ["a", "b"]);
        read(&mut members, start, 20, 20, &|second| vec![beat("a", second), beat("b", 10)]);
        assert_eq!(live(&members), ["a"]);
        read(&mut members, start, 22, 22, &|second| vec![beat("a", second), beat("b", 22)]);
        assert_eq!(live(&members), ["a", "b"], "it slept");
        read(&mut members, start, 24, 24, &|second| vec![beat("a", second)]);
        assert_eq!(members.view(), View::new(["a".into(), "me".into()]));
    }

    #[test]
    fn what_a_dead_gateway_left_counts_as_alive_for_as_long() {
        let (mut members, start) = (Members::new("me".into()), Instant::now());
        read(&mut members, start, 0, 8, &|_| vec![beat("a", 7)]);
        assert_eq!(live(&members), ["a"]);
        read(&mut members, start, 10, 10, &|_| vec![beat("a", 7)]);
        assert!(live(&members).is_empty());
    }

    #[test]
    fn nobody_dies_of_a_table_that_cannot_be_read() {
        let (mut members, start) = (Members::new("me".into()), Instant::now());
        read(&mut members, start, 0, 2, &|second| vec![beat("a", second)]);
        // A minute without a read; it has not beaten either.
        read(&mut members, start, 62, 64, &|_| vec![beat("a", 2)]);
        assert_eq!(live(&members), ["a"]);
        read(&mut members, start, 66, 66, &|_| vec![beat("a", 3)]);
        assert_eq!(live(&members), ["a"]);
    }
}
