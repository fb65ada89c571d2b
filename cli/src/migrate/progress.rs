//! The progress of a run of migrations, for the JSON of its error.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use stagelink_pipeline::{MigrationEvent, MigrationFile};

/// A file that a run applied.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AppliedFile {
    file: String,
    seconds: f64,
}

impl AppliedFile {
    pub(super) fn new(file: &MigrationFile, elapsed: std::time::Duration) -> Self {
        Self {
            file: file.path().to_owned(),
            seconds: elapsed.as_secs_f64(),
        }
    }
}

/// The steps that a command has done by the time of its error.
#[derive(Debug, Default)]
pub(super) struct RunProgress {
    /// The pending files of the plan, once there is one.
    pub(super) pending: Option<serde_json::Value>,
    /// The files that the run has applied, once it has begun.
    applied: Option<AppliedFiles>,
}

/// The files that a run has applied so far.
#[derive(Debug, Default)]
pub(super) struct AppliedFiles(Mutex<Vec<AppliedFile>>);

impl RunProgress {
    /// Begins the run.
    pub(super) fn begin(&mut self) -> &AppliedFiles {
        self.applied.insert(AppliedFiles::default())
    }

    pub(super) fn has_applied(&self) -> bool {
        self.applied().is_some_and(|files| !files.is_empty())
    }

    /// Returns the files that the run has applied; `None` where it did not begin.
    pub(super) fn applied(&self) -> Option<Vec<AppliedFile>> {
        let AppliedFiles(files) = self.applied.as_ref()?;
        let files = files.lock().unwrap_or_else(PoisonError::into_inner);
        Some(files.clone())
    }
}

impl AppliedFiles {
    /// Keeps the file of an event that says that it was applied.
    pub(super) fn record(&self, event: &MigrationEvent<'_>) {
        if let MigrationEvent::Applied { file, elapsed } = event {
            let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            files.push(AppliedFile::new(file, *elapsed));
        }
    }
}
