//! Watches files for `stagelink dev`. An event of the system only says when to look: what has changed is
//! known by comparing the files with how they were, so that lost, doubled and needless events do not
//! matter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::future::pending;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// The files to watch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WatchList {
    /// Folders, with what is in them.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Single files, which may be missing.
    pub(super) files: BTreeSet<PathBuf>,
    /// A folder in these that is left out, besides those that hold no sources by their names.
    pub(super) target: PathBuf,
}

/// Watches the files of a list. Each look has a thread of its own: a network folder may give no answer.
pub(super) struct FileWatcher {
    list: Arc<WatchList>,
    events: Arc<Mutex<Events>>,
    wake: Arc<Notify>,
    seen: Arc<Snapshot>,
}

/// The folders for which the system gives events.
struct Events {
    /// `None` where the system has no events to give; then the files are looked at in turn.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

/// The state of each file that exists.
type Snapshot = BTreeMap<PathBuf, FileState>;

/// A file as it is; two states are equal if their content is.
#[derive(Clone, Debug)]
struct FileState {
    /// Time of the last change, size and inode.
    stamp: (i64, i64, u64, u64),
    /// A digest of the content; `None` of a large file, or one that cannot be read.
    digest: Option<u64>,
}

impl WatchList {
    /// Returns whether a look comes to a file: it is one of the list, or in one of its folders and none that is
    /// left out is between.
    fn reaches(&self, file: &Path) -> bool {
        let is_named = |path: &Path| self.files.contains(path) || self.folders.contains(path);
        let is_end = |path: &&Path| {
            is_named(path) || (*path != file && (self.is_left_out(path) || path.is_symlink()))
        };
        file.ancestors().find(is_end).is_some_and(is_named)
    }

    /// Returns whether a folder holds no sources: cargo's output, a hidden folder, packages of npm, or
    /// what `stagelink build` makes.
    fn is_left_out(&self, folder: &Path) -> bool {
        let name = folder.file_name().unwrap_or_default();
        let outputs = ["target", "node_modules", "dist"];
        folder == self.target
            || name.as_encoded_bytes().starts_with(b".")
            || outputs.iter().any(|output| name == *output)
            // Another target folder.
            || folder.join("CACHEDIR.TAG").exists()
    }
}

impl FileWatcher {
    /// Begins to watch. What changes from now on is reported.
    pub(super) async fn new(list: WatchList) -> Self {
        let wake = Arc::new(Notify::new());
        let on_event = {
            let wake = Arc::clone(&wake);
            move |event: notify::Result<Event>| {
                if event.map_or(true, |event| is_change(event.kind)) {
                    wake.notify_one();
                }
            }
        };
        let events = Events {
            watcher: notify::recommended_watcher(on_event).ok(),
            watched: BTreeSet::new(),
        };
        let mut watcher = Self {
            list: Arc::new(list),
            events: Arc::new(Mutex::new(events)),
            wake,
            seen: Arc::default(),
        };
        watcher.seen = watcher.look().await;
        watcher
    }

    /// Watches the files of another list. Those that it has more count as known.
    pub(super) async fn set_list(&mut self, list: WatchList) {
        if list == *self.list {
            return;
        }
        let before = std::mem::replace(&mut self.list, Arc::new(list));
        let now = self.look().await;
        let (list, mut seen) = (Arc::clone(&self.list), Arc::clone(&self.seen));
        let seen = in_background(move || {
            let known = Arc::make_mut(&mut seen);
            known.retain(|file, _| list.reaches(file));
            let more = now.iter().filter(|(file, _)| !before.reaches(file));
            known.extend(more.map(|(file, state)| (file.clone(), state.clone())));
            seen
        });
        self.seen = seen.await;
    }

    /// Waits until files have changed and then rest for [`QUIET`], as an editor that saves one writes and
    /// renames several. Returns those that were changed, added or removed since the last call.
    pub(super) async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            let mut now = self.look().await;
            while now != self.seen {
                sleep(QUIET).await;
                let later = self.look().await;
                if later == now {
                    let changed = difference(&self.seen, &now);
                    self.seen = now;
                    return changed;
                }
                now = later;
            }
            // What was written anew without a change is not read again.
            self.seen = now;
            let _ = timeout(INTERVAL, self.wake.notified()).await;
        }
    }

    /// Takes a file as it is now for known, such as one that a build has written.
    pub(super) async fn accept(&mut self, file: &Path) {
        let of_file = file.to_owned();
        let state = in_background(move || {
            let metadata = fs::metadata(&of_file).ok()?;
            Some(FileState::read(&of_file, &metadata, None))
        });
        let state = state.await;
        let seen = Arc::make_mut(&mut self.seen);
        match state {
            Some(state) => seen.insert(file.to_owned(), state),
            None => seen.remove(file),
        };
    }

    /// Reads the state of each file, and asks the system for events of folders that are new.
    async fn look(&self) -> Arc<Snapshot> {
        let (list, known) = (Arc::clone(&self.list), Arc::clone(&self.seen));
        let events = Arc::clone(&self.events);
        let look = in_background(move || {
            let mut look = Look {
                list: &list,
                known: &known,
                files: Snapshot::new(),
                folders: BTreeSet::new(),
            };
            look.run();
            let Look { files, folders, .. } = look;
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            events.watch(folders);
            Arc::new(files)
        });
        look.await
    }
}

