//! The SDK's own statements, sent ahead of the driver's next message in the same flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::postgres::protocol::Tap;

use super::reset_messages::ResetMessages;
use super::session_params::NEAR_LIMIT;

/// Statements to send ahead of the driver's next message, in the same flight.
///
/// The reset of the session has [messages of its own](ResetMessages), so that its failure is known
/// from that of others. Of the responses these facts are kept: the error of the reset, and whether
/// the database is [near its connection limit](NEAR_LIMIT).
#[derive(Clone, Debug, Default)]
pub(in crate::postgres) struct Pipelined(Arc<Pending>);

#[derive(Debug, Default)]
struct Pending {
    /// Checked with each write, so it is not behind the lock.
    is_any: AtomicBool,
    messages: Mutex<Messages>,
    /// Observes the driver's requests, once the driver has the stream.
    tap: OnceLock<Tap>,
    is_near_limit: AtomicBool,
    /// The error that a reset failed with.
    reset_error: OnceLock<ResetError>,
}

/// The messages to send: first the reset, then the other statements as a Query message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) reset: Option<Arc<ResetMessages>>,
    pub(super) statements: String,
}

/// The server's error for a reset.
#[derive(Debug)]
pub(in crate::postgres) struct ResetError {
    /// The SQLSTATE.
    pub(in crate::postgres) code: String,
    pub(in crate::postgres) message: String,
}

/// The failure of a reset.
pub(super) enum ResetFailure<'a> {
    /// The server answered it with this ErrorResponse.
    Refused(&'a [u8]),
    /// The session has replaced a prepared statement of it.
    Replaced,
}

/// A response that the server owes, up to its ReadyForQuery; that to a reset has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// Of a request of the driver, sent before own statements: it passes through.
    Driver,
    /// Of the early query, which was sent before the server was ready: it is missing if a
    /// middlebox dropped it.
    EarlyQuery,
    /// Of a query at the start of the session: the early one once it has begun, or a later one.
    AtStart,
    Statements,
    /// Of a reset, up to the CommandComplete of its last statement, or to an error.
    Reset,
}

impl Pipelined {
    /// Adds statements.
    pub(in crate::postgres) fn add(&self, statements: &str) {
        if statements.is_empty() {
            return;
        }
        let mut messages = self.messages();
        let all = &mut messages.statements;
        if !all.is_empty() {
            all.push_str("; ");
        }
        all.push_str(statements);
        self.0.is_any.store(true, Ordering::Release);
    }

    /// Has the session reset, ahead of all other statements. If that fails, the stream ends
    /// before the driver reads the response to its own message.
    pub(in crate::postgres) fn add_reset(&self, messages: Arc<ResetMessages>) {
        self.messages().reset = Some(messages);
        self.0.is_any.store(true, Ordering::Release);
    }

    /// Attaches the tap above the stream, which knows the driver's requests.
    pub(in crate::postgres) fn attach_tap(&self, tap: &Tap) {
        self.0.tap.set(tap.clone()).ok();
    }

    /// Returns whether a response said that the database is near its connection limit, and clears
    /// that.
    pub(in crate::postgres) fn take_near_limit(&self) -> bool {
        self.0.is_near_limit.swap(false, Ordering::Relaxed)
    }

    /// Returns the error that a reset failed with, if one has.
    pub(in crate::postgres) fn reset_error(&self) -> Option<&ResetError> {
        self.0.reset_error.get()
    }

    /// Returns whether statements wait for the driver's next message.
    pub(in crate::postgres) fn is_pending(&self) -> bool {
        self.0.is_any.load(Ordering::Acquire)
    }

    /// Returns whether a reset is to be sent.
    pub(super) fn is_reset_pending(&self) -> bool {
        self.0.is_any.load(Ordering::Acquire) && self.messages().reset.is_some()
    }

    /// Takes the messages to send, if there are any and the driver is at the start of a message.
    /// Returns also the number of the driver's requests that the server has not answered.
    pub(super) fn take(&self) -> Option<(Messages, usize)> {
        if !self.0.is_any.load(Ordering::Acquire) {
            return None;
        }
        let tap = self.0.tap.get();
        let unanswered = tap.map_or(Some(0), Tap::unanswered_between_messages)?;
        self.0.is_any.store(false, Ordering::Release);
        Some((std::mem::take(&mut *self.messages()), unanswered))
    }

    /// Returns the number of the driver's requests that the server has not answered.
    pub(super) fn unanswered_count(&self) -> usize {
        self.0.tap.get().map_or(0, Tap::unanswered_count)
    }

    /// Inspects a row of the response to own statements.
    pub(super) fn record_row(&self, message: &[u8]) {
        if message.ends_with(NEAR_LIMIT.as_bytes()) {
            self.0.is_near_limit.store(true, Ordering::Relaxed);
        }
    }

    /// Takes note of a reset that failed.
    pub(super) fn record_reset_failure(&self, failure: ResetFailure<'_>) {
        let error = match failure {
            ResetFailure::Refused(message) => {
                let fields = message.get(HEAD_BYTES..).unwrap_or_default();
                let field = |kind: u8| {
                    let mut fields = fields.split(|byte| *byte == 0);
                    let field = fields.find_map(|field| field.strip_prefix(&[kind]));
                    String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
                };
                ResetError {
                    code: field(b'C'),
                    message: field(b'M'),
                }
            }
            ResetFailure::Replaced => ResetError {
                code: "26000".to_owned(),
                message: "the session has replaced a prepared statement of the reset".to_owned(),
            },
        };
        self.0.reset_error.set(error).ok();
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        let messages = self.0.messages.lock();
        messages.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Builds the ErrorResponse that the driver reads in place of the response to its request behind
/// a failed reset. Only an error with a routine says that the request had no effect.
pub(super) fn failed_reset(had_no_effect: bool) -> Vec<u8> {
    let routine = if had_no_effect {
        "Rstagelink_reset\0"
    } else {
        ""
    };
    let fields = format!("SFATAL\0VFATAL\0C08006\0M{FAILED_RESET}\0{routine}\0");
    let length = u32::try_from(fields.len() + LENGTH_BYTES).unwrap_or(u32::MAX);
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

const FAILED_RESET: &str =
    "the database session still had settings of an earlier request, so its connection was closed";

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 5;
