//! A file of one statement without a transaction, recorded after it.
//!
//! Its beginning is recorded, too: where a run ended between statement and record, the next one knows
//! that what the server calls done is this file's work.

use std::time::{Duration, Instant};

use stagelink::tokio_postgres::Error as DriverError;
use tokio::time::sleep;

use crate::error::{Error, ErrorKind};
use crate::migrations::concurrent_index::{self, IndexState};
use crate::migrations::context::Run;
use crate::migrations::event::{MigrationEvent, OtherSession, list};
use crate::migrations::file::MigrationFile;
use crate::migrations::lock;
use crate::migrations::observer::{Observation, SessionLost};
use crate::migrations::pauses::Pauses;
use crate::migrations::records::{self, RecordFacts};
use crate::migrations::reindex;
use crate::migrations::server_words::{describe, position, sqlstate};
use crate::migrations::session::milliseconds;
use crate::migrations::statement::{ConcurrentIndex, Statement};

/// Runs and records a statement that Postgres refuses in a transaction, or whose file wants none.
///
/// A statement that works CONCURRENTLY waits without a limit, and keeps no other session waiting.
/// Others have the lock time-out, and begin again after a pause.
///
/// # Errors
///
/// Those of [`MigrationPlan::apply`](crate::MigrationPlan::apply).
pub(super) async fn apply(
    run: &mut Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
    facts: &RecordFacts,
) -> Result<(), Error> {
    let is_patient = statement.has(&["CONCURRENTLY"]);
    let mut pauses = Pauses::new(run.options.wait);
    let was_begun = begin(run, file, facts).await?;
    loop {
        prepare(run, file, is_patient).await?;
        if was_begun {
            drop_leftovers(run, file, statement).await?;
        }
        let (done, sessions) = execute(run, file, &statement.text).await;
        let failure = match done {
            Ok(Ok(())) => return record(run, file, facts).await,
            Ok(Err(error)) => error,
            Err(lost) => return Err(lost_session(run, file, lost)),
        };
        if was_begun && shows_that_it_is_done(statement, &failure) {
            (run.listener)(&MigrationEvent::WasDone { file });
            return record(run, file, facts).await;
        }
        if sqlstate(&failure) == Some("55000")
            && let Some(finalize) = finalize(statement)
        {
            (run.listener)(&MigrationEvent::FinishesDetach { file });
            let (done, sessions) = execute(run, file, &finalize).await;
            return match done {
                Ok(Ok(())) => record(run, file, facts).await,
                Ok(Err(error)) => {
                    let left = "an earlier run began to detach the partition, and this one could \
                                not end it";
                    Err(failed(run, file, statement, &error, &sessions, left))
                }
                Err(lost) => Err(lost_session(run, file, lost)),
            };
        }
        // A procedure may have committed a part of its work.
        let leaves_parts = ["CALL", "DO"].iter().any(|word| statement.begins(&[word]));
        let is_busy = is_of_busy_table(&failure) && !leaves_parts;
        if is_busy && let Some(pause) = pauses.next() {
            try_again(run, file, &pauses, pause, &sessions).await;
            continue;
        }
        let left = left_by(run, file, statement, was_begun).await;
        return Err(failed(run, file, statement, &failure, &sessions, &left));
    }
}

/// Records that the statement begins. Returns whether an earlier run had begun it.
async fn begin(run: &Run<'_>, file: &MigrationFile, facts: &RecordFacts) -> Result<bool, Error> {
    run.begin(file).await?;
    let what = format!("{} was not begun", file.path());
    let checksum = run.history.checksum(file).to_string();
    let begun = records::begin(
        &run.session.client,
        &run.history.schema,
        (file, &checksum),
        facts,
        &run.options.applied_by,
    );
    run.session.answered(&what, begun).await
}

/// Returns whether the server's refusal says that there is nothing left to do: what is to be created
/// exists, or what is to be dropped does not.
fn shows_that_it_is_done(statement: &Statement, error: &DriverError) -> bool {
    let codes: &[&str] = if statement.begins(&["CREATE"]) {
        &["42P04", "42710", "42P07"]
    } else if statement.begins(&["DROP"]) || statement.has(&["DETACH", "PARTITION"]) {
        &["42704", "42P01", "3D000"]
    } else {
        &[]
    };
    sqlstate(error).is_some_and(|code| codes.contains(&code))
}

/// Returns the statement that ends a `DETACH PARTITION … CONCURRENTLY` which was interrupted.
fn finalize(statement: &Statement) -> Option<String> {
    if statement.needs_no_transaction() != Some("DETACH PARTITION CONCURRENTLY") {
        return None;
    }
    let last = statement.tokens.last()?;
    Some(format!("{}FINALIZE", &statement.text[..last.range.start]))
}