impl Events {
    fn watch(&mut self, folders: BTreeSet<PathBuf>) {
        let Some(events) = &mut self.watcher else {
            return;
        };
        for gone in self.watched.difference(&folders) {
            // The system forgets a folder that is removed by itself.
            let _ = events.unwatch(gone);
        }
        self.watched.retain(|folder| folders.contains(folder));
        for folder in folders {
            // Where the system has no place for another one, the files are looked at in turn.
            if !self.watched.contains(&folder)
                && events.watch(&folder, RecursiveMode::NonRecursive).is_ok()
            {
                self.watched.insert(folder);
            }
        }
    }
}

impl FileState {
    /// Reads a file, unless it is as it was known.
    fn read(file: &Path, metadata: &Metadata, known: Option<&Self>) -> Self {
        let stamp = (
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.size(),
            metadata.ino(),
        );
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return known.clone();
        }
        let is_small = metadata.size() <= LARGEST_READ_BYTES;
        let content = is_small.then(|| fs::read(file).ok()).flatten();
        let digest = content.map(|content| {
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            hasher.finish()
        });
        Self { stamp, digest }
    }
}

impl PartialEq for FileState {
    fn eq(&self, other: &Self) -> bool {
        match (self.digest, other.digest) {
            (Some(own), Some(others)) => own == others,
            _ => self.stamp == other.stamp,
        }
    }
}

/// A look at all files.
struct Look<'a> {
    list: &'a WatchList,
    known: &'a Snapshot,
    files: Snapshot,
    folders: BTreeSet<PathBuf>,
}

impl Look<'_> {
    /// Adds all files of the list.
    fn run(&mut self) {
        let list = self.list;
        for file in &list.files {
            match fs::metadata(file) {
                Ok(metadata) if metadata.is_dir() => self.walk(file),
                Ok(metadata) => self.add(file, &metadata),
                Err(_) => {}
            }
            self.folders.extend(file.parent().map(Path::to_owned));
        }
        for folder in &list.folders {
            self.walk(folder);
        }
    }

    /// Adds the files of a folder and of those in it. Links to folders are not followed.
    fn walk(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        self.folders.insert(folder.to_owned());
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|of| of.is_dir()) {
                if !self.list.is_left_out(&path) {
                    self.walk(&path);
                }
            } else if let Ok(metadata) = fs::metadata(&path)
                && metadata.is_file()
            {
                self.add(&path, &metadata);
            }
        }
    }

    fn add(&mut self, file: &Path, metadata: &Metadata) {
        let state = FileState::read(file, metadata, self.known.get(file));
        self.files.insert(file.to_owned(), state);
    }
}

/// Runs what asks the system for files on a thread of its own.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_) => pending().await,
        },
    }
}

/// Returns the files that two snapshots do not have in common.
fn difference(before: &Snapshot, after: &Snapshot) -> BTreeSet<PathBuf> {
    let changed = after
        .iter()
        .filter(|(file, state)| before.get(*file) != Some(state));
    let removed = before.iter().filter(|(file, _)| !after.contains_key(*file));
    changed
        .chain(removed)
        .map(|(file, _)| file.clone())
        .collect()
}

/// Returns whether an event may be one of a change. Each read of a file has one, too.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// Size up to which a file that was written anew is compared by its content: a build that writes the
/// same file again, into a folder of sources, does not start the next one.
const LARGEST_READ_BYTES: u64 = 4 << 20;

/// Time without a change that ends a save.
const QUIET: Duration = Duration::from_millis(60);

