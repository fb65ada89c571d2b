//! The program `pgbouncer`: an installed one, apt's, or one that is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::cache::Cache;
use crate::debian;
use crate::run::run;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// A PgBouncer that runs on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// As it says: `1.18.0`.
    pub(crate) version: String,
}

impl Program {
    /// One of any version: on `PATH` or in the places that are not on everybody's, or else
    /// by apt.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] where there is none.
    pub(super) fn of_this_machine(account: &Account) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path)
            .chain(USUAL_PLACES.map(PathBuf::from))
            .map(|directory| directory.join(PROGRAM))
            .find(|program| program.is_file());
        if let Some(program) = installed {
            return Self::at(program);
        }
        let fetched = Cache::new(None, account).and_then(|cache| debian::fetch(&cache, PROGRAM));
        fetched.and_then(Self::at).map_err(|error| {
            Error::new(
                ErrorKind::Missing,
                "no PgBouncer (pgbouncer) on PATH or in the usual places; install it, say by \
                 `apt-get install pgbouncer` or `brew install pgbouncer`",
            )
            .because(error)
        })
    }

    /// One that can keep prepared statements: that of this machine if it can, or else
    /// Debian's newer one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] where there is neither.
    pub(super) fn that_prepares(account: &Account) -> Result<Self, Error> {
        match Self::of_this_machine(account) {
            Ok(program) if program.can_prepare() => Ok(program),
            _ => Cache::new(None, account).and_then(|cache| Self::build(&cache)),
        }
    }

    /// That of Debian 13, built from its source into the cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] with what has to be installed for it.
    pub(crate) fn build(cache: &Cache) -> Result<Self, Error> {
        let entry = cache.entry("debian", "pgbouncer-of-trixie", |staging| {
            // Linked in, so that nothing has to lie beside the program.
            debian::fetch_into(staging, "libevent-dev")?;
            let mut command = Command::new(SHELL);
            command.args(["-c", include_str!("build.sh"), "build.sh"]);
            command.arg(staging);
            run(command, "could not build pgbouncer from Debian's source")?;
            Ok(staging.join("built"))
        });
        entry
            .and_then(|entry| Self::at(entry.path().join(PROGRAM)))
            .map_err(|error| {
                Error::new(
                    ErrorKind::Missing,
                    "no PgBouncer of 1.21 or later, and none could be built; install one, or \
                     what building takes on Debian: `apt-get install build-essential dpkg-dev libssl-dev \
                     debian-archive-keyring`",
                )
                .because(error)
            })
    }

    /// Whether it knows the setting `max_prepared_statements`.
    pub(super) fn can_prepare(&self) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse().ok());
        let (major, minor) = (parts.next().flatten(), parts.next().flatten());
        (major, minor) >= (Some(1), Some(21))
    }

    fn at(path: PathBuf) -> Result<Self, Error> {
        let version = version(&path)?;
        Ok(Self { path, version })
    }
}

/// What a PgBouncer says that it is: a line with its name, and lines about its libraries.
fn version(program: &Path) -> Result<String, Error> {
    let failure = format!("could not ask {} for its version", program.display());
    let mut command = Command::new(program);
    command.arg("--version");
    let said = run(command, &failure)?;
    let version = said.split_whitespace().nth(1);
    version
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::Process, failure))
}

const PROGRAM: &str = "pgbouncer";

/// Debian's package and Homebrew's.
const USUAL_PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_from_1_21_on_can_prepare() {
        let can = |version: &str| {
            let program = Program {
                path: PathBuf::new(),
                version: version.to_owned(),
            };
            program.can_prepare()
        };
        assert!(can("1.21.0") && can("1.24.1") && can("2.0"));
        assert!(!can("1.18.0") && !can("1.9") && !can("") && !can("unknown"));
    }
}
