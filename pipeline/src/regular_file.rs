//! Reads a project's files, and refuses what is neither a file nor a folder: to read a named pipe or a device
//! may never end, and blocks the command meanwhile.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// Reads a file, as [`fs::read`] does.
///
/// # Errors
///
/// Those of reading, and one that names what the path is where it is no file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    ensure_file(path)?;
    fs::read(path)
}

/// Reads a file of text, as [`fs::read_to_string`] does.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    ensure_file(path)?;
    fs::read_to_string(path)
}

fn ensure_file(path: &Path) -> io::Result<()> {
    match odd_kind(fs::metadata(path)?.file_type()) {
        Some(kind) => Err(io::Error::other(format!("it is {kind}, and no file"))),
        // The read of a folder fails by itself.
        None => Ok(()),
    }
}

/// Returns what it is, where that is neither a file nor a folder.
pub(crate) fn odd_kind(of: FileType) -> Option<&'static str> {
    if of.is_file() || of.is_dir() {
        None
    } else if of.is_fifo() {
        Some("a named pipe")
    } else if of.is_socket() {
        Some("a socket")
    } else if of.is_char_device() || of.is_block_device() {
        Some("a device")
    } else {
        Some("something else than a file")
    }
}
