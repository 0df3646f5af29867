//! The tasks of one service and the room in them.
//!
//! A slot is room for one request in a task. Taking and giving back are atomics shared by all workers; only when every
//! task is full is a queue touched, which is behind a mutex. A slot that is given back while somebody waits is handed
//! over, never put up for grabs, so that waiting is fair and nobody is woken in vain.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use policies::policy::Priority;
use tokio::sync::oneshot;

use super::{Task, TaskState};

/// Up to how many tasks each is looked at; beyond, two are drawn and the less loaded of them wins, which comes close to
/// the least loaded of all at a constant price (the power of two choices).
const SCAN_MAX: usize = 8;

/// The tasks of one service as the control loop last saw them.
#[derive(Debug)]
pub(crate) struct Tasks {
    list: Box<[Arc<Task>]>,
    queue: Arc<Queue>,
}

/// Who waits for a slot of a service; it outlives the lists of tasks, which come and go.
pub(crate) struct Queue {
    waiting: AtomicU32,
    waiters: Mutex<VecDeque<Waiter>>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

struct Waiter {
    priority: Priority,
    hand: oneshot::Sender<Slot>,
}

/// Room for one request in a task; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    task: Arc<Task>,
    tasks: Arc<Tasks>,
    /// Somebody else holds the room now: nothing is given back.
    handed_over: bool,
}

impl Slot {
    fn of(task: &Arc<Task>, tasks: &Arc<Tasks>) -> Self {
        Self { task: task.clone(), tasks: tasks.clone(), handed_over: false }
    }

    /// Returns the task that the slot is in.
    pub(crate) fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// Drops the handle without giving the room back.
    fn forget(mut self) {
        self.handed_over = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.handed_over {
            return;
        }
        if 0 < self.tasks.queue.waiting.load(SeqCst)
            && self.task.state() == TaskState::Ready
            // Slots may have been taken away meanwhile.
            && self.task.busy() <= self.task.slots()
            && self.tasks.queue.hand_over(self)
        {
            return;
        }
        self.task.give();
        // A waiter may have come between the look above and the slot's return, and then saw it taken.
        if 0 < self.tasks.queue.waiting.load(SeqCst) {
            self.tasks.wake();
        }
    }
}

