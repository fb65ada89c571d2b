//! Files that only their owner can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Options that create a file with mode 0600.
pub(crate) fn open_options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).create(true).mode(0o600);
    options
}

/// Writes a file with mode 0600; replaces the content of an existing file.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    open_options()
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(text.as_bytes())
}
