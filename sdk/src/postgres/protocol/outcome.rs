//! The transaction state of a connection and the outcome of its writes, derived from messages.
//!
//! # A COPY from the client that fails
//!
//! The driver sends a Sync with the COPY, and another one behind the data and their end. Which of
//! them the server answers depends on where it stood when the COPY failed:
//!
//! | COPY failed | the first Sync | the second Sync | ReadyForQuery |
//! | --- | --- | --- | --- |
//! | before CopyInResponse | answered | answered if it was sent before the error came; else the [tap](super::Tap) drops it with its CopyFail | two or one |
//! | after it, before the data was read (a view, a BEFORE trigger) | answered | answered | two |
//! | while the data was read, or later | ignored, as a part of the data | answered | one |
//!
//! The driver expects one, and would take the second for the response to its next request. Nothing
//! comes between the two, and the response to each later request begins with another message: so a
//! ReadyForQuery directly behind that of a failed COPY is the second one, and the driver does not
//! get it. The one exception is the response to a lone Sync, which is a ReadyForQuery alone: where
//! the driver waits for that, the two cannot be told apart, and the connection ends. An error that
//! names a line of the COPY, or that Postgres raised as it read the data, has one response for sure. So
//! has a COPY with a single Sync, behind its data, as [`ClientStatements`](super::ClientStatements)
//! sends it to a pooler.

use std::collections::VecDeque;

use self::exchange::{Request, Response};
use crate::postgres::protocol::frames::STARTUP;
use crate::postgres::protocol::{ErrorResponse, Origin, Severity};

mod exchange;
#[cfg(test)]
mod tests;

/// The state of a connection, updated with each message. Pure: it does no I/O.
#[derive(Debug, Default)]
pub(in crate::postgres) struct TransactionTracker {
    /// The request that is being sent.
    request: Request,
    /// True if a message has been sent in part.
    is_mid_message: bool,
    /// True if the driver has bytes to send that the stream does not take.
    is_write_blocked: bool,
    /// Requests that the server has not ended with ReadyForQuery, oldest first.
    unanswered: VecDeque<Request>,
    /// Number of requests with work, the start of the session included.
    works: u64,
    /// Number of responses after which something had taken effect.
    effects: u64,
    /// True if a transaction was open at the last response.
    in_transaction: bool,
    /// The part of the current response that has arrived.
    response: Response,
    /// True if the current response has begun a COPY from the client.
    is_copying: bool,
    /// True if the last response was that of a failed COPY, which the server may answer again.
    may_be_answered_twice: bool,
    /// True if the driver may take each response from here on for that of another request.
    is_out_of_step: bool,
    /// True if a ReadyForQuery came in place of the response to work, as a pooler passes on that of
    /// another client.
    is_misrouted: bool,
    /// Number of errors that the server reported, and the last of them.
    errors: u64,
    last_error: ErrorResponse,
    /// Number of errors that refused a write because the session is read-only.
    refused_writes: u64,
    /// Number of errors that only an invalid prepared statement caused.
    lost_plans: u64,
    /// The loss of prepared statements that the last messages told of.
    statement_loss: Option<StatementLoss>,
    /// True if the session has lost prepared statements.
    has_lost_statements: bool,
    ended: bool,
}

/// A way to lose prepared statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum StatementLoss {
    /// A command deallocated them.
    Deallocated,
    /// A statement failed, since it is missing or its result has changed.
    Failed,
}

/// A position in the life of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    effects: u64,
    errors: u64,
    refused_writes: u64,
    lost_plans: u64,
}

/// The outcome of everything that was sent since a checkpoint.
///
/// Two effects are invisible to the client: a sequence that advanced, which no rollback reverts,
/// and a procedure that committed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// Nothing took effect: it was not sent, it failed, or it was rolled back.
    NotApplied,
    /// Unknown: the response never arrived.
    InDoubt,
    /// Something took effect.
    Applied,
}

