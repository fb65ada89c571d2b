//! The health of a stage's database as the pool knows it: one state machine without a clock, a
//! lock or a network of its own.
//!
//! Every observation is an [`Event`]: a connection was opened, a write was refused, the provider
//! answered. [`Health::observe`] takes it with the time at which it happened, and returns what
//! the pool does about it. It alone decides
//!
//! - whether the credentials are stale, so that the provider is asked for new ones,
//! - whether the provider may be asked at this moment,
//! - since when nothing has worked, which limits how long work is tried again,
//! - whether a session that refused a write is closed,
//! - whether the server is near its connection limit, so that instances take turns.

mod concerns;
mod event;

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Now, SuspendAwareInstant};
use crate::meaning::Meaning;
use crate::postgres::pool::replacement::{Replacement, Verdict};
use crate::provider::Backoff;

pub(in crate::postgres) use self::concerns::Concerns;
pub(crate) use self::event::Event;
pub(in crate::postgres) use self::event::{Action, Answer, Reason};

/// The health of a stage's database and of its current credentials.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Health {
    credentials: CredentialHealth,
    /// Limits provider requests for want of a connection.
    unreachable: Backoff,
    /// Limits provider requests because the database is read-only. Apart, since a connection
    /// that opens proves nothing about writes.
    read_only: Backoff,
    /// Limits the closing of sessions that refuse writes.
    replacement: Replacement,
    connect_failing_since: Option<Instant>,
    write_failing_since: Option<Instant>,
    /// The provider was asked, and no connection was lent since.
    awaits_proof: bool,
    headroom: Headroom,
}

/// The health of one generation of credentials. The next generation starts anew.
#[derive(Debug, Default)]
struct CredentialHealth {
    /// Number of the generation; 0 before the first.
    generation: u64,
    /// The server went away, and no connection was opened since.
    is_suspect: bool,
    /// Start of a time in which every attempt to connect timed out.
    silent_since: Option<Instant>,
    /// A write was refused, and the provider was not asked since.
    is_read_only: bool,
}

/// The room that the server has for connections of other instances.
#[derive(Clone, Copy, Debug, Default)]
enum Headroom {
    #[default]
    Enough,
    /// A connection found hardly any, in the invocation that runs.
    NearLimit,
    /// There was hardly any, or none, at that time.
    Scarce(SuspendAwareInstant),
}

impl Health {
    /// Takes note of an event, and returns the pool's reaction.
    pub(in crate::postgres) fn observe(&mut self, event: Event, now: Now) -> Action {
        let own = self.credentials.generation;
        if event.generation().is_some_and(|number| number != own) {
            return event.of_old_credentials();
        }
        match event {
            Event::ConnectionWanted { .. } => {
                if std::mem::take(&mut self.credentials.is_read_only) {
                    return Action::AskProvider(Reason::ReadOnly);
                }
            }
            Event::Opened { .. } => self.credentials.record_connection(),
            Event::Lent { .. } => {
                if std::mem::take(&mut self.awaits_proof) {
                    self.unreachable.reset();
                }
            }
            Event::ConnectFailed { meaning, .. } => {
                self.record_room(meaning, now.suspend_aware);
                if self.credentials.is_stale_after(meaning, now.monotonic) {
                    return Action::AskProvider(Reason::Unreachable);
                }
            }
            Event::Ended { meaning, .. } => {
                self.record_room(meaning, now.suspend_aware);
                self.credentials.is_suspect |= meaning.may_be_stale() && meaning != Meaning::Silent;
            }
            Event::ReadOnly { .. } => self.credentials.is_read_only = true,
            Event::WriteRefused {
                session_opened_at,
                random,
                ..
            } => {
                self.credentials.is_read_only = true;
                let now = now.suspend_aware;
                let verdict = self
                    .replacement
                    .record_refusal(session_opened_at, now, random);
                if verdict == Verdict::Close {
                    return Action::CloseSession;
                }
            }
            Event::NearLimit { .. } => self.headroom = Headroom::NearLimit,
            Event::ReadSucceeded => self.connect_failing_since = None,
            Event::WriteSucceeded => {
                self.connect_failing_since = None;
                self.write_failing_since = None;
            }
            Event::WorkFailed { meaning } => {
                let since = match Reason::of(meaning) {
                    Reason::Unreachable => &mut self.connect_failing_since,
                    Reason::ReadOnly => &mut self.write_failing_since,
                };
                since.get_or_insert(now.monotonic);
            }
            Event::InvocationEnded => return self.end_invocation(now.suspend_aware),
            Event::ProviderAsked { reason } => {
                self.backoff_mut(reason).record_request(now.monotonic);
            }
            Event::ProviderAnswered {
                reason,
                answer,
                random,
            } => self.take_answer(reason, answer, now.monotonic, random),
            Event::Restarted { generation } => {
                self.credentials = CredentialHealth::of(generation);
            }
        }
        Action::Proceed
    }

