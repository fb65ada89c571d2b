//! The build of an index CONCURRENTLY, over what an earlier run left of it.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Error, ErrorKind};
use crate::migrations::alone::{
    begin, execute, failed, forget, is_begun, is_of_busy_table, lost_session, prepare, record,
    try_again,
};
use crate::migrations::concurrent_index::{self, Comparison, IndexState};
use crate::migrations::context::Run;
use crate::migrations::event::{MigrationEvent, OtherSession};
use crate::migrations::file::MigrationFile;
use crate::migrations::pauses::Pauses;
use crate::migrations::records::RecordFacts;
use crate::migrations::server_words::describe;
use crate::migrations::statement::{ConcurrentIndex, Statement};

/// Creates and records an index CONCURRENTLY.
///
/// An invalid index that an earlier run left is dropped, if no session is building it. A valid one
/// of the same definition counts as applied.
///
/// # Errors
///
/// Those of [`MigrationPlan::apply`](crate::MigrationPlan::apply).
pub(super) async fn apply(
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
                    Err(end) => return Err(lost_session(run, file, end)),
                }
            }
            IndexState::Valid { definition } => {
                let limit = run.options.lock_timeout;
                let compared = concurrent_index::compare(client, statement, &definition, limit);
                let reason = match run.session.answered(&looking, compared).await? {
                    Comparison::Same => None,
                    Comparison::Other => Some(format!(
                        "the index {name} exists with another definition ({definition}): name it \
                         otherwise, or drop that one in a migration before this one"
                    )),
                    // An earlier run saw none of this name, and was building it when it ended.
                    Comparison::Failed(_) if is_begun(run, file).await? => None,
                    Comparison::Failed(error) => Some(format!(
                        "the index {name} exists already ({definition}) and could not be compared \
                         with the statement, for which the server makes it on a temporary table \
                         ({}): drop it, or name this one otherwise",
                        describe(&error)
                    )),
                };
                if let Some(reason) = reason {
                    return Err(refused(run, file, statement, &reason));
                }
                (run.listener)(&MigrationEvent::IndexExists { file, index: &name });
                return record(run, file, facts).await;
            }
        }
        begin(run, file, facts).await?;
        let (done, sessions) = execute(run, file, &statement.text).await;
        let failure = match done {
            Ok(Ok(())) => return record(run, file, facts).await,
            Ok(Err(error)) => error,
            Err(end) => return Err(lost_session(run, file, end)),
        };
        forget(run, file).await;
        if is_of_busy_table(&failure)
            && let Some(pause) = pauses.next()
        {
            try_again(run, file, &pauses, pause, &sessions).await;
            continue;
        }
        let found = concurrent_index::look_up(&run.session.client, index);
        let left = match run.session.answered("", found).await {
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

/// A build takes seconds at least.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
