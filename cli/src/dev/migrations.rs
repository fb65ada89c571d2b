//! The migrations of `stagelink dev`: applied to each local stage as it starts, and to all of them when
//! a file appears or changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use stagelink::{Database, Settings};
use stagelink_local::{Cloud, StageSite};
use stagelink_pipeline::{
    DeployPhase, MigrationFile, MigrationFolder, forget_deploys, local_enforcement,
};
use tokio::time::sleep;

use super::build_news::{BuildNews, Part};
use super::watch::in_background;
use crate::migrate::{self, LocalRun, Told};
use crate::output::{note, note_error};

/// The migrations of a project, with the content that was applied last.
pub(super) struct LocalMigrations {
    folder: PathBuf,
    applied: Content,
}

/// The files, or the reason why the folder cannot be used.
type Content = Result<Vec<MigrationFile>, String>;

impl LocalMigrations {
    pub(super) fn of_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            applied: Ok(Vec::new()),
        }
    }

    /// Marks each stage's database and applies the migrations to it. Connects as the stage's
    /// functions do: by pipeline, app, config var, TLS and role. Returns what was done.
    ///
    /// The records of deploys in kept data are of an earlier run, whose deploys are gone.
    pub(super) async fn mark_and_apply(&mut self, stages: &[StageSite]) -> anyhow::Result<String> {
        for stage in stages {
            database(stage).set_stage_mark().await?;
            forget_deploys(&database_without_pooler(stage)).await?;
        }
        self.applied = self.content().await;
        if !self.folder.is_dir() {
            return Ok("the project has no migrations".to_owned());
        }
        Ok(self.apply(stages).await?.join(", "))
    }

    /// Applies the migrations again whenever a file has appeared or changed, and says so. A mistake in
    /// one is told, and ends nothing.
    ///
    /// The folder is read each second, which needs no notification by the file system: those of
    /// containers and network folders get lost. A file counts once it is the same for a second, so
    /// that one that is still being written is left alone.
    pub(super) async fn follow(&mut self, cloud: &Cloud, news: &BuildNews) {
        let mut seen = self.content().await;
        loop {
            sleep(INTERVAL).await;
            let now = self.content().await;
            let is_settled = now == seen;
            seen = now;
            if !is_settled || seen == self.applied {
                continue;
            }
            self.applied.clone_from(&seen);
            match self.apply(cloud.stages()).await {
                Ok(done) => {
                    tell_each(&done);
                    news.served(Part::Migrations);
                }
                Err(error) => {
                    let ways = after_error(cloud.stages().first().map(StageSite::name));
                    note_error(&error);
                    note(format_args!("  {ways}"));
                    news.failed(Part::Migrations, &error, &ways);
                }
            }
        }
    }

    /// Applies the files ahead of the first one without a statement to each stage, whatever fails on
    /// another one; those of *after* only where no deploy is recorded. Returns what was done.
    async fn apply(&self, stages: &[StageSite]) -> anyhow::Result<Vec<String>> {
        let folder = MigrationFolder::read(&self.folder)?;
        let empty = folder.empty_files().map(|file| file.path().to_owned());
        let empty: Vec<_> = empty.collect();
        let complete = folder.before_first_empty();
        let (mut runs, mut failed) = (BTreeMap::new(), None);
        let told = Mutex::new(BTreeSet::new());
        for stage in stages {
            // What a stage waits for is its own; what a deployed stage would say, it says for each.
            let tell = |line: Told| {
                let line = match line {
                    Told::Wait(line) => format!("{}: {line}", stage.name()),
                    Told::DecisionOfDeployedStage(line) => line,
                };
                let is_new = told.lock().is_ok_and(|mut told| told.insert(line.clone()));
                if is_new {
                    note(format_args!("  migrations: {line}"));
                }
            };
            match apply_to(stage, &complete, tell).await {
                Ok(run) => {
                    let stages: &mut Vec<&str> = runs.entry(run).or_default();
                    stages.push(stage.name());
                }
                // Mostly the same mistake for each stage.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let mut results: Vec<String> = runs
            .iter()
            .flat_map(|(run, stages)| [done(run, stages), waiting(run, stages)])
            .flatten()
            .collect();
        results.extend(without_statement(&empty));
        match failed {
            None => Ok(results),
            Some(error) => {
                tell_each(&results);
                Err(error)
            }
        }
    }

    async fn content(&self) -> Content {
        let folder = self.folder.clone();
        let read = in_background(move || match MigrationFolder::read(&folder) {
            Ok(folder) => Ok(folder.files().to_vec()),
            Err(error) => Err(format!("{error:?}")),
        });
        read.await
    }
}

fn tell_each(results: &[String]) {
    for result in results {
        note(format_args!("  migrations: {result}"));
    }
}

/// Applies the files to one stage.
async fn apply_to(
    stage: &StageSite,
    folder: &MigrationFolder,
    tell: impl Fn(Told) + Send + Sync,
) -> anyhow::Result<LocalRun> {
    let database = database_without_pooler(stage);
    let enforcement = local_enforcement(&database, DeployPhase::Before).await?;
    migrate::apply_folder(&database, folder, enforcement, tell).await
}

/// Returns what was applied to stages: `V4__mail and V5__index applied to production and staging`; `None`
/// where nothing was, and files wait.
fn done(run: &LocalRun, stages: &[&str]) -> Option<String> {
    let stages = stages.join(" and ");
    match run.applied.is_empty() {
        true if run.waiting.is_empty() => Some(format!("nothing new for {stages}")),
        true => None,
        false => Some(format!("{} applied to {stages}", files(&run.applied))),
    }
}

/// Returns the files that wait, and what to do.
fn waiting(run: &LocalRun, stages: &[&str]) -> Option<String> {
    if run.waiting.is_empty() {
        return None;
    }
    let verb = match run.waiting.len() {
        1 => "waits",
        _ => "wait",
    };
    let commands = stages
        .iter()
        .map(|stage| format!("`stagelink migrate {stage} --after --local`"));
    let commands: Vec<_> = commands.collect();
    Some(format!(
        "{} {verb} on {}: code that was deployed there may need what the migration changes; deploy code that \
         does not, then {}",
        files(&run.waiting),
        stages.join(" and "),
        commands.join(" and "),
    ))
}

/// Returns the files that have no statement yet, where there are some.
fn without_statement(empty: &[String]) -> Option<String> {
    match empty {
        [] => None,
        [only] => Some(format!("{only} has no statement yet, and later files wait")),
        [first, others @ ..] => Some(format!(
            "{first} has no statement yet, and later files wait; {} {} none, either",
            others.join(" and "),
            if others.len() == 1 { "has" } else { "have" }
        )),
    }
}

/// Returns the names of files, at most two of them.
fn files(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first, last] => format!("{first} and {last}"),
        [first, .., last] => format!("{first} to {last}, {} files,", names.len()),
    }
}

