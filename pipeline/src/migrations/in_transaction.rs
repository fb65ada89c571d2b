//! A file in one transaction, which also records it: a failure leaves nothing of it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stagelink::tokio_postgres::{Client, Error as DriverError};
use tokio::time::{sleep, timeout};

use crate::error::{Error, ErrorKind};
use crate::migrations::context::Run;
use crate::migrations::event::{MigrationEvent, OtherSession, list};
use crate::migrations::file::MigrationFile;
use crate::migrations::history::History;
use crate::migrations::lock::{self, LockLoss};
use crate::migrations::options::MigrationOptions;
use crate::migrations::pauses::Pauses;
use crate::migrations::records::RecordFacts;
use crate::migrations::server_words::{
    describe, describe_of_file, position, sqlstate, transaction_advice,
};
use crate::migrations::session::{ANSWER, milliseconds};
use crate::migrations::statement::Statement;

/// Applies and records a file in one transaction.
///
/// A statement waits for a lock no longer than the lock time-out, since the other users of the table
/// wait behind it. The file is then rolled back, and begins again after a pause.
///
/// # Errors
///
/// Those of [`MigrationPlan::apply`](crate::MigrationPlan::apply).
pub(super) async fn apply(
    run: &mut Run<'_>,
    file: &MigrationFile,
    statements: &[Statement],
    facts: &RecordFacts,
) -> Result<(), Error> {
    let options = run.options;
    let mut pauses = Pauses::new(options.wait);
    loop {
        run.begin(file).await?;
        let has_limit = run.session.has_transaction_timeout();
        let mut blockers = Vec::new();
        let attempt = Attempt {
            client: &run.session.client,
            pid: run.session.pid,
            history: &run.history,
            facts,
            options,
            started: Instant::now(),
            has_limit,
            is_committing: AtomicBool::new(false),
        };
        let listener = run.listener;
        let done = run.observer.watch(attempt.run(file, statements), |seen| {
            if !seen.blockers.is_empty() {
                blockers.clone_from(&seen.blockers);
                let sessions = &blockers;
                listener(&MigrationEvent::WaitsFor { file, sessions });
            }
        });
        let failure = match done.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) if attempt.is_committing.load(Ordering::Relaxed) => Failure::SilentCommit,
            Err(_) => Failure::Silent,
        };
        let pause = match failure.is_of_busy_table() {
            true => pauses.next(),
            false => return Err(failed(run, file, failure, &[]).await),
        };
        let Some(pause) = pause else {
            return Err(failed(run, file, failure, &blockers).await);
        };
        let end = run.session.client.batch_execute("ROLLBACK");
        if let Err(failure) = answered("the transaction could not be rolled back", end).await {
            return Err(failed(run, file, failure, &blockers).await);
        }
        (run.listener)(&MigrationEvent::TriesAgain {
            file,
            attempts: pauses.number(),
            pause,
            sessions: &blockers,
        });
        sleep(pause).await;
    }
}

/// An attempt at a file.
struct Attempt<'a> {
    client: &'a Client,
    /// The number of the session's server process.
    pid: i32,
    history: &'a History,
    facts: &'a RecordFacts,
    options: &'a MigrationOptions,
    started: Instant,
    /// True if the server limits whole transactions, too.
    has_limit: bool,
    /// True once COMMIT may have been sent.
    is_committing: AtomicBool,
}

