//! What the messages of a connection amount to: pure, so that it can be tested without one.

use std::collections::VecDeque;

use crate::postgres::protocol::frames::STARTUP;

/// What has passed on a connection so far.
#[derive(Debug, Default)]
pub(in crate::postgres) struct TransactionTracker {
    /// What has been sent since the last request was complete.
    request: Request,
    /// Requests that the server has not ended with ReadyForQuery, oldest first.
    unanswered: VecDeque<Request>,
    /// How many requests were sent, the start of the session too.
    requests: u64,
    /// Answers after which something had taken effect for good.
    effects: u64,
    /// Whether a transaction was open at the last answer.
    in_transaction: bool,
    /// What has come of the answer that is not complete yet.
    answer: Answer,
    /// How many errors the server has told, and the SQLSTATE of the last one.
    errors: u64,
    last_error: String,
    /// How many errors were a prepared statement's fault alone.
    lost_plans: u64,
    ended: bool,
}

/// A request, which ends with Query or Sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Request {
    /// It does nothing that matters to anybody: a Sync alone, or one that lets
    /// go of a prepared statement, as the driver sends when that is dropped.
    #[default]
    Idle,
    Work,
}

/// What an answer holds, from one ReadyForQuery to the next.
#[derive(Debug, Default)]
struct Answer {
    /// Commands that completed.
    completed: u32,
    /// Whether one of them was a COMMIT.
    committed: bool,
    /// Whether one of them was a ROLLBACK, or a COMMIT that became one.
    rolled_back: bool,
    failed: bool,
    /// Whether Postgres itself said that it failed.
    refused: bool,
    /// Whether the session ends in good order: Postgres itself said so, or a
    /// pooler that never found a server for the request.
    fatal: bool,
}

/// A moment in the life of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    effects: u64,
    errors: u64,
    lost_plans: u64,
}

/// What became of all that was sent since a mark.
///
/// Two things cannot be seen from here: that a sequence counted on, which no
/// rollback takes back, and that a procedure committed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// Nothing of it took effect: it was not sent, it failed, or it was rolled back.
    NotApplied,
    /// Some of it may have taken effect or not: its answer never came.
    InDoubt,
    /// Some of it took effect.
    Applied,
}

/// How a connection is left.
#[derive(Debug)]
pub(crate) struct ReturnState {
    /// It has ended, or the server has said that it will.
    pub(crate) has_ended: bool,
    /// No request waits for its answer and no transaction is open.
    pub(crate) is_idle: bool,
    /// The SQLSTATE of the last error that the server told.
    pub(crate) error: Option<String>,
    /// This moment.
    pub(crate) mark: Checkpoint,
}

impl TransactionTracker {
    pub(in crate::postgres) fn return_state_since(&self, mark: &Checkpoint) -> ReturnState {
        ReturnState {
            has_ended: self.has_ended(),
            is_idle: self.is_idle(),
            error: self.error_since(mark).map(str::to_owned),
            mark: self.checkpoint(),
        }
    }

