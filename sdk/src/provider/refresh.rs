//! The pauses between requests to a provider: pure, so that tests need not wait.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::provider::http::LONGEST_RETRY_AFTER;

/// Spaces out the requests to a provider.
///
/// A request is fruitless when the provider fails, or answers with the very URL that does not
/// work, or with one that has not worked yet. The first two in a row may be followed at once,
/// since a provider that was down a moment ago may be up. Then the pause doubles, from one
/// second to five minutes: all calls of an account share one limit, and many instances may be
/// in the same trouble. Fruitless or not, there are no more than eight requests a minute: one as the
/// instance starts, six for an outage of 5 s right after, and one to spare.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    fruitless: u32,
    not_before: Option<Instant>,
    /// Times of the latest requests, oldest first.
    asked: VecDeque<Instant>,
}

impl Backoff {
    /// Returns whether the provider may be asked at this moment.
    #[cfg(test)]
    fn is_allowed(&self, now: Instant) -> bool {
        self.remaining(now).is_zero()
    }

    /// Returns the time until the provider may be asked.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        let until = |moment: Instant| moment.saturating_duration_since(now);
        let pause = self.not_before.map(until).unwrap_or_default();
        let full = self
            .asked
            .front()
            .filter(|_| self.asked.len() >= PER_MINUTE);
        pause.max(full.map(|first| until(*first + MINUTE)).unwrap_or_default())
    }

    /// Takes note of a request to the provider.
    pub(crate) fn record_request(&mut self, now: Instant) {
        if let Some(last) = self.asked.back()
            && now.duration_since(*last) > 2 * LONGEST
        {
            // Another trouble than that of the last request.
            self.reset();
        }
        if self.asked.len() == PER_MINUTE {
            self.asked.pop_front();
        }
        self.asked.push_back(now);
    }

    /// Takes note of a fruitless request. `retry_after` is the provider's own, of which a minute counts,
    /// and `random` a number from 0 to 1 that keeps instances apart.
    pub(crate) fn record_failure(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
        random: f64,
    ) {
        self.fruitless = self.fruitless.saturating_add(1);
        let wanted = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.not_before = Some(now + delay(self.fruitless, random).max(wanted));
    }

    /// Takes note that the last answer has proved good.
    pub(crate) fn reset(&mut self) {
        self.fruitless = 0;
        self.not_before = None;
    }
}

/// The pause before a request about credentials that have become stale: they do so for all
/// instances at once, and these need not all ask at once.
pub(crate) fn jitter(random: f64) -> Duration {
    SPREAD.mul_f64(random.clamp(0.0, 1.0))
}

/// The pause after that many fruitless requests: between 75 % and 125 % of the schedule.
fn delay(fruitless: u32, random: f64) -> Duration {
    let Some(doublings) = fruitless.checked_sub(AT_ONCE + 1) else {
        return Duration::ZERO;
    };
    let wait = FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
    wait.mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0))
}

/// Number of fruitless requests that may be followed at once.
const AT_ONCE: u32 = 2;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Of the 4,500 calls an hour that Heroku allows an account, at three calls a request: ten instances in
/// trouble reach that only if they stay in it, and then the pauses have grown.
const PER_MINUTE: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);

