//! A deploy of an artifact: made, declared by digests, uploaded as far as Netlify does not have it, and
//! waited for.
//!
//! Facts by Netlify's open-api 2.60.0 and what netlify-cli 27.10.2 sends, 2026-11.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep};

use crate::api::{Request, Response};
use crate::artifact::{ArtifactContent, Manifest};
use crate::error::{Error, ErrorKind};
use crate::netlify::deploy::Deploy;
use crate::netlify::deploy_event::DeployEvent;
use crate::netlify::persistence::{self, Persistence};
use crate::netlify::{FUNCTIONS_SCOPE, Site};

/// A variable that one deploy has for itself. It comes before those of the site.
#[derive(Clone, Debug)]
pub(crate) struct DeployVariable {
    pub(crate) key: &'static str,
    pub(crate) value: SecretString,
    pub(crate) is_secret: bool,
}

impl Site {
    /// Makes a deploy without files: of a branch, or else in the context of production. Netlify makes
    /// it public as soon as it is ready, one of production unless publishing is locked.
    ///
    /// Netlify has no key by which a repeated request is known. After a failure that does not say
    /// whether there is a deploy, one of this title is looked for that was not there before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] and [`ErrorKind::Unavailable`], with what was tried.
    pub(crate) async fn create_deploy(
        &self,
        title: &str,
        branch: Option<&str>,
    ) -> Result<Deploy, Error> {
        let action = format!("make a deploy of the site {}", self.name);
        let mut body = json!({"draft": false});
        if let Some(branch) = branch {
            body["branch"] = json!(branch);
        }
        let path = ["sites", &self.id, "deploys"];
        let request = Request {
            method: Method::POST,
            path: &path,
            query: &[("title", title)],
            body: Some(body),
            ..Request::default()
        };
        let before: BTreeSet<_> = self.deploy_ids_of_title(title).await?;
        let mut attempts = Persistence::new(self.pace);
        loop {
            let attempt = self.begin_attempt(&request.method, &path).await?;
            let sent = self.api.send_once(&request).await;
            attempt.end(persistence::end_of(&sent));
            let retry_after = match &sent {
                Ok(response) if !response.may_pass() => {
                    return self.read_new_deploy(response, title, &action);
                }
                Ok(response) => response.retry_after(),
                Err(_) => None,
            };
            let number = attempts.number();
            let is_over = !attempts.pause(retry_after).await;
            let made = self.deploys_of_title(title).await;
            let is_known = made.is_ok();
            let made = made.unwrap_or_default().into_iter();
            if let Some(deploy) = { made }.find(|of| !before.contains(&of.id)) {
                self.settle(&request.method, &path);
                return Ok(deploy);
            }
            // Where Netlify does not say whether there is one, another attempt may make a second.
            if is_over || !is_known {
                let mut response = sent.map_err(|error| error.context(could_not(&action)))?;
                response.attempts = number;
                return Err(self.api.refusal(&response, &action));
            }
        }
    }

    async fn deploy_ids_of_title(&self, title: &str) -> Result<BTreeSet<String>, Error> {
        let deploys = self.deploys_of_title(title).await?;
        Ok(deploys.into_iter().map(|deploy| deploy.id).collect())
    }

    /// Declares what a deploy consists of, and its own variables, which no later call changes. Returns
    /// it with the digests that Netlify does not have yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] and [`ErrorKind::Unavailable`], with what was tried.
    pub(crate) async fn declare(
        &self,
        deploy: &str,
        manifest: &Manifest,
        environment: &[DeployVariable],
    ) -> Result<Deploy, Error> {
        let action = format!("declare the files and functions of the deploy {deploy}");
        let files = manifest.declared_files();
        let is_async = files.len() > MOST_FILES_AT_ONCE;
        let request = Request {
            method: Method::PUT,
            path: &["sites", &self.id, "deploys", deploy],
            body: Some(declaration(manifest, &files, is_async, environment)),
            ..Request::default()
        };
        let secrets: Vec<_> = environment
            .iter()
            .filter(|variable| variable.is_secret)
            .map(|variable| variable.value.expose_secret())
            .collect();
        let mut response = self.persist(request, &action).await?;
        response.hide(&secrets);
        let mut declared = self.read_deploy(&response, deploy, &action)?;
        let limit = Instant::now() + self.pace.limit;
        // It compares the digests meanwhile.
        while is_async && matches!(declared.state(), "new" | "preparing" | "") {
            ensure_in_time(limit, &declared)?;
            sleep(self.pace.poll).await;
            declared = self.deploy(deploy).await?;
        }
        self.ensure_not_failed(&declared)?;
        Ok(declared)
    }

