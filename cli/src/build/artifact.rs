//! The files that are deployed of a function, with their sizes and SHA-256.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use stagelink_pipeline::zip_program;
use tempfile::NamedTempFile;

use crate::target::Target;

/// The files that are deployed of a function.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Artifact {
    /// The function's name.
    pub function: String,
    /// The program, which Netlify takes and the zip contains.
    pub program: PathBuf,
    /// Size of the program.
    pub size_bytes: u64,
    /// SHA-256 of the program, in hexadecimal.
    pub sha256: String,
    /// The zip that AWS Lambda takes.
    pub zip: PathBuf,
    /// Size of the zip, which a cold start on Lambda downloads.
    pub zip_size_bytes: u64,
    /// SHA-256 of the zip, in hexadecimal.
    pub zip_sha256: String,
}

/// Writes the programs and their zips to `output`, and programs that Netlify does not take to
/// `folder`.
///
/// Removes programs and zips of an earlier build whose functions no longer exist: a deploy would
/// upload them.
pub(super) fn write(
    programs: Vec<(String, Vec<u8>)>,
    target: Target,
    output: &Path,
    folder: &Path,
) -> anyhow::Result<Vec<Artifact>> {
    let program_folder = match target.is_for_netlify() {
        true => output.join("functions"),
        false => folder.join("programs"),
    };
    let zip_folder = output.join("lambda").join(target.arch.as_str());
    let mut artifacts = Vec::new();
    for (function, contents) in programs {
        let zipped = zip_program(&contents)
            .with_context(|| format!("could not zip the function {function}"))?;
        let program = program_folder.join(&function);
        let zip = zip_folder.join(format!("{function}.zip"));
        write_atomically(&program, &contents, 0o755)?;
        write_atomically(&zip, &zipped, 0o644)?;
        artifacts.push(Artifact {
            function,
            program,
            size_bytes: contents.len() as u64,
            sha256: sha256_hex(&contents),
            zip,
            zip_size_bytes: zipped.len() as u64,
            zip_sha256: sha256_hex(&zipped),
        });
    }
    let written: BTreeSet<&Path> = artifacts
        .iter()
        .flat_map(|artifact| [artifact.program.as_path(), &artifact.zip])
        .collect();
    for folder in [&program_folder, &zip_folder] {
        remove_stale(folder, &written)?;
    }
    Ok(artifacts)
}

/// Replaces a file: a reader sees the old content or the new, never a part.
fn write_atomically(path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
    let context = || format!("could not write {}", path.display());
    let folder = path.parent().with_context(context)?;
    fs::create_dir_all(folder).with_context(context)?;
    let mut file = NamedTempFile::new_in(folder).with_context(context)?;
    file.write_all(contents).with_context(context)?;
    fs::set_permissions(file.path(), Permissions::from_mode(mode)).with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}

/// Removes programs and zips that this build has not written, and no other files.
fn remove_stale(folder: &Path, written: &BTreeSet<&Path>) -> anyhow::Result<()> {
    let context = || {
        format!(
            "could not remove the artifacts of an earlier build from {}",
            folder.display()
        )
    };
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if written.contains(path.as_path()) || !path.is_file() {
            continue;
        }
        let start = fs::read(&path).with_context(context)?;
        if start.starts_with(b"\x7fELF") || path.extension().is_some_and(|end| end == "zip") {
            fs::remove_file(&path).with_context(context)?;
        }
    }
    Ok(())
}

pub(super) fn sha256_hex(contents: &[u8]) -> String {
    hex::encode(Sha256::digest(contents))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Arch;

    fn write_all(names: &[&str], target: Target, output: &Path) -> Vec<Artifact> {
        let programs = names
            .iter()
            .map(|name| ((*name).to_owned(), b"\x7fELF program".to_vec()))
            .collect();
        write(programs, target, output, &output.join("target")).unwrap()
    }

    #[test]
    fn artifacts_of_a_removed_function_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::of(Arch::X86_64);
        write_all(&["hello", "old"], target, dir.path());
        let note = dir.path().join("functions/README");
        fs::write(&note, "mine").unwrap();
        write_all(&["hello"], target, dir.path());
        assert!(dir.path().join("functions/hello").is_file());
        assert!(!dir.path().join("functions/old").exists());
        assert!(!dir.path().join("lambda/x86_64/old.zip").exists());
        assert!(note.is_file(), "other files stay");
    }

    #[test]
    fn program_for_arm64_is_not_written_to_netlifys_folder() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = write_all(&["hello"], Target::of(Arch::Arm64), dir.path());
        assert!(!dir.path().join("functions").exists());
        assert!(dir.path().join("lambda/arm64/hello.zip").is_file());
        assert!(artifacts[0].program.is_file());
    }

    #[test]
    fn program_is_executable_by_all_users() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = write_all(&["hello"], Target::of(Arch::X86_64), dir.path());
        let mode = fs::metadata(&artifacts[0].program).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
        assert_eq!(artifacts[0].sha256.len(), 64);
    }
}
