//! The migrations of a project: read, told apart by their digest, and applied to a new database.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stagelink_local_postgres::tokio_postgres;
use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;

use crate::error::Error;

/// The files `V<number>__<name>.sql` of a folder and of the folders in it, by their numbers.
///
/// `stagelink migrate` applies the same files in the same order, each by itself. It also judges what
/// their statements would do to running code, which a test has none of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Migrations {
    files: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    version: i64,
    path: PathBuf,
    sql: String,
}

impl Migrations {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// When the folder or a file cannot be read, a file of SQL has another name than a migration's,
    /// or two have one number.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort_by_key(|file| file.version);
        for pair in files.windows(2) {
            if let [first, second] = pair
                && first.version == second.version
            {
                return Err(Error::new(format!(
                    "the migrations {} and {} have one number: rename the one that no database has \
                     yet",
                    first.path.display(),
                    second.path.display()
                )));
            }
        }
        Ok(Self { files })
    }

    /// Returns the name of the template of a database that has these migrations.
    pub(crate) fn template_name(&self) -> String {
        let mut digest = Sha256::new();
        for file in &self.files {
            digest.update(file.version.to_le_bytes());
            digest.update((file.sql.len() as u64).to_le_bytes());
            digest.update(&file.sql);
        }
        format!("stagelink_test_t_{}", hex::encode(&digest.finalize()[..10]))
    }

    /// Applies the migrations to a new database, by a session of its owner.
    ///
    /// # Errors
    ///
    /// The server's words, with the file and the line.
    pub(crate) async fn apply(&self, client: &Client) -> Result<(), Error> {
        for file in &self.files {
            // A file with several statements is one transaction; one with a statement that cannot run
            // in any, such as CREATE INDEX CONCURRENTLY, has that statement alone.
            client
                .batch_execute(&file.sql)
                .await
                .map_err(|error| file.failed(&error))?;
            // What a file sets does not reach the next one.
            let reset = client.batch_execute("DISCARD ALL").await;
            reset.map_err(|error| file.failed(&error))?;
        }
        Ok(())
    }
}

impl File {
    fn failed(&self, error: &tokio_postgres::Error) -> Error {
        let path = self.path.display();
        let Some(server) = error.as_db_error() else {
            return Error::new(format!("could not apply the migration {path}: {error}"));
        };
        let line = match server.position() {
            Some(ErrorPosition::Original(position)) => {
                let before = self.sql.chars().take(*position as usize - 1);
                format!(":{}", before.filter(|c| *c == '\n').count() + 1)
            }
            _ => String::new(),
        };
        Error::new(format!(
            "could not apply the migration {path}{line}: {} ({})",
            server.message(),
            server.code().code()
        ))
    }
}

fn collect(folder: &Path, files: &mut Vec<File>) -> Result<(), Error> {
    let unreadable = |path: &Path, error| {
        let message = format!("could not read the migrations in {}", path.display());
        Error::with_source(message, error)
    };
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
            continue;
        }
        let Some(stem) = name
            .strip_suffix(".sql")
            .or_else(|| name.strip_suffix(".SQL"))
        else {
            continue;
        };
        let Some(version) = version(stem).filter(|_| name.ends_with(".sql")) else {
            return Err(Error::new(format!(
                "{} has not the name of a migration: rename it to V<number>__<name>.sql, with \
                 letters, digits and underscores in its name, or move it out of the folder",
                path.display()
            )));
        };
        let sql = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        files.push(File { version, path, sql });
    }
    Ok(())
}

/// Returns the number in the name of a migration, without its extension.
fn version(stem: &str) -> Option<i64> {
    let (number, name) = stem.strip_prefix('V')?.split_once("__")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    (is_name && is_number).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, sql).unwrap();
        }
        folder
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let folder = folder(&[
            ("V10__c.sql", ""),
            ("V2__b.sql", ""),
            ("old/V1__a.sql", ""),
            (".git/x.sql", ""),
            ("README.md", ""),
        ]);
        let read = Migrations::read(folder.path()).unwrap();
        let versions: Vec<_> = read.files.iter().map(|file| file.version).collect();
        assert_eq!(versions, [1, 2, 10]);
    }

    #[test]
    fn file_that_would_be_skipped_is_an_error() {
        for name in [
            "1_a.sql",
            "V1_a.sql",
            "v1__a.sql",
            "V1__.sql",
            "V1__a-b.sql",
            "V1__a.SQL",
        ] {
            let folder = folder(&[(name, "SELECT 1")]);
            let error = Migrations::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let folder = folder(&[("V1__a.sql", ""), ("more/V01__b.sql", "")]);
        let error = Migrations::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("have one number"), "{error}");
    }

    #[test]
    fn template_is_another_with_each_change_of_a_text_or_a_number() {
        let name = |files| {
            Migrations::read(folder(files).path())
                .unwrap()
                .template_name()
        };
        let one = name(&[("V1__a.sql", "SELECT 1")]);
        assert_eq!(one, name(&[("V1__b.sql", "SELECT 1")]));
        assert_ne!(one, name(&[("V1__a.sql", "SELECT 2")]));
        assert_ne!(one, name(&[("V2__a.sql", "SELECT 1")]));
        assert_ne!(one, Migrations::default().template_name());
        assert!(one.len() <= 63);
    }
}
