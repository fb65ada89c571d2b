//! Copies a prepared cluster for a server of its own.

use std::fs;
use std::io;
use std::path::Path;

use crate::server_user::ServerUser;

/// Copies a directory with its files and directories, and makes a user the owner.
pub(super) fn copy_directory(from: &Path, to: &Path, owner: &ServerUser) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    // Before any file, so that the watchdog, which runs as that user, can remove a partial copy.
    owner.chown(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target, owner)?;
        } else {
            fs::copy(entry.path(), &target)?;
            owner.chown(&target)?;
        }
    }
    Ok(())
}
