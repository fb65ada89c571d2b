//! The timer that ends a handler, kept from one invocation to the next.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{Either, select};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer that ends a handler. Clones share it.
///
/// A new timer is registered with the runtime, which wakes the runtime's thread out of its wait:
/// about 1 % of a warm request's instructions. A timer that is already registered is only moved to
/// a later time. Of concurrent invocations one uses the kept timer, and the others new ones.
#[derive(Clone, Debug, Default)]
pub(super) struct HandlerTimer(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl HandlerTimer {
    /// Waits for the future, until the deadline at most. Returns `None` after the deadline.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped with this one.
    pub(super) async fn timeout_at<F: Future>(
        &self,
        deadline: Instant,
        future: F,
    ) -> Option<F::Output> {
        let kept = self.kept().take();
        let mut timer = match kept {
            Some(mut timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            None => Box::pin(sleep_until(deadline)),
        };
        // Also a handler that has used up its task's budget comes to an end.
        let end = unconstrained(timer.as_mut());
        let output = match select(pin!(future), end).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        };
        *self.kept() = Some(timer);
        output
    }

    fn kept(&self) -> MutexGuard<'_, Option<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_invocation_ends_at_its_own_deadline() {
        let timer = HandlerTimer::default();
        // Later ones, an earlier one, one that is over, and one after a rest.
        for (rest, limit) in [(0, 10), (0, 10), (9, 30), (0, 5), (0, 0), (100, 10)] {
            sleep(Duration::from_secs(rest)).await;
            let begun = Instant::now();
            let deadline = begun + Duration::from_secs(limit);
            assert_eq!(timer.timeout_at(deadline, ready(1)).await, Some(1));
            assert_eq!(begun.elapsed(), Duration::ZERO);
            let ended = timer.timeout_at(deadline, pending::<()>()).await;
            assert_eq!((ended, begun.elapsed().as_secs()), (None, limit));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_invocations_have_timers_of_their_own() {
        let timer = HandlerTimer::default();
        let begun = Instant::now();
        let invocation = |seconds| {
            let timer = timer.clone();
            async move {
                let deadline = begun + Duration::from_secs(seconds);
                timer.timeout_at(deadline, pending::<()>()).await;
                begun.elapsed().as_secs()
            }
        };
        let ended = tokio::join!(invocation(3), invocation(1), invocation(2));
        assert_eq!(ended, (3, 1, 2));
    }

    #[tokio::test]
    async fn handler_that_uses_up_its_budget_ends_at_its_deadline() {
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        let soon = Instant::now() + Duration::from_millis(50);
        let timer = HandlerTimer::default();
        let ended = timer.timeout_at(soon, busy);
        let ended: Option<()> = tokio::time::timeout(Duration::from_secs(20), ended)
            .await
            .expect("it ends");
        assert_eq!(ended, None);
    }

    #[tokio::test(start_paused = true)]
    async fn invocation_that_is_dropped_does_not_end_the_next() {
        let timer = HandlerTimer::default();
        let soon = Instant::now() + Duration::from_secs(1);
        let dropped = timer.timeout_at(soon, pending::<()>());
        assert!(futures_util::poll!(pin!(dropped)).is_pending());
        let later = Instant::now() + Duration::from_secs(9);
        let slow = sleep(Duration::from_secs(5));
        assert_eq!(timer.timeout_at(later, slow).await, Some(()));
    }
}
