//! The one timer of a client connection.
//!
//! A request is under several timeouts, but only one of them is the next to run out, and hardly any ever does. So the
//! connection keeps a single `Sleep` for its life, and leaves it set to an earlier deadline when a later one comes: when
//! it fires too early it is moved, once in many requests, instead of being moved by each of them.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one wait at a time, all by the same task.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: RefCell<Pin<Box<Sleep>>>,
    /// When `sleep` will wake the task; `None` while the task is not known to it.
    set_to: Cell<Option<Instant>>,
}

/// A deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Timer {
    /// Makes a timer that is not set.
    pub(crate) fn new(now: Instant) -> Self {
        Self { sleep: RefCell::new(Box::pin(sleep_until(now))), set_to: Cell::new(None) }
    }

    /// Runs `work` until `deadline`, which is asked again when it has passed: it may have moved with the work's progress.
    pub(crate) async fn bound<F: Future>(
        &self,
        deadline: impl Fn() -> Instant,
        work: F,
    ) -> Result<F::Output, Elapsed> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll(&deadline, cx).map(|()| Err(Elapsed))
        })
        .await
    }

    /// Becomes ready when `deadline` has passed; until then the task is woken no later than that.
    pub(crate) fn poll(&self, deadline: impl Fn() -> Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.sleep.borrow_mut();
        let mut wanted = deadline();
        loop {
            if sleep.is_elapsed() {
                if wanted <= Instant::now() {
                    return Poll::Ready(());
                }
            } else if self.set_to.get().is_some_and(|set_to| set_to <= wanted) {
                return Poll::Pending;
            }
            sleep.as_mut().reset(wanted);
            self.set_to.set(Some(wanted));
            // Makes the task known to the timer; it has only fired by now when the deadline has just passed.
            std::task::ready!(sleep.as_mut().poll(cx));
            wanted = deadline();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn work_that_ends_in_time_is_returned_and_the_rest_is_cut() {
        let start = Instant::now();
        let timer = Timer::new(start);
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            timer.bound(|| after(100), tokio::time::sleep(Duration::from_millis(50))).await,
            Ok(())
        );
        assert_eq!(timer.bound(|| after(100), std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(Instant::now().duration_since(start).as_millis(), 100);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_deadline_that_moved_is_obeyed() {
        let start = Instant::now();
        let timer = Timer::new(start);
        let deadline = Cell::new(start + Duration::from_millis(10));
        let work = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            deadline.set(start + Duration::from_millis(70));
            std::future::pending::<()>().await;
        };
        assert_eq!(timer.bound(|| deadline.get(), work).await, Err(Elapsed));
        assert_eq!(Instant::now().duration_since(start).as_millis(), 70);
    }
}
