//! The operating system's user that servers run as: Postgres refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

use crate::random::unique_name;

/// The operating system's user that servers run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUser {
    description: String,
    uid: u32,
    /// The user's group; `None` if the user is the one that runs this process.
    other_gid: Option<u32>,
}

impl ServerUser {
    /// Returns the user of this process. If that is root, returns the first
    /// unprivileged user of [`UNPRIVILEGED`] that exists.
    pub(crate) fn detect() -> Self {
        let uid = geteuid();
        if !uid.is_root() {
            return Self {
                description: "this user".to_owned(),
                uid: uid.as_raw(),
                other_gid: None,
            };
        }
        UNPRIVILEGED
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map_or_else(
                || Self {
                    description: format!("the user {OVERFLOW_UID}"),
                    uid: OVERFLOW_UID,
                    other_gid: Some(OVERFLOW_UID),
                },
                |user| Self {
                    description: format!("the user {}", user.name),
                    uid: user.uid.as_raw(),
                    other_gid: Some(user.gid.as_raw()),
                },
            )
    }

    /// Returns the user for an error message, such as `the user postgres`.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns whether this is another user than the one that runs this process.
    pub(crate) fn is_other_user(&self) -> bool {
        self.other_gid.is_some()
    }

    /// Returns a command that runs as this user, in `/`, with English messages.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir("/").env("LC_ALL", "C");
        if let Some(gid) = self.other_gid {
            // The standard library drops root's supplementary groups with its uid.
            command.uid(self.uid).gid(gid);
        }
        command
    }

    /// Makes this user the owner of a file or directory.
    pub(crate) fn chown(&self, path: &Path) -> io::Result<()> {
        match self.other_gid {
            Some(gid) => chown(path, Some(self.uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Returns the first directory of `path`, from the root on, that this user cannot enter.
    ///
    /// Checks modes only for another user; for the user of this process the
    /// operating system reports its own errors.
    pub(crate) fn first_inaccessible(&self, path: &Path) -> Option<PathBuf> {
        let mut directories: Vec<_> = path.ancestors().collect();
        directories.reverse();
        directories
            .into_iter()
            .find(|directory| !self.has_permission(directory, EXECUTE))
            .map(Path::to_owned)
    }

    /// Returns a path at which this user can create a temporary directory.
    pub(crate) fn temporary_path(&self) -> PathBuf {
        let usual = std::env::temp_dir();
        let parent = [usual.as_path(), Path::new("/tmp")]
            .into_iter()
            .find(|parent| {
                self.first_inaccessible(parent).is_none() && self.has_permission(parent, WRITE)
            })
            .unwrap_or(&usual);
        parent.join(unique_name())
    }

    /// Returns whether the mode of a directory grants this user a permission bit.
    fn has_permission(&self, directory: &Path, bit: u32) -> bool {
        let Some(gid) = self.other_gid else {
            return true;
        };
        let Ok(metadata) = fs::metadata(directory) else {
            // A directory that does not exist yet is going to be created with a suitable mode.
            return true;
        };
        let shift = match (metadata.uid() == self.uid, metadata.gid() == gid) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        metadata.mode() & (bit << shift) != 0
    }
}

const EXECUTE: u32 = 0o1;
const WRITE: u32 = 0o2;

/// Packages of Debian and Red Hat create the first, macOS has the second.
const UNPRIVILEGED: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The kernel's overflow uid and gid, by convention those of the user `nobody`.
const OVERFLOW_UID: u32 = 65_534;