/// Drops what an interrupted `REINDEX CONCURRENTLY` has left.
async fn drop_leftovers(
    run: &mut Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
) -> Result<(), Error> {
    let looking = format!("{} was not begun", file.path());
    let leftovers = reindex::leftovers(&run.session.client, statement);
    for index in run.session.answered(&looking, leftovers).await? {
        let event = MigrationEvent::DropsInvalidIndex {
            file,
            index: &index,
        };
        (run.listener)(&event);
        let drop_index = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
        let (done, sessions) = execute(run, file, &drop_index).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let left = format!("the invalid index {index} could not be dropped");
                return Err(failed(run, file, statement, &error, &sessions, &left));
            }
            Err(lost) => return Err(lost_session(run, file, lost)),
        }
    }
    Ok(())
}

/// Returns the end of the message of a statement that the server refused. One that this run began
/// counts as begun no more, unless it left something.
async fn left_by(
    run: &Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
    was_begun: bool,
) -> String {
    let client = &run.session.client;
    let leftovers = reindex::leftovers(client, statement).await;
    let leftovers = leftovers.unwrap_or_default();
    if !leftovers.is_empty() {
        return format!(
            "it left the invalid index {}, which slows the table's writes: the next run drops it \
             and begins again",
            leftovers.join(" and ")
        );
    }
    if !was_begun {
        let forgotten = records::forget(client, &run.history.schema, file);
        let what = "could not record the end of the statement";
        let _ = run.session.answered(what, forgotten).await;
    }
    let mut left =
        "it ran without a transaction, so what it did before that is still there, and it \
                    is not recorded: the next run begins it again"
            .to_owned();
    if statement.begins(&["DROP"]) && !statement.has(&["IF", "EXISTS"]) {
        left.push_str("; if it was dropped by hand, add IF EXISTS to the statement");
    }
    left
}

/// Creates and records an index CONCURRENTLY.
///
/// An invalid index that an earlier run left is dropped, if no session is building it. A valid one
/// of the same definition counts as applied.
///
/// # Errors
///
/// As [`apply`].
pub(super) async fn apply_index(
    run: &mut Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
    index: &ConcurrentIndex,
    facts: &RecordFacts,
) -> Result<(), Error> {
    let mut pauses = Pauses::new(run.options.wait);
    let started = Instant::now();
    let mut last_builder = None;
    loop {
        prepare(run, file, true).await?;
        let looking = format!("{} was not begun", file.path());
        let client = &run.session.client;
        let name = concurrent_index::qualified_name(client, index);
        let name = run.session.answered(&looking, name).await?;
        let found = concurrent_index::look_up(client, index);
        match run.session.answered(&looking, found).await? {
            IndexState::Absent => {}
            IndexState::Taken { table } => {
                let reason =
                    format!("the index {name} exists on another table, {table}: name it otherwise");
                return Err(refused(run, file, statement, &reason));
            }
            IndexState::NoIndex => {
                let reason = format!(
                    "the name {name} is taken by a table, a view or a sequence: name the index \
                     otherwise"
                );
                return Err(refused(run, file, statement, &reason));
            }
            IndexState::BeingBuilt(builder) => {
                if started.elapsed() >= run.options.wait {
                    return Err(is_being_built(run, file, &name, &builder));
                }
                if last_builder != Some(builder.pid) {
                    last_builder = Some(builder.pid);
                    let sessions = &[builder];
                    (run.listener)(&MigrationEvent::WaitsFor { file, sessions });
                }
                sleep(LOOK_AGAIN).await;
                continue;
            }
            IndexState::Invalid => {
                (run.listener)(&MigrationEvent::DropsInvalidIndex { file, index: &name });
                let drop_index = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
                let (done, sessions) = execute(run, file, &drop_index).await;
                match done {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let left = format!("the invalid index {name} could not be dropped");
                        return Err(failed(run, file, statement, &error, &sessions, &left));
                    }
                    Err(lost) => return Err(lost_session(run, file, lost)),
                }
            }
            IndexState::Valid { definition } => {
                let limit = run.options.lock_timeout;
                let is_same =
                    concurrent_index::has_definition(client, statement, &definition, limit);
                if !run.session.answered(&looking, is_same).await? {
                    let reason = format!(
                        "the index {name} exists with another definition ({definition}): name it \
                         otherwise, or drop that one in a migration before this one"
                    );
                    return Err(refused(run, file, statement, &reason));
                }
                (run.listener)(&MigrationEvent::IndexExists { file, index: &name });
                return record(run, file, facts).await;
            }
        }
        let (done, sessions) = execute(run, file, &statement.text).await;
        let failure = match done {
            Ok(Ok(())) => return record(run, file, facts).await,
            Ok(Err(error)) => error,
            Err(lost) => return Err(lost_session(run, file, lost)),
        };
        if is_of_busy_table(&failure)
            && let Some(pause) = pauses.next()
        {
            try_again(run, file, &pauses, pause, &sessions).await;
            continue;
        }
        let left = match concurrent_index::look_up(&run.session.client, index).await {
            Ok(IndexState::Invalid) => format!(
                "it left the invalid index {name}, which slows the table's writes: the next run \
                 drops it and begins again, and `DROP INDEX CONCURRENTLY {name}` drops it now"
            ),
            Ok(IndexState::Absent) => "it left nothing".to_owned(),
            Ok(_) => format!("it left the index {name}"),
            Err(_) => {
                format!("whether it left an invalid index {name} is not known: the next run looks")
            }
        };
        return Err(failed(run, file, statement, &failure, &sessions, &left));
    }
}

