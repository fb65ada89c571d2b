//! The program `pgbouncer`: installed, fetched by apt, or built from source.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::cache::Cache;
use crate::run::run;
use crate::server_user::ServerUser;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// A `pgbouncer` that runs on this machine.
#[derive(Clone, Debug)]
pub(super) struct PgBouncerProgram {
    pub(super) path: PathBuf,
    /// The version, such as `1.18.0`.
    pub(super) version: String,
}

impl PgBouncerProgram {
    /// Finds a program of any version, on `PATH` or in the directory of a common
    /// package. Fetches it by apt if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if that fails too.
    pub(super) fn find(user: &ServerUser) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path)
            .chain(PACKAGE_DIRECTORIES.map(PathBuf::from))
            .map(|directory| directory.join(PROGRAM))
            .find(|program| program.is_file());
        if let Some(program) = installed {
            return Self::at(program);
        }
        let fetched = Cache::open(None, user).and_then(|cache| apt::fetch_program(&cache, PROGRAM));
        fetched.and_then(Self::at).map_err(|error| {
            let message = "no pgbouncer on PATH or in the directories of common packages; install \
                           it, for example by `apt-get install pgbouncer` or `brew install \
                           pgbouncer`";
            Error::new(ErrorKind::Missing, message).with_source(error)
        })
    }

    /// Finds a program that supports prepared statements. Builds one of Debian's
    /// source if the one of [`find`](Self::find) is too old.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if that fails too.
    pub(super) fn find_with_prepared_statements(user: &ServerUser) -> Result<Self, Error> {
        match Self::find(user) {
            Ok(program) if program.supports_prepared_statements() => Ok(program),
            _ => Cache::open(None, user).and_then(|cache| Self::build(&cache)),
        }
    }

    /// Builds the program of Debian 13 from Debian's source, into the cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`]; the message names the packages that the build needs.
    fn build(cache: &Cache) -> Result<Self, Error> {
        let entry = cache.entry("debian", "pgbouncer-of-trixie", |staging| {
            // libevent is linked statically, so that the program needs no file beside it.
            apt::unpack(staging, "libevent-dev")?;
            let mut command = Command::new(SHELL);
            command.args(["-c", include_str!("build.sh"), "build.sh"]);
            command.arg(staging);
            run(command, "could not build pgbouncer from Debian's source")?;
            Ok(staging.join("built"))
        });
        entry
            .and_then(|entry| Self::at(entry.path().join(PROGRAM)))
            .map_err(|error| {
                let message = "no PgBouncer 1.21 or newer, and it could not be built; install it, \
                               or on Debian what the build needs: `apt-get install \
                               build-essential dpkg-dev libssl-dev debian-archive-keyring`";
                Error::new(ErrorKind::Missing, message).with_source(error)
            })
    }

    /// Returns whether the program knows the setting `max_prepared_statements`.
    pub(super) fn supports_prepared_statements(&self) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse().ok());
        let (major, minor) = (parts.next().flatten(), parts.next().flatten());
        (major, minor) >= (Some(1), Some(21))
    }

    fn at(path: PathBuf) -> Result<Self, Error> {
        let version = read_version(&path)?;
        Ok(Self { path, version })
    }
}

/// Runs `pgbouncer --version`. The first line has the version, the next ones those of libraries.
fn read_version(program: &Path) -> Result<String, Error> {
    let failure = format!("could not read the version of {}", program.display());
    let mut command = Command::new(program);
    command.arg("--version");
    let output = run(command, &failure)?;
    let version = output.split_whitespace().nth(1);
    version
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::Process, failure))
}

const PROGRAM: &str = "pgbouncer";

/// The directories of Debian's and Homebrew's packages.
const PACKAGE_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_21_and_newer_supports_prepared_statements() {
        let supports = |version: &str| {
            let program = PgBouncerProgram {
                path: PathBuf::new(),
                version: version.to_owned(),
            };
            program.supports_prepared_statements()
        };
        assert!(supports("1.21.0") && supports("1.24.1") && supports("2.0"));
        assert!(!supports("1.18.0") && !supports("1.9") && !supports("") && !supports("unknown"));
    }
    #[test]
    fn newer_program_is_built_from_source_where_apt_is_installed() {
        // In the cache of the machine, so that only the first run builds it.
        let cache = Cache::open(None, &ServerUser::detect()).unwrap();
        let built = PgBouncerProgram::build(&cache);
        if !apt::is_installed() {
            built.unwrap_err();
            return;
        }
        let version = built.unwrap().version;
        assert!(version.starts_with("1.24."), "{version}");
    }
}
