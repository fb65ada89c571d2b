//! The code of a stage by the records of its deploys: what runs, and what a rollback may bring back.
//!
//! `migrate --after` asks it about each file of *after*: one that an artifact was built without breaks
//! the artifact. What the platforms publish now counts as running beside the records.

mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use stagelink::{Database, one_line};

use self::published::published_artifacts;
use crate::error::Error;
use crate::migrations::class::Class;
use crate::migrations::{DeployPhase, Enforcement, MigrationFile, MigrationFolder, RunningCode};
use crate::needs::{
    GateReason, GateVerdict, ListedMigration, MigrationList, RecordedMigration, gate, gate_after,
};
use crate::promotion::deploy_record::{DeployOutcome, DeployRecord, records_and_time};
use crate::promotion::published_code::{PublishedCode, PublishedDeploy};
use crate::settings_file::LEAST_ROLLBACK_WINDOW;

/// The times for which code that serves no new request may still run, or come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeWindows {
    /// The time for which a rollback may bring the artifact before back.
    rollback: Duration,
    /// The longest time of a background function.
    background: Duration,
}

impl CodeWindows {
    /// Returns those of a deployed stage: `rollback` as `policy.rollback_window` of the settings file has
    /// it, and the 15 minutes of a background function on Netlify, below which neither is.
    pub fn of_stage(rollback: Duration) -> Self {
        Self {
            rollback: rollback.max(LEAST_ROLLBACK_WINDOW),
            background: LEAST_ROLLBACK_WINDOW,
        }
    }

    /// Returns those of a local stage, which are none: its only visitor is the person who runs the
    /// command, and who wants to see the whole course at once.
    pub fn of_local_stage() -> Self {
        Self {
            rollback: Duration::ZERO,
            background: Duration::ZERO,
        }
    }
}

/// Returns the strictness of a run of migrations on a local stage: that of a deployed one once a deploy
/// of the stage is recorded, whose code goes on running while the schema changes; none before.
///
/// # Errors
///
/// [`ErrorKind::Database`](crate::ErrorKind::Database) when the records cannot be read.
pub async fn local_enforcement(
    database: &Database,
    phase: DeployPhase,
) -> Result<Enforcement, Error> {
    let (records, _) = records_and_time(database, MOST_RECORDS).await?;
    let may_run = |record: &DeployRecord| match record.outcome {
        Some(outcome) => outcome.leaves_it_ready(),
        None => true,
    };
    Ok(match records.iter().any(may_run) {
        true => Enforcement::OfStage(phase),
        false => Enforcement::Nothing,
    })
}

/// Looks up the code that runs on a stage, or that a rollback may bring back, by the records of its
/// deploys, and by what the platforms publish now. `None` where no deploy is recorded: the code was deployed by
/// other means, and which code it is is not known.
///
/// # Errors
///
/// [`ErrorKind::Database`](crate::ErrorKind::Database) when the records or the history of migrations
/// cannot be read.
pub async fn running_code(
    database: &Database,
    folder: Option<&MigrationFolder>,
    windows: CodeWindows,
    published: &[PublishedCode],
) -> Result<Option<RunningCode>, Error> {
    let (records, now) = records_and_time(database, MOST_RECORDS).await?;
    let artifacts = stage_artifacts(&records, now, windows, published).await;
    if artifacts.is_empty() {
        return Ok(None);
    }
    let history = RecordedMigration::read_all(database, folder).await?;
    Ok(Some(RunningCode::new(move |file| {
        reasons(&artifacts, &history, file)
    })))
}

/// Returns the artifacts that run, or may run again, from the records with the newest first, and from what is
/// published now.
async fn stage_artifacts(
    records: &[DeployRecord],
    now: Timestamp,
    windows: CodeWindows,
    published: &[PublishedCode],
) -> Vec<StageArtifact> {
    let mut artifacts = artifacts(records, now, windows, published);
    let running = published_artifacts(records, published).await;
    // Those that run count as such, whatever the records say of them.
    artifacts.retain(|one| {
        let mut running = running.iter();
        one.artifact.is_none() || !running.any(|running| running.artifact == one.artifact)
    });
    artifacts.extend(running);
    artifacts
}

/// An artifact that runs, or may run again.
#[derive(Clone, Debug, PartialEq)]
struct StageArtifact {
    /// The digest; `None` where it is not known.
    artifact: Option<String>,
    /// The artifact and its state, as the beginning of a sentence.
    state: String,
    /// The end of the sentence: what to do.
    advice: String,
    /// True if it does not run now, and a rollback may bring it back.
    is_past: bool,
    /// The lists of its functions by name; `None` of a function whose list is not known. `None` where
    /// nothing is known of the artifact.
    functions: Option<BTreeMap<String, Option<MigrationList>>>,
}

