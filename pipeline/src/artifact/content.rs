//! The bytes of an artifact, by digest: from this machine, or from a deploy that serves them. Nothing
//! with another digest is accepted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::{Client, Url};

use crate::artifact::archive::zip_program;
use crate::artifact::manifest::{FunctionContent, Manifest, sha1_hex, sha256_hex};
use crate::artifact::netlify_toml;
use crate::artifact::project_files::{PROGRAMS, programs, published_files, read};
use crate::error::{Error, ErrorKind};
use crate::https;
use crate::localhost_names::LocalhostNames;

/// The places where an artifact's bytes are found by digest.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArtifactContent {
    /// Archives of functions by SHA-256.
    archives: BTreeMap<String, Bytes>,
    /// Programs by SHA-256.
    programs: BTreeMap<String, PathBuf>,
    /// Static files by SHA-1.
    files: BTreeMap<String, StaticFile>,
    /// A deploy that serves the static files.
    deploy: Option<ServedDeploy>,
}

#[derive(Clone, Debug)]
enum StaticFile {
    Path(PathBuf),
    Bytes(Bytes),
}

#[derive(Clone, Debug)]
struct ServedDeploy {
    client: Client,
    url: Url,
}

impl ArtifactContent {
    /// Makes the content of an artifact that was deployed before: its record file, and what a
    /// project's folder still has of it. The folder may have been built from another commit since:
    /// what cannot be read counts as absent.
    pub(crate) fn of_deployed(manifest: &Manifest, project: Option<&Path>) -> Self {
        let mut content = Self::default();
        content.add_record_file(manifest);
        let Some(project) = project else {
            return content;
        };
        content = content.with_programs_of(project);
        let Ok((toml, bytes)) = netlify_toml::read(project) else {
            return content;
        };
        content.add_file(&sha1_hex(&bytes), &project.join(netlify_toml::FILE));
        let publish = toml.publish().map(|folder| project.join(folder));
        let published = publish.and_then(|folder| published_files(project, &folder));
        for path in published.unwrap_or_default().into_values() {
            if let Ok(bytes) = read(&path) {
                content.add_file(&sha1_hex(&bytes), &path);
            }
        }
        content
    }

    /// Adds the programs that a project's build has left. What cannot be read counts as absent.
    pub(crate) fn with_programs_of(mut self, project: &Path) -> Self {
        let built = programs(&project.join(PROGRAMS)).unwrap_or_default();
        for path in built.into_values() {
            if let Ok(program) = read(&path) {
                self.programs.insert(sha256_hex(&program), path);
            }
        }
        self
    }

    /// Returns the names of the functions that have one of these archives, and whose programs are not
    /// on this machine.
    pub(crate) fn missing_programs(&self, archives: &[String], manifest: &Manifest) -> Vec<String> {
        let functions = manifest.content.functions.iter();
        let missing = functions.filter(|(_, function)| {
            archives.contains(&function.archive)
                && !self.archives.contains_key(&function.archive)
                && !self.programs.contains_key(&function.program)
        });
        missing.map(|(name, _)| name.clone()).collect()
    }

    /// Adds a deploy of the artifact, by the URL of its own at which it serves its static files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it is no URL of the web.
    pub(crate) fn with_deploy(mut self, url: &str) -> Result<Self, Error> {
        let refused = || Error::new(ErrorKind::Settings, "the deploy's URL is none of the web");
        let url: Url = url.parse().map_err(|_| refused())?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(refused());
        }
        let client = https::client()?
            .dns_resolver(Arc::new(LocalhostNames))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60));
        let client = https::build(client)?;
        self.deploy = Some(ServedDeploy { client, url });
        Ok(self)
    }

    pub(super) fn add_file(&mut self, digest: &str, path: &Path) {
        let file = StaticFile::Path(path.to_owned());
        self.files.insert(digest.to_owned(), file);
    }

    pub(super) fn add_archive(&mut self, digest: &str, archive: Bytes) {
        self.archives.insert(digest.to_owned(), archive);
    }

    pub(super) fn add_record_file(&mut self, manifest: &Manifest) {
        let bytes = Bytes::from(manifest.to_record_file());
        self.files
            .insert(sha1_hex(&bytes), StaticFile::Bytes(bytes));
    }

    /// Returns the archive of a function.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] where this machine does not have the program.
    pub(crate) fn archive(&self, name: &str, function: &FunctionContent) -> Result<Bytes, Error> {
        let archive = match (
            self.archives.get(&function.archive),
            self.programs.get(&function.program),
        ) {
            (Some(archive), _) => Some(archive.clone()),
            (None, Some(path)) => Some(Bytes::from(zip_program(&read(path)?)?)),
            (None, None) => None,
        };
        archive
            .filter(|archive| sha256_hex(archive) == function.archive)
            .ok_or_else(|| {
                let digest = &function.program;
                let message = format!(
                    "Netlify needs the program of the function {name} again, and {PROGRAMS} does not \
                     have it (SHA-256 {digest}): run `stagelink build` at the artifact's commit"
                );
                Error::new(ErrorKind::Settings, message)
            })
    }

    /// Returns the static file of this path and SHA-1.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] where neither this machine nor the deploy has it;
    /// [`ErrorKind::Unavailable`] where the deploy cannot be reached.
    pub(crate) async fn file(&self, path: &str, digest: &str) -> Result<Bytes, Error> {
        let is_it = |bytes: &Bytes| sha1_hex(bytes) == digest;
        let local = match self.files.get(digest) {
            Some(StaticFile::Bytes(bytes)) => Some(bytes.clone()),
            Some(StaticFile::Path(file)) => Some(Bytes::from(read(file)?)),
            None => None,
        };
        if let Some(bytes) = local.filter(is_it) {
            return Ok(bytes);
        }
        let served = match &self.deploy {
            Some(deploy) => deploy.file(path).await?,
            None => None,
        };
        served.filter(is_it).ok_or_else(|| {
            let message = format!(
                "Netlify needs the file {path} again, and neither the project nor the deploy has it \
                 with SHA-1 {digest}: check out the artifact's commit"
            );
            Error::new(ErrorKind::Settings, message)
        })
    }
}

impl ServedDeploy {
    /// Returns a file as the deploy serves it; `None` where it has another answer.
    async fn file(&self, path: &str) -> Result<Option<Bytes>, Error> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let failed = |error: reqwest::Error| {
            let message = format!("could not read the file {path} from the deploy at {host}");
            Error::with_source(ErrorKind::Unavailable, message, error.without_url())
        };
        let request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST_FILE_BYTES {
                return Ok(None);
            }
        }
        Ok(Some(bytes.into()))
    }
}

/// No larger file is uploaded a second time from the deploy that serves it.
const LARGEST_FILE_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_that_changed_after_it_was_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.html");
        std::fs::write(&path, "one").unwrap();
        let digest = sha1_hex(b"one");
        let mut content = ArtifactContent::default();
        content.add_file(&digest, &path);
        assert_eq!(content.file("index.html", &digest).await.unwrap(), "one");
        std::fs::write(&path, "two").unwrap();
        let error = content.file("index.html", &digest).await.unwrap_err();
        assert!(
            error
                .report()
                .contains("Netlify needs the file index.html again")
        );
    }

    #[tokio::test]
    async fn url_that_is_none_of_the_web_is_refused() {
        for url in ["file:///etc/passwd", "shop", ""] {
            let refused = ArtifactContent::default().with_deploy(url);
            assert!(refused.is_err(), "{url}");
        }
    }
}
