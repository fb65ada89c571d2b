//! A file of one statement without a transaction, recorded after it.
//!
//! While the server has not answered a statement, the records have its beginning, which is written only
//! where the statement has something to do. Where a run ends meanwhile, the next one looks at the
//! statement's object: what is done by then is this file's work.

use std::time::Duration;

use stagelink::tokio_postgres::Error as DriverError;
use tokio::time::sleep;

use crate::error::{Error, ErrorKind};
use crate::migrations::context::Run;
use crate::migrations::event::{MigrationEvent, OtherSession, list};
use crate::migrations::file::MigrationFile;
use crate::migrations::lock;
use crate::migrations::observer::{Observation, SessionLost};
use crate::migrations::one_object::{ObjectState, OneObject};
use crate::migrations::pauses::Pauses;
use crate::migrations::records::{self, RecordFacts};
use crate::migrations::reindex;
use crate::migrations::server_words::{
    describe, describe_of_file, ends_session, position, sqlstate,
};
use crate::migrations::session::milliseconds;
use crate::migrations::statement::Statement;

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
    let object = OneObject::of(statement);
    loop {
        prepare(run, file, is_patient).await?;
        let state = look(run, file, object.as_ref()).await?;
        let was_begun = match state {
            ObjectState::Done => is_begun(run, file).await?,
            ObjectState::ToDo | ObjectState::Pending => begin(run, file, facts).await?,
        };
        if was_begun && state == ObjectState::Done {
            (run.listener)(&MigrationEvent::WasDone { file });
            return record(run, file, facts).await;
        }
        if was_begun {
            drop_leftovers(run, file, statement).await?;
        }
        let finalize = finalize(statement).filter(|_| state == ObjectState::Pending);
        if finalize.is_some() {
            (run.listener)(&MigrationEvent::FinishesDetach { file });
        }
        let sql = finalize.as_deref().unwrap_or(&statement.text);
        let (done, sessions) = execute(run, file, sql).await;
        let failure = match done {
            Ok(Ok(())) => return record(run, file, facts).await,
            Ok(Err(error)) => error,
            Err(end) => return Err(lost_session(run, file, end)),
        };
        let may_be_done = was_begun && object.is_none() && may_be_done(&failure);
        let left = left_by(run, file, statement, may_be_done).await;
        // A procedure may have committed a part of its work.
        let leaves_parts = ["CALL", "DO"].iter().any(|word| statement.begins(&[word]));
        let is_busy = is_of_busy_table(&failure) && !leaves_parts;
        if is_busy && let Some(pause) = pauses.next() {
            try_again(run, file, &pauses, pause, &sessions).await;
            continue;
        }
        return Err(failed(run, file, statement, &failure, &sessions, &left));
    }
}

/// Looks at the object of a statement. Of a statement without a known one all is to do.
async fn look(
    run: &Run<'_>,
    file: &MigrationFile,
    object: Option<&OneObject>,
) -> Result<ObjectState, Error> {
    let Some(object) = object else {
        return Ok(ObjectState::ToDo);
    };
    let looking = format!("{} was not begun", file.path());
    let state = object.state(&run.session.client);
    run.session.answered(&looking, state).await
}

/// Records that the statement begins. Returns whether an earlier run had begun it.
pub(super) async fn begin(
    run: &Run<'_>,
    file: &MigrationFile,
    facts: &RecordFacts,
) -> Result<bool, Error> {
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

/// Returns whether an earlier run had begun the statement, and did not come to its end.
pub(super) async fn is_begun(run: &Run<'_>, file: &MigrationFile) -> Result<bool, Error> {
    let what = format!("{} was not begun", file.path());
    let checksum = run.history.checksum(file).to_string();
    let client = &run.session.client;
    let begun = records::is_begun(client, &run.history.schema, (file, &checksum));
    run.session.answered(&what, begun).await
}

/// Forgets that the statement was begun: the server has refused it.
pub(super) async fn forget(run: &Run<'_>, file: &MigrationFile) {
    let forgotten = records::forget(&run.session.client, &run.history.schema, file);
    let what = "could not record the end of the statement";
    let _ = run.session.answered(what, forgotten).await;
}

/// Returns whether the server's refusal may be about the work of an earlier run: something exists, or
/// does not. It says neither that this is the statement's object, nor that all of it is done.
fn may_be_done(error: &DriverError) -> bool {
    const EXISTS: [&str; 6] = ["42P04", "42P06", "42P07", "42701", "42710", "42723"];
    const DOES_NOT: [&str; 6] = ["3D000", "3F000", "42703", "42704", "42883", "42P01"];
    sqlstate(error).is_some_and(|code| EXISTS.contains(&code) || DOES_NOT.contains(&code))
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
            Err(end) => return Err(lost_session(run, file, end)),
        }
    }
    Ok(())
}

