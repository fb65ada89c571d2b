//! Programs of Debian packages, unpacked into the cache without an installation.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::run::run;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// Returns the program `usr/sbin/<package>` of a Debian package from the cache.
/// Fetches the package by the apt of this machine first, if the cache does not
/// have it.
///
/// # Errors
///
/// [`ErrorKind::Process`] if apt fails, as on a machine without apt or without a network.
pub(crate) fn fetch_program(cache: &Cache, package: &str) -> Result<PathBuf, Error> {
    let entry = cache.entry("debian", package, |staging| {
        let root = unpack(staging, package)?;
        // The libraries of the package are in its own directory, not in the system's.
        let wrapper = format!(
            "#!/bin/sh\nhere=$(dirname \"$0\")\n\
             LD_LIBRARY_PATH=$(echo \"$here\"/usr/lib/*-linux-gnu) exec \"$here/usr/sbin/{package}\" \"$@\"\n"
        );
        let path = root.join(package);
        fs::write(&path, wrapper)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
            .map_err(|error| {
                let message = format!("could not write {}", path.display());
                Error::new(ErrorKind::System, message).with_source(error)
            })?;
        Ok(root)
    })?;
    Ok(entry.path().join(package))
}

/// Unpacks a Debian package, and those of its dependencies that this machine
/// lacks, below a directory. Returns the root of the unpacked files.
///
/// # Errors
///
/// Those of [`fetch_program`].
pub(crate) fn unpack(directory: &Path, package: &str) -> Result<PathBuf, Error> {
    let mut command = Command::new(SHELL);
    command.args(["-c", include_str!("apt.sh"), "apt.sh"]);
    command.arg(directory).arg(package);
    run(command, &format!("could not fetch {package} by apt-get"))?;
    Ok(directory.join("root"))
}

/// Returns whether this machine has apt.
#[cfg(test)]
pub(crate) fn is_installed() -> bool {
    Command::new("apt-get").arg("--version").output().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_user::ServerUser;

    #[test]
    fn program_is_fetched_where_apt_is_installed() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let cache = Cache::open(Some(directory.path()), &ServerUser::detect()).unwrap();
        let fetched = fetch_program(&cache, "pgbouncer");
        if !is_installed() {
            fetched.unwrap_err();
            return;
        }
        let version = Command::new(fetched.unwrap()).arg("--version").output();
        let version = version.unwrap().stdout;
        let version = String::from_utf8_lossy(&version);
        assert!(version.starts_with("PgBouncer 1."), "{version}");
    }
}
