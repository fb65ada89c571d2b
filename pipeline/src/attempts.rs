//! The attempts at a request that a service answers with a rate limit or a failure of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The attempts at one request.
///
/// Three more follow the first, after pauses that double; a service that says when to come back is
/// not asked before. What would take longer than half a minute in all is left to the operator.
#[derive(Debug)]
pub(crate) struct Attempts {
    next_pause: Duration,
    number: u32,
    left: Duration,
}

impl Attempts {
    /// Begins with the first attempt, which needs no pause.
    pub(crate) fn new() -> Self {
        Self {
            next_pause: FIRST_PAUSE,
            number: 1,
            left: LONGEST_WAIT,
        }
    }

    /// Pauses before the next attempt. Returns false, without a pause, where there is none.
    /// `retry_after` is the time for which the service asks.
    pub(crate) async fn pause(&mut self, retry_after: Option<Duration>) -> bool {
        let Some(pause) = self.next(retry_after) else {
            return false;
        };
        // The answer that is there says more than a time-out.
        if !fits(pause) {
            return false;
        }
        sleep(pause).await;
        true
    }

    /// The number of attempts that were made.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        if self.number == MOST_ATTEMPTS {
            return None;
        }
        let pause = self.next_pause.max(retry_after.unwrap_or_default());
        self.left = self.left.checked_sub(pause)?;
        self.next_pause *= 2;
        self.number += 1;
        Some(pause)
    }
}

/// Runs a look-up whose attempts have to be over by then, with a response in time.
pub(crate) async fn until<T>(ends: Instant, look_up: impl Future<Output = T>) -> T {
    ENDS.scope(ends, look_up).await
}

/// Returns whether a pause leaves time for an attempt more.
fn fits(pause: Duration) -> bool {
    let ends = ENDS.try_with(|ends| *ends).ok();
    ends.is_none_or(|ends| Instant::now() + pause + SHORTEST_ATTEMPT < ends)
}

tokio::task_local! {
    /// The end of the look-up that runs, if it has one.
    static ENDS: Instant;
}

/// The time that a request needs at least, which a pause has to leave.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// Runs a look-up of the SDK's, again where a provider has a rate limit, fails or is silent.
pub(crate) async fn look_up<T>(
    look_up: impl AsyncFn() -> Result<T, stagelink::Error>,
) -> Result<T, stagelink::Error> {
    let mut attempts = Attempts::new();
    loop {
        let error = match look_up().await {
            Err(error) if may_pass(error.kind()) => error,
            outcome => return outcome,
        };
        if !attempts.pause(error.retry_after()).await {
            return Err(error);
        }
    }
}

fn may_pass(kind: stagelink::ErrorKind) -> bool {
    use stagelink::ErrorKind::{ProviderUnavailable, RateLimited, Timeout};
    matches!(
        kind,
        ProviderUnavailable | RateLimited | Timeout(stagelink::Phase::Resolve)
    )
}

const MOST_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let mut attempts = Attempts::new();
        let pauses: Vec<_> = std::iter::from_fn(|| attempts.next(None)).collect();
        assert_eq!(pauses, [500, 1000, 2000].map(Duration::from_millis));
        assert_eq!(attempts.number(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_outlasts_the_limit_of_its_look_up() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let ends = Instant::now() + Duration::from_secs(3);
        until(ends, async {
            let mut attempts = Attempts::new();
            assert!(attempts.pause(None).await);
            assert!(!attempts.pause(seconds(9)).await);
            assert_eq!(Instant::now() + Duration::from_millis(2_500), ends);
        })
        .await;
        assert!(Attempts::new().pause(seconds(9)).await);
    }

    #[test]
    fn service_is_not_asked_before_it_wants_to_be_nor_waited_for_too_long() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut attempts = Attempts::new();
        assert_eq!(attempts.next(seconds(0)), Some(FIRST_PAUSE));
        assert_eq!(attempts.next(seconds(20)), seconds(20));
        assert_eq!(attempts.next(seconds(20)), None);
        assert_eq!(Attempts::new().next(seconds(86_400)), None);
        assert_eq!(Attempts::new().next(Some(Duration::MAX)), None);
    }
}
