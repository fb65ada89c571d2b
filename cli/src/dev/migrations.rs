//! The migrations of `stagelink dev`: applied to each local stage as it starts, and to all of them when
//! a file appears or changes.

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
        let folder = MigrationFolder::read(&self.folder)?;
        let empty = first_empty(&folder);
        // The databases may be new, so what is before it is applied all the same.
        let mut done = self.apply(stages, &folder.before_first_empty()).await?;
        if let Some(file) = empty {
            done.push_str(&format!("; {file} has no statement yet"));
        }
        Ok(done)
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
            match self.apply_changed(cloud.stages()).await {
                Ok(done) => note(format_args!("  migrations: {done}")),
                Err(error) => {
                    note_error(&error);
                    note(AFTER_ERROR);
                }
            }
        }
    }

    async fn apply_changed(&self, stages: &[StageSite]) -> anyhow::Result<String> {
        let folder = MigrationFolder::read(&self.folder)?;
        match first_empty(&folder) {
            Some(file) => Ok(format!("{file} has no statement yet")),
            None => self.apply(stages, &folder).await,
        }
    }

    async fn apply(
        &self,
        stages: &[StageSite],
        folder: &MigrationFolder,
    ) -> anyhow::Result<String> {
        let mut results = Vec::new();
        for stage in stages {
            let applied = migrate::apply_folder(&database_without_pooler(stage), folder).await?;
            results.push(match applied.len() {
                0 => format!("{} is up to date", stage.name()),
                count => format!("{count} applied to {}", stage.name()),
            });
        }
        Ok(results.join(", "))
    }

    fn content(&self) -> Content {
        match MigrationFolder::read(&self.folder) {
            Ok(folder) => Ok(folder.files().to_vec()),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

/// Returns the path of the first file without a statement.
fn first_empty(folder: &MigrationFolder) -> Option<String> {
    let first = folder.empty_files().next()?;
    Some(first.path().to_owned())
}

fn database(stage: &StageSite) -> Database {
    Database::new(Settings::from_vars(stage.variables()))
}

/// Returns a stage's database without a pooler: a migration may need a session of its own.
fn database_without_pooler(stage: &StageSite) -> Database {
    Database::new(Settings::from_vars(stage.variables()).map(Settings::without_pooler))
}

const AFTER_ERROR: &str = "  the next change of a file is tried again; after a restart of `stagelink \
                           dev` the databases are empty, unless --data keeps them";

const INTERVAL: Duration = Duration::from_secs(1);