/// The state of a connection when it is returned to the pool.
#[derive(Debug)]
pub(crate) struct ReturnState {
    /// The connection has ended, or the server has announced that it will.
    pub(crate) has_ended: bool,
    /// The server may answer a failed COPY a second time.
    pub(crate) may_be_answered_twice: bool,
    /// No work is being sent or waits for its response, and no transaction is open.
    pub(crate) is_idle: bool,
    /// The last error that the server reported.
    pub(crate) error: Option<ErrorResponse>,
    /// The server refused a write, because the session is read-only.
    pub(crate) has_refused_write: bool,
    /// The session has lost prepared statements, of which the driver may have some of its own.
    pub(crate) has_lost_statements: bool,
    /// The number of requests that were more than a Sync or a Close.
    pub(crate) work_count: u64,
    /// The current position.
    pub(crate) checkpoint: Checkpoint,
}

impl TransactionTracker {
    pub(in crate::postgres) fn return_state_since(&self, checkpoint: &Checkpoint) -> ReturnState {
        ReturnState {
            has_ended: self.has_ended(),
            may_be_answered_twice: self.may_be_answered_twice,
            is_idle: self.is_idle(),
            error: self.error_since(checkpoint).cloned(),
            has_refused_write: self.has_refused_write_since(checkpoint),
            has_lost_statements: self.has_lost_statements,
            work_count: self.works,
            checkpoint: self.checkpoint(),
        }
    }

