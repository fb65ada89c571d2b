//! `postmaster.pid`, the file in which a running server states its process and its status.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::{Error, ErrorKind};

/// The content of a `postmaster.pid`.
#[derive(Clone, Debug)]
pub(crate) struct PidFile(String);

impl PidFile {
    /// Reads the file of a data directory, if it exists and is readable.
    pub(crate) fn read(data_directory: &Path) -> Option<Self> {
        fs::read_to_string(path(data_directory)).ok().map(Self)
    }

    /// Returns the number of the server's main process.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.line(PID_LINE)?.parse().ok()
    }

    /// Returns whether the server accepts connections.
    pub(crate) fn is_ready(&self) -> bool {
        self.line(STATUS_LINE) == Some("ready")
    }

    fn line(&self, index: usize) -> Option<&str> {
        self.0.lines().nth(index).map(str::trim)
    }
}

/// Removes the file that a killed server left behind, so that a new server does
/// not take another process with that number for the old server.
///
/// # Errors
///
/// [`ErrorKind::Input`] if the process of the file is a Postgres server. The
/// lock on the directory rules out a server of this crate, but an operator may
/// have started one by hand.
pub(crate) fn remove_stale(data_directory: &Path) -> Result<(), Error> {
    let Some(file) = PidFile::read(data_directory) else {
        return Ok(());
    };
    if let Some(pid) = file.pid()
        && is_postgres(pid)
    {
        return Err(in_use_error(data_directory, Some(pid)));
    }
    let path = path(data_directory);
    fs::remove_file(&path).map_err(|error| remove_error(&path, error))
}

/// Returns the error of databases that another running server uses.
pub(crate) fn in_use_error(directory: &Path, pid: Option<i32>) -> Error {
    let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
    Error::new(
        ErrorKind::Input,
        format!(
            "could not use the databases in {}: another running Postgres server{process} uses \
             them; stop it or choose another directory",
            directory.display()
        ),
    )
}

/// Returns whether a process is a Postgres server, or true if that cannot be determined.
fn is_postgres(pid: i32) -> bool {
    if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return false;
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).or_else(|_| {
        Command::new("ps")
            .args(["-o", "comm=", "-p", &pid.to_string()])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    name.map_or(true, |name| {
        name.contains("postgres") || name.contains("postmaster")
    })
}

fn path(data_directory: &Path) -> PathBuf {
    data_directory.join("postmaster.pid")
}

fn remove_error(path: &Path, error: io::Error) -> Error {
    let message = format!("could not remove the stale pid file {}", path.display());
    Error::new(ErrorKind::System, message).with_source(error)
}

/// Index of the line with the process number (Postgres' pidfile.h).
const PID_LINE: usize = 0;

/// Index of the line with the status (Postgres' pidfile.h).
const STATUS_LINE: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn data_directory(pid: u32) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        let text = format!("{pid}\n/data\n1700000000\n5432\n\n127.0.0.1\n\nready   \n");
        fs::write(path(data.path()), text).unwrap();
        data
    }

    #[test]
    fn pid_and_status_are_read() {
        let data = data_directory(42);
        let file = PidFile::read(data.path()).unwrap();
        assert_eq!(file.pid(), Some(42));
        assert!(file.is_ready());
        fs::write(path(data.path()), "42\n/data\n").unwrap();
        assert!(!PidFile::read(data.path()).unwrap().is_ready());
    }

    #[test]
    fn pid_file_of_an_ended_process_is_removed() {
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let data = data_directory(ended.id());
        remove_stale(data.path()).unwrap();
        assert!(!path(data.path()).exists());
    }

    #[test]
    fn pid_file_with_the_number_of_another_program_is_removed() {
        let data = data_directory(std::process::id());
        remove_stale(data.path()).unwrap();
        assert!(!path(data.path()).exists());
    }
}