/// The failure of an attempt.
#[derive(Debug)]
enum Failure {
    /// The server refused a statement, in this line of the file.
    Statement(usize, DriverError),
    /// The server refused a statement of the runner's.
    Server(&'static str, DriverError),
    /// The server refused the commit, or the connection broke during it.
    Commit(DriverError),
    /// The server does not answer the commit.
    SilentCommit,
    /// The transaction took too long, in this line of the file; `None` in its deferred constraints.
    TooLong(Option<usize>),
    /// The session does not hold the lock.
    LockLost(LockLoss),
    /// The file ended the transaction.
    TransactionEnded,
    /// The server does not answer.
    Silent,
}

impl Failure {
    /// Returns whether the table was busy for longer than the lock time-out, or in a deadlock.
    fn is_of_busy_table(&self) -> bool {
        match self {
            // The server answers a commit that it refuses once the transaction is rolled back.
            Self::Statement(_, error) | Self::Server(_, error) | Self::Commit(error) => {
                matches!(sqlstate(error), Some("55P03" | "40P01"))
            }
            Self::SilentCommit
            | Self::TooLong(_)
            | Self::LockLost(_)
            | Self::TransactionEnded
            | Self::Silent => false,
        }
    }
}

impl Attempt<'_> {
    async fn run(&self, file: &MigrationFile, statements: &[Statement]) -> Result<(), Failure> {
        let begin = self.begin();
        let begun = self.client.batch_execute(&begin);
        answered("the transaction could not begin", begun).await?;
        let transaction = self.transaction().await?;
        for statement in statements {
            self.execute(statement).await?;
        }
        self.check_constraints().await?;
        if transaction != self.transaction().await? {
            return Err(Failure::TransactionEnded);
        }
        // The file may have changed the role and the encoding.
        let reset = self.client.batch_execute(OWN_SETTINGS);
        answered("the file could not be recorded", reset).await?;
        let by = &self.options.applied_by;
        let recorded = self.history.record(self.client, file, self.facts, by);
        answered("the file could not be recorded", recorded).await?;
        self.is_committing.store(true, Ordering::Relaxed);
        // The constraints are checked already, but cursors WITH HOLD and standbys may take their time.
        let committed = timeout(
            self.options.time_limit.saturating_add(GRACE),
            self.client.batch_execute("COMMIT"),
        );
        match committed.await {
            Ok(committed) => committed.map_err(Failure::Commit),
            Err(_) => Err(Failure::SilentCommit),
        }
    }

    fn begin(&self) -> String {
        let lock = milliseconds(self.options.lock_timeout);
        let mut begin = format!("BEGIN; SET LOCAL lock_timeout = {lock}");
        if self.has_limit {
            // The client's own limit comes first, and keeps the session.
            let limit = milliseconds(self.options.time_limit.saturating_add(GRACE));
            begin.push_str(&format!("; SET LOCAL transaction_timeout = {limit}"));
        }
        begin
    }