/// Makes the session ready: it must hold the lock, and a patient statement has no limits.
async fn prepare(run: &Run<'_>, file: &MigrationFile, is_patient: bool) -> Result<(), Error> {
    run.begin(file).await?;
    let client = &run.session.client;
    let looking = format!("{} was not begun", file.path());
    let held = lock::is_held_here(client);
    if !run.session.answered(&looking, held).await? {
        return Err(Error::new(
            ErrorKind::Settings,
            format!(
                "{}: the session does not hold the lock of migrations, so a pooler stands before \
                 the database: use the URL of the database itself",
                file.path()
            ),
        ));
    }
    let limit = match is_patient {
        true => 0,
        false => milliseconds(run.options.lock_timeout),
    };
    let set = format!("SET lock_timeout = {limit}");
    let set = client.batch_execute(&set);
    run.session.answered(&looking, set).await
}

type Outcome = Result<Result<(), DriverError>, SessionLost>;

/// Runs SQL, and tells what it waits for. Returns also the sessions that it waited for last.
async fn execute(
    run: &mut Run<'_>,
    file: &MigrationFile,
    sql: &str,
) -> (Outcome, Vec<OtherSession>) {
    let mut blockers = Vec::new();
    let listener = run.listener;
    let report = |seen: &Observation| {
        if !seen.blockers.is_empty() {
            blockers.clone_from(&seen.blockers);
            let sessions = &blockers;
            listener(&MigrationEvent::WaitsFor { file, sessions });
        } else if let Some((phase, percent)) = &seen.progress {
            listener(&MigrationEvent::Progress {
                file,
                phase,
                percent: *percent,
            });
        }
    };
    let work = run.session.client.batch_execute(sql);
    let done = run.observer.watch(work, report).await;
    (done, blockers)
}

async fn record(run: &Run<'_>, file: &MigrationFile, facts: &RecordFacts) -> Result<(), Error> {
    // The statement may have changed the session.
    run.begin(file).await?;
    let what = format!(
        "{} was applied, and could not be recorded: run the command again",
        file.path()
    );
    let client = &run.session.client;
    let recorded = run
        .history
        .record(client, file, facts, &run.options.applied_by);
    run.session.answered(&what, recorded).await
}

async fn try_again(
    run: &Run<'_>,
    file: &MigrationFile,
    pauses: &Pauses,
    pause: Duration,
    sessions: &[OtherSession],
) {
    (run.listener)(&MigrationEvent::TriesAgain {
        file,
        attempts: pauses.number(),
        pause,
        sessions,
    });
    sleep(pause).await;
}

fn is_of_busy_table(error: &DriverError) -> bool {
    matches!(sqlstate(error), Some("55P03" | "40P01"))
}

fn failed(
    run: &Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
    error: &DriverError,
    sessions: &[OtherSession],
    left: &str,
) -> Error {
    if sqlstate(error).is_none() {
        return lost_session(run, file, SessionLost);
    }
    let line = position(error).map_or(statement.line, |at| statement.line_of_position(at));
    let kind = match is_of_busy_table(error) {
        true => ErrorKind::Busy,
        false => ErrorKind::Migration,
    };
    let busy = match is_of_busy_table(error) && !sessions.is_empty() {
        true => format!(" (waited for {})", list(sessions)),
        false => String::new(),
    };
    Error::new(
        kind,
        format!(
            "stage {}: {} line {line}: {}{busy}; {left}",
            run.session.stage,
            file.path(),
            describe(error)
        ),
    )
}

fn refused(run: &Run<'_>, file: &MigrationFile, statement: &Statement, reason: &str) -> Error {
    let (stage, path, line) = (run.session.stage, file.path(), statement.line);
    Error::new(
        ErrorKind::Migration,
        format!("stage {stage}: {path} line {line}: {reason}; it was not begun"),
    )
}

fn is_being_built(
    run: &Run<'_>,
    file: &MigrationFile,
    name: &str,
    builder: &OtherSession,
) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "stage {}: {}: the index {name} is being built by {builder}: run the command again \
             when that has ended",
            run.session.stage,
            file.path()
        ),
    )
}

fn lost_session(run: &Run<'_>, file: &MigrationFile, SessionLost: SessionLost) -> Error {
    Error::new(
        ErrorKind::Database,
        format!(
            "stage {}: {}: the connection was lost while the statement ran without a transaction, \
             so the server alone knows how far it is: run the command again, which waits for its \
             end and looks",
            run.session.stage,
            file.path()
        ),
    )
}

/// A build takes seconds at least.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
