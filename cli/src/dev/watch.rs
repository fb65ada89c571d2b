//! Watches files for `stagelink dev`. An event of the system only says when to look: what has changed is
//! known by comparing the files with how they were, so that lost, doubled and needless events do not
//! matter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
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

/// Watches the files of a list.
pub(super) struct FileWatcher {
    list: WatchList,
    /// `None` where the system has no events to give; then the files are looked at in turn.
    events: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    wake: Arc<Notify>,
    seen: Snapshot,
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
    pub(super) fn new(list: WatchList) -> Self {
        let wake = Arc::new(Notify::new());
        let on_event = {
            let wake = Arc::clone(&wake);
            move |event: notify::Result<Event>| {
                if event.map_or(true, |event| is_change(event.kind)) {
                    wake.notify_one();
                }
            }
        };
        let mut watcher = Self {
            list,
            events: notify::recommended_watcher(on_event).ok(),
            watched: BTreeSet::new(),
            wake,
            seen: Snapshot::new(),
        };
        watcher.seen = watcher.look();
        watcher
    }

    /// Watches the files of another list. Those that it has more count as known.
    pub(super) fn set_list(&mut self, list: WatchList) {
        if list == self.list {
            return;
        }
        let before = std::mem::replace(&mut self.list, list);
        let now = self.look();
        let list = &self.list;
        self.seen.retain(|file, _| list.reaches(file));
        let more = now.into_iter().filter(|(file, _)| !before.reaches(file));
        self.seen.extend(more);
    }

    /// Waits until files have changed and then rest for [`QUIET`], as an editor that saves one writes and
    /// renames several. Returns those that were changed, added or removed since the last call.
    pub(super) async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            let mut now = self.look();
            while now != self.seen {
                sleep(QUIET).await;
                let later = self.look();
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
    pub(super) fn accept(&mut self, file: &Path) {
        match fs::metadata(file) {
            Ok(metadata) => {
                let state = FileState::read(file, &metadata, None);
                self.seen.insert(file.to_owned(), state);
            }
            Err(_) => {
                self.seen.remove(file);
            }
        }
    }

    /// Reads the state of each file, and asks the system for events of folders that are new.
    fn look(&mut self) -> Snapshot {
        let mut look = Look {
            list: &self.list,
            known: &self.seen,
            files: Snapshot::new(),
            folders: BTreeSet::new(),
        };
        for file in &self.list.files {
            match fs::metadata(file) {
                Ok(metadata) if metadata.is_dir() => look.walk(file),
                Ok(metadata) => look.add(file, &metadata),
                Err(_) => {}
            }
            look.folders.extend(file.parent().map(Path::to_owned));
        }
        for folder in &self.list.folders {
            look.walk(folder);
        }
        let Look { files, folders, .. } = look;
        self.watch(folders);
        files
    }

    fn watch(&mut self, folders: BTreeSet<PathBuf>) {
        let Some(events) = &mut self.events else {
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
        let mut watcher = FileWatcher::new(list);

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
        watcher.set_list(WatchList {
            folders: [root.clone()].into(),
            files: [folder.path().join("migration")].into(),
            target: root.join("out"),
        });
        fs::write(root.join("lock"), "written by a build").unwrap();
        watcher.accept(&root.join("lock"));
        let none = timeout(INTERVAL * 2, watcher.changed()).await;
        assert!(none.is_err(), "{none:?}");
        fs::write(folder.path().join("migration"), "changed").unwrap();
        assert_eq!(names(&watcher.changed().await), ["migration"]);
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
        let mut watcher = FileWatcher::new(list(BTreeSet::new()));
        // A build lists them: they are known from then on, and no change.
        watcher.set_list(list(parts.map(file).into()));
        let none = timeout(INTERVAL, watcher.changed()).await;
        assert!(none.is_err(), "{none:?}");
        for part in parts {
            fs::write(file(part), "two").unwrap();
            let expected = [format!("{part}.rs")];
            assert_eq!(names(&watcher.changed().await), expected);
        }
        // Files that are no longer read have not been removed by that.
        watcher.set_list(list(BTreeSet::new()));
        let none = timeout(INTERVAL, watcher.changed()).await;
        assert!(none.is_err(), "{none:?}");
    }
}