impl Queue {
    /// Makes an empty queue.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { waiting: AtomicU32::new(0), waiters: Mutex::default() })
    }

    fn pop(&self) -> Option<Waiter> {
        let mut waiters = self.lock();
        let waiter = waiters.pop_front();
        self.count(&waiters);
        waiter
    }

    /// Publishes how many wait: only under the lock, so that the number is never that of an older state.
    fn count(&self, waiters: &VecDeque<Waiter>) {
        self.waiting.store(waiters.len() as u32, SeqCst);
    }

    /// Gives `slot`'s room to the first waiter that is still there. Returns whether somebody took it.
    fn hand_over(&self, slot: &Slot) -> bool {
        while let Some(waiter) = self.pop() {
            match waiter.hand.send(Slot::of(&slot.task, &slot.tasks)) {
                Ok(()) => return true,
                // The waiter gave up. The copy must not give back what `slot` still holds.
                Err(copy) => copy.forget(),
            }
        }
        false
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiter>> {
        // A panic while the queue was locked cannot leave it half changed: each change is one call.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready tasks, and their slots.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    pub(crate) ready: u32,
    pub(crate) slots: u32,
    pub(crate) free: u32,
}

impl Tasks {
    /// Makes the list of a service's tasks, with the queue that outlives it.
    pub(crate) fn new(list: Vec<Arc<Task>>, queue: Arc<Queue>) -> Self {
        Self { list: list.into(), queue }
    }

    /// Returns the tasks.
    pub(crate) fn list(&self) -> &[Arc<Task>] {
        &self.list
    }

    /// Returns the queue, for the list that follows this one.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Returns how many requests wait for a slot.
    pub(crate) fn waiting(&self) -> u32 {
        self.queue.waiting.load(SeqCst)
    }

    /// Returns what there is of ready tasks.
    pub(crate) fn room(&self) -> Room {
        let mut room = Room::default();
        for task in &self.list {
            if task.state() == TaskState::Ready {
                room.ready += 1;
                room.slots += task.slots();
                room.free += task.slots().saturating_sub(task.busy());
            }
        }
        room
    }

    /// Tells whether a task other than `key` is ready.
    pub(crate) fn has_other_than(&self, key: Option<u64>) -> bool {
        self.list.iter().any(|task| Some(task.key) != key && task.state() == TaskState::Ready)
    }

    /// Takes a slot of the least loaded task, other than `not`; `None` when all are full or somebody waits already.
    pub(crate) fn take(self: &Arc<Self>, draw: u64, not: Option<u64>) -> Option<Slot> {
        if 0 < self.waiting() {
            return None;
        }
        self.take_any(draw, not)
    }

    fn take_any(self: &Arc<Self>, draw: u64, not: Option<u64>) -> Option<Slot> {
        let usable = |task: &&Arc<Task>| Some(task.key) != not;
        if SCAN_MAX < self.list.len() {
            let pick = |n: u64| &self.list[(n % self.list.len() as u64) as usize];
            let (a, b) = (pick(draw), pick(draw >> 32));
            let less = if a.load() <= b.load() { a } else { b };
            if usable(&less) && less.take() {
                return Some(Slot::of(less, self));
            }
        }
        // All are looked at when there are few, and when the two drawn were full. Ties go to the first one after a
        // random start, so that idle tasks share the work.
        let start = (draw % self.list.len().max(1) as u64) as usize;
        let rotated = || {
            self.list[start.min(self.list.len())..]
                .iter()
                .chain(&self.list[..start.min(self.list.len())])
        };
        // Somebody else may take the slot between the choice and the taking; each round of that is somebody's progress.
        while let Some(task) = rotated()
            .filter(usable)
            .filter(|task| task.has_room())
            .min_by(|a, b| a.load().cmp(&b.load()))
        {
            if task.take() {
                return Some(Slot::of(task, self));
            }
        }
        None
    }

    /// Joins the queue; the slot comes through the receiver. `None` when `limit` requests wait already.
    ///
    /// Dropping the receiver leaves the queue: whoever hands over a slot skips it.
    pub(crate) fn join(
        self: &Arc<Self>,
        priority: Priority,
        limit: u32,
    ) -> Option<oneshot::Receiver<Slot>> {
        let (hand, receiver) = oneshot::channel();
        {
            let mut waiters = self.queue.lock();
            waiters.retain(|waiter| !waiter.hand.is_closed());
            self.queue.count(&waiters);
            if limit <= waiters.len() as u32 {
                return None;
            }
            let place = waiters.partition_point(|waiter| priority <= waiter.priority);
            waiters.insert(place, Waiter { priority, hand });
            self.queue.count(&waiters);
        }
        // A slot given back before this request joined went to nobody: look once more.
        self.wake();
        Some(receiver)
    }

    /// Gives free slots to those who wait: after a task became ready or a new list was published.
    pub(crate) fn wake(self: &Arc<Self>) {
        while 0 < self.waiting() {
            let Some(slot) = self.take_any(0, None) else { return };
            if !self.queue.hand_over(&slot) {
                return; // nobody was left; the slot goes back by its drop
            }
            slot.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::atomic::AtomicU32, thread};

    use super::*;

    fn task(key: u64, slots: u32) -> Arc<Task> {
        let task = Task::new(
            format!("task-{key}").into(),
            (Ipv4Addr::LOCALHOST, 1).into(),
            None,
            slots,
            key,
        );
        task.set_state(TaskState::Ready);
        Arc::new(task)
    }

    fn tasks(slots: &[u32]) -> Arc<Tasks> {
        let list = slots.iter().zip(1..).map(|(slots, key)| task(key, *slots)).collect();
        Arc::new(Tasks::new(list, Queue::new()))
    }

    fn room(tasks: &Tasks) -> (u32, u32) {
        let Room { ready, free, .. } = tasks.room();
        (ready, free)
    }

    #[test]
    fn the_least_loaded_task_is_taken_and_none_is_overfilled() {
        let tasks = tasks(&[2, 4]);
        let held: Vec<_> = (0..6).map(|draw| tasks.take(draw, None).unwrap()).collect();
        assert_eq!(tasks.list().iter().map(|task| task.busy()).collect::<Vec<_>>(), [2, 4]);
        assert!(tasks.take(0, None).is_none());
        assert_eq!(room(&tasks), (2, 0));
        drop(held);
        assert_eq!(room(&tasks), (2, 6));
    }

    #[test]
    fn many_tasks_are_filled_to_the_last_slot() {
        let tasks = tasks(&[1; 40]);
        let mut draw = 7_u64;
        let held: Vec<_> = std::iter::from_fn(|| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            tasks.take(draw, None)
        })
        .collect();
        assert_eq!(held.len(), 40);
    }

    #[test]
    fn tasks_that_are_unproven_draining_or_excluded_get_nothing() {
        let tasks = tasks(&[1, 1, 1]);
        tasks.list()[0].set_state(TaskState::Draining);
        tasks.list()[1].fail();
        let slot = tasks.take(0, None).unwrap();
        assert_eq!(slot.task().key, 3);
        drop(slot);
        assert!(tasks.take(0, Some(3)).is_none());
        assert!(!tasks.has_other_than(Some(3)));
        tasks.list()[0].fail();
        assert_eq!(tasks.list()[0].state(), TaskState::Draining, "a failure does not end draining");
    }

    #[test]
    fn a_slot_given_back_goes_to_the_first_who_waits_and_the_important_wait_in_front() {
        let tasks = tasks(&[1]);
        let slot = tasks.take(0, None).unwrap();
        let mut normal = tasks.join(Priority::Normal, 10).unwrap();
        let mut high = tasks.join(Priority::High, 10).unwrap();
        let mut second = tasks.join(Priority::Normal, 10).unwrap();
        drop(slot);
        assert!(normal.try_recv().is_err());
        let slot = high.try_recv().unwrap();
        assert!(tasks.take(0, None).is_none(), "nobody passes those who wait");
        drop(slot);
        drop(normal.try_recv().unwrap());
        drop(second.try_recv().unwrap());
        assert_eq!((room(&tasks), tasks.waiting()), ((1, 1), 0));
    }

    #[test]
    fn who_gave_up_waiting_is_passed_over() {
        let tasks = tasks(&[1]);
        let slot = tasks.take(0, None).unwrap();
        drop(tasks.join(Priority::Normal, 10).unwrap());
        let mut waiting = tasks.join(Priority::Normal, 10).unwrap();
        assert_eq!(tasks.waiting(), 1, "one who left makes room in the queue");
        drop(slot);
        drop(waiting.try_recv().unwrap());
        assert_eq!(room(&tasks), (1, 1));
    }

    #[test]
    fn the_queue_has_a_limit() {
        let tasks = tasks(&[1]);
        let _slot = tasks.take(0, None).unwrap();
        let _waiting = tasks.join(Priority::Normal, 1).unwrap();
        assert!(tasks.join(Priority::High, 1).is_none());
    }

    #[test]
    fn a_task_that_becomes_ready_serves_those_who_wait() {
        let tasks = tasks(&[2]);
        tasks.list()[0].fail();
        let mut waiting = tasks.join(Priority::Normal, 10).unwrap();
        assert!(waiting.try_recv().is_err());
        tasks.list()[0].set_state(TaskState::Ready);
        tasks.wake();
        assert!(waiting.try_recv().is_ok());
    }

    #[test]
    fn slots_that_were_taken_away_are_not_given_out_again() {
        let tasks = tasks(&[2]);
        let held: Vec<_> = (0..2).map(|draw| tasks.take(draw, None).unwrap()).collect();
        tasks.list()[0].set_slots(1);
        let mut waiting = tasks.join(Priority::Normal, 10).unwrap();
        let mut held = held.into_iter();
        drop(held.next());
        assert!(waiting.try_recv().is_err(), "one still runs, and one is all it takes");
        drop(held.next());
        drop(waiting.try_recv().unwrap());
        tasks.list()[0].set_slots(3);
        assert_eq!(room(&tasks), (1, 3));
    }

    #[test]
    fn threads_together_never_pass_a_tasks_slots_and_lose_none() {
        let tasks = tasks(&[1, 2]);
        let inside: Vec<AtomicU32> = (0..2).map(|_| AtomicU32::new(0)).collect();
        thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (tasks, inside) = (&tasks, &inside);
                scope.spawn(move || {
                    for round in 0..3000 {
                        let draw = thread * 7919 + round;
                        let slot = tasks
                            .take(draw, None)
                            .or_else(|| tasks.join(Priority::Normal, 100)?.blocking_recv().ok());
                        let slot =
                            slot.expect("the queue is long enough, and every slot comes back");
                        let index = (slot.task().key - 1) as usize;
                        let now = inside[index].fetch_add(1, SeqCst) + 1;
                        assert!(now <= slot.task().slots());
                        inside[index].fetch_sub(1, SeqCst);
                        drop(slot);
                    }
                });
            }
        });
        assert_eq!((room(&tasks), tasks.waiting()), ((2, 3), 0));
    }
}