/// Time between two looks when no event comes: those of containers and network folders get lost.
const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(changed: &BTreeSet<PathBuf>) -> Vec<String> {
        let names = changed.iter().filter_map(|file| file.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[tokio::test]
    async fn save_by_an_editor_is_one_change_and_what_is_left_out_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("hello");
        let outputs = ["out", "target", ".git", "node_modules"];
        for output in outputs {
            fs::create_dir_all(root.join(output)).unwrap();
        }
        fs::write(root.join("main.rs"), "one").unwrap();
        let list = WatchList {
            folders: [root.clone()].into(),
            files: [folder.path().join(".env")].into(),
            target: root.join("out"),
        };
        let mut watcher = FileWatcher::new(list).await;

        // As vim saves: a copy, a new file, and no copy any more.
        for output in outputs {
            fs::write(root.join(output).join("hello"), "written").unwrap();
        }
        fs::rename(root.join("main.rs"), root.join("main.rs~")).unwrap();
        fs::write(root.join("main.rs"), "two").unwrap();
        fs::remove_file(root.join("main.rs~")).unwrap();
        let changed = watcher.changed().await;
        assert_eq!(names(&changed), ["main.rs"]);

        // As others do: a file beside it, which takes its place. And a folder that is new.
        let save = tokio::spawn({
            let root = root.clone();
            async move {
                sleep(Duration::from_millis(20)).await;
                fs::write(root.join("main.tmp"), "three").unwrap();
                fs::rename(root.join("main.tmp"), root.join("main.rs")).unwrap();
                fs::create_dir(root.join("page")).unwrap();
                fs::write(root.join("page/mod.rs"), "new").unwrap();
            }
        });
        let changed = watcher.changed().await;
        assert_eq!(names(&changed), ["main.rs", "mod.rs"]);
        save.await.unwrap();

        fs::remove_file(root.join("page/mod.rs")).unwrap();
        fs::write(folder.path().join(".env"), "A=1").unwrap();
        let changed = watcher.changed().await;
        assert_eq!(names(&changed), [".env", "mod.rs"]);

        // None of these is a change: a read, the same content, what is accepted, another list.
        fs::read(root.join("main.rs")).unwrap();
        fs::write(root.join("main.rs"), "three").unwrap();
        fs::write(folder.path().join("migration"), "included").unwrap();
        let list = WatchList {
            folders: [root.clone()].into(),
            files: [folder.path().join("migration")].into(),
            target: root.join("out"),
        };
        watcher.set_list(list).await;
        fs::write(root.join("lock"), "written by a build").unwrap();
        watcher.accept(&root.join("lock")).await;
        let none = timeout(INTERVAL * 2, watcher.changed()).await;
        assert!(none.is_err(), "{none:?}");
        fs::write(folder.path().join("migration"), "changed").unwrap();
        assert_eq!(names(&watcher.changed().await), ["migration"]);
    }

    #[tokio::test]
    async fn look_that_gets_no_answer_blocks_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // A read of it waits as one of a network folder may.
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let list = WatchList {
            files: [pipe.clone()].into(),
            ..WatchList::default()
        };
        let watcher = tokio::spawn(FileWatcher::new(list));
        sleep(QUIET).await;
        assert!(!watcher.is_finished());
        fs::write(&pipe, "an answer").unwrap();
        watcher.await.unwrap();
    }

    #[tokio::test]
    async fn single_file_is_noticed_in_a_folder_that_is_left_out_or_linked() {
        let folder = tempfile::tempdir().unwrap();
        let (root, shared) = (folder.path().join("hello"), folder.path().join("shared"));
        let parts = ["target", ".pages", "dist", "linked"];
        for part in &parts[..3] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        fs::create_dir(&shared).unwrap();
        std::os::unix::fs::symlink(&shared, root.join("linked")).unwrap();
        let file = |part: &str| root.join(part).join(format!("{part}.rs"));
        for part in parts {
            fs::write(file(part), "one").unwrap();
        }
        let list = |files: BTreeSet<PathBuf>| WatchList {
            folders: [root.clone()].into(),
            files,
            target: root.join("out"),
        };
        let mut watcher = FileWatcher::new(list(BTreeSet::new())).await;
        // A build lists them: they are known from then on, and no change.
        watcher.set_list(list(parts.map(file).into())).await;
        let none = timeout(INTERVAL, watcher.changed()).await;
        assert!(none.is_err(), "{none:?}");
        for part in parts {
            fs::write(file(part), "two").unwrap();
            let expected = [format!("{part}.rs")];
            assert_eq!(names(&watcher.changed().await), expected);
        }
        // Files that are no longer read have not been removed by that.
        watcher.set_list(list(BTreeSet::new())).await;
        let none = timeout(INTERVAL, watcher.changed()).await;
        assert!(none.is_err(), "{none:?}");
    }
}
