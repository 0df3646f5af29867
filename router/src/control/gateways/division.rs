//! How the slots of each task are divided among the gateways that live.
//!
//! All divide by the same rule, so that no number is ever negotiated: who knows who is there knows everybody's share. While
//! they do not yet know the same, a gateway uses the least of the shares that it has by any view that another may still go
//! by. So it shrinks at once, and grows only when everybody has said that they divide by the new view: the shares of a
//! task never add up to more than its slots.
//!
//! Where a task has fewer slots than there are gateways, some have none of it. Which ones goes by the task's name, so that
//! each has some of others. Only a gateway that would have nothing of a whole service keeps one slot (see
//! [`Fleet::divide`](crate::control::discover::Fleet::divide)): it could serve nothing of it otherwise, and the task itself
//! refuses what is too much, by `503` and `x-pacer-busy`, before it ran.

use std::{fmt, sync::Arc};

/// Most views that are kept at once. Agreement takes seconds, a view comes with each gateway that comes or goes.
const VIEWS_MAX: usize = 32;

/// Who divides: the names of gateways, sorted.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct View(Arc<[Arc<str>]>);

impl fmt::Debug for View {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

impl View {
    pub(super) fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort();
        names.dedup();
        Self(names.into())
    }

    /// Reads what [`View::text`] wrote.
    pub(super) fn read(text: &str) -> Self {
        Self::new(text.split_whitespace().map(Arc::from))
    }

    /// Returns it as one line.
    pub(super) fn text(&self) -> String {
        self.0.join(" ")
    }

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// Returns the place of the gateway called `name`; `None` when it is not there.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        let rank = self.0.binary_search_by(|other| (**other).cmp(name)).ok()?;
        Some(Place { rank: rank as u32, of: self.len() })
    }
}

/// A gateway's place among those that divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) rank: u32,
    pub(crate) of: u32,
}

impl Place {
    /// Returns its share of a task's slots. Those of all places add up to `slots`.
    fn share(self, task: &str, slots: u32) -> u32 {
        let rest = slots % self.of;
        // Who gets what does not divide evenly differs from task to task, so that nobody has more of all.
        let turn = (u64::from(self.rank) + hash(task) % u64::from(self.of)) % u64::from(self.of);
        slots / self.of + u32::from(turn < u64::from(rest))
    }
}

/// FNV-1a: the same in every gateway and version, unlike the standard library's hashes.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What this gateway may use of each task: the least share that it has by any of some views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Division {
    /// `None`: a view without this gateway.
    places: Arc<[Option<Place>]>,
    /// Whoever would have nothing of a service keeps one slot of it.
    keeps_one: bool,
}

impl Division {
    /// Nobody divides: all slots are this gateway's.
    pub(crate) fn whole() -> Self {
        Self { places: Arc::new([]), keeps_one: true }
    }

    /// Returns the division of the gateway in that place.
    #[cfg(test)]
    pub(crate) fn of(rank: u32, of: u32) -> Self {
        Self { places: Arc::new([Some(Place { rank, of })]), keeps_one: true }
    }

    /// Returns how many of the `slots` of the task called `task` this gateway may use.
    pub(crate) fn slots(&self, task: &str, slots: u32) -> u32 {
        let share = |place: &Option<Place>| place.map_or(0, |place| place.share(task, slots));
        self.places.iter().map(share).min().unwrap_or(slots)
    }

    /// Tells whether there may be others.
    pub(crate) fn is_divided(&self) -> bool {
        !self.places.is_empty()
    }

    /// Returns it as that of a gateway that serves, or is about to.
    pub(super) fn keeping_one(self, keeps_one: bool) -> Self {
        Self { keeps_one, ..self }
    }

    /// Returns which of the `tasks` of a service it keeps a slot of, when it has none of any.
    pub(crate) fn kept(&self, tasks: usize) -> Option<usize> {
        let rank = self.places.iter().flatten().last().map_or(0, |place| place.rank as usize);
        (self.keeps_one && 0 < tasks).then(|| rank % tasks)
    }
}

/// The views that somebody may still go by, and when they are settled.
#[derive(Debug)]
pub(super) struct Agreement {
    me: Arc<str>,
    /// The last one is what this gateway wants; the others are what it or others went by. `None`: one without it.
    views: Vec<Option<View>>,
    /// The view of the beat that the table surely has.
    published: Option<View>,
}

impl Agreement {
    /// Begins as a gateway that nobody knows: without any slot.
    pub(super) fn new(me: Arc<str>) -> Self {
        Self { me, views: vec![None], published: None }
    }

    /// Returns what this gateway wants to go by; `None` before it has seen the table.
    pub(super) fn wanted(&self) -> Option<&View> {
        self.views.last()?.as_ref()
    }

    /// Tells whether everybody goes by what this gateway wants.
    pub(super) fn is_settled(&self) -> bool {
        matches!(&self.views[..], [Some(_)])
    }