    pub(in crate::postgres) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            effects: self.effects,
            errors: self.errors,
            refused_writes: self.refused_writes,
            lost_plans: self.lost_plans,
        }
    }

    pub(in crate::postgres) fn outcome_since(&self, checkpoint: &Checkpoint) -> WriteOutcome {
        if self.effects > checkpoint.effects {
            WriteOutcome::Applied
        } else if !self.waits() || self.response.fatal || self.is_refused() {
            // A request without its final Query or Sync is never committed. And before Postgres
            // ends a session in an orderly way, it rolls back what it has not ended with
            // ReadyForQuery.
            WriteOutcome::NotApplied
        } else {
            WriteOutcome::InDoubt
        }
    }

    pub(in crate::postgres) fn error_since(
        &self,
        checkpoint: &Checkpoint,
    ) -> Option<&ErrorResponse> {
        (self.errors > checkpoint.errors).then_some(&self.last_error)
    }

    /// Returns whether the server refused a write since the checkpoint, whatever it said after
    /// that: in a transaction each later statement fails with another error.
    pub(in crate::postgres) fn has_refused_write_since(&self, checkpoint: &Checkpoint) -> bool {
        self.refused_writes > checkpoint.refused_writes
    }

    pub(in crate::postgres) fn has_ended(&self) -> bool {
        self.ended || self.response.fatal
    }

    pub(in crate::postgres) fn is_idle(&self) -> bool {
        !self.is_at_work() && !self.in_transaction
    }

    /// Returns whether work waits for its response, or is being sent.
    pub(in crate::postgres) fn is_at_work(&self) -> bool {
        let is_begun = self.request.is_work() || self.request == Request::CopyEnd;
        self.is_mid_message || self.is_write_blocked || is_begun || self.waits()
    }

    /// Returns whether a message has been sent in part.
    pub(in crate::postgres) fn is_mid_message(&self) -> bool {
        self.is_mid_message
    }

    /// Returns whether no work was sent after the start of the session.
    pub(in crate::postgres) fn is_new(&self) -> bool {
        self.works <= 1
    }

    /// Returns the number of requests that were more than a Sync or a Close.
    pub(in crate::postgres) fn work_count(&self) -> u64 {
        self.works
    }

    /// Returns the number of requests whose response has not ended.
    pub(in crate::postgres) fn unanswered_count(&self) -> usize {
        self.unanswered.len()
    }

    pub(in crate::postgres) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    pub(in crate::postgres) fn record_lost_plan(&mut self) {
        self.lost_plans += 1;
    }

    pub(in crate::postgres) fn has_lost_plan_since(&self, checkpoint: &Checkpoint) -> bool {
        self.lost_plans > checkpoint.lost_plans
    }

    /// Returns the loss of prepared statements that messages since the last call told of.
    pub(in crate::postgres) fn take_statement_loss(&mut self) -> Option<StatementLoss> {
        self.statement_loss.take()
    }

    /// Returns whether the only outstanding work has failed, and only the end of its response is
    /// missing.
    fn is_refused(&self) -> bool {
        let waiting = self.unanswered.iter();
        let works = waiting.filter(|request| request.is_work());
        self.response.refused && !self.response.committed && works.count() == 1
    }

    /// Returns whether a CopyFail would be for a COPY that has failed before it began. The driver
    /// sends one, and does not expect the server's response to the Sync behind it.
    pub(in crate::postgres) fn has_no_copy_to_end(&self) -> bool {
        let has_failed = self.unanswered.len() == 1 && self.response.failed;
        // Else the Sync behind it is the only one of the COPY.
        let was_synced = !self.request.is_work();
        was_synced && !self.is_copying && (self.unanswered.is_empty() || has_failed)
    }

    /// Returns whether the driver may take responses for those of other requests.
    pub(in crate::postgres) fn is_out_of_step(&self) -> bool {
        self.is_out_of_step
    }

    /// Returns whether the connection has got the response to another client's request. The server
    /// may have done its own work, whose response is lost.
    pub(in crate::postgres) fn is_misrouted(&self) -> bool {
        self.is_misrouted
    }

    /// Returns whether the next response is that to work.
    fn is_work_next(&self) -> bool {
        self.unanswered.front().is_some_and(Request::is_work)
    }

    /// Returns whether work that was sent waits for its response.
    pub(in crate::postgres) fn waits(&self) -> bool {
        self.unanswered.iter().any(Request::is_work)
    }

    /// Records that the stream ended or broke.
    pub(in crate::postgres) fn end(&mut self) {
        self.ended = true;
    }

    /// Records a message of the driver, once its type is known.
    pub(in crate::postgres) fn sent(&mut self, tag: u8) {
        match tag {
            // StartupMessage, Query, FunctionCall.
            STARTUP | b'Q' | b'F' => {
                // The start of a session is no request that another's response can stand for.
                self.response.has_begun |= tag == STARTUP;
                self.record_request(Request::Work);
            }
            // Sync
            b'S' => {
                let request = std::mem::take(&mut self.request);
                let is_end_of_current = self.is_copying && self.unanswered.len() == 1;
                // The server has ignored the Sync ahead of the data, and answers this one.
                if request != Request::CopyEnd || !is_end_of_current {
                    self.record_request(request);
                }
            }
            // CopyDone, CopyFail
            b'c' | b'f' if self.request.is_work() => self.request = Request::WholeCopy,
            b'c' | b'f' => self.request = Request::CopyEnd,
            // Parse, Bind, Execute. A Close among them does not matter.
            b'P' | b'B' | b'E' => self.request = Request::Work,
            b'C' if self.request == Request::Sync => self.request = Request::Close,
            _ => {}
        }
    }

    /// Records that the stream took bytes of the driver, whose messages are recorded by
    /// [`sent`](Self::sent).
    pub(in crate::postgres) fn record_write(&mut self, is_mid_message: bool) {
        self.is_mid_message = is_mid_message;
        self.is_write_blocked = false;
    }

    /// Records that the stream takes no bytes of the driver for now.
    pub(in crate::postgres) fn record_blocked_write(&mut self) {
        self.is_write_blocked = true;
    }

    fn record_request(&mut self, request: Request) {
        self.works += u64::from(request.is_work());
        self.unanswered.push_back(request);
    }

    /// Records a message of the server. Returns whether the driver is to get it.
    pub(in crate::postgres) fn received(&mut self, tag: u8, body: &[u8]) -> bool {
        if !matches!(tag, b'Z' | b'N' | b'A' | b'S') {
            // Not one of those that may come at any time, so the next response has begun.
            self.may_be_answered_twice = false;
            self.response.has_begun = true;
            if self.unanswered.front() == Some(&Request::CopyEnd) {
                self.unanswered.pop_front();
            }
        }
        match tag {
            b'C' => {
                self.response.complete(body);
                if matches!(body, b"DISCARD ALL\0" | b"DEALLOCATE ALL\0") {
                    self.statement_loss = Some(StatementLoss::Deallocated);
                    self.has_lost_statements = true;
                }
            }
            // PortalSuspended: a command that has run in part.
            b's' => self.response.completed += 1,
            b'E' => self.error(body),
            b'Z' if body.len() == 1 && self.takes_as_second_response() => {
                self.in_transaction = body != b"I";
                return false;
            }
            // The response to work begins with another message.
            b'Z' if !self.response.has_begun && self.is_work_next() => {
                self.is_misrouted = true;
                self.ended = true;
                return false;
            }
            b'Z' => self.ready(body),
            // CopyInResponse
            b'G' => {
                self.is_copying = true;
                if self.unanswered.get(1) == Some(&Request::CopyEnd) {
                    self.unanswered.remove(1);
                }
            }
            _ => {}
        }
        true
    }

    /// Takes a ReadyForQuery for the second one of a failed COPY, if it is that.
    fn takes_as_second_response(&mut self) -> bool {
        match self.unanswered.front() {
            // The COPY failed before its end was sent, so the server answers that by itself.
            Some(Request::CopyEnd) => {
                self.unanswered.pop_front();
            }
            Some(Request::Sync) => {
                self.is_out_of_step |= self.may_be_answered_twice;
                return false;
            }
            _ if !self.may_be_answered_twice => return false,
            _ => {}
        }
        self.may_be_answered_twice = false;
        true
    }

    fn error(&mut self, body: &[u8]) {
        self.response.failed = true;
        self.errors += 1;
        let mut error = ErrorResponse::default();
        let mut is_outdated = false;
        for field in fields(body) {
            let Some((kind, value)) = field.split_first() else {
                continue;
            };
            error.record_field(*kind, value);
            is_outdated |= (*kind, value) == (b'R', b"RevalidateCachedQuery");
            // Where Postgres reads a CopyFail.
            self.response.failed_at_data |= (*kind, value) == (b'R', b"CopyGetData");
            let outermost = value.rsplit(|byte| *byte == b'\n').next();
            self.response.failed_at_data |=
                *kind == b'W' && outermost.is_some_and(|line| line.starts_with(b"COPY "));
        }
        // After a PANIC the server recovers from its log, which may hold a COMMIT.
        let is_in_order = error.severity != Severity::Panic
            && (error.origin != Origin::Pooler || FOUND_NO_SERVER.contains(&&*error.message));
        self.response.refused |= is_in_order;
        self.response.fatal |= error.severity == Severity::Fatal && is_in_order;
        // Neither the session of a foreign server nor its statements are those of this one.
        let is_own = error.origin != Origin::ForeignServer;
        self.refused_writes += u64::from(is_own && error.code == READ_ONLY_TRANSACTION);
        // invalid_sql_statement_name
        let is_missing = is_own && error.code == "26000";
        self.has_lost_statements |= is_missing;
        is_outdated &= error.code == "0A000";
        self.last_error = error;
        // feature_not_supported: "cached plan must not change result type"
        if is_missing || is_outdated {
            self.statement_loss = Some(StatementLoss::Failed);
        }
    }

    fn ready(&mut self, body: &[u8]) {
        let request = self.unanswered.pop_front();
        self.may_be_answered_twice = self.is_copying
            && self.response.failed
            && !self.response.failed_at_data
            && request != Some(Request::WholeCopy);
        self.is_copying = false;
        self.in_transaction = body != b"I";
        let response = std::mem::take(&mut self.response);
        let alone = response.rolled_back && response.completed == 1;
        if response.committed
            || (!self.in_transaction && !response.failed && response.completed > 0 && !alone)
        {
            self.effects += 1;
        }
    }
}

/// Splits an ErrorResponse into fields: each a type and a text that ends with a zero byte.
fn fields(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A truncated field has no zero byte at its end, and does not count.
    body.split_inclusive(|byte| *byte == 0)
        .filter_map(|field| field.strip_suffix(&[0]))
}

/// The errors of poolers for a request that found no server in time: PgBouncer's, and Supavisor's
/// before 2026.
const FOUND_NO_SERVER: [&str; 2] = [
    "query_wait_timeout",
    "Unable to check out process from the pool due to timeout",
];

/// read_only_sql_transaction.
const READ_ONLY_TRANSACTION: &str = "25006";
