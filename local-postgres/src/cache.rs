//! The cache directory for prepared clusters and fetched programs.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::server_user::ServerUser;
use crate::{Error, ErrorKind};

/// The cache directory, shared by all processes that run as this user.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    user: ServerUser,
}

/// A directory of the cache. No process replaces it while this value lives.
pub(crate) struct CacheEntry {
    path: PathBuf,
    _lock: File,
}

impl CacheEntry {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Cache {
    /// Opens the cache in `chosen`, or in the default directory of the server's user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the server's user cannot enter the directory, or
    /// if there is no default directory.
    pub(crate) fn open(chosen: Option<&Path>, user: &ServerUser) -> Result<Self, Error> {
        let default = || {
            if user.is_other_user() {
                Some(PathBuf::from(SYSTEM_CACHE))
            } else {
                dirs::cache_dir().map(|directory| directory.join("stagelink"))
            }
        };
        let root = chosen
            .map(Path::to_owned)
            .or_else(default)
            .ok_or_else(|| {
                let message = "this user has no cache directory: set HOME or choose a directory";
                Error::new(ErrorKind::Input, message)
            })
            .and_then(|root| std::path::absolute(&root).map_err(|error| io_error(&root, error)))?;
        if let Some(inaccessible) = user.first_inaccessible(&root) {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not use the cache directory {}: Postgres runs as {}, which cannot \
                     enter {}; choose another directory",
                    root.display(),
                    user.description(),
                    inaccessible.display()
                ),
            ));
        }
        Ok(Self {
            root,
            user: user.clone(),
        })
    }

    /// Returns the directory `category/name`, which only the user of this process can enter, and
    /// creates it if it is missing.
    pub(crate) fn private_directory(&self, category: &str, name: &str) -> Result<PathBuf, Error> {
        let parent = self.root.join(category);
        let path = parent.join(name);
        let created = self.create_directories(&parent).and_then(|()| {
            let made = fs::DirBuilder::new().mode(0o700).create(&path);
            made.or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            })
        });
        created.map_err(|error| io_error(&path, error))?;
        Ok(path)
    }

    /// Returns the entry `category/name`, and creates it if it is missing or incomplete.
    ///
    /// `create` gets an empty directory to work in, and returns the path inside
    /// it that becomes the entry. Other processes that request the same entry
    /// wait. An entry appears in one step, when it is complete.
    pub(crate) fn entry(
        &self,
        category: &str,
        name: &str,
        create: impl FnOnce(&Path) -> Result<PathBuf, Error>,
    ) -> Result<CacheEntry, Error> {
        let parent = self.root.join(category);
        let path = parent.join(name);
        let lock_path = parent.join(format!("{name}.lock"));
        self.create_directories(&parent)
            .map_err(|error| io_error(&parent, error))?;
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| io_error(&lock_path, error))?;

        lock.lock_shared()
            .map_err(|error| io_error(&lock_path, error))?;
        if !is_complete(&path, &mut lock) {
            // Upgrading the shared lock could deadlock: two holders that both
            // upgrade wait for each other.
            lock.unlock()
                .and_then(|()| lock.lock())
                .map_err(|error| io_error(&lock_path, error))?;
            if !is_complete(&path, &mut lock) {
                self.replace(&parent, name, &mut lock, create)?;
            }
        }
        Ok(CacheEntry { path, _lock: lock })
    }

    /// Creates an entry anew. The caller holds its lock.
    fn replace(
        &self,
        parent: &Path,
        name: &str,
        lock: &mut File,
        create: impl FnOnce(&Path) -> Result<PathBuf, Error>,
    ) -> Result<(), Error> {
        let prefix = format!("{name}.new-");
        remove_leftovers(parent, name, &prefix).map_err(|error| io_error(parent, error))?;
        let staging = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(parent)
            .and_then(|staging| self.user.chown(staging.path()).map(|()| staging))
            .map_err(|error| io_error(parent, error))?;
        let created = create(staging.path())?;
        count_files(&created)
            .and_then(|files| {
                lock.set_len(0)?;
                lock.rewind()?;
                lock.write_all(files.to_string().as_bytes())?;
                fs::rename(&created, parent.join(name))
            })
            .map_err(|error| io_error(&parent.join(name), error))
    }

    /// Creates the missing directories of `path`, with modes that let the server's user enter.
    fn create_directories(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<_> = path.ancestors().take_while(|at| !at.exists()).collect();
        fs::create_dir_all(path)?;
        if self.user.is_other_user() {
            for directory in missing {
                fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }
}

/// Returns whether an entry still has as many files as at its creation. A
/// program that cleans caches may have removed some.
fn is_complete(path: &Path, lock: &mut File) -> bool {
    let mut recorded = String::new();
    lock.rewind()
        .and_then(|()| lock.read_to_string(&mut recorded))
        .is_ok()
        && count_files(path).is_ok_and(|files| recorded == files.to_string())
}

/// Counts the files and directories in a directory, at any depth.
fn count_files(directory: &Path) -> io::Result<u64> {
    fs::read_dir(directory)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let below = if entry.file_type()?.is_dir() {
            count_files(&entry.path())?
        } else {
            0
        };
        Ok(sum + 1 + below)
    })
}

/// Removes an incomplete entry and the staging directories of killed processes.
fn remove_leftovers(parent: &Path, name: &str, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        if file_name == name {
            fs::remove_dir_all(entry.path())?;
        } else if file_name.starts_with(prefix) {
            // A child of the killed process may still write there; the next call removes it then.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn io_error(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not use {} in the cache directory", path.display()),
    )
    .with_source(error)
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
            user: ServerUser::detect(),
        }
    }

    #[test]
    fn entry_requested_by_many_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let created = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let entry = cache.entry("category", "thing", |staging| {
                        created.fetch_add(1, Ordering::SeqCst);
                        fs::write(staging.join("file"), "whole").unwrap();
                        Ok(staging.to_owned())
                    });
                    let path = entry.unwrap().path().join("file");
                    assert_eq!(fs::read_to_string(path).unwrap(), "whole");
                });
            }
        });
        assert_eq!(created.into_inner(), 1);
    }

    #[test]
    fn entry_that_lost_a_file_is_created_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let create = |staging: &Path| {
            let created = staging.join("inner");
            fs::create_dir_all(created.join("deep")).unwrap();
            fs::write(created.join("deep/file"), "whole").unwrap();
            Ok(created)
        };
        let path = cache.entry("category", "thing", create).unwrap().path;
        fs::remove_file(path.join("deep/file")).unwrap();
        fs::create_dir(folder.path().join("category/thing.new-killed")).unwrap();

        cache.entry("category", "thing", create).unwrap();
        assert!(path.join("deep/file").exists());
        assert_eq!(
            fs::read_dir(folder.path().join("category"))
                .unwrap()
                .count(),
            2
        );
    }

    #[test]
    fn entry_whose_creation_fails_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let failure = cache.entry("category", "thing", |_| {
            Err(Error::new(ErrorKind::Process, "creation fails"))
        });
        assert_eq!(failure.err().unwrap().to_string(), "creation fails");
        assert!(!folder.path().join("category/thing").exists());
    }
}
