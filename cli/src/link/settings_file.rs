//! The `stagelink.toml` of a project that is linked: made, or completed.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use stagelink_pipeline::{LinkRequest, SETTINGS_FILE};
use tempfile::NamedTempFile;

use crate::args::LinkOptions;
use crate::project;

/// The file that a project gets.
#[derive(Debug)]
pub(super) struct ProposedFile {
    path: PathBuf,
    text: String,
    /// The text that the project's file has now, if it has one.
    before: Option<String>,
}

impl ProposedFile {
    /// Returns the file that has the settings of a request, or `None` where the project's file says
    /// all of it, where the request leaves out stages that a new file would have, and for the local
    /// clouds.
    ///
    /// # Errors
    ///
    /// When the project's file cannot be read.
    pub(super) fn of(request: &LinkRequest, options: &LinkOptions) -> anyhow::Result<Option<Self>> {
        // The names of local clouds are those of one run.
        let new = request.settings_file();
        let Some(new) = new.filter(|_| options.local.local.is_none()) else {
            return Ok(None);
        };
        if let Some(file) = project::settings_file(&options.local.project)? {
            return Ok(new.added_to(file.text()).map(|text| Self {
                path: file.path().to_owned(),
                text,
                before: Some(file.text().to_owned()),
            }));
        }
        Ok(options.stages.is_empty().then(|| Self {
            path: options.local.project.join(SETTINGS_FILE),
            text: new.to_string(),
            before: None,
        }))
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file as a whole.
    ///
    /// # Errors
    ///
    /// When it cannot be written, and when it was made or changed since it was read.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let shown = self.path.display();
        if fs::read_to_string(&self.path).ok() != self.before {
            bail!("{shown} was changed meanwhile and stays as it is: link again to complete it");
        }
        self.replace()
            .with_context(|| format!("could not write {shown}"))
    }

    fn replace(&self) -> anyhow::Result<()> {
        // A link stays, and the file that it leads to is replaced.
        let path = match &self.before {
            Some(_) => self.path.canonicalize()?,
            None => self.path.clone(),
        };
        let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(self.text.as_bytes())?;
        let permissions = match &self.before {
            Some(_) => fs::metadata(&path)?.permissions(),
            None => Permissions::from_mode(0o644),
        };
        file.as_file().set_permissions(permissions)?;
        match &self.before {
            Some(_) => file.persist(&path)?,
            None => file.persist_noclobber(&path)?,
        };
        Ok(())
    }
}