    /// Returns the number of the transaction, in which the session holds the lock.
    async fn transaction(&self) -> Result<i64, Failure> {
        let looking = "the transaction could not be looked at";
        let loss = lock::loss(self.client, self.pid);
        if let Some(loss) = answered(looking, loss).await? {
            return Err(Failure::LockLost(loss));
        }
        let number = "SELECT pg_catalog.txid_current()";
        let rows = answered(looking, self.client.query_typed(number, &[])).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    /// Runs a statement of the file for as long as the transaction may still take.
    async fn execute(&self, statement: &Statement) -> Result<(), Failure> {
        let line = Some(statement.line);
        let executed = self.execute_within_limits(&statement.text, line).await?;
        executed.map_err(|error| {
            let at = position(&error);
            let line = at.map_or(statement.line, |at| statement.line_of_position(at));
            match self.is_over(&error) {
                true => Failure::TooLong(Some(line)),
                false => Failure::Statement(line, error),
            }
        })
    }

    /// Checks the deferred constraints, and runs their triggers, as COMMIT would: that has no limits.
    async fn check_constraints(&self) -> Result<(), Failure> {
        let check = "SET CONSTRAINTS ALL IMMEDIATE";
        let checked = self.execute_within_limits(check, None).await?;
        checked.map_err(|error| match self.is_over(&error) {
            true => Failure::TooLong(None),
            false => Failure::Server(
                "the transaction could not be committed, as its deferred constraints were checked",
                error,
            ),
        })
    }

    /// Runs SQL under the limits that a dump sets to 0, and in the encoding of the client.
    ///
    /// The settings are a message of their own, sent in the same flight: the server decodes a message
    /// as a whole before it runs any of it.
    async fn execute_within_limits(
        &self,
        sql: &str,
        line: Option<usize>,
    ) -> Result<Result<(), DriverError>, Failure> {
        let left = self.options.time_limit;
        let left = left.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            return Err(Failure::TooLong(line));
        }
        let settings = format!(
            "{ENCODING}; SET LOCAL standard_conforming_strings = on; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}",
            milliseconds(self.options.lock_timeout),
            milliseconds(left)
        );
        let settings = self.client.batch_execute(&settings);
        let executed = async { tokio::join!(settings, self.client.batch_execute(sql)) };
        match timeout(left.saturating_add(GRACE), executed).await {
            Ok((set, executed)) => Ok(set.and(executed)),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Returns whether the server ended a statement since the transaction had taken too long.
    fn is_over(&self, error: &DriverError) -> bool {
        let elapsed = self.started.elapsed() + TIMER_TOLERANCE;
        sqlstate(error) == Some("57014") && elapsed >= self.options.time_limit
    }
}

/// The time by which the server's timer may be early: its limit has whole milliseconds, cut off.
const TIMER_TOLERANCE: Duration = Duration::from_millis(50);

/// Waits for the answer to a step of the runner's own.
async fn answered<T>(
    what: &'static str,
    step: impl Future<Output = Result<T, DriverError>>,
) -> Result<T, Failure> {
    match timeout(ANSWER, step).await {
        Ok(answer) => answer.map_err(|error| Failure::Server(what, error)),
        Err(_) => Err(Failure::Silent),
    }
}

/// Ends the transaction, and returns the error for the operator.
async fn failed(
    run: &Run<'_>,
    file: &MigrationFile,
    failure: Failure,
    blockers: &[OtherSession],
) -> Error {
    let is_silent = matches!(failure, Failure::Silent | Failure::SilentCommit);
    let rolled_back = !is_silent && {
        let end = run.session.client.batch_execute("ROLLBACK");
        timeout(ANSWER, end).await.is_ok_and(|ended| ended.is_ok())
    };
    let path = file.path();
    let is_busy = failure.is_of_busy_table();
    let limit = run.options.time_limit.as_secs_f64();
    let reason = match &failure {
        Failure::Statement(line, error) if is_busy => {
            let sessions = match blockers.is_empty() {
                true => "other sessions".to_owned(),
                false => list(blockers),
            };
            format!(
                "{path} line {line}: the table was busy for {} s: {sessions} did not give its lock \
                 back ({})",
                run.options.wait.as_secs(),
                describe_of_file(error, file.sql())
            )
        }
        Failure::Statement(line, error) => {
            let words = describe_of_file(error, file.sql());
            format!("{path} line {line}: {words}{}", transaction_advice(error))
        }
        Failure::Server(what, error) if sqlstate(error) == Some("25006") => format!(
            "{path}: {what}, since the file makes its transaction read-only: remove that ({})",
            describe(error)
        ),
        Failure::Server(what, error) => format!("{path}: {what}: {}", describe(error)),
        Failure::Commit(error) => {
            let words = describe(error);
            format!("{path}: the transaction could not be committed: {words}")
        }
        Failure::TooLong(line) => {
            let place = match line {
                Some(line) => format!(" line {line}"),
                None => ", as its deferred constraints were checked".to_owned(),
            };
            format!(
                "{path}{place}: the transaction took longer than {limit} s, and kept its locks for \
                 as long: split the file, change rows in parts, or allow more with --time-limit"
            )
        }
        Failure::LockLost(loss) => format!("{path}: {loss}"),
        Failure::TransactionEnded => {
            format!("{path} ended its transaction, and what it did before that may be there")
        }
        Failure::Silent | Failure::SilentCommit => {
            format!("{path}: the server does not answer, or the answer is lost on its way")
        }
    };
    let left = match &failure {
        Failure::TransactionEnded => "it is not recorded",
        _ if rolled_back => "it was rolled back, and left nothing",
        Failure::Commit(_) | Failure::SilentCommit => {
            "the connection was lost during the commit, so the server alone knows the outcome: run \
             the command again, which goes by the history"
        }
        _ => "the connection was lost, and the server rolls it back: run the command again",
    };
    let kind = match (is_busy, rolled_back) {
        (true, _) => ErrorKind::Busy,
        (false, true) => ErrorKind::Migration,
        (false, false) => ErrorKind::Database,
    };
    let stage = run.session.stage;
    Error::new(kind, format!("stage {stage}: {reason}; {left}"))
}

/// The time by which the client's limit comes before the server's, and after which the server is
/// taken for lost.
const GRACE: Duration = Duration::from_secs(10);

/// The encoding in which the client sends its messages.
const ENCODING: &str = "SET LOCAL client_encoding = 'UTF8'";

/// The settings under which a file is recorded: the role is the one that made the history.
const OWN_SETTINGS: &str =
    "RESET SESSION AUTHORIZATION; RESET ROLE; SET LOCAL client_encoding = 'UTF8'";