    /// Uploads the files and functions that Netlify does not have, five at a time.
    ///
    /// # Errors
    ///
    /// Those of the content that is not found, and of the first upload that fails.
    pub(crate) async fn upload(
        &self,
        declared: &Deploy,
        manifest: &Manifest,
        content: &ArtifactContent,
        listener: &(dyn Fn(&DeployEvent<'_>) + Sync),
    ) -> Result<(), Error> {
        let uploads = missing_uploads(declared, manifest);
        let (total, done) = (uploads.len(), AtomicUsize::new(0));
        let done = &done;
        let uploads = uploads.into_iter().map(|upload| async move {
            self.upload_one(&declared.id, manifest, content, &upload)
                .await?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            listener(&DeployEvent::Uploaded { done, total });
            Ok(())
        });
        stream::iter(uploads)
            .buffer_unordered(UPLOADS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn upload_one(
        &self,
        deploy: &str,
        manifest: &Manifest,
        content: &ArtifactContent,
        upload: &Upload,
    ) -> Result<(), Error> {
        match upload {
            Upload::File { path, digest } => {
                let action = format!("upload the file {path}");
                let bytes = content.file(path, digest).await;
                let bytes = bytes.map_err(|error| error.context(could_not(&action)))?;
                // netlify-cli escapes it, and once more as a part of the URL.
                let escaped = utf8_percent_encode(path, ESCAPED).to_string();
                let target = ["deploys", deploy, "files", &escaped];
                self.put(&target, &[], bytes, &action).await
            }
            Upload::Function { name } => {
                let action = format!("upload the function {name}");
                let Some(function) = manifest.content.functions.get(name) else {
                    return Ok(());
                };
                let bytes = content.archive(name, function);
                let bytes = bytes.map_err(|error| error.context(could_not(&action)))?;
                let mut query = vec![("runtime", "rs")];
                if function.background {
                    query.push(("invocation_mode", "background"));
                }
                let target = ["deploys", deploy, "functions", name];
                self.put(&target, &query, bytes, &action).await
            }
        }
    }

    async fn put(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        bytes: Bytes,
        action: &str,
    ) -> Result<(), Error> {
        let request = Request {
            method: Method::PUT,
            path,
            query,
            upload: Some(bytes),
            ..Request::default()
        };
        let response = self.persist(request, action).await?;
        self.api.ensure_success(&response, action)
    }

    /// Sets the time within which a deploy has to be ready, in place of 20 minutes.
    pub(crate) fn set_ready_limit(&mut self, limit: Duration) {
        self.pace.limit = limit;
    }

    /// Waits until a deploy is ready.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] with Netlify's words where the deploy fails;
    /// [`ErrorKind::Unavailable`] where it is not ready in time, or Netlify does not answer.
    pub(crate) async fn wait_until_ready(
        &self,
        deploy: &str,
        listener: &(dyn Fn(&DeployEvent<'_>) + Sync),
    ) -> Result<Deploy, Error> {
        let limit = Instant::now() + self.pace.limit;
        let mut shown = String::new();
        loop {
            let found = self.deploy(deploy).await?;
            self.ensure_not_failed(&found)?;
            if found.is_ready() {
                return Ok(found);
            }
            if found.state() != shown {
                found.state().clone_into(&mut shown);
                listener(&DeployEvent::State { state: &shown });
            }
            ensure_in_time(limit, &found)?;
            sleep(self.pace.poll).await;
        }
    }

    /// Sends a request that is safe to repeat until it has an answer that stays.
    pub(super) async fn persist(
        &self,
        request: Request<'_>,
        action: &str,
    ) -> Result<Response, Error> {
        let (method, path) = (request.method.clone(), request.path);
        let begin = async || self.begin_attempt(&method, path).await;
        let sent = persistence::send(&self.api, self.pace, request, begin).await;
        sent.map_err(|error| error.context(could_not(action)))
    }

    fn ensure_not_failed(&self, deploy: &Deploy) -> Result<(), Error> {
        if !deploy.has_failed() {
            return Ok(());
        }
        let words = deploy
            .error_message
            .as_deref()
            .filter(|text| !text.is_empty());
        let words = words.map_or_else(
            || "Netlify gives no reason".to_owned(),
            |words| format!("Netlify says: {}", self.api.one_line(words)),
        );
        let (id, state) = (&deploy.id, deploy.state());
        Err(Error::new(
            ErrorKind::Refused,
            format!("the deploy {id} has failed (state {state}): {words}"),
        ))
    }
}

/// A file or function that Netlify does not have.
#[derive(Debug, PartialEq)]
enum Upload {
    File { path: String, digest: String },
    Function { name: String },
}

/// Returns the functions and files of a manifest that a declared deploy lacks: the functions first,
/// which are large.
fn missing_uploads(declared: &Deploy, manifest: &Manifest) -> Vec<Upload> {
    let digests =
        |of: &Option<Vec<String>>| -> BTreeSet<String> { of.iter().flatten().cloned().collect() };
    let (files, functions) = (
        digests(&declared.required),
        digests(&declared.required_functions),
    );
    let missing = manifest.content.functions.iter();
    let missing = missing.filter(|(_, function)| functions.contains(&function.archive));
    let functions = missing.map(|(name, _)| Upload::Function { name: name.clone() });
    let declared = manifest.declared_files().into_iter();
    let missing = declared.filter(|(_, digest)| files.contains(digest));
    let files = missing.map(|(path, digest)| Upload::File { path, digest });
    functions.chain(files).collect()
}

/// Returns the body that declares a deploy.
fn declaration(
    manifest: &Manifest,
    files: &BTreeMap<String, String>,
    is_async: bool,
    environment: &[DeployVariable],
) -> Json {
    let functions = &manifest.content.functions;
    let archives: BTreeMap<_, _> = functions
        .iter()
        .map(|(name, function)| (name, &function.archive))
        .collect();
    let mut body = json!({
        "files": files,
        "functions": archives,
        "async": is_async,
        "draft": false,
    });
    let schedules: Vec<_> = functions
        .iter()
        .filter_map(|(name, function)| {
            Some(json!({"name": name, "cron": function.schedule.as_ref()?}))
        })
        .collect();
    if !schedules.is_empty() {
        body["function_schedules"] = json!(schedules);
    }
    let settings: BTreeMap<_, _> = functions
        .iter()
        .filter(|(_, function)| !function.settings.is_empty())
        .map(|(name, function)| (name, &function.settings))
        .collect();
    if !settings.is_empty() {
        body["functions_config"] = json!(settings);
    }
    let environment: Vec<_> = environment
        .iter()
        .map(|variable| {
            json!({
                "key": variable.key,
                "value": variable.value.expose_secret(),
                "is_secret": variable.is_secret,
                "scopes": [FUNCTIONS_SCOPE],
            })
        })
        .collect();
    if !environment.is_empty() {
        body["environment"] = json!(environment);
    }
    body
}

fn ensure_in_time(limit: Instant, deploy: &Deploy) -> Result<(), Error> {
    if Instant::now() < limit {
        return Ok(());
    }
    let (id, state) = (&deploy.id, deploy.state());
    Err(Error::new(
        ErrorKind::Unavailable,
        format!(
            "Netlify has not finished the deploy {id} in time (state {state}): look at its log, and \
             try again"
        ),
    ))
}

fn could_not(action: &str) -> String {
    format!("could not {action}")
}

/// The characters that `encodeURI` of JavaScript escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$');

/// The number of files up to which Netlify compares digests while the request waits.
const MOST_FILES_AT_ONCE: usize = 100;

const UPLOADS_AT_ONCE: usize = 5;

#[cfg(test)]
mod tests;
