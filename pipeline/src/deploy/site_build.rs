//! A build by Netlify itself: the record file goes into the published folder, and the gate is held
//! against the stage's database before the deploy.

use std::fs;
use std::path::{Path, PathBuf};

use stagelink::Database;

use crate::artifact::{
    RECORD_FILE, SiteArtifact, SourceCommit, ensure_written_inside, publish_folder,
};
use crate::error::{Error, ErrorKind};
use crate::link::ensure_own_stage;
use crate::migrations::MigrationFolder;
use crate::needs::{GateVerdict, RecordedMigration, gate_site};

/// A built site whose published folder has its record file.
#[derive(Debug)]
pub struct SiteBuild {
    artifact: SiteArtifact,
    record_file: PathBuf,
}

impl SiteBuild {
    /// Writes the record file of a built project into the folder that netlify.toml publishes, from where
    /// a promotion reads what the deploy is made of. The one of an earlier build is replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] where the project has parts that a promotion could not repeat, or a file
    /// cannot be read or written.
    pub fn record(project: &Path, commit: Option<String>) -> Result<Self, Error> {
        let record_file = publish_folder(project)?.join(RECORD_FILE);
        ensure_written_inside(project, &record_file)?;
        let failed = |error: std::io::Error| {
            let message = format!("could not write {}", record_file.display());
            Error::with_source(ErrorKind::Settings, message, error)
        };
        match fs::remove_file(&record_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        let commit = SourceCommit {
            // The build's own output is a change, too, so git is not asked.
            is_dirty: commit.is_none(),
            name: commit,
        };
        let artifact = SiteArtifact::of_project(project, commit)?;
        let folder = record_file.parent().unwrap_or(project);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&record_file, artifact.manifest.to_record_file()))
            .map_err(failed)?;
        Ok(Self {
            artifact,
            record_file,
        })
    }

    /// Digest of the artifact, in hexadecimal.
    pub fn digest(&self) -> String {
        self.artifact.manifest.digest()
    }

    /// The first digits of the digest, as tables show it.
    pub fn short_digest(&self) -> String {
        self.artifact.manifest.short_digest()
    }

    /// Path of the record file.
    pub fn record_file(&self) -> &Path {
        &self.record_file
    }

    /// Returns whether the stage's database can run all functions of the site as it is. Changes nothing.
    ///
    /// The folder tells the class of migrations whose class the database does not record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be reached, [`ErrorKind::Isolation`] when it is
    /// another stage's, and those of reading its history.
    pub async fn gate(
        &self,
        database: &Database,
        folder: Option<&MigrationFolder>,
    ) -> Result<GateVerdict, Error> {
        let found = database.inspect().await.map_err(|error| {
            let message = "could not connect to the database that the deploy will have";
            Error::with_source(ErrorKind::Database, message, error)
        })?;
        ensure_own_stage(&found)?;
        let history = RecordedMigration::read_all(database, folder).await?;
        let lists = self.artifact.manifest.migration_lists();
        Ok(gate_site(lists.iter().map(Option::as_ref), &history))
    }
}
