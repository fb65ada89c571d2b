//! A run: takes the lock, judges the files of a plan again, and applies them in turn.

use std::time::{Duration, Instant};

use stagelink::Database;
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::migrations::context::Run;
use crate::migrations::drift::Baseline;
use crate::migrations::enforcement::Admission;
use crate::migrations::event::{MigrationEvent, MigrationListener};
use crate::migrations::file::MigrationFile;
use crate::migrations::history::History;
use crate::migrations::lock;
use crate::migrations::observer::Observer;
use crate::migrations::options::MigrationOptions;
use crate::migrations::plan::MigrationPlan;
use crate::migrations::records::{self, RecordFacts};
use crate::migrations::script::Script;
use crate::migrations::second_judgement::StillPending;
use crate::migrations::server_words::describe;
use crate::migrations::session::{ANSWER, Session};
use crate::migrations::version_type::VersionType;
use crate::migrations::{alone, in_transaction, index_build};

/// The result of a run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MigrationReport {
    /// The files that this run applied, each with the time that it took.
    pub applied: Vec<(MigrationFile, Duration)>,
    /// The files of the plan that another run had applied by the time that this one had the lock.
    pub by_others: Vec<MigrationFile>,
    /// The files that wait for a run after the deploy.
    pub waiting: Vec<MigrationFile>,
    /// The reason why the schema was not kept for later comparisons; `None` where it was, or nothing
    /// was applied.
    pub schema_not_kept: Option<String>,
}

impl MigrationPlan {
    /// Applies the plan to its stage's database, and nothing that is not in it: the text of each file
    /// is the one that was judged, also if the file was edited since.
    ///
    /// Under the lock the files are judged again, by what the database has by then. Where that
    /// judgement is stricter than the plan's, the run ends before its first statement.
    ///
    /// Of several runs at a time one works and the others wait. Each file is applied and recorded
    /// by itself, so that a run that was interrupted at any point can begin again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`] when a file is refused for its class, or the plan is outdated, so that
    /// nothing is applied;
    /// when one is held back by a file before it; and when one fails: the message has the file, its
    /// line and the server's words, and says what the file left. The files before it stay applied.
    /// [`ErrorKind::Busy`] when another run, or the sessions that use a table, do not end in time.
    /// [`ErrorKind::Database`] when the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the session. The server ends a statement that runs, and rolls
    /// back its transaction.
    pub async fn apply(
        &self,
        database: &Database,
        options: &MigrationOptions,
        listener: &MigrationListener<'_>,
    ) -> Result<MigrationReport, Error> {
        self.ensure_admitted()?;
        let mut report = MigrationReport::default();
        let files = || self.pending.iter().zip(&self.judged);
        report.waiting = files()
            .filter(|(_, judged)| judged.admission == Admission::Waits)
            .map(|((file, _), _)| file.clone())
            .collect();
        if !files().any(|(_, judged)| judged.admission == Admission::Applies) {
            self.ensure_none_is_held_back()?;
            return Ok(report);
        }
        let session = Session::open(database).await?;
        lock::acquire(&session, options.wait, listener).await?;
        let what = "could not read the history of migrations";
        let history = session
            .answered(what, History::read(&session.client))
            .await?;
        let pending = self
            .judge_again(&session, history.as_ref(), options)
            .await?;
        let history = open_history(&session, history, &self.files).await?;
        let observer = Observer::new(database, session.pid);
        let mut run = Run {
            session,
            observer,
            history,
            options,
            listener,
        };
        let baseline = Baseline::read(&run.session.client, &run.history);
        let baseline = timeout(ANSWER, baseline).await.unwrap_or_default();
        let applied = self.apply_files(&mut run, &pending, &mut report).await;
        // Of a run that failed, the files before stay applied.
        let is_lost = |error: &Error| error.kind() == ErrorKind::Database;
        if !report.applied.is_empty() && !applied.as_ref().is_err_and(is_lost) {
            report.schema_not_kept = keep_schema(&run.session, baseline).await.err();
        }
        applied?;
        lock::release(&run.session).await;
        self.ensure_none_is_held_back()
            .map_err(|error| error.after_files(report.applied.len()))?;
        Ok(report)
    }

    /// Applies the files that are still `pending`, and adds each to the report.
    async fn apply_files(
        &self,
        run: &mut Run<'_>,
        pending: &StillPending,
        report: &mut MigrationReport,
    ) -> Result<(), Error> {
        let listener = run.listener;
        for ((file, script), judged) in self.pending.iter().zip(&self.judged) {
            if judged.admission != Admission::Applies {
                continue;
            }
            let Some(record) = pending.get(&file.version()) else {
                report.by_others.push(file.clone());
                continue;
            };
            let started = Instant::now();
            listener(&MigrationEvent::Begins { file });
            apply(run, file, script, record)
                .await
                .map_err(|error| error.after_files(report.applied.len()))?;
            let elapsed = started.elapsed();
            listener(&MigrationEvent::Applied { file, elapsed });
            report.applied.push((file.clone(), elapsed));
        }
        Ok(())
    }
}

/// Keeps the schema after a run.
///
/// # Errors
///
/// The reason why it could not be kept.
pub(super) async fn keep_schema(session: &Session, baseline: Baseline) -> Result<(), String> {
    let keep = async {
        // A file may have changed the search path, by which the history is found.
        let reset = session.reset("").await;
        reset.map_err(|error| format!("the session could not be reset: {}", describe(&error)))?;
        baseline.keep(&session.client).await
    };
    let kept = timeout(ANSWER, keep).await;
    kept.unwrap_or_else(|_| Err(format!("the server has not answered for {ANSWER:?}")))
}

/// Applies and records a file, in the way that it runs.
async fn apply(
    run: &mut Run<'_>,
    file: &MigrationFile,
    script: &Script,
    facts: &RecordFacts,
) -> Result<(), Error> {
    match script {
        Script::Transaction(statements) => {
            in_transaction::apply(run, file, statements, facts).await
        }
        Script::Alone(statement) => alone::apply(run, file, statement, facts).await,
        Script::Index(statement, index) => {
            index_build::apply(run, file, statement, index, facts).await
        }
    }
}

/// Creates the history and its records where the database has none.
async fn open_history(
    session: &Session,
    found: Option<History>,
    files: &[MigrationFile],
) -> Result<History, Error> {
    let what = "could not open the history of migrations";
    let client = &session.client;
    let history = match found {
        Some(history) => Some(history),
        None => {
            let created = History::create(
                client,
                VersionType::of(files.iter().map(MigrationFile::version)),
            );
            session.answered(what, created).await?
        }
    };
    let history = history.ok_or_else(|| {
        Error::new(
            ErrorKind::Database,
            format!(
                "the history of migrations of stage {} is not on the role's search path: set the \
                 search path to the schema of its tables",
                session.stage
            ),
        )
    })?;
    let what = "could not create the table of records beside the history of migrations";
    let created = records::create(client, &history.schema);
    session.answered(what, created).await?;
    Ok(history)
}
