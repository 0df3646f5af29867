//! Work that goes on when nobody waits for it any more.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A future that is finished in the background when it is dropped early, for `grace` at most. What came of it then goes to
/// `late`: nothing, if that was not enough.
pub(super) struct FinishAnyway<F: Future + 'static, L: FnOnce(Option<F::Output>) + 'static> {
    work: Option<(Pin<Box<F>>, L)>,
    grace: Duration,
}

impl<F: Future + 'static, L: FnOnce(Option<F::Output>) + 'static> FinishAnyway<F, L> {
    pub(super) fn new(work: F, grace: Duration, late: L) -> Self {
        Self { work: Some((Box::pin(work), late)), grace }
    }
}

// The work is behind a pointer, and `late` is never pinned.
impl<F: Future + 'static, L: FnOnce(Option<F::Output>) + 'static> Unpin for FinishAnyway<F, L> {}

impl<F: Future + 'static, L: FnOnce(Option<F::Output>) + 'static> Future for FinishAnyway<F, L> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (work, _) = self.work.as_mut().expect("not polled after it was ready");
        let output = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<F: Future + 'static, L: FnOnce(Option<F::Output>) + 'static> Drop for FinishAnyway<F, L> {
    fn drop(&mut self) {
        if let Some((work, late)) = self.work.take() {
            let grace = self.grace;
            tokio::task::spawn_local(async move {
                late(tokio::time::timeout(grace, work).await.ok());
            });
        }
    }
}
