//! The migrations of `stagelink dev`: applied to each local stage as it starts, and to all of them when
//! a file appears or changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use stagelink::{Database, Settings};
use stagelink_local::{Cloud, StageSite};
use stagelink_pipeline::{MigrationFile, MigrationFolder};
use tokio::time::sleep;

use crate::migrate;
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
    pub(super) async fn mark_and_apply(&mut self, stages: &[StageSite]) -> anyhow::Result<String> {
        for stage in stages {
            database(stage).set_stage_mark().await?;
        }
        self.applied = self.content();
        if !self.folder.is_dir() {
            return Ok("the project has no migrations".to_owned());
        }
        self.apply(stages).await
    }

    /// Applies the migrations again whenever a file has appeared or changed, and says so. A mistake in
    /// one is told, and ends nothing.
    ///
    /// The folder is read each second, which needs no notification by the file system: those of
    /// containers and network folders get lost. A file counts once it is the same for a second, so
    /// that one that is still being written is left alone.
    pub(super) async fn follow(&mut self, cloud: &Cloud) {
        let mut seen = self.content();
        loop {
            sleep(INTERVAL).await;
            let now = self.content();
            let is_settled = now == seen;
            seen = now;
            if !is_settled || seen == self.applied {
                continue;
            }
            self.applied.clone_from(&seen);
            match self.apply(cloud.stages()).await {
                Ok(done) => note(format_args!("  migrations: {done}")),
                Err(error) => {
                    note_error(&error);
                    note(AFTER_ERROR);
                }
            }
        }
    }

    /// Applies the files ahead of the first one without a statement to each stage, whatever fails on
    /// another one. Returns what was done.
    async fn apply(&self, stages: &[StageSite]) -> anyhow::Result<String> {
        let folder = MigrationFolder::read(&self.folder)?;
        let empty = folder.empty_files().next();
        let empty = empty.map(|file| file.path().to_owned());
        let complete = folder.before_first_empty();
        let (mut applied_to, mut failed) = (BTreeMap::new(), None);
        let told = RefCell::new(BTreeSet::new());
        let tell = |line: String| {
            if told.borrow_mut().insert(line.clone()) {
                note(format_args!("  migrations: {line}"));
            }
        };
        for stage in stages {
            let database = database_without_pooler(stage);
            match migrate::apply_folder(&database, &complete, tell).await {
                Ok(applied) => {
                    let stages: &mut Vec<&str> = applied_to.entry(applied).or_default();
                    stages.push(stage.name());
                }
                // Mostly the same mistake for each stage.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let mut results: Vec<String> = applied_to
            .iter()
            .map(|(files, stages)| done(files, stages))
            .collect();
        if let Some(file) = empty {
            results.push(format!("{file} has no statement yet, and later files wait"));
        }
        match failed {
            None => Ok(results.join(", ")),
            Some(error) => {
                if !results.is_empty() {
                    note(format_args!("  migrations: {}", results.join(", ")));
                }
                Err(error)
            }
        }
    }

    fn content(&self) -> Content {
        match MigrationFolder::read(&self.folder) {
            Ok(folder) => Ok(folder.files().to_vec()),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

/// Returns what was applied to stages: `V4__mail and V5__index applied to production and staging`.
fn done(files: &[String], stages: &[&str]) -> String {
    let stages = stages.join(" and ");
    let files = match files {
        [] => return format!("nothing new for {stages}"),
        [only] => only.clone(),
        [first, last] => format!("{first} and {last}"),
        [first, .., last] => format!("{first} to {last}, {} files,", files.len()),
    };
    format!("{files} applied to {stages}")
}

fn database(stage: &StageSite) -> Database {
    Database::new(Settings::from_vars(stage.variables()))
}

/// Returns a stage's database without a pooler: a migration may need a session of its own.
fn database_without_pooler(stage: &StageSite) -> Database {
    Database::new(Settings::from_vars(stage.variables()).map(Settings::without_pooler))
}

const AFTER_ERROR: &str = "  the next change of a file is tried again, and `stagelink migrate STAGE --local` \
                           runs them on one local stage; after a restart of `stagelink \
                           dev` the databases are empty, unless --data keeps them";

const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_the_files_and_the_stages() {
        let files = ["V1__a", "V2__b", "V3__c"].map(str::to_owned);
        let both = ["production", "staging"];
        assert_eq!(
            done(&files[..0], &both),
            "nothing new for production and staging"
        );
        assert_eq!(done(&files[..1], &both[..1]), "V1__a applied to production");
        assert_eq!(
            done(&files[..2], &both[..1]),
            "V1__a and V2__b applied to production"
        );
        assert_eq!(
            done(&files, &both),
            "V1__a to V3__c, 3 files, applied to production and staging"
        );
    }
}
