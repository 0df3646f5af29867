use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A table of one item, and two clocks.
struct World {
    item: Option<Item>,
    now: Instant,
    clock: SystemTime,
}

impl World {
    fn new() -> Self {
        Self { item: None, now: Instant::now(), clock: SystemTime::now() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock += time;
    }

    fn apply(&mut self, write: &Write) -> Written {
        if self.item.as_ref().map(|item| &item.version) != write.over.as_ref() {
            return Written::Refused;
        }
        self.item.clone_from(&write.item);
        Written::Yes
    }

    /// One round of a gateway: writes what it may, and reads.
    fn round(&mut self, keeper: &mut Keeper) {
        if let Some(write) = keeper.next(self.now) {
            let sent = (self.now, self.clock);
            let how = self.apply(&write);
            keeper.written(&write, &how, sent);
        }
        keeper.read(self.item.clone(), self.now);
    }

    fn holds(&self, keeper: &Keeper) -> bool {
        keeper.lease().holds(self.now, self.clock)
    }
}

fn two() -> (World, Keeper, Keeper) {
    let (mut world, mut a, mut b) =
        (World::new(), Keeper::new("a".into()), Keeper::new("b".into()));
    for _ in 0..2 {
        world.round(&mut a);
        world.round(&mut b);
    }
    assert_eq!((world.holds(&a), world.holds(&b)), (true, false));
    assert_eq!(b.holder().map(|id| &**id), Some("a"));
    (world, a, b)
}

#[test]
fn one_takes_it_and_keeps_it_while_it_renews() {
    let (mut world, mut a, mut b) = two();
    for _ in 0..20 {
        world.pass(2 * SECOND);
        world.round(&mut a);
        world.round(&mut b);
        assert_eq!((world.holds(&a), world.holds(&b)), (true, false));
    }
}

#[test]
fn one_that_dies_is_followed_when_its_lease_has_stood_for_its_length_and_never_before() {
    let (mut world, a, mut b) = two();
    for second in 1..=12 {
        world.pass(SECOND);
        world.round(&mut b);
        assert!(!(world.holds(&a) && world.holds(&b)), "after {second} s");
        assert_eq!(world.holds(&a), second < 6, "after {second} s");
        assert_eq!(world.holds(&b), 8 <= second, "after {second} s");
    }
}

#[test]
fn one_that_slept_never_acts_and_cannot_take_it_back() {
    let (mut world, mut a, mut b) = two();
    // It had decided to renew, and slept before the write went out.
    let late = a.next(world.now).unwrap();
    for _ in 0..10 {
        world.pass(SECOND);
        world.round(&mut b);
    }
    assert!(world.holds(&b) && !world.holds(&a), "its own clock says so before it reads anything");
    let sent = (world.now, world.clock);
    let how = world.apply(&late);
    assert_eq!(how, Written::Refused);
    a.written(&late, &how, sent);
    for _ in 0..10 {
        world.round(&mut a);
        world.round(&mut b);
        assert!(!world.holds(&a) && world.holds(&b));
        world.pass(SECOND);
    }
}

#[test]
fn either_clock_ends_it_and_one_set_back_does_too() {
    let (world, a, _) = two();
    let holds = |passed, clock| a.lease().holds(world.now + passed, clock);
    assert!(holds(5 * SECOND, world.clock + 5 * SECOND));
    // A suspended machine: its monotonic clock stood still.
    assert!(!holds(Duration::ZERO, world.clock + 6 * SECOND));
    assert!(!holds(6 * SECOND, world.clock));
    assert!(!holds(Duration::ZERO, world.clock - SECOND));
    assert_eq!(a.lease().left(world.now + SECOND, world.clock + SECOND), Some(7 * SECOND));
    assert_eq!(a.lease().age(world.now + SECOND, world.clock + SECOND), Some(SECOND));
}

#[test]
fn a_write_without_an_answer_counts_from_when_it_was_sent_once_it_is_seen() {
    let (mut world, mut a, mut b) = two();
    world.pass(3 * SECOND);
    let write = a.next(world.now).unwrap();
    let sent = (world.now, world.clock);
    assert_eq!(world.apply(&write), Written::Yes);
    a.written(&write, &Written::Unknown("no answer".into()), sent);
    world.pass(2 * SECOND);
    a.read(world.item.clone(), world.now);
    assert_eq!(a.lease().age(world.now, world.clock), Some(2 * SECOND));
    // It goes on from there.
    world.round(&mut a);
    world.round(&mut b);
    assert!(world.holds(&a) && !world.holds(&b));
    assert_eq!(a.lease().age(world.now, world.clock), Some(Duration::ZERO));
}

#[test]
fn a_table_that_cannot_be_reached_leaves_nobody_acting_until_it_is_back() {
    let (mut world, mut a, mut b) = two();
    world.pass(7 * SECOND);
    assert!(!world.holds(&a) && !world.holds(&b));
    world.pass(60 * SECOND);
    world.round(&mut b);
    world.round(&mut a);
    world.round(&mut b);
    assert_ne!(world.holds(&a), world.holds(&b));
}

#[test]
fn one_that_stops_lets_the_next_have_it_at_once_and_never_takes_it_again() {
    let (mut world, mut a, mut b) = two();
    a.give_up();
    assert!(!world.holds(&a));
    world.round(&mut a);
    world.round(&mut b);
    world.round(&mut b);
    assert!(world.holds(&b) && a.way_out().is_none());
    world.pass(60 * SECOND);
    world.round(&mut a);
    assert!(!world.holds(&a) && world.item.as_ref().is_some_and(|item| &*item.holder == "b"));
}

#[test]
fn alone_it_always_holds() {
    let lease = Lease::alone();
    assert!(lease.holds(Instant::now(), SystemTime::UNIX_EPOCH));
    assert_eq!(lease.age(Instant::now(), SystemTime::now()), None);
}