/// Returns the artifacts of the records. The newest one that was live runs, unless another is published.
fn artifacts(
    records: &[DeployRecord],
    now: Timestamp,
    windows: CodeWindows,
    published: &[PublishedCode],
) -> Vec<StageArtifact> {
    let mut artifacts = Vec::new();
    let mut seen = BTreeSet::new();
    // The time at which a newer artifact went live.
    let mut replaced_at: Option<Timestamp> = None;
    for (index, record) in records.iter().enumerate() {
        let ended_at = record.finished_at.as_deref().and_then(parse);
        let name = shortened(&record.artifact);
        let (state, advice, is_past) = match (record.outcome, ended_at) {
            (Some(DeployOutcome::Failed), _) => continue,
            (Some(outcome), Some(since)) if outcome.leaves_it_live() => {
                let found = match replaced_at {
                    None => {
                        let mut published = published.iter();
                        let instead = published.find_map(|code| code.instead_of(record));
                        newest(&name, since, instead, now, windows)
                    }
                    Some(end) => of_rollback(&name, end, now, windows)
                        .map(|(state, advice)| (state, advice, true)),
                };
                replaced_at = Some(since);
                match found {
                    Some(found) => found,
                    // Those before it were replaced earlier still.
                    None => break,
                }
            }
            // It was live for a moment, in which a background function may have begun.
            (Some(DeployOutcome::Restored | DeployOutcome::Aborted), Some(end)) => {
                let Some(until) = until(end, windows.background, now) else {
                    continue;
                };
                let (end, until) = (shown(end), shown_end(until));
                (
                    format!(
                        "artifact {name} may have run until {end}, and its background functions until {until}"
                    ),
                    format!("run the command again after {until}"),
                    false,
                )
            }
            // A person may publish it.
            (Some(DeployOutcome::Unpublished), Some(since)) if replaced_at.is_none() => (
                format!(
                    "artifact {name} is ready since {}, and may be published",
                    shown(since)
                ),
                DEPLOY_FIRST.to_owned(),
                false,
            ),
            (Some(DeployOutcome::Unpublished), _) => continue,
            // One that is not finished, or has an outcome of a newer version.
            _ if replaced_at.is_none() => (
                format!(
                    "artifact {name} may run, since `stagelink {}` of {} has not ended or was interrupted",
                    one_line(&record.command),
                    shown_text(&record.started_at)
                ),
                "let that command end, or run it again".to_owned(),
                false,
            ),
            _ => continue,
        };
        if seen.insert(record.artifact.as_str()) {
            artifacts.push(StageArtifact {
                artifact: Some(record.artifact.clone()),
                state,
                advice,
                is_past,
                functions: functions(&record.manifest),
            });
        }
        let Some((previous, end)) = before(record) else {
            continue;
        };
        let mut older = records[index + 1..].iter();
        match older.find(|one| one.has_made(previous)) {
            // Another one than that of the next record, where a person had published it.
            Some(older) => {
                let of_rollback = of_rollback(&shortened(&older.artifact), end, now, windows);
                if let Some((state, advice)) = of_rollback
                    && seen.insert(older.artifact.as_str())
                {
                    artifacts.push(StageArtifact {
                        artifact: Some(older.artifact.clone()),
                        state,
                        advice,
                        is_past: true,
                        functions: functions(&older.manifest),
                    });
                }
            }
            None => artifacts.extend(unrecorded(previous, end, now, windows)),
        }
    }
    artifacts
}

/// Returns the state of the newest artifact that went live, the advice, and whether it is past: a person may
/// have published another deploy instead. `None` where no rollback may bring it back.
fn newest(
    name: &str,
    live_at: Timestamp,
    instead: Option<&PublishedDeploy>,
    now: Timestamp,
    windows: CodeWindows,
) -> Option<(String, String, bool)> {
    let shown = shown(live_at);
    let state = match instead {
        None => format!("artifact {name} runs since {shown}"),
        Some(instead) => match instead.since.filter(|since| *since > live_at) {
            Some(end) => {
                let (state, advice) = of_rollback(name, end, now, windows)?;
                return Some((state, advice, true));
            }
            // Netlify may tell the time at which the deploy was published first.
            None => format!("artifact {name} went live at {shown}, and may be published again"),
        },
    };
    Some((state, DEPLOY_FIRST.to_owned(), false))
}

/// Returns the deploy that ran before a record's went live, and the time of its end.
fn before(record: &DeployRecord) -> Option<(&str, Timestamp)> {
    let is_live = record.outcome.is_some_and(DeployOutcome::leaves_it_live);
    let previous = record.previous.as_deref().filter(|_| is_live)?;
    Some((previous, record.finished_at.as_deref().and_then(parse)?))
}

