//! The server binaries of this machine: `postgres` and `initdb`.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::run::run;
use crate::{Error, ErrorKind};

/// A directory with `postgres` and `initdb` that this machine can run.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    directory: PathBuf,
    version: String,
    major: u32,
    origin: String,
}

impl Binaries {
    /// Those in a directory, or in its `bin`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if they are not there, do not run, are too old,
    /// or cannot be reached by the user that servers run as.
    pub(crate) fn in_directory(directory: &Path, account: &Account) -> Result<Self, Error> {
        let unusable = |what: String| {
            Error::new(
                ErrorKind::Missing,
                format!("no Postgres server in {}: {what}", directory.display()),
            )
        };
        let postgres = [directory.join("postgres"), directory.join("bin/postgres")]
            .into_iter()
            // A server finds its share files from where it really is.
            .find_map(|path| path.canonicalize().ok())
            .ok_or_else(|| unusable("there is no file postgres".to_owned()))?;
        let real = postgres.parent().unwrap_or(directory).to_owned();
        if !real.join("initdb").is_file() {
            return Err(unusable(format!(
                "there is no initdb beside {}",
                postgres.display()
            )));
        }
        if let Some(barrier) = account.blocked_at(&real) {
            return Err(unusable(format!(
                "{}, as which it has to run, cannot enter {}",
                account.name(),
                barrier.display()
            )));
        }
        let mut command = account.command(&postgres);
        command.arg("--version");
        let answer = run(command, "it does not tell its version")
            .map_err(|error| unusable("it cannot be run".to_owned()).because(error))?;
        let (version, major) = read_version(&answer)
            .ok_or_else(|| unusable(format!("it calls its version {:?}", answer.trim())))?;
        if major < OLDEST {
            return Err(unusable(format!(
                "it is version {version}, and at least {OLDEST} is needed"
            )));
        }
        Ok(Self {
            origin: format!("from {}", real.display()),
            directory: real,
            version,
            major,
        })
    }

    /// Those on `PATH` or in the usual places, of a major version if that matters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] says what was found and why it is not usable.
    pub(crate) fn find(account: &Account, major: Option<u32>) -> Result<Self, Error> {
        let mut passed_over = Vec::new();
        for directory in candidates() {
            match Self::in_directory(&directory, account) {
                Ok(found) if major.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(found) => passed_over.push(format!("{} is {}", found.origin, found.version)),
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        let wanted = major.map_or_else(String::new, |major| format!(" of version {major}"));
        let found = if passed_over.is_empty() {
            String::new()
        } else {
            format!(" ({})", passed_over.join("; "))
        };
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "no server binaries (postgres and initdb){wanted} on PATH or in the usual \
                 places{found}; install PostgreSQL, say by `apt-get install postgresql` or \
                 `brew install postgresql@17`"
            ),
        ))
    }

    /// The same, said to come from somewhere else than its directory.
    pub(crate) fn with_origin(self, origin: String) -> Self {
        Self { origin, ..self }
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// As in `15.18`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn major(&self) -> u32 {
        self.major
    }

    /// As in `from /usr/lib/postgresql/15/bin`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// As in `PostgreSQL 15.18 from /usr/lib/postgresql/15/bin`.
    pub(crate) fn description(&self) -> String {
        format!("PostgreSQL {} {}", self.version, self.origin)
    }
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, or `18beta1`.
fn read_version(answer: &str) -> Option<(String, u32)> {
    let version = answer
        .split("(PostgreSQL)")
        .nth(1)?
        .split_whitespace()
        .next()?;
    let digits = version.find(|c: char| !c.is_ascii_digit());
    let major = version[..digits.unwrap_or(version.len())].parse().ok()?;
    Some((version.to_owned(), major))
}

/// The directories of `PATH` that have a `postgres`, then the usual places.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let mut found: Vec<_> = on_path
        .filter(|directory| directory.is_absolute())
        .chain(USUAL_PLACES.iter().flat_map(|pattern| expand(pattern)))
        .filter(|directory| directory.join("postgres").exists())
        .collect();
    let mut seen = Vec::new();
    found.retain(|directory| {
        let real = directory.join("postgres").canonicalize().ok();
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    found
}

/// What matches a path with at most one `*`, the highest number in its place first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![pattern.into()];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, below) = after.split_once('/').unwrap_or((after, ""));
    let mut found: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let version: Option<Vec<u32>> =
                number.split('.').map(|part| part.parse().ok()).collect();
            Some((version?, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(version, _)| Reverse(version.clone()));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `drop database .. with (force)` came with 13; Heroku offers 15 to 17 (2026-04).
const OLDEST: u32 = 13;

/// Debian, Red Hat, SUSE, Alpine; Homebrew on Apple's and Intel's processors
/// and on Linux; Postgres.app, EDB's installer, MacPorts; built from source.
const USUAL_PLACES: [&str; 12] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql/bin",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_every_packager_is_read() {
        let check = |answer, version: &str, major| {
            assert_eq!(read_version(answer), Some((version.to_owned(), major)));
        };
        check("postgres (PostgreSQL) 18.4\n", "18.4", 18);
        check(
            "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
            "15.18",
            15,
        );
        check("postgres (PostgreSQL) 18beta1", "18beta1", 18);
        assert_eq!(read_version("busybox 1.36"), None);
        assert_eq!(read_version("postgres (PostgreSQL) devel"), None);
    }

    #[test]
    fn usual_places_are_tried_newest_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "9.10", "17", "17-beta", "other"] {
            fs::create_dir_all(root.path().join(name).join("bin")).unwrap();
        }
        let pattern = format!("{}/*/bin", root.path().display());
        let expected = ["17", "15", "9.10", "9.6"].map(|v| root.path().join(v).join("bin"));
        assert_eq!(expand(&pattern), expected);
    }

    #[test]
    fn directory_without_a_server_says_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let look = || {
            let error = Binaries::in_directory(root.path(), &Account::of_servers()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Missing);
            error.to_string()
        };
        assert!(look().contains("no file postgres"), "{}", look());
        fs::write(root.path().join("postgres"), "").unwrap();
        assert!(look().contains("no initdb"), "{}", look());
    }
}
