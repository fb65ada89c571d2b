//! The artifacts that a command is about: programs, zips for AWS Lambda, or functions by name.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use stagelink_pipeline::MigrationList;
use zip::ZipArchive;

use crate::build::{Arch, BOOTSTRAP};

/// An artifact with the list of migrations in its program.
#[derive(Debug)]
pub(super) struct ArtifactFile {
    /// The function's name, or that of the file.
    pub(super) function: String,
    pub(super) path: PathBuf,
    /// The migrations that it was built with; `None` where the program does not say.
    pub(super) list: Option<MigrationList>,
}

/// Finds and reads the artifacts of these names or paths; without any, all in the project's `dist`. The
/// name of a function stands for each of its artifacts: for Netlify, and for each processor of AWS
/// Lambda.
///
/// # Errors
///
/// When there are none, or one cannot be read.
pub(super) fn find(named: &[String], project: &Path) -> anyhow::Result<Vec<ArtifactFile>> {
    let dist = project.join("dist");
    let paths = match named {
        [] => built_paths(&dist)?,
        named => {
            let mut paths = Vec::new();
            for name in named {
                paths.extend(locate(name, &dist)?);
            }
            paths
        }
    };
    ensure!(
        !paths.is_empty(),
        "there is no artifact in {}: run `stagelink build`, or name a file",
        dist.display()
    );
    paths.into_iter().map(open).collect()
}

/// Returns the paths of all artifacts in `dist`: the programs for Netlify, and the zips for AWS Lambda
/// of each processor.
///
/// # Errors
///
/// When a folder cannot be read.
pub(super) fn built_paths(dist: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = files(&dist.join("functions"), |_| true)?;
    for arch in ARCHITECTURES {
        let folder = dist.join("lambda").join(arch.as_str());
        let is_zip = |path: &Path| path.extension().is_some_and(|end| end == "zip");
        paths.extend(files(&folder, is_zip)?);
    }
    Ok(paths)
}

/// Returns the files of a folder, in the order of their names; none of a folder that does not exist.
fn files(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let context = || format!("could not read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_file() && is_wanted(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the file of this path; without one, all artifacts of the function of this name.
fn locate(name: &str, dist: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let named = PathBuf::from(name);
    if named.is_file() {
        return Ok(vec![named]);
    }
    let mut paths = Vec::new();
    // A path is no function's name.
    if !name.contains(std::path::is_separator) {
        let zip = |arch: Arch| dist.join("lambda").join(arch.as_str());
        paths.push(dist.join("functions").join(name));
        paths.extend(ARCHITECTURES.map(|arch| zip(arch).join(format!("{name}.zip"))));
        paths.retain(|path| path.is_file());
    }
    ensure!(
        !paths.is_empty(),
        "there is no file {name}, and {} has no function of that name: run `stagelink build`, or name \
         a file",
        dist.display()
    );
    Ok(paths)
}

/// Reads an artifact.
///
/// # Errors
///
/// When it cannot be read, or is neither a program nor a zip with one.
pub(super) fn open(path: PathBuf) -> anyhow::Result<ArtifactFile> {
    let read = || {
        let bytes = read_limited(File::open(&path)?)?;
        let program = match bytes.starts_with(b"PK") {
            true => {
                let mut archive = ZipArchive::new(Cursor::new(bytes))?;
                let program = archive
                    .by_name(BOOTSTRAP)
                    .with_context(|| format!("the zip has no file {BOOTSTRAP}"))?;
                read_limited(program)?
            }
            false => bytes,
        };
        anyhow::Ok(MigrationList::read_from(&program)?)
    };
    let list = read().with_context(|| format!("could not read the artifact {}", path.display()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(ArtifactFile {
        function: name.into_owned(),
        list,
        path,
    })
}

/// Reads all of a file, or of one in a zip, if it is not longer than an artifact may be.
fn read_limited(reader: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= LARGEST,
        "it has more than {LARGEST} bytes, which AWS Lambda takes at most"
    );
    Ok(bytes)
}

const ARCHITECTURES: [Arch; 2] = [Arch::X86_64, Arch::Arm64];

/// The largest program that AWS Lambda takes, unzipped (docs.aws.amazon.com/lambda, Quotas, 2026-11).
const LARGEST: u64 = 250 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::zip;

    fn refused(contents: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello.zip");
        fs::write(&path, contents).unwrap();
        let Err(error) = open(path) else {
            panic!("it is no artifact")
        };
        format!("{error:#}")
    }

    #[test]
    fn files_of_other_kinds_are_refused_with_their_path() {
        let no_program = zip(b"#!/bin/sh\n").unwrap();
        for (contents, reason) in [
            (&b""[..], "not an ELF file"),
            (b"#!/bin/sh\n", "not an ELF file"),
            (&no_program, "not an ELF file"),
            (b"PK\x03\x04 and no more", "could not read the artifact"),
        ] {
            let error = refused(contents);
            assert!(error.contains("hello.zip: "), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn missing_artifacts_are_reported_with_the_command_that_builds_them() {
        let folder = tempfile::tempdir().unwrap();
        for named in [&[][..], &["hello".to_owned()], &["a/hello".to_owned()]] {
            let Err(error) = find(named, folder.path()) else {
                panic!("nothing is there")
            };
            assert!(
                error.to_string().contains("run `stagelink build`"),
                "{error}"
            );
        }
    }
}