fn database(stage: &StageSite) -> Database {
    Database::new(Settings::from_vars(stage.variables()))
}

/// Returns a stage's database without a pooler: a migration may need a session of its own.
fn database_without_pooler(stage: &StageSite) -> Database {
    Database::new(Settings::from_vars(stage.variables()).map(Settings::without_pooler))
}

/// Returns the ways on after a mistake in a file.
fn after_error(stage: Option<&str>) -> String {
    let stage = stage.unwrap_or("staging");
    format!(
        "the next change of a file is tried again, and a command such as `stagelink migrate {stage} --local` \
         runs them on one local stage; after a restart of `stagelink dev` the databases are empty, unless \
         --data keeps them"
    )
}

const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_the_files_and_the_stages() {
        let names = ["V1__a", "V2__b", "V3__c"].map(str::to_owned);
        let run = |applied: usize, waiting: usize| LocalRun {
            applied: names[..applied].to_vec(),
            waiting: names[3 - waiting..].to_vec(),
        };
        let both = ["production", "staging"];
        for (applied, stages, expected) in [
            (0, &both[..], "nothing new for production and staging"),
            (1, &both[..1], "V1__a applied to production"),
            (2, &both[..1], "V1__a and V2__b applied to production"),
            (
                3,
                &both,
                "V1__a to V3__c, 3 files, applied to production and staging",
            ),
        ] {
            assert_eq!(done(&run(applied, 0), stages).as_deref(), Some(expected));
            assert_eq!(waiting(&run(applied, 0), stages), None);
        }
        assert_eq!(done(&run(0, 1), &both), None);
        let line = waiting(&run(1, 1), &both[..1]).expect("a line");
        assert!(line.starts_with("V3__c waits on production: "), "{line}");
        assert!(
            line.contains("`stagelink migrate production --after"),
            "{line}"
        );
        let line = waiting(&run(1, 2), &both).expect("a line");
        assert!(line.starts_with("V2__b and V3__c wait on production and staging: "));
        let ways = "then `stagelink migrate production --after --local` and `stagelink migrate staging --after \
                    --local`";
        assert!(line.ends_with(ways), "{line}");
        assert!(after_error(Some("qa")).contains("`stagelink migrate qa --local`"));
    }

    #[test]
    fn each_file_without_a_statement_is_named() {
        let names = ["V1__a.sql", "V2__b.sql", "V3__c.sql"].map(str::to_owned);
        for (count, expected) in [
            (1, "V1__a.sql has no statement yet, and later files wait"),
            (
                2,
                "V1__a.sql has no statement yet, and later files wait; V2__b.sql has none, either",
            ),
            (
                3,
                "V1__a.sql has no statement yet, and later files wait; V2__b.sql and V3__c.sql have none, either",
            ),
        ] {
            assert_eq!(
                without_statement(&names[..count]).as_deref(),
                Some(expected)
            );
        }
        assert_eq!(without_statement(&[]), None);
    }
}
