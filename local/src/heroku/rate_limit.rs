//! The rate limit of an account: a token bucket.
//!
//! Heroku allows an account 4500 requests per hour, refilled by 75 per minute and shared by all
//! clients of the account (R. Schneeman, 2020-07-08).

use std::time::{Duration, Instant};

/// The requests that an account may still make.
#[derive(Debug)]
pub(super) struct RateLimit {
    tokens: f64,
    refilled: Instant,
}

impl RateLimit {
    /// Creates a full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tokens: CAPACITY,
            refilled: now,
        }
    }

    /// Takes one request out of the bucket. Returns the number of requests left, or `None` if the
    /// bucket is empty.
    pub(super) fn try_acquire(&mut self, now: Instant) -> Option<u32> {
        if self.remaining(now) == 0 {
            return None;
        }
        self.tokens -= 1.0;
        Some(self.tokens as u32)
    }

    /// Refills the bucket and returns the number of requests left.
    pub(super) fn remaining(&mut self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.refilled);
        self.tokens = (self.tokens + refill(passed)).min(CAPACITY);
        self.refilled = now;
        self.tokens as u32
    }

    /// Sets the number of requests left, at most a full bucket.
    pub(super) fn set_remaining(&mut self, remaining: u32, now: Instant) {
        self.tokens = f64::from(remaining).min(CAPACITY);
        self.refilled = now;
    }
}

fn refill(passed: Duration) -> f64 {
    passed.as_secs_f64() * PER_SECOND
}

const CAPACITY: f64 = 4500.0;
const PER_SECOND: f64 = 75.0 / 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bucket_refuses_until_it_refills() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        assert_eq!(limit.try_acquire(start), Some(4499));
        limit.set_remaining(1, start);
        assert_eq!(limit.try_acquire(start), Some(0));
        assert_eq!(limit.try_acquire(start), None);
        assert_eq!(limit.remaining(start + Duration::from_secs(60)), 75);
        assert_eq!(limit.remaining(start + Duration::from_secs(7200)), 4500);
    }
}
