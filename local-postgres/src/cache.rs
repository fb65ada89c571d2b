//! The folder where things are kept that take long to make or to fetch.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::{Error, ErrorKind};

/// A folder of things that take long to make, shared by all who run as this user.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    account: Account,
}

/// A directory of the cache. Nobody replaces it while this value lives.
pub(crate) struct Entry {
    path: PathBuf,
    _lock: File,
}

impl Entry {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Cache {
    /// The folder that was chosen, or the usual one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if servers could not enter it, or if this user has
    /// no cache folder.
    pub(crate) fn new(chosen: Option<&Path>, account: &Account) -> Result<Self, Error> {
        let usual = || {
            if account.is_another() {
                Some(PathBuf::from(SYSTEM_CACHE))
            } else {
                dirs::cache_dir().map(|folder| folder.join("stagelink"))
            }
        };
        let root = chosen
            .map(Path::to_owned)
            .or_else(usual)
            .ok_or_else(|| Error::new(ErrorKind::Input, "this user has no cache folder: set HOME"))
            .and_then(|root| std::path::absolute(&root).map_err(|error| refused(&root, error)))?;
        if let Some(barrier) = account.blocked_at(&root) {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not use the cache folder {}: {}, as which Postgres servers run, \
                     cannot enter {}; choose another folder",
                    root.display(),
                    account.name(),
                    barrier.display()
                ),
            ));
        }
        Ok(Self {
            root,
            account: account.clone(),
        })
    }

    /// The directory `name` on the shelf `shelf`.
    ///
    /// If it is missing or not whole, `make` gets an empty directory to work in
    /// and returns the path below it that becomes the entry. Others who want
    /// the same entry wait meanwhile; it appears whole or not at all.
    pub(crate) fn entry(
        &self,
        shelf: &str,
        name: &str,
        make: impl FnOnce(&Path) -> Result<PathBuf, Error>,
    ) -> Result<Entry, Error> {
        let shelf = self.root.join(shelf);
        let path = shelf.join(name);
        let lock_path = shelf.join(format!("{name}.lock"));
        self.make_enterable(&shelf)
            .map_err(|error| refused(&shelf, error))?;
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| refused(&lock_path, error))?;

        lock.lock_shared()
            .map_err(|error| refused(&lock_path, error))?;
        if !is_whole(&path, &mut lock) {
            // A shared lock is not turned into an exclusive one: another holder
            // who tried the same would wait for this one for ever.
            lock.unlock()
                .and_then(|()| lock.lock())
                .map_err(|error| refused(&lock_path, error))?;
            if !is_whole(&path, &mut lock) {
                self.replace(&shelf, name, &mut lock, make)?;
            }
        }
        Ok(Entry { path, _lock: lock })
    }

    /// Makes an entry anew, with its lock held.
    fn replace(
        &self,
        shelf: &Path,
        name: &str,
        lock: &mut File,
        make: impl FnOnce(&Path) -> Result<PathBuf, Error>,
    ) -> Result<(), Error> {
        let prefix = format!("{name}.new-");
        sweep(shelf, name, &prefix).map_err(|error| refused(shelf, error))?;
        let staging = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(shelf)
            .and_then(|staging| self.account.own(staging.path()).map(|()| staging))
            .map_err(|error| refused(shelf, error))?;
        let made = make(staging.path())?;
        count(&made)
            .and_then(|entries| {
                lock.set_len(0)?;
                lock.rewind()?;
                lock.write_all(entries.to_string().as_bytes())?;
                fs::rename(&made, shelf.join(name))
            })
            .map_err(|error| refused(&shelf.join(name), error))
    }

    /// Makes the directories of `path` that are missing, so that servers can enter them.
    fn make_enterable(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<_> = path.ancestors().take_while(|at| !at.exists()).collect();
        fs::create_dir_all(path)?;
        if self.account.is_another() {
            for directory in missing {
                fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }
}

/// Whether an entry has as many files as when it was made: a cleaner of caches
/// may have been at it.
fn is_whole(path: &Path, lock: &mut File) -> bool {
    let mut recorded = String::new();
    lock.rewind()
        .and_then(|()| lock.read_to_string(&mut recorded))
        .is_ok()
        && count(path).is_ok_and(|entries| recorded == entries.to_string())
}

/// How many files and directories there are in a directory, at any depth.
fn count(directory: &Path) -> io::Result<u64> {
    fs::read_dir(directory)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let below = if entry.file_type()?.is_dir() {
            count(&entry.path())?
        } else {
            0
        };
        Ok(sum + 1 + below)
    })
}

/// Removes what is left of an entry and of attempts to make it.
fn sweep(shelf: &Path, name: &str, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(shelf)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        if file_name == name {
            fs::remove_dir_all(entry.path())?;
        } else if file_name.starts_with(prefix) {
            // Whoever made this was killed; if a child of theirs still writes
            // there, the next sweep gets it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn refused(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not use {} of the cache folder", path.display()),
    )
    .because(error)
}

#[cfg(target_os = "macos")]
const SYSTEM_CACHE: &str = "/Library/Caches/stagelink";
#[cfg(not(target_os = "macos"))]
const SYSTEM_CACHE: &str = "/var/cache/stagelink";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn cache(root: &Path) -> Cache {
        Cache {
            root: root.to_owned(),
            account: Account::of_servers(),
        }
    }

    #[test]
    fn entry_wanted_by_many_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let entry = cache.entry("shelf", "thing", |staging| {
                        made.fetch_add(1, Ordering::SeqCst);
                        fs::write(staging.join("file"), "whole").unwrap();
                        Ok(staging.to_owned())
                    });
                    let path = entry.unwrap().path().join("file");
                    assert_eq!(fs::read_to_string(path).unwrap(), "whole");
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn entry_that_lost_a_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let make = |staging: &Path| {
            let made = staging.join("inner");
            fs::create_dir_all(made.join("deep")).unwrap();
            fs::write(made.join("deep/file"), "whole").unwrap();
            Ok(made)
        };
        let path = cache.entry("shelf", "thing", make).unwrap().path;
        fs::remove_file(path.join("deep/file")).unwrap();
        fs::create_dir(folder.path().join("shelf/thing.new-killed")).unwrap();

        cache.entry("shelf", "thing", make).unwrap();
        assert!(path.join("deep/file").exists());
        assert_eq!(
            fs::read_dir(folder.path().join("shelf")).unwrap().count(),
            2
        );
    }

    #[test]
    fn entry_whose_making_fails_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let failure = cache.entry("shelf", "thing", |_| {
            Err(Error::new(ErrorKind::Process, "made to fail"))
        });
        assert_eq!(failure.err().unwrap().to_string(), "made to fail");
        assert!(!folder.path().join("shelf/thing").exists());
    }
}