    /// Returns whether the provider may be asked at this moment.
    #[cfg(test)]
    pub(in crate::postgres) fn may_ask(&self, reason: Reason, now: Now) -> bool {
        self.wait_to_ask(reason, now).is_zero()
    }

    /// Returns the time until the provider may be asked.
    pub(in crate::postgres) fn wait_to_ask(&self, reason: Reason, now: Now) -> Duration {
        let backoff = match reason {
            Reason::Unreachable => &self.unreachable,
            Reason::ReadOnly => &self.read_only,
        };
        backoff.remaining(now.monotonic)
    }

    /// Start of the time in which work has failed like this without success between.
    pub(in crate::postgres) fn failing_since(&self, meaning: Meaning) -> Option<Instant> {
        match Reason::of(meaning) {
            Reason::Unreachable => self.connect_failing_since,
            Reason::ReadOnly => self.write_failing_since,
        }
    }

    /// The concerns that are open. An event that settles none of them changes nothing.
    pub(in crate::postgres) fn concerns(&self) -> Concerns {
        let own = &self.credentials;
        Concerns::SUSPECT.when(own.is_suspect || own.silent_since.is_some())
            | Concerns::UNPROVEN.when(self.awaits_proof)
            | Concerns::READ_ONLY.when(own.is_read_only)
            | Concerns::NO_CONNECTION.when(self.connect_failing_since.is_some())
            | Concerns::NO_WRITES.when(self.write_failing_since.is_some())
            | Concerns::CROWDED.when(!matches!(self.headroom, Headroom::Enough))
    }

    /// Takes note of a server that has no room for another connection.
    fn record_room(&mut self, meaning: Meaning, now: SuspendAwareInstant) {
        if meaning.is_crowding() {
            self.headroom = Headroom::Scarce(now);
        }
    }

    fn end_invocation(&mut self, now: SuspendAwareInstant) -> Action {
        if matches!(self.headroom, Headroom::NearLimit) {
            self.headroom = Headroom::Scarce(now);
        }
        match self.headroom {
            Headroom::Scarce(since) if since.until(&now) < TURNS => return Action::CloseIdle,
            _ => self.headroom = Headroom::Enough,
        }
        Action::Proceed
    }

    fn take_answer(&mut self, reason: Reason, answer: Answer, now: Instant, random: f64) {
        let retry_after = match answer {
            // Until they have given a connection they may be as bad as those before.
            Answer::New { .. } | Answer::Same => None,
            Answer::Failed { retry_after } => retry_after,
        };
        self.backoff_mut(reason)
            .record_failure(now, retry_after, random);
        self.awaits_proof = true;
        if let Answer::New { generation } = answer {
            self.credentials = CredentialHealth::of(generation);
        }
    }

    fn backoff_mut(&mut self, reason: Reason) -> &mut Backoff {
        match reason {
            Reason::Unreachable => &mut self.unreachable,
            Reason::ReadOnly => &mut self.read_only,
        }
    }
}

impl CredentialHealth {
    fn of(generation: u64) -> Self {
        Self {
            generation,
            ..Self::default()
        }
    }

    fn record_connection(&mut self) {
        self.is_suspect = false;
        self.silent_since = None;
    }

    /// Takes note of a failure to connect. Returns whether it shows, in the light of those before
    /// it, that the credentials are stale.
    fn is_stale_after(&mut self, meaning: Meaning, now: Instant) -> bool {
        match meaning {
            Meaning::Refused | Meaning::Unknown | Meaning::Moved => true,
            Meaning::Suspect => std::mem::replace(&mut self.is_suspect, true),
            Meaning::Silent => {
                let since = *self.silent_since.get_or_insert(now);
                self.is_suspect || now.duration_since(since) >= SILENCE
            }
            Meaning::Crowded
            | Meaning::Passing
            | Meaning::ReadOnly
            | Meaning::LostRace
            | Meaning::Limited
            | Meaning::Final => false,
        }
    }
}

#[cfg(test)]
mod tests;

/// A time-out says nothing about the credentials, and a busy network causes several in a row.
/// After this long without any answer the address may belong to another server.
const SILENCE: Duration = Duration::from_secs(30);

/// After the server was near its limit, an instance keeps no connection between invocations for
/// this long, so that instances take turns. Each of its requests pays for a new connection
/// meanwhile.
const TURNS: Duration = Duration::from_secs(30);
