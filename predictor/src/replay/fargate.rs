//! A service's tasks on Fargate: starts, slots, drains, interruptions, and the bill.
//!
//! A task is asked for, waits for the account's launch rate, is placed, pulls its image and answers its first probe; from the
//! pull on it is paid for, a minute at least. A task that is given up takes no more requests and stops when those that it has
//! are through (it is protected from scale-in until then). One that Spot takes back gets two minutes.

use policies::cost::{FargateUsage, TaskSize};

use super::{distribution::Distribution, random::Random, rate::Bucket};

/// Tasks that an account may launch at once, and each second after that (Amazon ECS developer guide, "Fargate throttling
/// quotas"); on demand and Spot apart.
const LAUNCHES: (u32, f64) = (100, 20.0);

/// Part of a start that is over before the image is pulled: attaching the network interface. Of a measured start of 81 s
/// the pull and all after it took about 70 s.
pub const UNPAID: f64 = 0.14;

/// Notice that Spot gives (Amazon ECS developer guide, "Fargate Spot").
const NOTICE_US: u64 = 120_000_000;

/// What tasks are like.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskModel {
    /// Architecture, vCPU and memory.
    pub size: TaskSize,
    /// Requests that one serves at once.
    pub slots: u32,
    /// From asked for until the first probe is answered.
    pub start: Distribution,
    /// Shortest time that is paid for, in microseconds.
    pub least_paid_us: u64,
    /// Share of the tasks that are on Spot, 0 to 1.
    pub spot: f64,
    /// How often Spot takes a task back, per hour.
    pub interruptions_per_hour: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Draining,
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct Task {
    /// Told apart from others that had its place before.
    generation: u32,
    state: State,
    paid_from_us: u64,
    busy: u32,
    spot: bool,
}

impl Task {
    /// Tells whether it is meant to stay.
    fn is_wanted(&self) -> bool {
        matches!(self.state, State::Starting | State::Ready)
    }
}

/// A task: its place and its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskId(pub(super) u64);

impl TaskId {
    fn new(place: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 24 | place as u64)
    }

    fn place(self) -> usize {
        (self.0 & 0xff_ffff) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 24) as u32
    }
}

/// Something that will happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Ready,
    Notice,
    Kill,
}

impl Change {
    pub(super) const ALL: [Self; 3] = [Self::Ready, Self::Notice, Self::Kill];
}

/// The tasks of a service.
#[derive(Debug)]
pub(super) struct Tasks {
    model: TaskModel,
    all: Vec<Task>,
    vacant: Vec<usize>,
    /// A task for each free slot; some of tasks that take no more requests.
    free: Vec<TaskId>,
    pub(super) ready: u32,
    pub(super) starting: u32,
    pub(super) busy: u32,
    pub(super) slots_free: u32,
    launches: [Bucket; 2],
    /// Tasks that may be on Spot, where the planner says so; else the model's share is.
    pub(super) spot_most: Option<u32>,
    pub(super) usage: FargateUsage,
    /// Busy slots, and slots of ready tasks, times microseconds.
    pub(super) busy_area: u128,
    pub(super) slot_area: u128,
    area_at: u64,
    /// Tasks that Spot took back.
    pub(super) interruptions: u64,
}

impl Tasks {
    pub(super) fn new(model: TaskModel, start_us: u64) -> Self {
        let launches = Bucket::new(LAUNCHES.0, LAUNCHES.1);
        Self {
            model,
            all: Vec::new(),
            vacant: Vec::new(),
            free: Vec::new(),
            ready: 0,
            starting: 0,
            busy: 0,
            slots_free: 0,
            launches: [launches; 2],
            spot_most: None,
            usage: FargateUsage::default(),
            busy_area: 0,
            slot_area: 0,
            area_at: start_us,
            interruptions: 0,
        }
    }

    /// Tasks that are meant to be there.
    pub(super) fn wanted(&self) -> u32 {
        self.ready + self.starting
    }

    /// Brings the areas up to `now_us`.
    pub(super) fn advance(&mut self, now_us: u64) {
        let since = u128::from(now_us - self.area_at);
        self.busy_area += u128::from(self.busy) * since;
        self.slot_area += u128::from(self.ready) * u128::from(self.model.slots) * since;
        self.area_at = now_us;
    }

    /// Has `wanted` tasks; `later` is told of what will become of new ones. Returns whether anything changes.
    pub(super) fn set(
        &mut self,
        now_us: u64,
        wanted: u32,
        random: &mut Random,
        mut later: impl FnMut(u64, TaskId, Change),
    ) -> bool {
        let there = self.wanted();
        for _ in there..wanted {
            let (id, at_us) = self.launch(now_us, random);
            later(at_us, id, Change::Ready);
            self.interrupt(at_us, id, random, &mut later);
        }
        if wanted < there {
            self.give_up_some(now_us, there - wanted);
        }
        there != wanted
    }