/// Long beside an API's answer, short beside what a request may take.
const SPREAD: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_its_limit() {
        let seconds: Vec<u64> = (1..=12).map(|n| delay(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(delay(u32::MAX, 0.5), LONGEST);
    }

    #[test]
    fn delay_is_spread_and_stays_within_a_quarter() {
        for n in 3..20 {
            let middle = delay(n, 0.5);
            assert_eq!(delay(n, 0.0), middle.mul_f64(0.75));
            assert_eq!(delay(n, 1.0), middle.mul_f64(1.25));
        }
    }

    proptest::proptest! {
        #[test]
        fn delay_never_shrinks_and_never_passes_its_limit(n in 0_u32.., random in 0.0..=1.0) {
            let next = delay(n.saturating_add(1), random);
            assert!(delay(n, random) <= next);
            assert!(next <= LONGEST.mul_f64(1.25));
        }

        #[test]
        fn no_minute_has_more_questions_than_it_may(
            steps in proptest::collection::vec((0_u64..20_000, proptest::bool::ANY), 1..200)
        ) {
            let start = Instant::now();
            let (mut backoff, mut now, mut asked) = (Backoff::default(), start, Vec::new());
            for (wait, fruitful) in steps {
                now += Duration::from_millis(wait);
                if !backoff.is_allowed(now) {
                    continue;
                }
                backoff.record_request(now);
                asked.push(now);
                if fruitful {
                    backoff.reset();
                } else {
                    backoff.record_failure(now, None, 0.5);
                }
            }
            for (index, first) in asked.iter().enumerate() {
                let within = asked[index..]
                    .iter()
                    .take_while(|question| **question < *first + MINUTE)
                    .count();
                assert!(within <= PER_MINUTE, "{within}");
            }
        }
    }

    #[test]
    fn third_fruitless_question_has_to_wait() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            assert!(backoff.is_allowed(now));
            backoff.record_request(now);
            backoff.record_failure(now, None, 0.5);
        }
        assert!(!backoff.is_allowed(now));
        assert!(backoff.is_allowed(now + Duration::from_secs(1)));
    }

    #[test]
    fn what_the_provider_asks_for_is_kept_for_a_minute_at_most() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.record_failure(now, Some(Duration::from_secs(17)), 0.5);
        assert!(!backoff.is_allowed(now + Duration::from_secs(16)));
        assert!(backoff.is_allowed(now + Duration::from_secs(17)));
        for wait in [Duration::from_secs(86_400), Duration::MAX] {
            let mut backoff = Backoff::default();
            backoff.record_failure(now, Some(wait), 0.5);
            assert_eq!(backoff.remaining(now), MINUTE);
            assert!(!backoff.is_allowed(now + Duration::from_secs(59)));
            assert!(backoff.is_allowed(now + MINUTE));
        }
    }

    #[test]
    fn remaining_time_is_that_of_the_pause_or_of_the_minute() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut backoff = Backoff::default();
        assert_eq!(backoff.remaining(start), Duration::ZERO);
        for number in 0..8 {
            backoff.record_request(start + second * number);
            backoff.reset();
        }
        let now = start + second * 10;
        assert_eq!(backoff.remaining(now), second * 50);
        backoff.record_failure(now, Some(second * 55), 0.5);
        assert_eq!(backoff.remaining(now), second * 55);
        assert_eq!(backoff.remaining(now + second * 55), Duration::ZERO);
    }

    #[test]
    fn new_trouble_after_a_long_rest_starts_anew() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.record_request(now);
            backoff.record_failure(now, None, 0.5);
        }
        let later = now + Duration::from_secs(3600);
        assert!(backoff.is_allowed(later));
        backoff.record_request(later);
        backoff.record_failure(later, None, 0.5);
        assert!(backoff.is_allowed(later));
    }

    #[test]
    fn trouble_goes_on_until_a_rest_of_twice_the_longest_pause() {
        let now = Instant::now();
        for (rest, is_new) in [(2 * LONGEST, false), (2 * LONGEST + MINUTE, true)] {
            let mut backoff = Backoff::default();
            for _ in 0..10 {
                backoff.record_request(now);
                backoff.record_failure(now, None, 0.5);
            }
            let later = now + rest;
            backoff.record_request(later);
            backoff.record_failure(later, None, 0.5);
            assert_eq!(backoff.is_allowed(later), is_new, "{rest:?}");
        }
    }

    #[test]
    fn spread_stays_within_its_limit() {
        assert_eq!(jitter(0.0), Duration::ZERO);
        assert_eq!(jitter(1.0), SPREAD);
    }
}
