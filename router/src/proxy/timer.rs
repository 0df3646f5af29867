//! The one timer of a client connection.
//!
//! A request is under several timeouts, but only one of them is the next to run out. Keeping a single `Sleep` for the
//! life of the connection and moving it costs an atomic instead of an entry in the timer wheel for each request.

use std::{cell::RefCell, future::Future, pin::Pin, task::Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is moved from deadline to deadline.
#[derive(Debug)]
pub(crate) struct Timer(RefCell<Pin<Box<Sleep>>>);

/// A deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Timer {
    /// Makes a timer that is not set.
    pub(crate) fn new(now: Instant) -> Self {
        Self(RefCell::new(Box::pin(sleep_until(now))))
    }

    /// Runs `work` until `deadline`, which is asked again when it has passed: it may have moved with the work's progress.
    pub(crate) async fn bound<F: Future>(
        &self,
        deadline: impl Fn() -> Instant,
        work: F,
    ) -> Result<F::Output, Elapsed> {
        let mut work = std::pin::pin!(work);
        let mut set = false;
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if !set {
                self.set(deadline());
                set = true;
            }
            self.poll(&deadline, cx).map(|()| Err(Elapsed))
        })
        .await
    }

    /// Moves the timer.
    pub(crate) fn set(&self, deadline: Instant) {
        self.0.borrow_mut().as_mut().reset(deadline);
    }

    /// Becomes ready when `deadline` has passed, and still has when asked again.
    pub(crate) fn poll(
        &self,
        deadline: impl Fn() -> Instant,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        let mut sleep = self.0.borrow_mut();
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            let next = deadline();
            if next <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(next);
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