    fn launch(&mut self, now_us: u64, random: &mut Random) -> (TaskId, u64) {
        let spots = || self.all.iter().filter(|task| task.spot && task.is_wanted()).count() as f64;
        let wanted = f64::from(self.wanted() + 1);
        let most = self.spot_most.map_or(self.model.spot * wanted, f64::from);
        let spot = 0.0 < self.model.spot && spots() < most;
        let from_us = self.launches[usize::from(spot)].book(now_us);
        let start_us = self.model.start.draw(random);
        let paid_from_us = from_us + (start_us as f64 * UNPAID) as u64;
        let task = Task { generation: 0, state: State::Starting, paid_from_us, busy: 0, spot };
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.all.push(task);
            self.all.len() - 1
        });
        let generation = self.all[place].generation.wrapping_add(1);
        self.all[place] = Task { generation, ..task };
        self.starting += 1;
        (TaskId::new(place, generation), from_us + start_us)
    }

    /// Draws when Spot takes a task back, if it is on Spot.
    fn interrupt(
        &self,
        ready_us: u64,
        id: TaskId,
        random: &mut Random,
        mut later: impl FnMut(u64, TaskId, Change),
    ) {
        if self.all[id.place()].spot && 0.0 < self.model.interruptions_per_hour {
            let hours = random.exponential() / self.model.interruptions_per_hour;
            later(ready_us + (hours * 3.6e9) as u64, id, Change::Notice);
        }
    }

    /// A load begins with `count` tasks that are ready.
    pub(super) fn begin_with(
        &mut self,
        now_us: u64,
        count: u32,
        random: &mut Random,
        mut later: impl FnMut(u64, TaskId, Change),
    ) {
        for _ in 0..count {
            let (id, _) = self.launch(now_us, random);
            self.all[id.place()].paid_from_us = now_us;
            self.change(now_us, id, Change::Ready);
            self.interrupt(now_us, id, random, &mut later);
        }
        self.launches = [Bucket::new(LAUNCHES.0, LAUNCHES.1); 2];
    }

    /// Takes in what was told to happen; returns the requests that were killed with their task, and when it will be killed.
    pub(super) fn change(&mut self, now_us: u64, id: TaskId, change: Change) -> Option<u64> {
        let task = self.all[id.place()];
        if task.generation != id.generation() || task.state == State::Gone {
            return None;
        }
        match (change, task.state) {
            (Change::Ready, State::Starting) => {
                self.advance(now_us);
                self.all[id.place()].state = State::Ready;
                self.starting -= 1;
                self.ready += 1;
                self.slots_free += self.model.slots;
                self.free.extend((0..self.model.slots).map(|_| id));
                None
            }
            (Change::Notice, State::Ready | State::Starting) => {
                self.interruptions += 1;
                self.give_up(now_us, id.place());
                (self.all[id.place()].state == State::Draining).then_some(now_us + NOTICE_US)
            }
            (Change::Kill, State::Draining) => {
                self.advance(now_us);
                self.busy -= task.busy;
                self.stop(now_us, id.place());
                None
            }
            _ => None,
        }
    }

    /// Takes a slot, if there is a free one.
    pub(super) fn take(&mut self, now_us: u64) -> Option<TaskId> {
        if self.slots_free == 0 {
            return None;
        }
        while let Some(id) = self.free.pop() {
            let task = &mut self.all[id.place()];
            if task.generation == id.generation() && task.state == State::Ready {
                task.busy += 1;
                self.advance(now_us);
                self.slots_free -= 1;
                self.busy += 1;
                return Some(id);
            }
        }
        None
    }

    /// Gives a slot back. Returns whether its request ended well: false when its task had been killed.
    pub(super) fn give_back(&mut self, now_us: u64, id: TaskId) -> bool {
        let task = &mut self.all[id.place()];
        if task.generation != id.generation() || task.state == State::Gone {
            return false;
        }
        task.busy -= 1;
        let (state, busy) = (task.state, task.busy);
        self.advance(now_us);
        self.busy -= 1;
        if state == State::Ready {
            self.slots_free += 1;
            self.free.push(id);
        } else if busy == 0 {
            self.stop(now_us, id.place());
        }
        true
    }

    /// Gives up `count` tasks, those that cost least: that are starting, the latest first, then with the fewest requests.
    fn give_up_some(&mut self, now_us: u64, count: u32) {
        let order = |task: &Task| match task.state {
            State::Starting => Some((0, u64::MAX - task.paid_from_us)),
            State::Ready => Some((1 + task.busy, 0)),
            State::Draining | State::Gone => None,
        };
        let tasks = self.all.iter().enumerate();
        let mut least: Vec<_> =
            tasks.filter_map(|(place, task)| Some((order(task)?, place))).collect();
        // In one go: one by one, a fall from many tasks to few would look at each of them each time.
        least.sort_unstable();
        for (_, place) in least.into_iter().take(count as usize) {
            self.give_up(now_us, place);
        }
    }

    fn give_up(&mut self, now_us: u64, place: usize) {
        self.advance(now_us);
        let task = self.all[place];
        match task.state {
            State::Starting => self.starting -= 1,
            State::Ready => {
                self.ready -= 1;
                self.slots_free -= self.model.slots - task.busy;
            }
            State::Draining | State::Gone => return,
        }
        self.all[place].state = State::Draining;
        if task.busy == 0 {
            self.stop(now_us, place);
        }
        // Slots of tasks that take no more requests are found one by one when they come up; not too many of them stay.
        if 64 + 2 * self.slots_free as usize <= self.free.len() {
            let tasks = &self.all;
            self.free.retain(|id| {
                let task = &tasks[id.place()];
                task.generation == id.generation() && task.state == State::Ready
            });
        }
    }

    fn stop(&mut self, now_us: u64, place: usize) {
        let task = self.all[place];
        self.all[place].state = State::Gone;
        self.all[place].busy = 0;
        self.vacant.push(place);
        self.bill(task, now_us);
    }

    /// Returns what was used until `now_us`, with the tasks that still run.
    pub(super) fn usage_until(&self, now_us: u64) -> FargateUsage {
        let mut usage = self.usage;
        for task in self.all.iter().filter(|task| task.state != State::Gone) {
            let us = now_us.saturating_sub(task.paid_from_us);
            usage.add(self.model.size, task.spot, us.div_ceil(1000));
        }
        usage
    }

    fn bill(&mut self, task: Task, until_us: u64) {
        // Given up before its image was pulled: free.
        if until_us <= task.paid_from_us {
            return;
        }
        let us = (until_us - task.paid_from_us).max(self.model.least_paid_us);
        self.usage.add(self.model.size, task.spot, us.div_ceil(1000));
    }

    /// Closes the books: what still runs is paid for until `end_us`.
    pub(super) fn close(&mut self, end_us: u64) {
        self.advance(end_us.max(self.area_at));
        for place in 0..self.all.len() {
            if self.all[place].state != State::Gone {
                self.stop(end_us, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use policies::policy::Arch;

    use super::{super::random::Purpose, *};

    /// Checks that what is counted is what is there.
    fn check(tasks: &Tasks) {
        let count = |state| tasks.all.iter().filter(|task| task.state == state).count() as u32;
        assert_eq!((tasks.ready, tasks.starting), (count(State::Ready), count(State::Starting)));
        assert_eq!(tasks.busy, tasks.all.iter().map(|task| task.busy).sum::<u32>());
        let ready = tasks.all.iter().filter(|task| task.state == State::Ready);
        let free: u32 = ready.map(|task| tasks.model.slots - task.busy).sum();
        assert_eq!(tasks.slots_free, free);
    }

    #[test]
    fn whatever_happens_the_counts_are_those_of_the_tasks() {
        let size = TaskSize { arch: Arch::Arm64, cpu_units: 1024, memory_mib: 2048 };
        let model = TaskModel {
            size,
            slots: 3,
            start: Distribution::Exponential(30e6),
            least_paid_us: 60_000_000,
            spot: 0.5,
            interruptions_per_hour: 60.0,
        };
        let mut random = Random::new(5, 0, Purpose::Starts);
        let mut tasks = Tasks::new(model, 0);
        let mut later = std::collections::BTreeMap::new();
        let mut held = Vec::new();
        for now in (0..3_000_000_000).step_by(1_000_000) {
            let mut new = Vec::new();
            if random.uniform() < 0.2 {
                let wanted = (random.uniform() * 30.0) as u32;
                tasks.set(now, wanted, &mut random, |at, id, change| new.push((at, id, change)));
                assert_eq!(tasks.wanted(), wanted);
            }
            for (at, id, change) in new.drain(..) {
                later.insert((at, id.0, change as u8), (id, change));
            }
            while let Some(entry) = later.first_entry()
                && entry.key().0 <= now
            {
                let (id, change) = entry.remove();
                if let Some(at) = tasks.change(now, id, change) {
                    later.insert((at, id.0, Change::Kill as u8), (id, Change::Kill));
                }
                check(&tasks);
            }
            for _ in 0..(random.uniform() * 6.0) as u32 {
                let free = tasks.slots_free;
                match tasks.take(now) {
                    Some(id) => held.push(id),
                    None => assert_eq!(free, 0, "a free slot is found"),
                }
            }
            while !held.is_empty() && random.uniform() < 0.7 {
                let number = (random.uniform() * held.len() as f64) as usize;
                tasks.give_back(now, held.swap_remove(number));
            }
            check(&tasks);
        }
        assert!(tasks.interruptions != 0 && tasks.busy_area <= tasks.slot_area);
    }
}
