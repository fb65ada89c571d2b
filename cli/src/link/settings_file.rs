//! The `stagelink.toml` of a project that is linked: made, or completed.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use stagelink_pipeline::{LinkRequest, SETTINGS_FILE, SettingsFile};
use tempfile::NamedTempFile;

use crate::args::LinkOptions;

/// The file that a project gets.
#[derive(Debug)]
pub(super) struct ProposedFile {
    path: PathBuf,
    text: String,
    /// True if the project has a file, which the text contains.
    exists: bool,
}

impl ProposedFile {
    /// Returns the file that has the settings of a request, or `None` where the project's file says
    /// all of it, or where the request names its stages and so leaves others out of a new file.
    pub(super) fn of(request: &LinkRequest, options: &LinkOptions) -> anyhow::Result<Option<Self>> {
        let new = request.settings_file();
        let path = options.project.join(SETTINGS_FILE);
        let existing = SettingsFile::load(&options.project)?;
        let text = match &existing {
            Some(file) => new.added_to(file),
            None => options.stages.is_empty().then(|| new.to_string()),
        };
        Ok(text.map(|text| Self {
            path,
            text,
            exists: existing.is_some(),
        }))
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file as a whole. One that has been made meanwhile stays.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            let folder = self.path.parent();
            let folder = folder.filter(|path| !path.as_os_str().is_empty());
            let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
            file.write_all(self.text.as_bytes())?;
            let permissions = match self.exists {
                true => fs::metadata(&self.path)?.permissions(),
                false => Permissions::from_mode(0o644),
            };
            file.as_file().set_permissions(permissions)?;
            match self.exists {
                true => file.persist(&self.path)?,
                false => file.persist_noclobber(&self.path)?,
            };
            Ok(())
        };
        match write() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            written => written.with_context(|| format!("could not write {}", self.path.display())),
        }
    }
}
