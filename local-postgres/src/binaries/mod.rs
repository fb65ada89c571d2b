//! The server binaries of this machine: `postgres` and `initdb`.

pub(crate) mod npm;
mod npm_release;
mod search;

use std::path::{Path, PathBuf};

use self::search::candidates;
use crate::run::run;
use crate::server_user::ServerUser;
use crate::{Error, ErrorKind};

pub(crate) use self::npm_release::NpmRelease;

/// A directory with `postgres` and `initdb` that run on this machine.
#[derive(Clone, Debug)]
pub(crate) struct ServerBinaries {
    directory: PathBuf,
    version: String,
    major: u32,
    origin: String,
}

impl ServerBinaries {
    /// Checks the binaries in a directory or in its `bin`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if they do not exist, do not run, are too old, or
    /// are in a directory that the server's user cannot enter.
    pub(crate) fn in_directory(directory: &Path, user: &ServerUser) -> Result<Self, Error> {
        let unusable = |reason: String| {
            Error::new(
                ErrorKind::Missing,
                format!("no Postgres server in {}: {reason}", directory.display()),
            )
        };
        let postgres = [directory.join("postgres"), directory.join("bin/postgres")]
            .into_iter()
            // A server finds its shared files relative to its real path.
            .find_map(|path| path.canonicalize().ok())
            .ok_or_else(|| unusable("it has no file postgres".to_owned()))?;
        let real = postgres.parent().unwrap_or(directory).to_owned();
        if !real.join("initdb").is_file() {
            return Err(unusable(format!(
                "there is no initdb beside {}",
                postgres.display()
            )));
        }
        if let Some(inaccessible) = user.first_inaccessible(&real) {
            return Err(unusable(format!(
                "Postgres runs as {}, which cannot enter {}",
                user.description(),
                inaccessible.display()
            )));
        }
        let mut command = user.command(&postgres);
        command.arg("--version");
        let output = run(command, "postgres --version failed")
            .map_err(|error| unusable("postgres does not run".to_owned()).with_source(error))?;
        let (version, major) = parse_version(&output)
            .ok_or_else(|| unusable(format!("unknown version {:?}", output.trim())))?;
        if major < OLDEST {
            return Err(unusable(format!(
                "version {version} is not supported; the oldest supported version is {OLDEST}"
            )));
        }
        Ok(Self {
            origin: format!("from {}", real.display()),
            directory: real,
            version,
            major,
        })
    }

    /// Searches `PATH` and the directories of common packages, for a major
    /// version if one is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`]; the message has the reason of each directory.
    pub(crate) fn find(user: &ServerUser, major: Option<u32>) -> Result<Self, Error> {
        let mut rejected = Vec::new();
        for directory in candidates() {
            match Self::in_directory(&directory, user) {
                Ok(found) if major.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(found) => rejected.push(format!(
                    "{} has version {}",
                    found.directory.display(),
                    found.version
                )),
                Err(error) => rejected.push(error.to_string()),
            }
        }
        let wanted = major.map_or_else(String::new, |major| format!(" of version {major}"));
        let rejected = if rejected.is_empty() {
            String::new()
        } else {
            format!(" ({})", rejected.join("; "))
        };
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "no server binaries (postgres and initdb){wanted} on PATH or in the directories \
                 of common packages{rejected}; install PostgreSQL, for example by `apt-get \
                 install postgresql` or `brew install postgresql@17`"
            ),
        ))
    }

    /// Returns these binaries with another origin than their directory.
    pub(crate) fn with_origin(self, origin: String) -> Self {
        Self { origin, ..self }
    }

    /// Returns the path of a program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the version, such as `15.18`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn major(&self) -> u32 {
        self.major
    }

    /// Returns the origin, such as `from /usr/lib/postgresql/15/bin`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the version and origin, such as `PostgreSQL 15.18 from
    /// /usr/lib/postgresql/15/bin`.
    pub(crate) fn description(&self) -> String {
        format!("PostgreSQL {} {}", self.version, self.origin)
    }
}

/// Parses the output of `postgres --version`, such as `postgres (PostgreSQL)
/// 15.18 (Debian 15.18-0+deb12u1)`, or with `18beta1`.
fn parse_version(output: &str) -> Option<(String, u32)> {
    let version = output
        .split("(PostgreSQL)")
        .nth(1)?
        .split_whitespace()
        .next()?;
    let digits = version.find(|c: char| !c.is_ascii_digit());
    let major = version[..digits.unwrap_or(version.len())].parse().ok()?;
    Some((version.to_owned(), major))
}

/// The first version with `drop database .. with (force)`. Heroku offers 15 to 17 (2026-04).
const OLDEST: u32 = 13;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn version_of_each_packager_is_parsed() {
        let check = |output, version: &str, major| {
            assert_eq!(parse_version(output), Some((version.to_owned(), major)));
        };
        check("postgres (PostgreSQL) 18.4\n", "18.4", 18);
        check(
            "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
            "15.18",
            15,
        );
        check("postgres (PostgreSQL) 18beta1", "18beta1", 18);
        assert_eq!(parse_version("busybox 1.36"), None);
        assert_eq!(parse_version("postgres (PostgreSQL) devel"), None);
    }

    #[test]
    fn directory_without_a_server_names_the_missing_file() {
        let root = tempfile::tempdir().unwrap();
        let find_error = || {
            let error =
                ServerBinaries::in_directory(root.path(), &ServerUser::detect()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Missing);
            error.to_string()
        };
        assert!(
            find_error().contains("no file postgres"),
            "{}",
            find_error()
        );
        fs::write(root.path().join("postgres"), "").unwrap();
        assert!(find_error().contains("no initdb"), "{}", find_error());
    }
}
