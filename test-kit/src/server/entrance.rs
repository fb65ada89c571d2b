//! The entrance of a server: the processes of a machine that are about to get a place come in one after
//! the other, so that those which wait have no session.

use std::fs::{File, TryLockError};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stagelink_local_postgres::SharedServer;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

/// The entrance of a server, for the processes of this user on this machine.
///
/// A door is a file, and its lock the turn of a process. The kernel takes it from a process that ends,
/// however it ends. A door that cannot be used, or whose process stands still, holds up no other: too many
/// sessions are better than none.
pub(super) struct Entrance {
    doors: Vec<PathBuf>,
}

/// The turn of a process at the entrance, until the value is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    door: Option<Arc<File>>,
    beat: Option<AbortHandle>,
}

impl Entrance {
    /// Creates an entrance with so many doors, in the directory of the server. Without a directory each
    /// process comes in at once.
    pub(super) fn new(server: &SharedServer, doors: usize) -> Self {
        // Servers that are given by their URL share a directory. Two that share a door wait for each other.
        let mut hasher = DefaultHasher::new();
        (server.host(), server.port()).hash(&mut hasher);
        let name = hasher.finish() % NAMES;
        let doors = server.directory().map_or_else(Vec::new, |directory| {
            let door = |number| directory.join(format!("entrance-{name}-{number}"));
            (0..doors).map(door).collect()
        });
        Self { doors }
    }

    /// Returns whether a process is at each door, so that others may wait behind them. Without doors there
    /// is no telling.
    pub(super) fn is_full(&self) -> bool {
        let is_taken = |door: &PathBuf| matches!(try_lock(door), Ok(None));
        !self.doors.is_empty() && self.doors.iter().all(is_taken)
    }

    /// Waits for a turn.
    pub(super) async fn pass(&self) -> Turn {
        let began = Instant::now();
        loop {
            // One that has come to the door a moment ago has given no sign of life yet.
            let may_stand_still = began.elapsed() > BEAT;
            let mut is_held = false;
            for path in &self.doors {
                match try_lock(path) {
                    Ok(Some(door)) => return Turn::at(door),
                    Ok(None) => is_held |= !(may_stand_still && stands_still(path)),
                    Err(_) => {}
                }
            }
            if !is_held {
                return Turn {
                    door: None,
                    beat: None,
                };
            }
            sleep(Duration::from_millis(fastrand::u64(5..25))).await;
        }
    }
}

impl Turn {
    /// Says at the door from time to time that this process does not stand still.
    fn at(door: File) -> Self {
        let door = Arc::new(door);
        let file = Arc::clone(&door);
        let beats = async move {
            loop {
                // Without it others come in too early.
                let _ = file.set_modified(SystemTime::now());
                sleep(BEAT).await;
            }
        };
        Self {
            door: Some(door),
            beat: Some(tokio::spawn(beats).abort_handle()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(beat) = &self.beat {
            beat.abort();
        }
        if let Some(door) = &self.door {
            // A process that was forked meanwhile may still have the file open.
            let _ = door.unlock();
        }
    }
}

/// Opens a file of its own for each turn: the lock is the open file's, and so tells tests of a process
/// apart, too. `None` if another has the lock.
fn try_lock(door: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(door)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns whether the process at a door stands still: a debugger or Ctrl-Z has stopped it.
fn stands_still(door: &Path) -> bool {
    let modified = door.metadata().and_then(|file| file.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|ago| ago > STILL))
}

/// The time between two signs of life, and that after which a process counts as standing still: more than
/// a busy machine takes from one sign to the next.
const BEAT: Duration = Duration::from_secs(1);
const STILL: Duration = Duration::from_secs(15);

/// The number of different names of doors, so that their files do not become more and more.
const NAMES: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn entrance(directory: &Path) -> Entrance {
        Entrance {
            doors: vec![directory.join("door")],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_after_the_other_comes_in() {
        let directory = tempfile::tempdir().unwrap();
        let entrance = entrance(directory.path());
        let first = entrance.pass().await;
        assert!(entrance.is_full());
        let second = entrance.pass();
        assert!(
            tokio::time::timeout(Duration::from_secs(5), second)
                .await
                .is_err()
        );
        drop(first);
        assert!(!entrance.is_full());
        assert!(entrance.pass().await.door.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn door_that_cannot_be_used_or_whose_process_stands_still_holds_up_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let stopped = entrance(directory.path());
        let held = try_lock(&stopped.doors[0]).unwrap().unwrap();
        held.set_modified(SystemTime::now() - STILL - BEAT).unwrap();
        let began = Instant::now();
        assert!(stopped.pass().await.door.is_none());
        assert!(began.elapsed() > BEAT, "it may have come a moment ago");

        let gone = directory.path().join("gone");
        assert!(entrance(&gone).pass().await.door.is_none());
        std::fs::create_dir_all(gone.join("door")).unwrap();
        assert!(entrance(&gone).pass().await.door.is_none());
    }
}
