//! The manifest of an artifact: what one deploy is made of, by digests. It is published with the deploy
//! as its record file, and holds no secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind};
use crate::needs::{ListedMigration, MigrationList};

/// An artifact's content, and the commit that it was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) commit: SourceCommit,
    pub(crate) content: Content,
}

/// The commit that an artifact was built from. It is no part of the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceCommit {
    /// The commit's name in hexadecimal; `None` where it is not known.
    pub(crate) name: Option<String>,
    /// True if the folder had changes that are in no commit.
    pub(crate) is_dirty: bool,
}

/// The parts of a deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// The functions by name.
    pub(crate) functions: BTreeMap<String, FunctionContent>,
    /// The SHA-1 of each static file by its path. The record file is not among them.
    pub(crate) files: BTreeMap<String, String>,
}

/// A function of a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionContent {
    /// SHA-256 of the program.
    pub(crate) program: String,
    /// SHA-256 of the archive that [`zip_program`](super::zip_program) makes of it.
    pub(crate) archive: String,
    /// The migrations that it was built with; `None` where the program does not say.
    pub(crate) migrations: Option<Vec<ListedMigration>>,
    /// The cron expression of a scheduled function.
    pub(crate) schedule: Option<String>,
    /// True if Netlify answers for it at once, and lets it run on.
    pub(crate) background: bool,
    /// The settings of Netlify's `functions_config`.
    pub(crate) settings: BTreeMap<String, Json>,
}

/// The record file's document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<C> {
    format: u32,
    digest: String,
    commit: Option<String>,
    dirty: bool,
    content: C,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Manifest {
    /// Returns the artifact's digest: SHA-256 of the canonical JSON of its content, in hexadecimal.
    pub(crate) fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.content.canonical_json()))
    }

    /// Returns the first characters of the digest, by which titles and messages name the artifact.
    pub(crate) fn short_digest(&self) -> String {
        let mut digest = self.digest();
        digest.truncate(SHORT_DIGEST);
        digest
    }

    /// Returns the bytes of the record file. The same manifest always gives the same bytes.
    pub(crate) fn to_record_file(&self) -> Vec<u8> {
        let head = serde_json::json!({
            "format": FORMAT,
            "digest": self.digest(),
            "commit": self.commit.name,
            "dirty": self.commit.is_dirty,
        });
        let content = self.content.canonical_json();
        let part = |name: &str| canonical(&head[name]);
        format!(
            "{{\"format\":{},\"digest\":{},\"commit\":{},\"dirty\":{},\"content\":{content}}}",
            part("format"),
            part("digest"),
            part("commit"),
            part("dirty")
        )
        .into_bytes()
    }

    /// Reads a record file, which may come from anywhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] with the reason: another format, a digest that is not that of the
    /// content, or a part that no artifact has.
    pub(crate) fn read_record_file(bytes: &[u8]) -> Result<Self, Error> {
        let read = || -> Result<Self, String> {
            if bytes.len() > LARGEST_RECORD_BYTES {
                return Err(format!("it has more than {LARGEST_RECORD_BYTES} bytes"));
            }
            let unreadable = |error: serde_json::Error| {
                let (line, column) = (error.line(), error.column());
                format!("it is not JSON of the known form (line {line}, column {column})")
            };
            let Head { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
            if format != FORMAT {
                return Err(format!(
                    "it has format {format}, and this stagelink knows format {FORMAT}: use the version \
                     that made the deploy, or deploy again with this one"
                ));
            }
            let document: Document<Content> = serde_json::from_slice(bytes).map_err(unreadable)?;
            document.content.validate()?;
            let is_commit = |name: &String| matches!(name.len(), 40 | 64) && is_hex(name);
            if !document.commit.iter().all(is_commit) {
                return Err("its commit is not one".to_owned());
            }
            let manifest = Self {
                commit: SourceCommit {
                    name: document.commit,
                    is_dirty: document.dirty,
                },
                content: document.content,
            };
            match manifest.digest() == document.digest {
                true => Ok(manifest),
                false => Err("its digest is not that of its content".to_owned()),
            }
        };
        read().map_err(|reason| {
            let message = format!("could not read the record file {RECORD_FILE}: {reason}");
            Error::new(ErrorKind::Settings, message)
        })
    }

    /// Returns the record file as JSON.
    pub(crate) fn to_json(&self) -> Json {
        // It was written as JSON.
        serde_json::from_slice(&self.to_record_file()).unwrap_or_default()
    }

    /// Reads the JSON of a record file, as the database keeps it.
    ///
    /// # Errors
    ///
    /// Those of [`read_record_file`](Self::read_record_file).
    pub(crate) fn of_json(json: &Json) -> Result<Self, Error> {
        Self::read_record_file(json.to_string().as_bytes())
    }

    /// Returns the names of the functions that answer no request for themselves: Netlify calls a
    /// scheduled one alone, and answers for a background one.
    pub(crate) fn uncallable(&self) -> impl Iterator<Item = &str> {
        let functions = self.content.functions.iter();
        let uncallable =
            functions.filter(|(_, function)| function.schedule.is_some() || function.background);
        uncallable.map(|(name, _)| name.as_str())
    }

    /// Returns the SHA-1 of each file of the deploy by its path, with that of the record file.
    pub(crate) fn declared_files(&self) -> BTreeMap<String, String> {
        let mut files = self.content.files.clone();
        let record = sha1_hex(&self.to_record_file());
        files.insert(RECORD_FILE.to_owned(), record);
        files
    }

    /// Returns the lists of migrations of all functions, for the gate.
    pub(crate) fn migration_lists(&self) -> Vec<Option<MigrationList>> {
        let functions = self.content.functions.values();
        functions.map(FunctionContent::migration_list).collect()
    }
}