    pub(in crate::postgres) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            effects: self.effects,
            errors: self.errors,
            lost_plans: self.lost_plans,
        }
    }

    pub(in crate::postgres) fn outcome_since(&self, mark: &Checkpoint) -> WriteOutcome {
        if self.effects > mark.effects {
            WriteOutcome::Applied
        } else if !self.waits() || self.answer.fatal || self.is_refused() {
            // What was not completed with Query or Sync is never committed. And
            // when Postgres ends a session in good order, it first rolls back
            // what it has not ended with ReadyForQuery.
            WriteOutcome::NotApplied
        } else {
            WriteOutcome::InDoubt
        }
    }

    pub(in crate::postgres) fn error_since(&self, mark: &Checkpoint) -> Option<&str> {
        (self.errors > mark.errors).then_some(&self.last_error)
    }

    pub(in crate::postgres) fn has_ended(&self) -> bool {
        self.ended || self.answer.fatal
    }

    pub(in crate::postgres) fn is_idle(&self) -> bool {
        !self.waits() && !self.in_transaction
    }

    /// Whether nothing has been asked but for the session to start.
    pub(in crate::postgres) fn is_new(&self) -> bool {
        self.requests <= 1
    }

    pub(in crate::postgres) fn is_quiet(&self) -> bool {
        self.unanswered.is_empty() && !self.in_transaction
    }

    pub(in crate::postgres) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    pub(in crate::postgres) fn lost_its_plan(&mut self) {
        self.lost_plans += 1;
    }

    pub(in crate::postgres) fn has_lost_its_plan_since(&self, mark: &Checkpoint) -> bool {
        self.lost_plans > mark.lost_plans
    }

    /// Whether the only work that waits has failed by now, and just the end of
    /// its answer is still to come.
    fn is_refused(&self) -> bool {
        let waiting = self.unanswered.iter();
        let works = waiting.filter(|request| **request == Request::Work);
        self.answer.refused && !self.answer.committed && works.count() == 1
    }

    /// Whether some work waits for its answer.
    pub(in crate::postgres) fn waits(&self) -> bool {
        self.unanswered.contains(&Request::Work)
    }

    /// The stream has come to its end, or broke.
    pub(in crate::postgres) fn end(&mut self) {
        self.ended = true;
    }

    /// The driver sent the beginning of a message.
    pub(in crate::postgres) fn sent(&mut self, tag: u8) {
        match tag {
            // The start of the session, Query, FunctionCall.
            STARTUP | b'Q' | b'F' => self.record_request(Request::Work),
            // Sync
            b'S' => {
                let request = std::mem::take(&mut self.request);
                self.record_request(request);
            }
            // CopyDone, CopyFail: the server passes over the Sync that came
            // before the data, and ends with the one that comes after it.
            b'c' | b'f' => {
                self.unanswered.pop_back();
                self.request = Request::Work;
            }
            // Parse, Bind, Execute: a Close beside them changes nothing.
            b'P' | b'B' | b'E' => self.request = Request::Work,
            _ => {}
        }
    }

    fn record_request(&mut self, request: Request) {
        self.requests += 1;
        self.unanswered.push_back(request);
    }

    /// The server sent a message.
    pub(in crate::postgres) fn received(&mut self, tag: u8, body: &[u8]) {
        match tag {
            b'C' => self.answer.complete(body),
            // PortalSuspended: a command that has run a part of its way.
            b's' => self.answer.completed += 1,
            b'E' => self.error(body),
            b'Z' => self.ready(body),
            _ => {}
        }
    }

    fn error(&mut self, body: &[u8]) {
        self.answer.failed = true;
        self.errors += 1;
        self.last_error.clear();
        let (mut fatal, mut in_order) = (false, false);
        for field in fields(body) {
            match field {
                [b'C', code @ ..] => self.last_error.push_str(&String::from_utf8_lossy(code)),
                // The severity that is never translated.
                [b'V', severity @ ..] => fatal = severity == b"FATAL",
                // The routine that found it: a pooler's own errors name none.
                [b'R', ..] => in_order = true,
                // PgBouncer's word for a request that waited in vain for a server.
                b"Mquery_wait_timeout" => in_order = true,
                _ => {}
            }
        }
        self.answer.refused |= in_order;
        self.answer.fatal |= fatal && in_order;
    }

    fn ready(&mut self, body: &[u8]) {
        self.unanswered.pop_front();
        self.in_transaction = body != b"I";
        let answer = std::mem::take(&mut self.answer);
        let alone = answer.rolled_back && answer.completed == 1;
        if answer.committed
            || (!self.in_transaction && !answer.failed && answer.completed > 0 && !alone)
        {
            self.effects += 1;
        }
    }
}

impl Answer {
    fn complete(&mut self, tag: &[u8]) {
        self.completed += 1;
        match tag {
            b"COMMIT\0" => self.committed = true,
            b"ROLLBACK\0" => self.rolled_back = true,
            _ => {}
        }
    }
}

