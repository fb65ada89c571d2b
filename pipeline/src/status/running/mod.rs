//! The code that a stage's functions really run: each function of the deploy says so by its self-check,
//! and is compared with the record of the deploy and with the database's migrations.

mod question;

use serde::{Deserialize, Serialize};
use stagelink::Stage;
use stagelink::self_check::SelfCheckReport;

pub(crate) use self::question::RunningQuestion;
use crate::artifact::FunctionContent;
use crate::needs::{GateVerdict, ListedMigration, MigrationList, RecordedMigration, gate};
use crate::status::lookup::Lookup;

/// The answers of a deploy's functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningDeploy {
    /// The address that was asked.
    pub url: String,
    /// The functions that were asked, by name.
    pub functions: Vec<RunningFunction>,
    /// The names of the functions that only Netlify calls, so that none can ask them.
    pub uncallable: Vec<String>,
    /// The names of the functions beyond the number that a command asks.
    pub not_asked: Vec<String>,
}

/// A function that was asked what it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningFunction {
    /// The function's name.
    pub name: String,
    /// Its answer; not known where it gave none.
    pub answer: Lookup<RunningAnswer>,
}

/// The answer of a function, which its deploy's key has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningAnswer {
    /// The differences from the record of the deploy, each as the end of a sentence about the function;
    /// empty where it agrees with the record.
    pub differs: Vec<String>,
    /// The gate's answer about it on the stage's database, by the migrations that it was built with.
    pub needs: Lookup<RunningNeeds>,
    /// `ok` where it reaches its database, else the kind of the failure, such as
    /// `database-unreachable`.
    pub database: String,
    /// True where that failure may pass by itself.
    pub is_retryable: bool,
}

/// The gate's answer about a function that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningNeeds {
    /// `runs`, `needs-first`, `unknown` or `cannot-run`.
    pub verdict: String,
    /// The reasons, each as a sentence about the function; none where it `runs`.
    pub reasons: Vec<String>,
}

impl RunningDeploy {
    /// Returns whether each function that was asked has answered, and its needs could be judged.
    pub(super) fn is_complete(&self) -> bool {
        let mut functions = self.functions.iter();
        functions.all(|function| match &function.answer {
            Lookup::Known { value } => !value.needs.is_not_known(),
            _ => false,
        })
    }
}

impl RunningAnswer {
    /// Judges a report by the entry of the record, and by the history of the stage's database.
    fn of(
        report: &SelfCheckReport,
        stage: Stage,
        entry: &FunctionContent,
        history: &Result<Vec<RecordedMigration>, String>,
    ) -> Self {
        let list = listed(report);
        let needs = match (&list, history) {
            (Err(reason), _) | (_, Err(reason)) => Lookup::not_known(reason),
            (Ok(list), Ok(history)) => {
                Lookup::known(RunningNeeds::of(&gate(list.as_ref(), history)))
            }
        };
        Self {
            differs: differences(report, stage, entry, list.as_ref().ok()),
            needs,
            database: report.database.clone(),
            is_retryable: report.is_retryable,
        }
    }

    /// Returns whether the function reaches its database.
    pub fn is_database_ok(&self) -> bool {
        self.database == "ok"
    }
}

impl RunningNeeds {
    fn of(verdict: &GateVerdict) -> Self {
        Self {
            verdict: verdict.name().to_owned(),
            reasons: verdict.reasons(),
        }
    }
}

/// Reads the list of migrations of a report; `None` where the program has none.
fn listed(report: &SelfCheckReport) -> Result<Option<MigrationList>, String> {
    let Some(json) = &report.migrations else {
        return Ok(None);
    };
    let unusable = |reason: &str| format!("its list of migrations has {reason}");
    let listed: Vec<ListedMigration> = serde_json::from_value(json.clone())
        .map_err(|_| unusable("a form that this version of stagelink does not know"))?;
    for migration in &listed {
        migration.validate().map_err(unusable)?;
    }
    Ok(Some(listed.into_iter().collect()))
}

/// Returns what a report says otherwise than the record.
fn differences(
    report: &SelfCheckReport,
    stage: Stage,
    entry: &FunctionContent,
    list: Option<&Option<MigrationList>>,
) -> Vec<String> {
    let mut differences = Vec::new();
    if report.stage != Some(stage) {
        let other = report.stage.map(|stage| stage.to_string());
        let other = other.as_deref().unwrap_or("no stage");
        differences.push(format!("serves {other}, and not {stage}"));
    }
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let recorded = short(&entry.program);
    match &report.program {
        Some(program) if *program == entry.program => {
            // The program holds its list, so only one that could not be read differs.
            if list.is_some_and(|list| *list != entry.migration_list()) {
                let reason = "lists other migrations than the record has of its program";
                differences.push(reason.to_owned());
            }
        }
        Some(program) => differences.push(format!(
            "runs the program {}, and not {recorded} of the record",
            short(program)
        )),
        None => differences.push(format!(
            "cannot read its own program, which is {recorded} by the record"
        )),
    }
    if let Some(mark) = report.mark.filter(|mark| *mark != stage) {
        differences.push(format!(
            "reaches a database that is marked as {mark}'s, and not as {stage}'s"
        ));
    }
    differences
}

/// Returns the look-up that a status of an older version lacks.
pub(super) fn not_looked_up() -> Lookup<RunningDeploy> {
    Lookup::absent("an older version of stagelink made the status")
}

#[cfg(test)]
mod tests;
