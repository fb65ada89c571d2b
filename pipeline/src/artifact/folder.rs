//! The artifact of a project's folder: the programs in `dist/functions`, and the files that netlify.toml
//! publishes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::artifact::archive::zip_program;
use crate::artifact::content::ArtifactContent;
use crate::artifact::manifest::{
    Content, FunctionContent, Manifest, RECORD_FILE, SourceCommit, is_file_path, is_function_name,
    sha1_hex, sha256_hex,
};
use crate::artifact::netlify_toml::{self, NetlifyToml};
use crate::artifact::project_files::{PROGRAMS, is_left_out, programs, published_files, read};
use crate::error::{Error, ErrorKind};
use crate::needs::MigrationList;

/// An artifact with the content to upload.
#[derive(Debug)]
pub(crate) struct SiteArtifact {
    pub(crate) manifest: Manifest,
    pub(crate) content: ArtifactContent,
}

impl SiteArtifact {
    /// Makes the artifact of a built project: of `dist/functions`, the folder that netlify.toml
    /// publishes, and netlify.toml itself.
    ///
    /// As netlify-cli does, it leaves out files and folders whose names begin with a dot, except
    /// `.well-known`, and `node_modules`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] where a file cannot be read, or the project has parts that a deploy
    /// does not carry, with their names.
    pub(crate) fn of_project(project: &Path, commit: SourceCommit) -> Result<Self, Error> {
        let (toml, toml_bytes) = netlify_toml::read(project)?;
        let mut not_carried = toml.not_carried.clone();
        not_carried.extend(other_parts(project, &toml));
        let publish = project.join(toml.publish()?);
        let mut content = ArtifactContent::default();
        let mut files = BTreeMap::new();
        for (path, file) in published_files(project, &publish)? {
            if path == RECORD_FILE {
                not_carried.push(format!("{RECORD_FILE}, which stagelink writes itself"));
            } else if !is_file_path(&path) {
                not_carried.push(format!("{path}, whose name Netlify does not take"));
            } else {
                let digest = sha1_hex(&read(&file)?);
                content.add_file(&digest, &file);
                files.insert(path, digest);
            }
        }
        let digest = sha1_hex(&toml_bytes);
        content.add_file(&digest, &project.join(netlify_toml::FILE));
        files.insert(netlify_toml::FILE.to_owned(), digest);
        let mut functions = BTreeMap::new();
        for (name, path) in programs(&project.join(PROGRAMS))? {
            let program = read(&path)?;
            if !is_function_name(&name) || !is_program(&program) {
                not_carried.push(format!(
                    "{PROGRAMS}/{name}, which is no program for Linux on x86_64"
                ));
                continue;
            }
            let function = function(&name, &program, &toml, &mut content).map_err(|error| {
                error.context(format!(
                    "could not take the function {name} into the deploy"
                ))
            })?;
            functions.insert(name, function);
        }
        if !not_carried.is_empty() {
            not_carried.sort();
            let error = Error::new(
                ErrorKind::Settings,
                "the project has parts that `stagelink deploy` does not carry; remove them, or deploy \
                 by `netlify deploy` or a push",
            );
            return Err(error.with_details(not_carried));
        }
        let manifest = Manifest {
            commit,
            content: Content { functions, files },
        };
        content.add_record_file(&manifest);
        Ok(Self { manifest, content })
    }
}

/// Returns the folder that a project's netlify.toml publishes.
///
/// # Errors
///
/// [`ErrorKind::Settings`] where the file cannot be read, or names no folder of published files alone.
pub(crate) fn publish_folder(project: &Path) -> Result<PathBuf, Error> {
    let (toml, _) = netlify_toml::read(project)?;
    Ok(project.join(toml.publish()?))
}

fn function(
    name: &str,
    program: &[u8],
    toml: &NetlifyToml,
    content: &mut ArtifactContent,
) -> Result<FunctionContent, Error> {
    let list = MigrationList::read_from(program)?;
    let archive = Bytes::from(zip_program(program)?);
    let digest = sha256_hex(&archive);
    content.add_archive(&digest, archive);
    let of_toml = toml.settings_of(name);
    Ok(FunctionContent {
        program: sha256_hex(program),
        archive: digest,
        migrations: list.map(|list| list.migrations().to_vec()),
        schedule: of_toml.schedule,
        // Netlify tells it by the name.
        background: name.ends_with("-background"),
        settings: of_toml.settings,
    })
}

/// Returns the parts of a project, apart from netlify.toml, that a deploy cannot carry.
fn other_parts(project: &Path, toml: &NetlifyToml) -> Vec<String> {
    let mut parts = Vec::new();
    let has_files = |folder: &str| {
        let entries = fs::read_dir(project.join(folder)).into_iter().flatten();
        entries
            .flatten()
            .any(|entry| !is_left_out(&entry.file_name().to_string_lossy()))
    };
    for (folder, kind) in [
        ("netlify/edge-functions", "edge functions"),
        (
            "netlify/database/migrations",
            "migrations of Netlify Database",
        ),
        (".netlify/v1", "output of a framework"),
        (".netlify/blobs/deploy", "blobs of a deploy"),
    ] {
        if has_files(folder) {
            parts.push(format!("{folder} ({kind})"));
        }
    }
    match toml.functions_folder().map(|folder| folder.trim_matches('/')) {
        None if has_files(NETLIFYS_FUNCTIONS) => {
            parts.push(format!("{NETLIFYS_FUNCTIONS} (functions that `stagelink build` did not make)"));
        }
        Some(folder) if Path::new(folder) != Path::new(PROGRAMS) => parts.push(format!(
            "{folder}, the folder of functions by netlify.toml (`stagelink build` writes to {PROGRAMS})"
        )),
        _ => {}
    }
    parts
}

/// Returns whether a file is a program for Linux on x86_64, by its ELF header.
fn is_program(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") && bytes.get(18..20) == Some(&[0x3e, 0])
}

/// The folder from which Netlify takes functions where no other is named.
const NETLIFYS_FUNCTIONS: &str = "netlify/functions";

#[cfg(test)]
mod tests;
