//! The artifact of a project on AWS Lambda: the archives in `dist/lambda`.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::artifact::{BOOTSTRAP, Content, FunctionContent, Manifest, SourceCommit};
use crate::error::{Error, ErrorKind};
use crate::needs::MigrationList;
use crate::promotion::archive_path;
use crate::regular_file;

/// An artifact with the paths of its archives, by the names of the functions.
#[derive(Debug)]
pub(super) struct LambdaArtifact {
    pub(super) manifest: Manifest,
    pub(super) archives: BTreeMap<String, PathBuf>,
}

impl LambdaArtifact {
    /// Makes the artifact of these functions for one processor, which is part of its digest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] where an archive is missing, or holds no program for Lambda.
    pub(super) fn of_project<'a>(
        project: &Path,
        architecture: &str,
        functions: impl Iterator<Item = &'a String>,
        commit: SourceCommit,
    ) -> Result<Self, Error> {
        let (mut contents, mut archives) = (BTreeMap::new(), BTreeMap::new());
        for name in functions {
            let path = archive_path(project, architecture, name);
            let content = read(&path, architecture).map_err(|error| {
                error.context(format!("could not use the archive {}", path.display()))
            })?;
            contents.insert(name.clone(), content);
            archives.insert(name.clone(), path);
        }
        let content = Content {
            functions: contents,
            files: BTreeMap::new(),
        };
        Ok(Self {
            manifest: Manifest { commit, content },
            archives,
        })
    }
}

fn read(path: &Path, architecture: &str) -> Result<FunctionContent, Error> {
    let settings = |message: &str| Error::new(ErrorKind::Settings, message);
    let bytes = regular_file::read(path).map_err(|error| {
        let message = "build it with `stagelink build --arch`, or name another processor by --arch";
        Error::with_source(ErrorKind::Settings, message, error)
    })?;
    let archive = hex::encode(Sha256::digest(&bytes));
    let program = bootstrap(bytes)?;
    // Bytes 18 and 19 of the ELF header are the processor.
    let wanted: &[u8] = match architecture {
        "arm64" => &[0xb7, 0],
        _ => &[0x3e, 0],
    };
    if !program.starts_with(b"\x7fELF") || program.get(18..20) != Some(wanted) {
        return Err(settings(&format!(
            "its {BOOTSTRAP} is no program for Linux on {architecture}"
        )));
    }
    let list = MigrationList::read_from(&program)?;
    Ok(FunctionContent {
        program: hex::encode(Sha256::digest(&program)),
        archive,
        migrations: list.map(|list| list.migrations().to_vec()),
        schedule: None,
        background: false,
        settings: BTreeMap::from([("architecture".to_owned(), json!(architecture))]),
    })
}

/// Returns the program that Lambda starts.
fn bootstrap(bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let failed = |error: zip::result::ZipError| {
        let message = format!("it holds no {BOOTSTRAP}, which Lambda starts");
        Error::with_source(ErrorKind::Settings, message, error)
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(failed)?;
    let file = archive.by_name(BOOTSTRAP).map_err(failed)?;
    let mut program = Vec::new();
    let read = file.take(LARGEST + 1).read_to_end(&mut program);
    read.map_err(|error| failed(error.into()))?;
    match program.len() as u64 <= LARGEST {
        true => Ok(program),
        false => Err(Error::new(
            ErrorKind::Settings,
            format!("its {BOOTSTRAP} has more than {LARGEST} bytes, which Lambda takes at most"),
        )),
    }
}

/// The largest program that AWS Lambda takes, unzipped (docs.aws.amazon.com/lambda, Quotas, 2026-11).
const LARGEST: u64 = 250 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{smallest_program, zip_program};

    fn artifact(program: &[u8], architecture: &str) -> Result<LambdaArtifact, String> {
        let project = tempfile::tempdir().unwrap();
        let path = archive_path(project.path(), architecture, "hello");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, zip_program(program).unwrap()).unwrap();
        let functions = ["hello".to_owned()];
        let commit = SourceCommit::default();
        LambdaArtifact::of_project(project.path(), architecture, functions.iter(), commit)
            .map_err(|error| error.report())
    }

    #[test]
    fn digest_is_of_the_programs_and_their_processor() {
        let program = smallest_program();
        let one = artifact(&program, "x86_64").unwrap();
        let entry = &one.manifest.content.functions["hello"];
        assert_eq!(entry.program, hex::encode(Sha256::digest(&program)));
        assert_eq!(
            one.manifest.digest(),
            artifact(&program, "x86_64").unwrap().manifest.digest()
        );
        let mut other = program;
        other[18] = 0xb7;
        let other = artifact(&other, "arm64").unwrap();
        assert_ne!(one.manifest.digest(), other.manifest.digest());
    }

    #[test]
    fn archive_of_another_processor_or_without_a_program_is_refused() {
        let error = artifact(&smallest_program(), "arm64").unwrap_err();
        assert!(error.contains("no program for Linux on arm64"), "{error}");
        let error = artifact(b"#!/bin/sh", "x86_64").unwrap_err();
        assert!(
            error.contains("hello.zip: its bootstrap is no program"),
            "{error}"
        );
        let nowhere = Path::new("/nowhere");
        let missing = LambdaArtifact::of_project(
            nowhere,
            "arm64",
            ["hello".to_owned()].iter(),
            SourceCommit::default(),
        );
        let error = missing.unwrap_err().report();
        assert!(error.contains("stagelink build --arch"), "{error}");
    }
}
