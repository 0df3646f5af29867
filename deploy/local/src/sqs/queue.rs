//! One queue: messages that come back unless whoever received them says that they are done.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::{sync::Notify, time::Instant};

use crate::{clock, tasks::lock};

/// Messages kept; of more the oldest are forgotten. SQS forgets by age (four days), which no local cloud reaches.
const MESSAGES_MAX: usize = 10_000;

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    visibility_timeout: Duration,
    messages: Mutex<VecDeque<Message>>,
    sent: Notify,
}

#[derive(Debug)]
struct Message {
    id: String,
    body: String,
    /// What the last receiver has to show to delete it.
    receipt: Option<String>,
    visible_at: Instant,
    receives: u32,
}

/// A message as it is given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) receipt: String,
    pub(crate) body: String,
    pub(crate) receives: u32,
}

impl Queue {
    pub(crate) fn new(visibility_timeout: Duration) -> Self {
        Self { visibility_timeout, messages: Mutex::default(), sent: Notify::new() }
    }

    /// Puts a message in.
    pub(crate) fn send(&self, body: String) {
        let mut messages = lock(&self.messages);
        if messages.len() == MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(Message {
            id: clock::request_id(),
            body,
            receipt: None,
            visible_at: Instant::now(),
            receives: 0,
        });
        drop(messages);
        self.sent.notify_waiters();
    }

    /// Gives out up to `max` messages; waits up to `wait` for the first.
    pub(crate) async fn receive(
        &self,
        max: usize,
        visibility_timeout: Option<Duration>,
        wait: Duration,
    ) -> Vec<Received> {
        let until = Instant::now() + wait;
        let hidden_for = visibility_timeout.unwrap_or(self.visibility_timeout);
        loop {
            let mut sent = std::pin::pin!(self.sent.notified());
            // Before looking, so that nothing sent in between is missed.
            sent.as_mut().enable();
            let now = Instant::now();
            let (received, next_visible) = self.take(max, hidden_for, now);
            if !received.is_empty() || until <= now {
                return received;
            }
            let wake = next_visible.map_or(until, |at| at.min(until));
            tokio::select! {
                () = sent => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Takes what is visible; else tells when something will be.
    fn take(
        &self,
        max: usize,
        hidden_for: Duration,
        now: Instant,
    ) -> (Vec<Received>, Option<Instant>) {
        let mut messages = lock(&self.messages);
        let visible = messages.iter_mut().filter(|message| message.visible_at <= now).take(max);
        let received: Vec<_> = visible
            .map(|message| {
                let receipt = clock::random_hex();
                message.receipt = Some(receipt.clone());
                message.visible_at = now + hidden_for;
                message.receives += 1;
                Received {
                    id: message.id.clone(),
                    receipt,
                    body: message.body.clone(),
                    receives: message.receives,
                }
            })
            .collect();
        let next_visible = messages.iter().map(|message| message.visible_at).min();
        (received, next_visible)
    }

    /// Deletes the message of `receipt`. One that is gone already is as good as deleted, as in SQS.
    pub(crate) fn delete(&self, receipt: &str) {
        lock(&self.messages).retain(|message| message.receipt.as_deref() != Some(receipt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_comes_back_unless_it_is_deleted() {
        let queue = Queue::new(Duration::from_mins(1));
        queue.send("a".into());
        queue.send("b".into());
        let now = Duration::ZERO;
        let first = queue.receive(1, Some(Duration::ZERO), now).await;
        assert_eq!(first[0].body, "a");
        let again = queue.receive(10, None, now).await;
        assert_eq!(
            again.iter().map(|m| (&*m.body, m.receives)).collect::<Vec<_>>(),
            [("a", 2), ("b", 1)]
        );
        assert!(queue.receive(10, None, now).await.is_empty(), "both are hidden");
        queue.delete(&first[0].receipt);
        assert_eq!(lock(&queue.messages).len(), 2, "an old receipt deletes nothing");
        queue.delete(&again[0].receipt);
        assert_eq!(lock(&queue.messages).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_waits_for_a_message_and_for_one_to_come_back() {
        let queue = std::sync::Arc::new(Queue::new(Duration::from_secs(5)));
        let began = Instant::now();
        assert!(queue.receive(1, None, Duration::from_secs(20)).await.is_empty());
        assert_eq!(began.elapsed(), Duration::from_secs(20));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(1, None, Duration::from_secs(20)).await }
        });
        tokio::task::yield_now().await;
        queue.send("a".into());
        assert_eq!(waiting.await.unwrap().len(), 1);
        let began = Instant::now();
        assert_eq!(queue.receive(1, None, Duration::from_secs(20)).await.len(), 1);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn the_oldest_of_too_many_are_forgotten() {
        let queue = Queue::new(Duration::from_mins(1));
        (0..=MESSAGES_MAX).for_each(|n| queue.send(n.to_string()));
        assert_eq!(lock(&queue.messages).len(), MESSAGES_MAX);
        assert_eq!(queue.receive(1, None, Duration::ZERO).await[0].body, "1");
    }
}