/// Returns the end of the message of a statement that the server refused. It counts as begun no more,
/// unless it left something, an earlier run may have done it, or the server does not say.
async fn left_by(
    run: &Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
    may_be_done: bool,
) -> String {
    let leftovers = reindex::leftovers(&run.session.client, statement);
    let Ok(leftovers) = run.session.answered("", leftovers).await else {
        return "what it left is not known: the next run looks".to_owned();
    };
    if !leftovers.is_empty() {
        return format!(
            "it left the invalid index {}, which slows the table's writes: the next run drops it \
             and begins again",
            leftovers.join(" and ")
        );
    }
    if may_be_done {
        return "an earlier run of the file was interrupted, and may have done it: look at the \
                database; if it did, let the statement bear that, as with IF EXISTS or IF NOT \
                EXISTS, and else rename what is in its way"
            .to_owned();
    }
    forget(run, file).await;
    let mut left =
        "it ran without a transaction, so what it did before that is still there, and it \
                    is not recorded: the next run begins it again"
            .to_owned();
    if statement.begins(&["DROP"]) && !statement.has(&["IF", "EXISTS"]) {
        left.push_str("; if it was dropped by hand, add IF EXISTS to the statement");
    }
    left
}

/// Makes the session ready: it must hold the lock, and a patient statement has no limits.
pub(super) async fn prepare(
    run: &Run<'_>,
    file: &MigrationFile,
    is_patient: bool,
) -> Result<(), Error> {
    run.begin(file).await?;
    let client = &run.session.client;
    let looking = format!("{} was not begun", file.path());
    let loss = lock::loss(client, run.session.pid);
    if let Some(loss) = run.session.answered(&looking, loss).await? {
        return Err(Error::new(
            ErrorKind::Settings,
            format!("{looking}: {loss}"),
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

/// The server's answer, or the end of the session, with the server's words where it told of it.
pub(super) type Outcome = Result<Result<(), DriverError>, Option<DriverError>>;

/// Runs SQL, and tells what it waits for. Returns also the sessions that it waited for last.
pub(super) async fn execute(
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
    let done = match run.observer.watch(work, report).await {
        Ok(Err(error)) if ends_session(&error) => Err(Some(error)),
        Ok(done) => Ok(done),
        Err(SessionLost) => Err(None),
    };
    (done, blockers)
}

pub(super) async fn record(
    run: &Run<'_>,
    file: &MigrationFile,
    facts: &RecordFacts,
) -> Result<(), Error> {
    // The statement may have changed the session.
    run.begin(file).await?;
    let what = format!(
        "{} was applied, and could not be recorded: run the command again",
        file.path()
    );
    let client = &run.session.client;
    let loss = lock::loss(client, run.session.pid);
    if let Some(loss) = run.session.answered(&what, loss).await? {
        return Err(Error::new(
            ErrorKind::Migration,
            format!(
                "stage {}: {} was applied, and is not recorded, so the next run begins it again: \
                 {loss}",
                run.session.stage,
                file.path()
            ),
        ));
    }
    let recorded = run
        .history
        .record(client, file, facts, &run.options.applied_by);
    run.session.answered(&what, recorded).await
}

pub(super) async fn try_again(
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

pub(super) fn is_of_busy_table(error: &DriverError) -> bool {
    matches!(sqlstate(error), Some("55P03" | "40P01"))
}

pub(super) fn failed(
    run: &Run<'_>,
    file: &MigrationFile,
    statement: &Statement,
    error: &DriverError,
    sessions: &[OtherSession],
    left: &str,
) -> Error {
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
            describe_of_file(error, file.sql())
        ),
    )
}

pub(super) fn lost_session(run: &Run<'_>, file: &MigrationFile, end: Option<DriverError>) -> Error {
    let words = end.map_or_else(String::new, |error| format!(" ({})", describe(&error)));
    Error::new(
        ErrorKind::Database,
        format!(
            "stage {}: {}: the connection was lost while the statement ran without a transaction\
             {words}, so the server alone knows how far it is: run the command again, which waits \
             for its end and looks",
            run.session.stage,
            file.path()
        ),
    )
}
