//! Work that goes on when nobody waits for it any more.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A future that is finished in the background when it is dropped early, for `grace` at most.
pub(super) struct FinishAnyway<F: Future + 'static> {
    work: Option<Pin<Box<F>>>,
    grace: Duration,
}

impl<F: Future + 'static> FinishAnyway<F> {
    pub(super) fn new(work: F, grace: Duration) -> Self {
        Self { work: Some(Box::pin(work)), grace }
    }
}

impl<F: Future + 'static> Future for FinishAnyway<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let work = self.work.as_mut().expect("not polled after it was ready");
        let output = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<F: Future + 'static> Drop for FinishAnyway<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let grace = self.grace;
            tokio::task::spawn_local(async move {
                let _ = tokio::time::timeout(grace, work).await;
            });
        }
    }
}
