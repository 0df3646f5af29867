//! Several gateways on one table, each with a clock and a rhythm of its own: whatever happens in whichever order, the slots
//! of a task are never given out twice, and two never lead.

use super::*;
use crate::{
    control::{
        asked::{OnLambda, Step},
        gateways::{
            division::View,
            lease::{Item, Write},
            table::Seen,
        },
    },
    fixture,
};

const TASKS: [(&str, u32); 4] = [("one", 3), ("two", 5), ("three", 8), ("four", 16)];

/// A generator of random numbers (Numerical Recipes' 64-bit congruence), seeded so that a failure can be repeated.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The table, and all who write to it.
struct Site {
    now: Instant,
    clock: SystemTime,
    lease: Option<Item>,
    beats: BTreeMap<Arc<str>, Beat>,
    down: bool,
    runs: Vec<Run>,
    draw: Draw,
    seed: u64,
}

/// A gateway, and how far its round has come.
struct Run {
    gateways: Gateways,
    /// Written, not yet read.
    written: Option<Done>,
    /// It does nothing until then.
    sleeps_until: Instant,
    /// What it believes to have may be another's, until all agree again: it slept and was called dead, or never could read
    /// the table.
    apart: bool,
}

fn joined(name: u64, now: Instant) -> Gateways {
    let text = format!("gateways: {{ table: table, group: g }}\n{}", fixture::POLICY.trim_start());
    let policy = fixture::policy(&text);
    let mut gateways = Gateways::new(&policy, now);
    let joined = gateways.joined.as_mut().unwrap();
    let id: Arc<str> = format!("g{name}").into();
    joined.beat.id = id.clone();
    joined.keeper = Keeper::new(id.clone());
    joined.members = Members::new(id.clone());
    joined.agreement = Agreement::new(id);
    gateways.lease = joined.keeper.lease().clone();
    gateways
}

impl Site {
    fn new(seed: u64) -> Self {
        Self {
            now: Instant::now(),
            clock: SystemTime::now(),
            lease: None,
            beats: BTreeMap::new(),
            down: false,
            runs: Vec::new(),
            draw: Draw(seed),
            seed,
        }
    }

    fn start(&mut self, name: u64) {
        let gateways = joined(name, self.now);
        self.runs.push(Run { gateways, written: None, sleeps_until: self.now, apart: false });
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock += time;
    }

    fn write(&mut self, write: &Write) -> Written {
        if self.lease.as_ref().map(|item| &item.version) != write.over.as_ref() {
            return Written::Refused;
        }
        self.lease.clone_from(&write.item);
        Written::Yes
    }

    /// One step of the gateway at `index`: it writes when that is due, or reads what it wrote before.
    fn step(&mut self, index: usize) {
        let (now, clock) = (self.now, self.clock);
        if now < self.runs[index].sleeps_until {
            return;
        }
        if let Some(mut done) = self.runs[index].written.take() {
            done.seen = if self.down {
                Err("down".into())
            } else {
                Ok(Seen {
                    lease: self.lease.clone(),
                    beats: self.beats.values().cloned().collect(),
                })
            };
            let run = &mut self.runs[index];
            run.gateways.heard(done, now, clock);
            // One that never could read takes all slots: it cannot know of others.
            run.apart |= !run.gateways.joined.as_ref().unwrap().has_read;
            if self.agrees() {
                self.runs.iter_mut().for_each(|run| run.apart = false);
            }
            return;
        }
        let Some((beat, lease)) = self.runs[index].gateways.begin(BTreeMap::new, now) else {
            return;
        };
        let unknown = || Written::Unknown("down".into());
        let lost = self.draw.below(20) == 0;
        let lease = lease.map(|write| {
            let how = if self.down { unknown() } else { self.write(&write) };
            // Sometimes the answer is lost.
            let how = if lost { unknown() } else { how };
            (write, how)
        });
        let written = if self.down { Err("down".into()) } else { Ok(beat.view.clone()) };
        if !self.down {
            self.beats.insert(beat.id.clone(), beat);
        }
        let seen = Err(String::new());
        self.runs[index].written = Some(Done { sent: (now, clock), lease, beat: written, seen });
    }

    /// Tells whether all who are there divide in the same way, and each has said so.
    fn agrees(&self) -> bool {
        if self.runs.iter().any(|run| self.now < run.sleeps_until) {
            return false;
        }
        let mut joined = self.runs.iter().map(|run| run.gateways.joined.as_ref().unwrap());
        let wanted = |joined: &Joined| joined.agreement.wanted().map(View::text);
        let first = joined.clone().next().and_then(wanted);
        joined.all(|joined| {
            let settled = joined.agreement.is_settled() && joined.agreement.is_published();
            joined.has_read && settled && wanted(joined) == first
        })
    }

    /// Lets some seconds pass, in steps of a tick in which everybody does something in random order.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let step = Duration::from_millis(50 + self.draw.below(200));
            self.pass(step);
            for _ in 0..self.runs.len() {
                let index = self.draw.below(self.runs.len() as u64) as usize;
                self.step(index);
                self.check();
            }
        }
    }

    fn check(&self) {
        let (now, clock) = (self.now, self.clock);
        let leading = self.runs.iter().filter(|run| run.gateways.lease().holds(now, clock)).count();
        assert!(leading <= 1, "{leading} lead, seed {}", self.seed);
        for (task, slots) in TASKS {
            let used = self.runs.iter().filter(|run| !run.apart);
            let used: Vec<u32> =
                used.map(|run| run.gateways.division().slots(task, slots)).collect();
            assert!(
                used.iter().sum::<u32>() <= slots,
                "{used:?} of {slots} slots, seed {}",
                self.seed
            );
        }
    }

    /// All agree, use all slots, and one leads.
    fn settled(&self) {
        let count = self.runs.len() as u32;
        for (task, slots) in TASKS {
            let used = self.runs.iter().map(|run| run.gateways.division().slots(task, slots));
            assert_eq!(used.sum::<u32>(), slots, "{count} gateways");
        }
        let (now, clock) = (self.now, self.clock);
        let leading = self.runs.iter().filter(|run| run.gateways.lease().holds(now, clock)).count();
        assert_eq!(leading, 1);
    }
}

