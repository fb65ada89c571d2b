//! The observations that a [`Health`](super::Health) takes note of, and the reactions of the pool.

use std::time::Duration;

use crate::clock::SuspendAwareInstant;
use crate::meaning::Meaning;
use crate::postgres::pool::health::concerns::Concerns;

/// An observation. `generation` is the number of the generation that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A request is about to take a connection.
    ConnectionWanted { generation: u64 },
    /// A new connection was opened.
    Opened { generation: u64 },
    /// The pool lent a connection.
    Lent { generation: u64 },
    /// The pool got no connection.
    ConnectFailed { generation: u64, meaning: Meaning },
    /// A connection of the pool ended.
    Ended { generation: u64, meaning: Meaning },
    /// The server reported at the start of a session that it refuses writes.
    ReadOnly { generation: u64 },
    /// The server refused a write. `random` is a number from 0 to 1.
    WriteRefused {
        generation: u64,
        session_opened_at: SuspendAwareInstant,
        random: f64,
    },
    /// A connection found hardly any room for others.
    NearLimit { generation: u64 },
    /// A read succeeded.
    ReadSucceeded,
    /// A write succeeded, or failed by its own fault.
    WriteSucceeded,
    /// An attempt at some work failed and may be made again.
    WorkFailed { meaning: Meaning },
    /// The invocation ended, and the process may be frozen.
    InvocationEnded,
    /// A request is being sent to the provider.
    ProviderAsked { reason: Reason },
    /// The provider answered. `random` is a number from 0 to 1.
    ProviderAnswered {
        reason: Reason,
        answer: Answer,
        random: f64,
    },
    /// The credentials are used by a new generation, without a request to the provider.
    Restarted { generation: u64 },
}

/// The reason for a request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No connection can be opened, or there are no credentials yet.
    Unreachable,
    /// The database is read-only.
    ReadOnly,
}

/// The provider's answer, reduced to what the state machine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// New credentials, which make this generation.
    New { generation: u64 },
    /// The credentials that are in use already.
    Same,
    /// No credentials. `retry_after` is the provider's own.
    Failed { retry_after: Option<Duration> },
}

/// The reaction of the pool to an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// None.
    Proceed,
    /// Ask the provider for new credentials: those in use are stale.
    AskProvider(Reason),
    /// Close the session that the event is about: another may take writes.
    CloseSession,
    /// Close the idle connections, so that other instances get their turn.
    CloseIdle,
}

impl Reason {
    /// The reason that a failure gives.
    pub(in crate::postgres) fn of(meaning: Meaning) -> Self {
        match meaning {
            Meaning::ReadOnly => Self::ReadOnly,
            _ => Self::Unreachable,
        }
    }
}

impl Event {
    /// Number of the generation that the event is about.
    pub(super) fn generation(self) -> Option<u64> {
        match self {
            Self::ConnectionWanted { generation }
            | Self::Opened { generation }
            | Self::Lent { generation }
            | Self::ConnectFailed { generation, .. }
            | Self::Ended { generation, .. }
            | Self::ReadOnly { generation }
            | Self::WriteRefused { generation, .. }
            | Self::NearLimit { generation } => Some(generation),
            _ => None,
        }
    }

    /// The reaction to an event of credentials that have been replaced: it proves nothing about
    /// those in use. Where a connection failed in a way that may be the old credentials' fault,
    /// the pool asks for new ones, and finds that they are there.
    pub(super) fn of_old_credentials(self) -> Action {
        match self {
            Self::ConnectFailed { meaning, .. } if meaning.may_be_stale() => {
                Action::AskProvider(Reason::Unreachable)
            }
            _ => Action::Proceed,
        }
    }

    /// The concerns that this event settles. `None` where it may change a health without any.
    pub(in crate::postgres) fn settles(self) -> Option<Concerns> {
        Some(match self {
            Self::ConnectionWanted { .. } => Concerns::READ_ONLY,
            Self::Opened { .. } => Concerns::SUSPECT,
            Self::Lent { .. } => Concerns::UNPROVEN,
            Self::ReadSucceeded => Concerns::NO_CONNECTION,
            Self::WriteSucceeded => Concerns::NO_CONNECTION | Concerns::NO_WRITES,
            Self::InvocationEnded => Concerns::CROWDED,
            _ => return None,
        })
    }
}
