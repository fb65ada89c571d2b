//! The options of a test's stage.

use std::path::PathBuf;

use stagelink_local_postgres::ServerSource;

use crate::error::Error;
use crate::migrations::Migrations;
use crate::migrations_folder;

/// Options of a [`TestStage`](crate::TestStage).
///
/// Without any option the stage is `development`, and its database has the migrations of the folder that
/// `migrations.folder` of `stagelink.toml` names. Without that key it is the nearest folder `migrations`:
/// that of the package, or of a folder that it is in, up to the one with `Cargo.lock`, or that beside
/// `stagelink.toml`.
///
/// ```
/// use stagelink_test::TestOptions;
///
/// let options = TestOptions::new()
///     .stage("staging")
///     .variable("STAGELINK_POOL_SIZE", "2")
///     .without_migrations();
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    stage: Option<String>,
    folder: Folder,
    source: Option<ServerSource>,
    variables: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
enum Folder {
    #[default]
    OfProject,
    Given(PathBuf),
    None,
}

impl TestOptions {
    /// Creates options with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the stage, such as `staging` or `staging/qa`. Default: `development`.
    #[must_use]
    pub fn stage(self, stage: impl Into<String>) -> Self {
        Self {
            stage: Some(stage.into()),
            ..self
        }
    }

    /// Sets the folder of the migrations. A relative path starts at the package's folder.
    #[must_use]
    pub fn migrations(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Folder::Given(folder.into()),
            ..self
        }
    }

    /// Gives the test an empty database.
    #[must_use]
    pub fn without_migrations(self) -> Self {
        Self {
            folder: Folder::None,
            ..self
        }
    }

    /// Sets the source of the Postgres server. Default: the one that the variable
    /// `STAGELINK_POSTGRES` names, or else the first of Docker, installed programs and npm that works,
    /// as for `stagelink dev`.
    #[must_use]
    pub fn postgres(self, source: ServerSource) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// Sets one of stagelink's variables for the database of the test, such as `STAGELINK_POOL_SIZE`.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Returns the variables of the function, but for its database URL.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let stage = self.stage.as_deref().unwrap_or("development");
        let mut variables = vec![
            ("STAGELINK_STAGE".to_owned(), stage.to_owned()),
            ("STAGELINK_PROVIDER".to_owned(), "url".to_owned()),
        ];
        variables.extend(self.variables.iter().cloned());
        variables
    }

    /// Returns the source of the server.
    pub(crate) fn source(&self) -> Result<ServerSource, Error> {
        if let Some(source) = &self.source {
            return Ok(source.clone());
        }
        match std::env::var("STAGELINK_POSTGRES") {
            Ok(text) if !text.trim().is_empty() => text.trim().parse().map_err(|error| {
                Error::with_source("the variable STAGELINK_POSTGRES is unusable", error)
            }),
            _ => Ok(ServerSource::Auto),
        }
    }

    /// Reads the migrations.
    pub(crate) fn read_migrations(&self) -> Result<Migrations, Error> {
        let package = package_folder();
        match &self.folder {
            Folder::None => Ok(Migrations::default()),
            Folder::Given(folder) => Migrations::read(&package.join(folder)),
            Folder::OfProject => migrations_folder::read(&package),
        }
    }
}

/// Returns the folder of the package that is tested, by Cargo's variable.
pub(crate) fn package_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(
        || std::env::current_dir().unwrap_or_default(),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_was_named_must_exist() {
        let options = TestOptions::new().migrations("no/such/folder");
        let error = options.read_migrations().unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }
}
