//! Asks the provider for the credentials of the next generation: one request at a time, within
//! the limits that the health sets.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::local_spans::{SpanPhase, open_span};
use crate::meaning::{Meaning, Repeats};
use crate::postgres::connect::connector::Connector;
use crate::postgres::connect::time_out::timed_out;
use crate::postgres::pool::Pool;
use crate::postgres::pool::health::{Answer, Event, Reason};
use crate::postgres::pool::loans::Loans;
use crate::postgres::pool::manager::{ConnectionManager, Connections};
use crate::provider::jitter;

impl Pool {
    /// Returns the generation after a stale one, or the first. Of several requests at the same
    /// time one asks the provider, and the others get its answer.
    pub(super) async fn renew(
        &self,
        stale: Option<(&Connections, &Error)>,
    ) -> Result<Connections, Error> {
        let mut last_failure = self.renewal.lock().await;
        let known = stale.map_or(0, |(old, _)| old.manager().generation);
        let evidence = stale.map(|(_, evidence)| evidence);
        let newer = |current: &Connections| current.manager().generation > known;
        if let Some(current) = self.current().filter(newer) {
            return Ok(current);
        }
        let reason = evidence.map_or(Reason::Unreachable, |error| Reason::of(error.meaning()));
        let wait = self.health.wait_to_ask(reason);
        if !wait.is_zero() {
            let failure = evidence.or(last_failure.as_ref()).cloned();
            let failure = failure.unwrap_or_else(|| self.too_many_requests());
            let failure = match self.provider.is_fixed() {
                true => without_other_credentials(failure, true),
                false => failure,
            };
            return Err(with_wait(failure, wait));
        }
        if stale.is_some() {
            let span = open_span(SpanPhase::Pause);
            sleep(jitter(fastrand::f64())).await;
            span.end();
        }
        self.health.observe(Event::ProviderAsked { reason });
        let started = Instant::now();
        let answered = |answer| Event::ProviderAnswered {
            reason,
            answer,
            random: fastrand::f64(),
        };
        let span = open_span(SpanPhase::Credentials);
        let asked = self.ask_provider().await;
        span.end();
        let (answer, failure) = match (asked, stale) {
            (Ok(credentials), Some((old, evidence))) if is_same(old, &credentials) => {
                let failure = self.still_the_same(&credentials, evidence);
                let is_fixed = self.provider.is_fixed();
                (Answer::Same, without_other_credentials(failure, is_fixed))
            }
            (Ok(credentials), _) => {
                let generation = known + 1;
                let next = self.generation(generation, credentials, Some(started.elapsed()))?;
                self.health.observe(answered(Answer::New { generation }));
                *last_failure = evidence.cloned();
                if self.replace(Some(next.clone())).is_some() {
                    tracing::info!(
                        generation,
                        origin = next.manager().connector.credentials().origin,
                        "the credentials were stale and have been renewed"
                    );
                }
                return Ok(next);
            }
            (Err(error), evidence) => {
                let retry_after = error.retry_after();
                let failure = match evidence {
                    None => error,
                    Some((_, evidence)) => {
                        tracing::warn!(reason = %error.report(), "could not ask for new credentials");
                        after_failed_request(evidence.clone(), &error)
                    }
                };
                (Answer::Failed { retry_after }, failure)
            }
        };
        self.health.observe(answered(answer));
        *last_failure = Some(failure.clone());
        Err(with_wait(failure, self.health.wait_to_ask(reason)))
    }

    /// Makes a generation from credentials. `resolved_in` is the time that the provider took.
    pub(super) fn generation(
        &self,
        generation: u64,
        credentials: Credentials,
        resolved_in: Option<Duration>,
    ) -> Result<Connections, Error> {
        let connector = Connector::new(
            self.stage,
            credentials,
            resolved_in,
            self.limits.clone(),
            self.server.clone(),
            self.hints.clone(),
        );
        ConnectionManager {
            generation,
            connector,
            health: Arc::clone(&self.health),
            reset_tasks: Arc::clone(&self.reset_tasks),
            loans: Loans::default(),
            limits: self.limits.clone(),
        }
        .into_pool()
    }

    /// Asks the provider, once and within the time limit.
    async fn ask_provider(&self) -> Result<Credentials, Error> {
        let limit = self.limits.resolve;
        timeout(limit, self.provider.resolve(self.stage))
            .await
            .unwrap_or_else(|_| {
                let stage = self.stage;
                let what = format!("asking the provider for the database of stage {stage}");
                Err(timed_out(Phase::Resolve, limit, &what))
            })
    }