#[test]
fn whatever_happens_no_slot_is_given_out_twice_and_two_never_lead() {
    for seed in 0..60 {
        let mut site = Site::new(seed);
        let mut names = 0;
        site.start(names);
        for _ in 0..25 {
            let doing = site.draw.below(7);
            let count = site.runs.len() as u64;
            let some = site.draw.below(count) as usize;
            match doing {
                0 | 1 if count < 4 => {
                    names += 1;
                    site.start(names);
                }
                // Killed: its beat stays.
                2 if 1 < count => drop(site.runs.remove(some)),
                // Stopped.
                3 if 1 < count => {
                    let mut run = site.runs.remove(some);
                    let joined = run.gateways.joined.as_mut().unwrap();
                    joined.keeper.give_up();
                    let (id, write) = (joined.beat.id.clone(), joined.keeper.way_out());
                    if !site.down {
                        site.beats.remove(&id);
                        write.map(|write| site.write(&write));
                    }
                }
                4 => site.down = !site.down,
                // Paused, and awake again in the middle of whatever it did.
                5 => {
                    let sleeps = Duration::from_secs(site.draw.below(30));
                    site.runs[some].sleeps_until = site.now + sleeps;
                    site.runs[some].apart |= Duration::from_secs(2) < sleeps;
                }
                _ => {}
            }
            let time = Duration::from_millis(site.draw.below(12_000));
            site.run(time);
        }
        site.down = false;
        // What sleeps wakes, what was killed is forgotten, and a lease that nobody renews runs out.
        site.run(Duration::from_secs(90));
        site.settled();
        println!("seed {seed}: {} gateways were there, {} are", names + 1, site.runs.len());
    }
}

#[test]
fn a_gateway_alone_divides_with_nobody_and_leads() {
    let now = Instant::now();
    let mut gateways = Gateways::new(&fixture::policy(fixture::POLICY), now);
    assert!(
        gateways.lease().holds(now, SystemTime::now()) && gateways.is_in() && !gateways.divides()
    );
    assert_eq!(gateways.division().slots("task", 7), 7);
    assert!(gateways.state(now, SystemTime::now()).is_none());
    let lambda = OnLambda { asked: 2, service_us: 90, most: 1 };
    let asked = Step { asked: 3, service_us: 500, lambda };
    gateways.tell(9, [("film".into(), asked)].into(), now);
    let group = gateways.group();
    assert!(group.leader && group.live == 1);
    assert_eq!(group.asked(9).and_then(|services| services.get("film")), Some(&asked));
    assert!(group.asked(8).is_none());
    (10..20).for_each(|step| gateways.tell(step, Services::new(), now));
    assert!(gateways.group().asked(13).is_none() && gateways.group().asked(14).is_some());
}

#[test]
fn what_all_were_asked_is_added_up_once_everybody_has_told() {
    let mut site = Site::new(1);
    site.start(0);
    site.start(1);
    site.run(Duration::from_secs(20));
    let tell = |site: &mut Site, index: usize, asked: u64| {
        let asked = Step { asked, service_us: 10 * asked, ..Step::default() };
        let now = site.now;
        site.runs[index].gateways.tell(50, [("film".into(), asked)].into(), now);
    };
    tell(&mut site, 0, 3);
    site.run(Duration::from_secs(6));
    let group = site.runs[0].gateways.group();
    assert_eq!((group.live, group.asked(50)), (2, None));
    let (services, told) = group.asked_so_far(50).unwrap();
    assert_eq!((services["film"].asked, told), (3, 1));
    tell(&mut site, 1, 4);
    site.run(Duration::from_secs(6));
    for run in &site.runs {
        let group = run.gateways.group();
        let sum = group.asked(50).unwrap()["film"];
        assert_eq!((sum.asked, sum.service_us), (7, 70));
    }
}

#[test]
fn a_gateway_that_starts_while_the_table_is_down_serves_with_all_slots_until_it_is_back() {
    let mut site = Site::new(2);
    site.down = true;
    site.start(0);
    site.run(Duration::from_secs(5));
    let gateways = &site.runs[0].gateways;
    assert!(gateways.is_in() && !gateways.lease().holds(site.now, site.clock));
    assert_eq!(gateways.division().slots("task", 8), 8);
    assert!(gateways.joined.as_ref().unwrap().error.is_some());
    site.down = false;
    site.run(Duration::from_secs(10));
    site.settled();
}

#[test]
fn slots_stay_divided_while_the_table_is_down_and_nobody_leads() {
    let mut site = Site::new(3);
    (0..3).for_each(|name| site.start(name));
    site.run(Duration::from_secs(30));
    site.settled();
    let views = |site: &Site| -> Vec<Option<View>> {
        let wanted = |run: &Run| run.gateways.joined.as_ref().unwrap().agreement.wanted().cloned();
        site.runs.iter().map(wanted).collect()
    };
    let before = views(&site);
    site.down = true;
    site.run(Duration::from_mins(1));
    assert_eq!(views(&site), before);
    assert!(site.runs.iter().all(|run| !run.gateways.lease().holds(site.now, site.clock)));
    site.down = false;
    site.run(Duration::from_secs(15));
    assert_eq!(views(&site), before, "nobody is called dead for not having beaten meanwhile");
    site.settled();
}
