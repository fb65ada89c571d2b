//! What is deployed of a function: files, with their sizes and sums.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::archive;
use crate::target::Target;

/// What is deployed of a function.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Artifact {
    /// The function's name.
    pub function: String,
    /// The program: what Netlify takes, and what is in the zip.
    pub program: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its sum.
    pub sha256: String,
    /// The zip that AWS Lambda takes.
    pub zip: PathBuf,
    /// The zip's size: it is what a cold start has to fetch.
    pub zip_size_bytes: u64,
    /// The zip's sum.
    pub zip_sha256: String,
}

/// Writes the programs and their zips into `output`. What an earlier build has left there of
/// functions that are no more is removed, since it would be deployed; programs that Netlify
/// does not take stay in `folder`.
pub(super) fn write(
    programs: Vec<(String, Vec<u8>)>,
    target: Target,
    output: &Path,
    folder: &Path,
) -> anyhow::Result<Vec<Artifact>> {
    let for_programs = match target.is_for_netlify() {
        true => output.join("functions"),
        false => folder.join("programs"),
    };
    let for_zips = output.join("lambda").join(target.arch.as_str());
    let mut artifacts = Vec::new();
    for (function, contents) in programs {
        let zipped = archive::zip(&contents)
            .with_context(|| format!("could not zip the function {function}"))?;
        let program = for_programs.join(&function);
        let zip = for_zips.join(format!("{function}.zip"));
        put(&program, &contents, 0o755)?;
        put(&zip, &zipped, 0o644)?;
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
    for folder in [&for_programs, &for_zips] {
        remove_others(folder, &written)?;
    }
    Ok(artifacts)
}

/// Writes a file at once: who reads it meanwhile has the old one, or the new one.
fn put(path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
    let what = || format!("could not write {}", path.display());
    let folder = path.parent().with_context(what)?;
    fs::create_dir_all(folder).with_context(what)?;
    let mut file = NamedTempFile::new_in(folder).with_context(what)?;
    file.write_all(contents).with_context(what)?;
    fs::set_permissions(file.path(), Permissions::from_mode(mode)).with_context(what)?;
    file.persist(path).with_context(what)?;
    Ok(())
}

/// Removes programs and zips, and leaves alone whatever else somebody may have put there.
fn remove_others(folder: &Path, written: &BTreeSet<&Path>) -> anyhow::Result<()> {
    let what = || format!("could not tidy up {}", folder.display());
    for entry in fs::read_dir(folder).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if written.contains(path.as_path()) || !path.is_file() {
            continue;
        }
        let start = fs::read(&path).with_context(what)?;
        if start.starts_with(b"\x7fELF") || path.extension().is_some_and(|end| end == "zip") {
            fs::remove_file(&path).with_context(what)?;
        }
    }
    Ok(())
}

pub(super) fn sha256_hex(contents: &[u8]) -> String {
    let sum = Sha256::digest(contents);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn function_that_is_no_more_is_not_deployed_again() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::of(Arch::X86_64);
        write_all(&["hello", "old"], target, dir.path());
        let note = dir.path().join("functions/README");
        fs::write(&note, "mine").unwrap();
        write_all(&["hello"], target, dir.path());
        assert!(dir.path().join("functions/hello").is_file());
        assert!(!dir.path().join("functions/old").exists());
        assert!(!dir.path().join("lambda/x86_64/old.zip").exists());
        assert!(note.is_file(), "what is not a build's is left alone");
    }

    #[test]
    fn program_for_arm64_is_not_put_where_netlify_looks() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = write_all(&["hello"], Target::of(Arch::Arm64), dir.path());
        assert!(!dir.path().join("functions").exists());
        assert!(dir.path().join("lambda/arm64/hello.zip").is_file());
        assert!(artifacts[0].program.is_file());
    }

    #[test]
    fn program_may_be_run_by_anyone() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = write_all(&["hello"], Target::of(Arch::X86_64), dir.path());
        let mode = fs::metadata(&artifacts[0].program).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
        assert_eq!(artifacts[0].sha256.len(), 64);
    }
}