    fn still_the_same(&self, credentials: &Credentials, evidence: &Error) -> Error {
        Error::with_source(
            evidence.kind(),
            format!(
                "the database of stage {} cannot be used, and {} still holds the same URL: look \
                 after the database at its provider",
                self.stage, credentials.origin
            ),
            evidence.clone(),
        )
        .with_meaning(evidence.meaning())
    }

    fn too_many_requests(&self) -> Error {
        Error::new(
            ErrorKind::RateLimited,
            format!(
                "the provider was asked for the database of stage {} often enough in the last \
                 minute",
                self.stage
            ),
        )
    }
}

/// Sets the meaning of a failure after the provider has given no other credentials.
fn without_other_credentials(failure: Error, is_fixed: bool) -> Error {
    let meaning = failure.meaning().without_other_credentials(is_fixed);
    failure.with_meaning(meaning)
}

/// Sets the meaning of a failure after the provider could not be asked. Where the provider's own
/// failure passes, other credentials may still come.
fn after_failed_request(failure: Error, of_provider: &Error) -> Error {
    match (failure.meaning(), of_provider.meaning().repeats()) {
        (_, Repeats::None) => without_other_credentials(failure, true),
        (Meaning::Unknown, _) => failure.with_meaning(Meaning::Refused),
        _ => failure,
    }
}

/// Tells the client how long the provider is left alone, where only the provider's answer can help.
fn with_wait(failure: Error, wait: Duration) -> Error {
    let needs_provider = matches!(
        failure.kind(),
        ErrorKind::RateLimited
            | ErrorKind::ProviderUnavailable
            | ErrorKind::Timeout(Phase::Resolve)
            | ErrorKind::DatabaseRefused
            | ErrorKind::DatabaseMissing
    );
    if wait.is_zero() || !needs_provider || failure.meaning() == Meaning::Final {
        return failure;
    }
    // Whole seconds, as a client gets them: it must not come back too early.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    failure.with_retry_after(Some(Duration::from_secs(seconds)))
}

fn is_same(old: &Connections, credentials: &Credentials) -> bool {
    let own = &old.manager().connector.credentials().url;
    own.is_same_as(&credentials.url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind, meaning: Meaning) -> Error {
        Error::new(kind, "a failure").with_meaning(meaning)
    }

    #[test]
    fn failure_of_the_provider_leaves_hope_where_it_passes() {
        use Meaning::{Final, Moved, Passing, Refused, Unknown};
        for (meaning, of_provider, expected) in [
            (Refused, Final, Final),
            (Unknown, Final, Final),
            (Moved, Final, Moved),
            (Refused, Passing, Refused),
            (Unknown, Passing, Refused),
            (Moved, Passing, Moved),
        ] {
            let own = failure(ErrorKind::DatabaseRefused, meaning);
            let of_provider = failure(ErrorKind::ProviderUnavailable, of_provider);
            let after = after_failed_request(own, &of_provider);
            assert_eq!(after.meaning(), expected, "{meaning:?}, {of_provider}");
        }
    }

    #[test]
    fn client_comes_back_when_the_provider_may_be_asked_where_only_that_helps() {
        let (second, refused) = (Duration::from_secs(1), ErrorKind::DatabaseRefused);
        let wait = |kind, meaning, wait| with_wait(failure(kind, meaning), wait).retry_after();
        for kind in [
            ErrorKind::RateLimited,
            ErrorKind::ProviderUnavailable,
            ErrorKind::Timeout(Phase::Resolve),
            ErrorKind::DatabaseMissing,
            refused,
        ] {
            assert_eq!(
                wait(kind, Meaning::Refused, second),
                Some(second),
                "{kind:?}"
            );
        }
        // Rounded up, so that the client does not come too early.
        let longer = second + Duration::from_nanos(1);
        assert_eq!(wait(refused, Meaning::Refused, longer), Some(2 * second));
        assert_eq!(wait(refused, Meaning::Refused, Duration::ZERO), None);
        assert_eq!(wait(refused, Meaning::Final, second), None);
        // Such a server may be back before the provider may be asked.
        let unreachable = ErrorKind::DatabaseUnreachable;
        assert_eq!(wait(unreachable, Meaning::Moved, 7 * second), Some(second));
    }
}
