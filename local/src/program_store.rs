//! Copies of the functions' programs, so that a later build changes none that a stage runs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

use crate::{Error, ErrorKind};

/// The folder with the copies. It is beside the programs, on a disk that has room for programs and
/// runs them.
///
/// Dropping it removes the folder. Where the process is killed the folder stays, and the next store
/// in the same place removes it.
#[derive(Debug)]
pub(crate) struct ProgramStore {
    folder: TempDir,
    /// Held while the folder is used.
    _lock: File,
}

/// The programs of the functions that a stage runs together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Artifact(BTreeMap<String, Program>);

/// The copy of a program. Dropping its last clone removes the file; a process that runs it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) executable: PathBuf,
    pub(crate) sha256: String,
    _folder: Arc<TempDir>,
}

impl PartialEq for Program {
    /// Compares the content and the name of the file.
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.executable.file_name() == other.executable.file_name()
    }
}

impl Eq for Program {}

impl Artifact {
    /// The programs by the names of their functions.
    pub(crate) fn programs(&self) -> &BTreeMap<String, Program> {
        &self.0
    }

    /// Returns the artifact with some programs replaced or added, and without the removed functions.
    pub(crate) fn with_changes<'a>(
        &self,
        changed: &Self,
        removed: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let mut programs = self.0.clone();
        programs.extend(changed.0.clone());
        for name in removed {
            programs.remove(name);
        }
        Self(programs)
    }

    /// Returns the artifact's id as a slug: the same for the same programs.
    pub(crate) fn slug(&self) -> Uuid {
        let mut hash = Sha256::new();
        for (name, program) in &self.0 {
            hash.update(format!("{name} {}\n", program.sha256));
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl ProgramStore {
    /// Creates a store beside a program.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if no folder can be created.
    pub(crate) async fn beside(program: &Path) -> Result<Self, Error> {
        let parent = program.parent().unwrap_or(Path::new(".")).to_owned();
        in_background(move || {
            let created = create(&parent.join(FOLDER)).or_else(|cause| {
                tracing::debug!(%cause, "no folder for copies beside the programs");
                create_in_temporary(&std::env::temp_dir())
            });
            created.map_err(|cause| {
                let message = "could not create a folder for copies of the functions' programs";
                Error::new(ErrorKind::System, message).with_source(cause)
            })
        })
        .await
    }

    /// Copies programs, by function name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a program that cannot be read, [`ErrorKind::System`] if the copy
    /// cannot be written.
    pub(crate) async fn add(
        &self,
        programs: &BTreeMap<String, PathBuf>,
    ) -> Result<Artifact, Error> {
        let mut copies = JoinSet::new();
        for (name, executable) in programs {
            let (name, executable) = (name.clone(), executable.clone());
            let folder = self.folder.path().to_owned();
            copies.spawn(in_background(move || {
                let program = copy(&executable, &folder).map_err(|cause| {
                    let executable = executable.display();
                    let message = format!(
                        "could not copy the program of the function {name}: check that \
                         {executable} is a program that can be read, and that the disk has room"
                    );
                    Error::new(ErrorKind::Input, message).with_source(cause)
                })?;
                Ok((name, program))
            }));
        }
        let mut artifact = Artifact::default();
        while let Some(copied) = copies.join_next().await {
            let (name, program) = copied.map_err(panicked)??;
            artifact.0.insert(name, program);
        }
        Ok(artifact)
    }
}

/// Creates a store for programs whose own folder this user may not change. The place is one for all users, and
/// another one may have taken the name of this user's folder.
fn create_in_temporary(temporary: &Path) -> io::Result<ProgramStore> {
    create(&temporary.join(format!("{FOLDER}-{}", geteuid()))).or_else(|cause| {
        tracing::debug!(%cause, "the usual folder for copies is not this user's");
        let prefix = format!("{FOLDER}-");
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(PRIVATE))
            .tempdir_in(temporary)?;
        in_folder(folder)
    })
}

/// Creates a folder in the folder of all stores, and removes those of processes that were killed.
fn create(stores: &Path) -> io::Result<ProgramStore> {
    ensure_private(stores)?;
    // Between two stores that start at once: a folder without its lock is no leftover yet.
    let guard = lock_file(stores)?;
    guard.lock()?;
    for entry in fs::read_dir(stores)? {
        let folder = entry?.path();
        if folder.is_dir() && is_left_behind(&folder) {
            // What cannot be removed is no reason not to start.
            let _ = fs::remove_dir_all(&folder);
        }
    }
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(stores)?;
    in_folder(folder)
}

fn in_folder(folder: TempDir) -> io::Result<ProgramStore> {
    let lock = lock_file(folder.path())?;
    lock.lock()?;
    Ok(ProgramStore {
        folder,
        _lock: lock,
    })
}

/// Creates a folder that this user alone may change, or makes sure that a folder is such a one: another user
/// could put programs into it, which are run.
fn ensure_private(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    // Not what a link leads to.
    let metadata = fs::symlink_metadata(folder)?;
    let own = geteuid().as_raw();
    // The owner of the folder above can change each program in it.
    let is_trusted = metadata.uid() == own || metadata.uid() == fs::metadata(parent)?.uid();
    if !metadata.is_dir() || !is_trusted {
        let message = format!("{} is of another user, or a link", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    match metadata.uid() == own {
        true => fs::set_permissions(folder, Permissions::from_mode(PRIVATE)),
        false => Ok(()),
    }
}

/// Opens the file of a private folder that is locked, and creates it where there is none.
fn lock_file(folder: &Path) -> io::Result<File> {
    let lock = folder.join(LOCK);
    // From a time at which other users could write to the folder.
    if lock.is_symlink() {
        fs::remove_file(&lock)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(false).open(lock)
}

/// Returns whether the process that used a folder is gone: the system has released its lock.
fn is_left_behind(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Copies a program into a folder of its own, under the program's name.
fn copy(executable: &Path, folder: &Path) -> io::Result<Program> {
    let name = executable.file_name().unwrap_or_default();
    let own = tempfile::Builder::new()
        .prefix("program-")
        .tempdir_in(folder)?;
    let copy = own.path().join(name);
    fs::copy(executable, &copy)?;
    Ok(Program {
        // The digest is that of the copy: a build may write the original meanwhile.
        sha256: sha256(&copy)?,
        executable: copy,
        _folder: Arc::new(own),
    })
}

fn sha256(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(panicked)?
}

fn panicked(error: tokio::task::JoinError) -> Error {
    let message = "could not copy the functions' programs";
    Error::new(ErrorKind::System, message).with_source(error)
}

/// The mode of a folder that its owner alone may read and change.
const PRIVATE: u32 = 0o700;

const FOLDER: &str = "stagelink-programs";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(folder: &Path, files: &[(&str, &str)]) -> BTreeMap<String, PathBuf> {
        let programs = files.iter().map(|(name, content)| {
            let file = folder.join(name);
            fs::write(&file, content).unwrap();
            ((*name).to_owned(), file)
        });
        programs.collect()
    }

    #[tokio::test]
    async fn copy_stays_the_same_when_the_program_is_built_again() {
        let built = tempfile::tempdir().unwrap();
        let first = programs(built.path(), &[("hello", "one"), ("bye", "two")]);
        let store = ProgramStore::beside(&first["hello"]).await.unwrap();
        let artifact = store.add(&first).await.unwrap();
        assert_eq!(store.add(&first).await.unwrap(), artifact);
        let hello = artifact.programs()["hello"].clone();
        assert!(hello.executable.ends_with("hello"));

        let second = programs(built.path(), &[("hello", "three"), ("bye", "two")]);
        let changed = store.add(&second).await.unwrap();
        assert_eq!(fs::read_to_string(&hello.executable).unwrap(), "one");
        assert_ne!(changed.slug(), artifact.slug());
        assert_eq!(changed.programs()["bye"], artifact.programs()["bye"]);
        // The same programs under other names are another artifact.
        let swapped = [
            ("hello", second["bye"].clone()),
            ("bye", second["hello"].clone()),
        ];
        let swapped = swapped.map(|(name, file)| (name.to_owned(), file)).into();
        assert_ne!(store.add(&swapped).await.unwrap().slug(), changed.slug());

        // What changes is replaced, and what no artifact has any more is removed from the disk.
        let gone = "bye".to_owned();
        let merged = artifact.with_changes(&changed, [&gone]);
        assert_eq!(merged.programs().len(), 1);
        assert_eq!(merged.programs()["hello"], changed.programs()["hello"]);
        drop((artifact, changed));
        assert!(hello.executable.is_file());
        let old = hello.executable.clone();
        drop(hello);
        assert!(!old.exists());
        assert!(merged.programs()["hello"].executable.is_file());

        let missing = [("gone".to_owned(), built.path().join("gone"))].into();
        let error = store.add(&missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("gone"), "{error}");
    }

    #[test]
    fn folder_and_lock_that_another_user_may_have_made_are_not_used() {
        let victim = tempfile::tempdir().unwrap();
        let file = victim.path().join("file");
        fs::write(&file, "kept").unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let usual = temporary.path().join(format!("{FOLDER}-{}", geteuid()));
        let mode = |folder: &Path| fs::metadata(folder).unwrap().mode() & 0o777;

        let store = create_in_temporary(temporary.path()).unwrap();
        assert!(store.folder.path().starts_with(&usual));
        assert_eq!(mode(&usual), PRIVATE);
        drop(store);
        // One that others may have written to is closed, and a link in it leads nowhere.
        fs::set_permissions(&usual, Permissions::from_mode(0o777)).unwrap();
        fs::remove_file(usual.join(LOCK)).unwrap();
        std::os::unix::fs::symlink(&file, usual.join(LOCK)).unwrap();
        let store = create_in_temporary(temporary.path()).unwrap();
        assert!(store.folder.path().starts_with(&usual));
        assert_eq!(mode(&usual), PRIVATE);
        drop(store);
        // A link in the place of the folder.
        fs::remove_dir_all(&usual).unwrap();
        std::os::unix::fs::symlink(victim.path(), &usual).unwrap();
        let store = create_in_temporary(temporary.path()).unwrap();
        assert!(!store.folder.path().starts_with(&usual));
        assert_eq!(mode(store.folder.path()), PRIVATE);
        assert_eq!(victim.path().read_dir().unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[tokio::test]
    async fn store_removes_its_folder_and_those_that_were_left_behind() {
        let built = tempfile::tempdir().unwrap();
        let program = built.path().join("hello");
        let folders = || {
            let entries = fs::read_dir(built.path().join(FOLDER)).unwrap();
            entries
                .filter(|entry| entry.as_ref().unwrap().path().is_dir())
                .count()
        };
        let store = ProgramStore::beside(&program).await.unwrap();
        // One whose process was killed, and one that is in use.
        fs::create_dir(built.path().join(FOLDER).join("run-killed")).unwrap();
        File::create(built.path().join(FOLDER).join("run-killed").join(LOCK)).unwrap();
        assert_eq!(folders(), 2);
        let second = ProgramStore::beside(&program).await.unwrap();
        assert_eq!(folders(), 2);
        drop((store, second));
        assert_eq!(folders(), 0);
    }
}
