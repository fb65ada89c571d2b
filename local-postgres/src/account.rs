//! The user that a server runs as, for Postgres refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::password::random_name;
use nix::unistd::{User, geteuid};

/// The user that a server runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    /// Its group, if it is another user than the one that runs this process.
    other: Option<u32>,
}

impl Account {
    /// The user of this process; if that is root, `postgres` where there is
    /// one, else `nobody`.
    pub(crate) fn of_servers() -> Self {
        let uid = geteuid();
        if !uid.is_root() {
            return Self {
                name: "this user".to_owned(),
                uid: uid.as_raw(),
                other: None,
            };
        }
        UNPRIVILEGED
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map_or_else(
                || Self {
                    name: NOBODY.to_string(),
                    uid: NOBODY,
                    other: Some(NOBODY),
                },
                |user| Self {
                    name: format!("the user {}", user.name),
                    uid: user.uid.as_raw(),
                    other: Some(user.gid.as_raw()),
                },
            )
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn is_another(&self) -> bool {
        self.other.is_some()
    }

    /// A command that runs as this user, from a directory that everybody can
    /// enter, and speaks English so that its messages can be passed on.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir("/").env("LC_ALL", "C");
        if let Some(gid) = self.other {
            // The standard library drops root's supplementary groups with its uid.
            command.uid(self.uid).gid(gid);
        }
        command
    }

    /// Gives a file or directory to this user.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        match self.other {
            Some(gid) => chown(path, Some(self.uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// The first directory on the way into `path` that this user cannot enter.
    ///
    /// Asked only on behalf of another user: for one's own the system answers.
    pub(crate) fn blocked_at(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<_> = path.ancestors().collect();
        way.reverse();
        way.into_iter()
            .find(|directory| !self.allowed(directory, 0o1))
            .map(Path::to_owned)
    }

    /// A path where this user can make a directory that is meant to go.
    pub(crate) fn temporary_path(&self) -> PathBuf {
        let usual = std::env::temp_dir();
        let place = [usual.as_path(), Path::new("/tmp")]
            .into_iter()
            .find(|place| self.blocked_at(place).is_none() && self.allowed(place, 0o2))
            .unwrap_or(&usual);
        place.join(random_name())
    }

    /// Whether the mode of a directory gives this user a right, written as a
    /// bit of the mode's last digit.
    fn allowed(&self, directory: &Path, right: u32) -> bool {
        let Some(gid) = self.other else { return true };
        let Ok(metadata) = fs::metadata(directory) else {
            // What does not exist yet will be made with rights enough.
            return true;
        };
        let shift = match (metadata.uid() == self.uid, metadata.gid() == gid) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        metadata.mode() & (right << shift) != 0
    }
}

/// Debian's and Red Hat's packages make the first, macOS has the second.
const UNPRIVILEGED: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The kernel's overflow uid, which is nobody by convention.
const NOBODY: u32 = 65_534;
