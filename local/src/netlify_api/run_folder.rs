//! The temporary folder of a process, which the next one removes where that process was killed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::geteuid;
use tempfile::TempDir;

/// A folder that no other user can read. Dropping it removes it.
pub(super) struct RunFolder {
    folder: TempDir,
    /// Held while the folder is used.
    _lock: File,
}

impl RunFolder {
    /// Creates a folder in `parent`, and removes those of processes that were killed.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        // What cannot be removed is no reason not to start.
        let _ = remove_left_behind(parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        // It has its name once it is locked: another process takes a lock that is free for a leftover.
        let unnamed = folder.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn remove_left_behind(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let metadata = entry.metadata();
        let is_own = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && metadata.is_ok_and(|it| it.is_dir() && it.uid() == geteuid().as_raw());
        if is_own
            && let Ok(lock) = File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

const PREFIX: &str = "stagelink-deploys-";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_private_and_those_of_killed_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let killed = parent.path().join("stagelink-deploys-killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::write(killed.join("bootstrap"), "a program").unwrap();
        let other = parent.path().join("of-another-program");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(LOCK), "").unwrap();

        let first = RunFolder::create(parent.path()).unwrap();
        assert!(!killed.exists(), "what a killed process left is removed");
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // One that is in use stays, until its process is done with it.
        let second = RunFolder::create(parent.path()).unwrap();
        let path = first.path().to_owned();
        assert!(path.exists() && other.exists());
        drop((first, second));
        assert!(!path.exists());
    }
}
