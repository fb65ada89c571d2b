//! Programs of Debian's packages, fetched once into the cache and not installed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::run::run;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// The program `usr/sbin/<package>` of a package, from the cache or fetched into it by
/// the machine's own apt, so that its sources and its proxy are used.
///
/// # Errors
///
/// [`ErrorKind::Process`] where that fails, as without apt or without a network.
pub(crate) fn fetch(cache: &Cache, package: &str) -> Result<PathBuf, Error> {
    let entry = cache.entry("debian", package, |staging| {
        let root = fetch_into(staging, package)?;
        // Its libraries lie beside it.
        let program = format!(
            "#!/bin/sh\nhere=$(dirname \"$0\")\n\
             LD_LIBRARY_PATH=$(echo \"$here\"/usr/lib/*-linux-gnu) exec \"$here/usr/sbin/{package}\" \"$@\"\n"
        );
        let path = root.join(package);
        fs::write(&path, program)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
            .map_err(|error| {
                let failure = format!("could not write {}", path.display());
                Error::new(ErrorKind::System, failure).because(error)
            })?;
        Ok(root)
    })?;
    Ok(entry.path().join(package))
}

/// Unpacks a package, and what it needs and this machine lacks, beneath a directory, and
/// returns where.
///
/// # Errors
///
/// As [`fetch`].
pub(crate) fn fetch_into(directory: &Path, package: &str) -> Result<PathBuf, Error> {
    let mut command = Command::new(SHELL);
    command.args(["-c", include_str!("debian.sh"), "debian.sh"]);
    command.arg(directory).arg(package);
    run(command, &format!("could not fetch {package} by apt-get"))?;
    Ok(directory.join("root"))
}
