//! Requests that are sent again until they succeed, where repeating them is safe: the uploads of a
//! deploy, and what is the same when it is done twice.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::time::sleep;

use crate::api::{Api, Request, Response};
use crate::error::{Error, ErrorKind};
use crate::fence::{Attempt, AttemptEnd};

/// The pauses between attempts, and the limits of a deploy.
///
/// netlify-cli 27 makes five attempts at an upload, with pauses of 5 s up to 90 s, and waits for 20
/// minutes until a deploy is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Each later pause is three times as long, and up to a half more.
    pub(super) first_pause: Duration,
    /// The longest pause that a rate limit may ask for.
    pub(super) longest_pause: Duration,
    /// The time between two looks at a deploy that is not ready.
    pub(super) poll: Duration,
    /// The time within which a deploy has to be ready.
    pub(super) limit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(2),
            // Netlify takes three deploys a minute.
            longest_pause: Duration::from_secs(120),
            poll: Duration::from_secs(1),
            limit: READY_LIMIT,
        }
    }
}

/// The attempts at a request.
#[derive(Debug)]
pub(super) struct Persistence {
    pace: Pace,
    number: u32,
}

impl Persistence {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, number: 1 }
    }

    /// The number of attempts that were made.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Pauses before the next attempt. Returns false, without a pause, where there is none.
    /// `retry_after` is the time for which the service asks.
    pub(super) async fn pause(&mut self, retry_after: Option<Duration>) -> bool {
        let Some(pause) = self.next(retry_after, fastrand::f64()) else {
            return false;
        };
        sleep(pause).await;
        true
    }

    fn next(&mut self, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        if self.number >= MOST_ATTEMPTS {
            return None;
        }
        let own = self.pace.first_pause * 3_u32.pow(self.number - 1);
        let pause = own.mul_f64(1.0 + random / 2.0);
        let pause = match retry_after {
            Some(asked) if asked > self.pace.longest_pause => return None,
            Some(asked) => pause.max(asked),
            None => pause,
        };
        self.number += 1;
        Some(pause)
    }
}

/// Sends a request that is safe to repeat, again after a rate limit, a failure of Netlify's or a lost
/// answer. Any other answer is returned, and so is the last one.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when no attempt gets an answer; those of `begin`, which begins each attempt.
pub(super) async fn send(
    api: &Api,
    pace: Pace,
    mut request: Request<'_>,
    begin: impl AsyncFn() -> Result<Attempt, Error>,
) -> Result<Response, Error> {
    let mut attempts = Persistence::new(pace);
    loop {
        let attempt = begin().await?;
        let sent = api.send_once(&request).await;
        attempt.end(end_of(&sent));
        let (is_final, retry_after) = match &sent {
            Ok(response) => (!response.may_pass(), response.retry_after()),
            Err(error) => (error.kind() != ErrorKind::Unavailable, None),
        };
        let number = attempts.number();
        if is_final || !attempts.pause(retry_after).await {
            return sent.map(|mut response| {
                response.attempts = number;
                response
            });
        }
        if request.upload.is_some() {
            let count = HeaderValue::from(attempts.number() - 1);
            request.header = Some((RETRY_COUNT, count));
        }
    }
}

/// Returns what an attempt at a change tells of its result.
pub(super) fn end_of(sent: &Result<Response, Error>) -> AttemptEnd {
    match sent {
        Ok(response) if response.status == StatusCode::TOO_MANY_REQUESTS => AttemptEnd::NotTaken,
        // One before Netlify's own server answers so, too, while that goes on with the request.
        Ok(response) if response.status.is_server_error() => AttemptEnd::Unknown,
        Ok(_) => AttemptEnd::Known,
        Err(_) => AttemptEnd::Unknown,
    }
}

/// The time within which a deploy has to be ready, as netlify-cli has it.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The header by which netlify-cli tells the number of a repeated upload.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-nf-retry-count");

const MOST_ATTEMPTS: u32 = 5;

#[cfg(test)]
impl Pace {
    /// Pauses that a test does not notice.
    pub(super) fn of_tests() -> Self {
        Self {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_secs(2),
            poll: Duration::from_millis(1),
            limit: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut attempts = Persistence::new(Pace::default());
        let pauses: Vec<_> = std::iter::from_fn(|| attempts.next(None, 0.0)).collect();
        assert_eq!(pauses, [2, 6, 18, 54].map(Duration::from_secs));
        assert_eq!(attempts.number(), 5);
        let spread = Persistence::new(Pace::default()).next(None, 1.0);
        assert_eq!(spread, Some(Duration::from_secs(3)));
    }

    #[test]
    fn rate_limit_is_waited_for_up_to_two_minutes() {
        let next = |seconds| {
            let asked = Some(Duration::from_secs(seconds));
            Persistence::new(Pace::default()).next(asked, 0.0)
        };
        assert_eq!(next(0), Some(Duration::from_secs(2)));
        assert_eq!(next(60), Some(Duration::from_secs(60)));
        assert_eq!(next(121), None);
    }
}
