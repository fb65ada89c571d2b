//! The files of a project that a deploy takes: the programs, and those of the published folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::regular_file;

/// Returns the files in `dist/functions` by name.
pub(super) fn programs(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut programs = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // A site of static files alone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(programs),
        Err(error) => return Err(unreadable(folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_left_out(&name) {
            ensure_readable(&entry.path())?;
            programs.insert(name, entry.path());
        }
    }
    Ok(programs)
}

/// Returns the files of the published folder by their paths in a deploy.
pub(super) fn published_files(
    project: &Path,
    publish: &Path,
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let project = project
        .canonicalize()
        .map_err(|error| unreadable(project, error))?;
    let mut files = BTreeMap::new();
    let mut folders = vec![(String::new(), publish.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        let real = folder
            .canonicalize()
            .map_err(|error| unreadable(&folder, error))?;
        ensure_inside(&project, &folder, &real)?;
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let file = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let message = format!("the name of {} is not UTF-8", file.display());
                return Err(Error::new(ErrorKind::Settings, message));
            };
            if is_left_out(&name) {
                continue;
            }
            let path = format!("{prefix}{name}");
            // It may be a link.
            let real = file
                .canonicalize()
                .map_err(|error| unreadable(&file, error))?;
            ensure_inside(&project, &file, &real)?;
            ensure_readable(&file)?;
            match real.is_dir() {
                // A link to a folder above would never end.
                true if publish
                    .canonicalize()
                    .is_ok_and(|top| top.starts_with(&real)) =>
                {
                    let message = format!("{} leads to a folder that it is in", file.display());
                    return Err(Error::new(ErrorKind::Settings, message));
                }
                true => folders.push((format!("{path}/"), file)),
                false => drop(files.insert(path, file)),
            }
            if folders.len() + files.len() > MOST_FILES {
                let message = format!("{} has more than {MOST_FILES} files", publish.display());
                return Err(Error::new(ErrorKind::Settings, message));
            }
        }
    }
    Ok(files)
}

/// Makes sure that a file which is to be written into the published folder is one of the project's: none of the
/// folders on its way is a link to elsewhere.
///
/// # Errors
///
/// [`ErrorKind::Settings`] where it is not, or the project cannot be read.
pub(crate) fn ensure_written_inside(project: &Path, file: &Path) -> Result<(), Error> {
    let real_project = project
        .canonicalize()
        .map_err(|error| unreadable(project, error))?;
    // A folder that is not there is made in the one above it; a link that leads nowhere is there.
    let there = file
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(project);
    let real = there
        .canonicalize()
        .map_err(|error| unreadable(there, error))?;
    ensure_inside(&real_project, there, &real)
}

/// Makes sure that a link does not publish a file from elsewhere on this machine.
fn ensure_inside(project: &Path, named: &Path, real: &Path) -> Result<(), Error> {
    match real.starts_with(project) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Settings,
            format!(
                "{} leads out of the project, and would be published",
                named.display()
            ),
        )),
    }
}

/// Returns whether netlify-cli leaves out files and folders of this name.
pub(super) fn is_left_out(name: &str) -> bool {
    (name.starts_with('.') && name != ".well-known")
        || name == "node_modules"
        || name.starts_with("__MACOSX")
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    regular_file::read(path).map_err(|error| unreadable(path, error))
}

/// Makes sure that it is a file or a folder, or a link to one.
fn ensure_readable(path: &Path) -> Result<(), Error> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    match regular_file::odd_kind(found.file_type()) {
        None => Ok(()),
        Some(kind) => Err(Error::new(
            ErrorKind::Settings,
            format!(
                "{} is {kind}, which cannot be deployed: remove it, or put a file there",
                path.display()
            ),
        )),
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = format!("could not read {}", path.display());
    Error::with_source(ErrorKind::Settings, message, error)
}

/// The folder of the programs in a project.
pub(super) const PROGRAMS: &str = "dist/functions";

/// More than a deploy by digests is meant for.
const MOST_FILES: usize = 50_000;
