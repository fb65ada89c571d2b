//! The turns of a connection's task: whether the driver has taken all that was handed to it.
//!
//! A statement that a handler gives up may still be in the driver's queue, where the tap does not
//! see it. Handing it over wakes the task, so a task that was not woken since its last turn has an
//! empty queue.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The turns of one task.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Turns {
    /// True from the moment when something wakes the task to the beginning of its next turn.
    is_woken: AtomicBool,
    has_turn: AtomicBool,
    has_ended: AtomicBool,
    /// Wakes the task itself.
    task: AtomicWaker,
    /// True while something waits for the end of a turn.
    is_awaited: AtomicBool,
    turn_ended: Notify,
}

impl Turns {
    /// Returns whether the task has done all that it was woken for.
    pub(in crate::postgres) fn is_at_rest(&self) -> bool {
        // In this order: a turn begins before it takes the wake-up back.
        let is_woken = self.is_woken.load(Ordering::SeqCst);
        let has_turn = self.has_turn.load(Ordering::SeqCst);
        !is_woken && !has_turn || self.has_ended.load(Ordering::SeqCst)
    }

    /// Waits until the task [is at rest](Self::is_at_rest).
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point.
    pub(in crate::postgres) async fn come_to_rest(&self) {
        loop {
            let mut turn_ended = pin!(self.turn_ended.notified());
            turn_ended.as_mut().enable();
            self.is_awaited.store(true, Ordering::SeqCst);
            if self.is_at_rest() {
                return;
            }
            turn_ended.await;
        }
    }

    fn begin(&self) {
        self.has_turn.store(true, Ordering::SeqCst);
        self.is_woken.store(false, Ordering::SeqCst);
    }

    fn end(&self, has_ended: bool) {
        self.has_ended.store(has_ended, Ordering::SeqCst);
        self.has_turn.store(false, Ordering::SeqCst);
        if self.is_awaited.load(Ordering::SeqCst) {
            self.is_awaited.store(false, Ordering::SeqCst);
            self.turn_ended.notify_waiters();
        }
    }
}

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.task.wake();
    }
}

/// A task's future, whose turns are known.
pub(in crate::postgres) struct WithTurns<F> {
    future: F,
    turns: Arc<Turns>,
    waker: Waker,
}

impl<F> WithTurns<F> {
    pub(in crate::postgres) fn new(future: F) -> (Self, Arc<Turns>) {
        let turns = Arc::<Turns>::default();
        // The first turn is to come.
        turns.is_woken.store(true, Ordering::SeqCst);
        let with_turns = Self {
            future,
            turns: Arc::clone(&turns),
            waker: Waker::from(Arc::clone(&turns)),
        };
        (with_turns, turns)
    }
}

impl<F: Future + Unpin> Future for WithTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.turns.task.register(cx.waker());
        this.turns.begin();
        let polled = Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker));
        this.turns.end(polled.is_ready());
        polled
    }
}

impl<F> Drop for WithTurns<F> {
    fn drop(&mut self) {
        self.turns.end(true);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    /// A task that takes messages, and the number of those that it has taken.
    fn task() -> (
        mpsc::UnboundedSender<()>,
        Arc<std::sync::atomic::AtomicU64>,
        impl Future<Output = ()> + Unpin,
    ) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let taken = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let future = Box::pin(async move {
            while receiver.recv().await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        (sender, taken, future)
    }

    #[tokio::test]
    async fn task_is_at_rest_when_it_has_taken_what_was_handed_to_it() {
        let (sender, taken, future) = task();
        let (future, turns) = WithTurns::new(future);
        assert!(!turns.is_at_rest(), "it has not begun");
        let task = tokio::spawn(future);
        turns.come_to_rest().await;
        assert!(turns.is_at_rest());
        sender.send(()).unwrap();
        assert!(!turns.is_at_rest());
        assert_eq!(taken.load(Ordering::SeqCst), 0);
        turns.come_to_rest().await;
        assert_eq!(taken.load(Ordering::SeqCst), 1);
        drop(sender);
        task.await.unwrap();
        assert!(turns.is_at_rest(), "it has ended");
    }

    #[tokio::test]
    async fn task_that_was_aborted_is_at_rest() {
        let (_sender, _, future) = task();
        let (future, turns) = WithTurns::new(future);
        let task = tokio::spawn(future);
        task.abort();
        task.await.unwrap_err();
        let rest = timeout(Duration::from_secs(5), turns.come_to_rest());
        rest.await.expect("no turn is to come");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn nothing_is_left_in_the_queue_of_a_task_at_rest_on_another_thread() {
        let (sender, taken, future) = task();
        let (future, turns) = WithTurns::new(future);
        tokio::spawn(future);
        for sent in 1..=20_000 {
            sender.send(()).unwrap();
            while !turns.is_at_rest() {
                turns.come_to_rest().await;
            }
            assert_eq!(taken.load(Ordering::SeqCst), sent);
        }
    }
}