impl FunctionContent {
    /// Returns the migrations that it was built with; `None` where the program does not say.
    pub(crate) fn migration_list(&self) -> Option<MigrationList> {
        let migrations = self.migrations.as_ref()?;
        Some(migrations.iter().cloned().collect())
    }
}

impl Content {
    /// Returns the JSON with the keys of each object in order, and without spaces.
    fn canonical_json(&self) -> String {
        // A map with texts as keys always has a form in JSON.
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    fn validate(&self) -> Result<(), String> {
        for (name, function) in &self.functions {
            let shown = stagelink::one_line(name);
            if !is_function_name(name) {
                return Err(format!("{shown} is no name of a function"));
            }
            for digest in [&function.program, &function.archive] {
                if digest.len() != 64 || !is_hex(digest) {
                    return Err(format!("a SHA-256 of the function {shown} is not one"));
                }
            }
            let migrations = function.migrations.as_deref().unwrap_or_default();
            for migration in migrations {
                let invalid = migration.validate();
                invalid.map_err(|reason| format!("the function {shown} has {reason}"))?;
            }
            if !migrations.is_sorted_by(|one, next| one.version < next.version) {
                return Err(format!(
                    "the migrations of the function {shown} are not in the order of their numbers"
                ));
            }
        }
        for (path, digest) in &self.files {
            if !is_file_path(path) || path == RECORD_FILE {
                let shown = stagelink::one_line(path);
                return Err(format!("{shown} is no path of a file"));
            }
            if digest.len() != 40 || !is_hex(digest) {
                let shown = stagelink::one_line(path);
                return Err(format!("the SHA-1 of {shown} is not one"));
            }
        }
        Ok(())
    }
}

/// Writes a value with the keys of each object in order, and without spaces.
fn canonical(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members = sorted.into_iter();
            let members: Vec<_> = members
                .map(|(key, value)| {
                    let key = Json::String(key.clone());
                    format!("{key}:{}", canonical(value))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// Returns whether a text may name a function of Netlify's.
pub(super) fn is_function_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_allowed)
}

/// Returns whether a text may be the path of a file in a deploy.
pub(super) fn is_file_path(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    // Netlify takes neither of the two signs.
    let is_allowed = |c: char| !c.is_control() && !matches!(c, '#' | '?' | '\\');
    path.split('/').all(is_part) && path.chars().all(is_allowed)
}

fn is_hex(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(is_digit)
}

/// Returns the SHA-1 by which Netlify knows a file.
pub(super) fn sha1_hex(bytes: &[u8]) -> String {
    hex::encode(Sha1::digest(bytes))
}

/// Returns the SHA-256 by which Netlify knows a function's archive.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The path of the record file in a deploy.
pub(crate) const RECORD_FILE: &str = ".well-known/stagelink.json";

const FORMAT: u32 = 1;
const SHORT_DIGEST: usize = 12;

/// Some 50,000 files.
pub(crate) const LARGEST_RECORD_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests;
