//! The entrance of a server: the processes of a machine that are about to get a place come in one after
//! the other, so that those which wait have no session.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::error::Error;

/// The entrance of a server, for the processes of this user on this machine.
///
/// A door is a file, and its lock the turn of a process. The kernel gives it to those that wait in the
/// order in which they came, and takes it from a process that ends, however it ends.
pub(super) struct Entrance {
    doors: Vec<PathBuf>,
}

/// The turn of a process at the entrance, until the value is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    door: Option<File>,
}

impl Entrance {
    /// Creates an entrance with its doors in this directory. Without one each process comes in at once.
    pub(super) fn new(directory: Option<&Path>, doors: usize) -> Self {
        let doors = directory.map_or_else(Vec::new, |directory| {
            let door = |number| directory.join(format!("entrance-{number}"));
            (0..doors).map(door).collect()
        });
        Self { doors }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// When the file of a door cannot be opened or locked.
    ///
    /// # Cancel safety
    ///
    /// A turn that comes after the future was dropped ends at once.
    pub(super) async fn pass(&self) -> Result<Turn, Error> {
        for door in &self.doors {
            if let Some(turn) = try_lock(door).map_err(|error| unusable(door, error))? {
                return Ok(turn);
            }
        }
        let Some(door) = fastrand::choice(&self.doors) else {
            return Ok(Turn { door: None });
        };
        let path = door.clone();
        let turn = spawn_blocking(move || lock(&path)).await;
        turn.unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| unusable(door, error))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(door) = &self.door {
            // A process that was forked meanwhile may still have the file open.
            let _ = door.unlock();
        }
    }
}

fn try_lock(door: &Path) -> io::Result<Option<Turn>> {
    let file = open(door)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Turn { door: Some(file) })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn lock(door: &Path) -> io::Result<Turn> {
    let file = open(door)?;
    loop {
        match file.lock() {
            Ok(()) => return Ok(Turn { door: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a file of its own for each turn: the lock is the open file's, and so tells tests of a process
/// apart, too.
fn open(door: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(door)
}

fn unusable(door: &Path, error: io::Error) -> Error {
    let message = format!(
        "could not lock {}, at which the test processes of this machine wait for their turn: is the \
         directory there, and may this user write to it?",
        door.display()
    );
    Error::with_source(message, error)
}