/// The fields of an ErrorResponse: each a type and a text that ends in a zero.
fn fields(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A field that was cut off has no zero at its end, and does not count.
    body.split_inclusive(|byte| *byte == 0)
        .filter_map(|field| field.strip_suffix(&[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mterminating\0RProcessInterrupts\0\0";
    const BY_POOLER: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0";
    const NEVER_RUN: &[u8] = b"SFATAL\0VFATAL\0C08P01\0Mquery_wait_timeout\0\0";
    const READ_ONLY: &[u8] = b"SERROR\0VERROR\0C25006\0Mcannot\0RPreventCommandIfReadOnly\0\0";

    /// A connection on which the session has started.
    fn started() -> (TransactionTracker, Checkpoint) {
        let mut passed = TransactionTracker::default();
        passed.sent(STARTUP);
        passed.sent(b'p');
        passed.received(b'Z', b"I");
        assert!(passed.is_idle());
        let mark = passed.checkpoint();
        (passed, mark)
    }

    /// A statement with its parameters, as `query_typed` sends it.
    fn statement(passed: &mut TransactionTracker) {
        for tag in [b'P', b'B', b'D', b'E', b'S'] {
            passed.sent(tag);
        }
    }

    /// A whole request with its answer.
    fn command(passed: &mut TransactionTracker, tag: &str, status: &[u8]) {
        passed.sent(b'Q');
        passed.received(b'C', format!("{tag}\0").as_bytes());
        passed.received(b'Z', status);
    }

    #[test]
    fn nothing_sent_is_nothing() {
        let (mut passed, mark) = started();
        passed.end();
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
        assert!(passed.has_ended());
    }

    #[test]
    fn statement_without_its_sync_cannot_take_effect() {
        let (mut passed, mark) = started();
        passed.sent(b'P');
        passed.sent(b'B');
        passed.sent(b'E');
        passed.end();
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    }

    #[test]
    fn request_without_an_answer_is_unknown() {
        let (mut passed, mark) = started();
        statement(&mut passed);
        assert!(!passed.is_idle());
        passed.received(b'C', b"INSERT 0 1\0");
        passed.end();
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
    }

    #[test]
    fn session_that_postgres_ends_is_rolled_back_and_one_that_a_pooler_ends_is_unknown() {
        for (error, code, fate) in [
            (KILLED, "57P01", WriteOutcome::NotApplied),
            (BY_POOLER, "57P01", WriteOutcome::InDoubt),
            (NEVER_RUN, "08P01", WriteOutcome::NotApplied),
        ] {
            let (mut passed, mark) = started();
            statement(&mut passed);
            passed.received(b'E', error);
            assert_eq!(passed.outcome_since(&mark), fate);
            assert_eq!(passed.error_since(&mark), Some(code));
            assert_eq!(passed.has_ended(), fate == WriteOutcome::NotApplied);
        }
    }

    #[test]
    fn answered_statement_is_something() {
        let (mut passed, mark) = started();
        command(&mut passed, "INSERT 0 1", b"I");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
        statement(&mut passed);
        passed.received(b'E', KILLED);
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
    }

    #[test]
    fn refused_statement_is_nothing() {
        let (mut passed, mark) = started();
        statement(&mut passed);
        passed.received(b'E', READ_ONLY);
        passed.received(b'Z', b"I");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
        assert_eq!(passed.error_since(&mark), Some("25006"));
        assert!(!passed.has_ended() && passed.is_idle());
        assert_eq!(passed.error_since(&passed.checkpoint()), None);
    }

    #[test]
    fn refused_statement_is_nothing_before_the_end_of_its_answer_has_come() {
        let (mut passed, mark) = started();
        statement(&mut passed);
        passed.received(b'E', READ_ONLY);
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
        statement(&mut passed);
        assert_eq!(
            passed.outcome_since(&mark),
            WriteOutcome::InDoubt,
            "another one runs"
        );
    }

    #[test]
    fn transaction_takes_effect_with_its_commit() {
        let (mut passed, mark) = started();
        command(&mut passed, "BEGIN", b"T");
        command(&mut passed, "INSERT 0 1", b"T");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
        assert!(!passed.is_idle());
        passed.sent(b'Q');
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
        passed.received(b'C', b"COMMIT\0");
        passed.received(b'Z', b"I");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
        assert!(passed.is_idle());
    }

    #[test]
    fn commit_that_became_a_rollback_is_nothing() {
        let (mut passed, mark) = started();
        command(&mut passed, "BEGIN", b"T");
        statement(&mut passed);
        passed.received(b'E', READ_ONLY);
        passed.received(b'Z', b"E");
        command(&mut passed, "ROLLBACK", b"I");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    }

    #[test]
    fn commit_inside_of_one_request_is_seen() {
        let (mut passed, mark) = started();
        passed.sent(b'Q');
        for tag in ["BEGIN", "INSERT 0 1", "COMMIT", "BEGIN"] {
            passed.received(b'C', format!("{tag}\0").as_bytes());
        }
        passed.received(b'E', READ_ONLY);
        passed.received(b'Z', b"E");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
    }

    #[test]
    fn preparing_a_statement_is_nothing() {
        let (mut passed, mark) = started();
        passed.sent(b'P');
        passed.sent(b'D');
        passed.sent(b'S');
        passed.received(b'1', b"");
        passed.received(b'Z', b"I");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    }

    #[test]
    fn letting_go_of_a_statement_leaves_the_connection_idle() {
        let (mut passed, mark) = started();
        passed.sent(b'C');
        passed.sent(b'S');
        assert!(passed.is_idle());
        passed.end();
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    }

    #[test]
    fn copy_is_one_request_with_two_syncs() {
        let (mut passed, mark) = started();
        for tag in [b'B', b'E', b'S', b'd', b'd', b'c', b'S'] {
            passed.sent(tag);
        }
        passed.received(b'G', b"");
        passed.received(b'C', b"COPY 2\0");
        passed.received(b'Z', b"I");
        assert!(passed.is_idle());
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
    }

    #[test]
    fn error_that_was_cut_off_is_of_unknown_origin() {
        let (mut passed, mark) = started();
        statement(&mut passed);
        let cut = KILLED.len() - "ProcessInterrupts\0\0".len();
        passed.received(b'E', &KILLED[..cut]);
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
    }
}