    /// Tells whether no view is left that this gateway is not in.
    pub(super) fn is_in(&self) -> bool {
        self.views.iter().all(Option::is_some)
    }

    /// Gives up waiting for others to make room: the table tells nothing of them.
    pub(super) fn blind(&mut self) {
        if !self.is_in() {
            self.views = vec![Some(View::new([self.me.clone()]))];
        }
    }

    /// Tells whether the table has what this gateway wants.
    pub(super) fn is_published(&self) -> bool {
        self.published.as_ref() == self.wanted()
    }

    /// Notes that a beat with what is wanted is about to be written: until it surely was, nothing is published.
    pub(super) fn publishing(&mut self) {
        self.published = None;
    }

    /// Notes that the table has a beat with `view`.
    pub(super) fn published(&mut self, view: Option<View>) {
        self.published = view;
    }

    /// Takes in who lives, by a read of the table that came after the last beat was written, and what each of the others
    /// says that it goes by. Returns whether what this gateway may use has changed.
    pub(super) fn saw(&mut self, live: View, others: &[Option<View>]) -> bool {
        let before = self.division();
        if self.wanted() != Some(&live) {
            // What was wanted some time ago, and is again, is wanted last.
            self.views.retain(|view| view.as_ref() != Some(&live));
            self.views.push(Some(live.clone()));
            if VIEWS_MAX < self.views.len() {
                self.views.remove(0);
            }
        }
        let all = || others.iter().all(|view| view.as_ref() == Some(&live));
        // Who settles has said so itself, and read the others after that: then each of them has this view among its own, and
        // cannot drop it before this gateway says another.
        if self.published.as_ref() == Some(&live) && all() {
            self.views = vec![Some(live)];
        }
        self.division() != before
    }

    /// Returns what this gateway may use.
    pub(super) fn division(&self) -> Division {
        let place = |view: &Option<View>| view.as_ref().and_then(|view| view.place(&self.me));
        Division { places: self.views.iter().map(place).collect(), keeps_one: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: u32) -> View {
        View::new((0..count).map(|n| format!("gateway-{n}").into()))
    }

    fn division(view: &View, rank: usize) -> Division {
        Division { places: Arc::new([view.place(&view.0[rank])]), keeps_one: true }
    }

    #[test]
    fn shares_add_up_to_a_tasks_slots_and_are_as_even_as_they_can_be() {
        for live in 1..=9 {
            let view = names(live);
            for slots in 0..=40 {
                for task in ["a", "b", "0123456789abcdef"] {
                    let shares: Vec<u32> = (0..live as usize)
                        .map(|rank| division(&view, rank).slots(task, slots))
                        .collect();
                    assert_eq!(shares.iter().sum::<u32>(), slots, "{shares:?}");
                    assert!(
                        shares.iter().all(|share| share.abs_diff(slots / live) <= 1),
                        "{shares:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_divide_evenly_goes_round_by_the_tasks_names() {
        let view = names(4);
        for rank in 0..4 {
            let some =
                (0..1000).filter(|task| 0 < division(&view, rank).slots(&task.to_string(), 1));
            let some = some.count();
            assert!(
                (150..350).contains(&some),
                "gateway {rank} has a slot on {some} of 1000 tasks"
            );
        }
    }

    #[test]
    fn a_view_is_read_as_it_was_written() {
        let view = names(3);
        assert_eq!(View::read(&view.text()), view);
        assert_eq!(view.place("gateway-2"), Some(Place { rank: 2, of: 3 }));
        assert_eq!(view.place("gateway-3"), None);
    }

    #[test]
    fn one_that_comes_waits_until_the_others_have_shrunk() {
        let ids = |ids: &[&str]| View::new(ids.iter().map(|id| Arc::from(*id)));
        let (both, one) = (ids(&["a", "b"]), ids(&["a"]));
        let (mut a, mut b) = (Agreement::new("a".into()), Agreement::new("b".into()));
        a.saw(one.clone(), &[]);
        assert_eq!(a.division().slots("t", 8), 0, "nobody can have seen it yet");
        a.published(Some(one.clone()));
        assert!(a.saw(one.clone(), &[]) && a.is_settled());
        assert_eq!(a.division().slots("t", 8), 8);

        b.saw(both.clone(), &[Some(one.clone())]);
        b.published(Some(both.clone()));
        assert!(!b.saw(both.clone(), &[Some(one)]));
        assert_eq!(b.division().slots("t", 8), 0);
        assert!(a.saw(both.clone(), &[Some(both.clone())]), "it shrinks at once");
        assert_eq!(a.division().slots("t", 8), 4);
        assert!(!a.is_settled(), "it has not said so yet");
        a.published(Some(both.clone()));
        assert!(b.saw(both.clone(), &[Some(both.clone())]));
        assert_eq!((b.division().slots("t", 8), b.is_settled()), (4, true));
        assert_eq!((b.division().kept(4), b.division().kept(0)), (Some(1), None));
        assert_eq!(b.division().keeping_one(false).kept(4), None);
    }
}