/// Returns the state of an artifact that ran until `end`, and the advice, while a rollback may bring it back.
fn of_rollback(
    name: &str,
    end: Timestamp,
    now: Timestamp,
    windows: CodeWindows,
) -> Option<(String, String)> {
    let until = shown_end(until(end, windows.rollback, now)?);
    let end = shown(end);
    Some((
        format!("artifact {name} ran until {end}, and a rollback may bring it back until {until}"),
        format!("run the command again after {until} (policy.rollback_window)"),
    ))
}

/// Returns the end of a period that is not over.
fn until(end: Timestamp, period: Duration, now: Timestamp) -> Option<Timestamp> {
    let until = end.checked_add(period).unwrap_or(Timestamp::MAX);
    (now < until).then_some(until)
}

/// Returns code without a record that ran before an artifact went live. A rollback does not bring it back, and
/// its background functions may still run.
fn unrecorded(
    previous: &str,
    end: Timestamp,
    now: Timestamp,
    windows: CodeWindows,
) -> Option<StageArtifact> {
    let until = until(end, windows.background, now)?;
    let (previous, until_text) = (one_line(previous), shown_end(until));
    Some(StageArtifact {
        artifact: None,
        state: format!(
            "the deploy {previous}, which has no record, ran until {}, and its background functions may \
             until {until_text}",
            shown(end)
        ),
        advice: format!("run the command again after {until_text}"),
        is_past: false,
        functions: None,
    })
}

/// Returns the reasons for which artifacts do not bear a file of *after*.
fn reasons(
    artifacts: &[StageArtifact],
    history: &[RecordedMigration],
    file: &MigrationFile,
) -> Vec<String> {
    let after = [ListedMigration::new(file, Class::After)];
    let of_artifact = artifacts.iter().filter_map(|artifact| {
        let StageArtifact { state, advice, .. } = artifact;
        let Some(functions) = &artifact.functions else {
            return Some(format!("{state}; what it needs is not known: {advice}"));
        };
        let mut broken = Vec::new();
        for (function, list) in functions {
            let list = list.as_ref();
            // A rollback cannot bring back what an earlier migration has broken.
            if artifact.is_past && matches!(gate(list, history), GateVerdict::CannotRun(_)) {
                return None;
            }
            match gate_after(list, history, &after) {
                GateVerdict::CannotRun(reasons) | GateVerdict::Unknown(reasons) => {
                    let reason = reasons.iter().find_map(|one| of_file(one, file.version()));
                    broken.extend(reason.map(|reason| (function, reason)));
                }
                GateVerdict::Runs | GateVerdict::NeedsFirst(_) => {}
            }
        }
        let (function, reason) = broken.first()?;
        let others = match broken.len() - 1 {
            0 => String::new(),
            1 => " (and another function)".to_owned(),
            count => format!(" (and {count} other functions)"),
        };
        let function = one_line(function);
        Some(format!(
            "{state}; its function {function}{others} {reason}: {advice}"
        ))
    });
    of_artifact.collect()
}

/// Returns the reason in words about a function, where it is about the file with this number.
fn of_file(reason: &GateReason, version: i64) -> Option<String> {
    match reason {
        GateReason::AppliedAfter(recorded) if recorded.version == version => {
            Some(format!("was built without {recorded}"))
        }
        GateReason::Differs { listed, recorded } if recorded.version == version => Some(format!(
            "was built with another content of {listed} than the file has"
        )),
        GateReason::NoList => {
            Some("has no list of migrations, so what it needs is not known".to_owned())
        }
        _ => None,
    }
}

/// Returns the lists of an artifact's functions; `None` for a record file of another form.
fn functions(manifest: &Value) -> Option<BTreeMap<String, Option<MigrationList>>> {
    #[derive(Deserialize)]
    struct RecordFile {
        format: u32,
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        functions: BTreeMap<String, Function>,
    }
    #[derive(Deserialize)]
    struct Function {
        migrations: Option<Vec<ListedMigration>>,
    }
    let file = RecordFile::deserialize(manifest).ok()?;
    let functions = file.content.functions.into_iter();
    let functions = functions.map(|(name, of)| (name, of.migrations.map(MigrationList::from_iter)));
    (file.format == 1).then(|| functions.collect())
}

fn parse(time: &str) -> Option<Timestamp> {
    time.parse().ok()
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns the minute at which a time is over.
fn shown_end(time: Timestamp) -> String {
    shown(time.checked_add(Duration::from_secs(59)).unwrap_or(time))
}

fn shown_text(time: &str) -> String {
    parse(time).map_or_else(|| one_line(time).to_string(), shown)
}

/// Returns the first characters of a digest.
fn shortened(digest: &str) -> String {
    let digest: String = digest.chars().take(12).collect();
    one_line(digest).to_string()
}

const DEPLOY_FIRST: &str = "deploy code that was built with it first";

/// More than a stage has in a rollback window.
const MOST_RECORDS: u32 = 500;

#[cfg(test)]
mod tests;
