//! Deploys: their state, their files and functions, and the uploads that are missing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::api_error::ApiError;
use super::context::Context;
use super::deploy_body::{DeployBody, DeployContent};
use super::deploy_environment::{DeployEnvironment, DeployVariable};
use super::upload_store::{FunctionSettings, UploadStore, UploadedFunction};

/// A deploy with its uploaded files and functions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedDeploy {
    /// Id of the deploy.
    pub id: String,
    /// Name of its site.
    pub site: String,
    /// Context that selects the values of its functions' environment variables.
    pub context: Context,
    /// True for a draft, which has only a URL of its own.
    pub draft: bool,
    /// Title that it was created with.
    pub title: Option<String>,
    /// State of the deploy.
    pub state: DeployState,
    /// Files by path, without a leading slash.
    pub files: BTreeMap<String, Bytes>,
    /// Functions by name.
    pub functions: BTreeMap<String, UploadedFunction>,
    /// Cron expressions of scheduled functions, by function name.
    pub schedules: BTreeMap<String, String>,
    /// Settings of functions, by function name, as the request that declared them had them.
    pub functions_config: BTreeMap<String, Value>,
    /// Variables of this deploy alone, with the values of secrets.
    pub environment: Vec<DeployVariable>,
}

/// State of a deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployState {
    /// The files and functions are not declared yet.
    New,
    /// Uploads are missing.
    Prepared,
    /// All uploads are complete, and Netlify has not finished with the deploy.
    Processing,
    /// The deploy can be served.
    Ready,
    /// Netlify failed to process the deploy.
    Error,
    /// The deploy was cancelled.
    Cancelled,
}

impl DeployState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Prepared => "prepared",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Error | Self::Cancelled => "error",
        }
    }

    /// Returns whether the deploy is neither ready nor failed.
    pub(super) fn is_in_progress(self) -> bool {
        matches!(self, Self::New | Self::Prepared | Self::Processing)
    }
}

/// A deploy as it is stored, with the digests of its files and functions.
pub(super) struct DeployRecord {
    pub(super) id: String,
    pub(super) site: Uuid,
    pub(super) context: Context,
    pub(super) draft: bool,
    pub(super) state: DeployState,
    /// When it was published last; branch deploys are published to the URL of their branch.
    pub(super) published_at: Option<Timestamp>,
    /// The commit that Netlify built it from. `None` for an upload.
    pub(super) commit: Option<BuiltCommit>,
    pub(super) title: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) error_message: Option<String>,
    pub(super) content: DeployContent,
    /// Variables of this deploy alone.
    pub(super) own_environment: DeployEnvironment,
    /// Environment of its functions at the time when the deploy became ready. A later change of a
    /// variable does not affect it.
    pub(super) environment: BTreeMap<String, String>,
    /// True if it has to upload functions that the store has from other deploys.
    pub(super) requires_all_functions: bool,
    /// Settings of the functions that were uploaded for this deploy, by name.
    function_settings: BTreeMap<String, FunctionSettings>,
    /// Digests of the functions that were uploaded for this deploy.
    uploaded_functions: BTreeSet<String>,
}

/// The commit of a deploy, and the build that made it.
pub(super) struct BuiltCommit {
    pub(super) branch: String,
    pub(super) commit: String,
    pub(super) build: String,
}

impl DeployRecord {
    /// Creates the deploy of a site, without content.
    pub(super) fn new(site: Uuid, body: &DeployBody, draft_context: &Context) -> Self {
        let draft = body.draft == Some(true);
        let context = match &body.branch {
            _ if draft => draft_context.clone(),
            Some(branch) => Context::Branch(branch.clone()),
            None => Context::Production,
        };
        Self {
            id: new_id(),
            site,
            context,
            draft,
            state: DeployState::New,
            published_at: None,
            commit: None,
            title: body.title.clone(),
            created_at: Timestamp::now(),
            error_message: None,
            content: DeployContent::default(),
            own_environment: DeployEnvironment::default(),
            environment: BTreeMap::new(),
            requires_all_functions: false,
            function_settings: BTreeMap::new(),
            uploaded_functions: BTreeSet::new(),
        }
    }

    /// Sets the deploy's variables and declares its files and functions, if the body has any.
    ///
    /// The `draft` of a body that declares is ignored: netlify-cli sends false for a draft, too.
    ///
    /// # Errors
    ///
    /// 422 for an invalid variable, and for other content of a deploy whose uploads are complete.
    pub(super) fn declare(&mut self, body: DeployBody) -> Result<(), ApiError> {
        let is_open = matches!(self.state, DeployState::New | DeployState::Prepared);
        if is_open && let Some(environment) = &body.environment {
            self.own_environment.set_once(environment)?;
        }
        let Some(content) = body.into_content() else {
            return Ok(());
        };
        if is_open {
            self.content = content;
            self.state = DeployState::Prepared;
        } else if content != self.content {
            let message =
                "the deploy is complete, and the request declares other files or functions";
            return Err(ApiError::invalid(message));
        }
        Ok(())
    }

    /// Returns whether the deploy is prepared and no upload is missing.
    pub(super) fn is_complete(&self, store: &UploadStore) -> bool {
        self.state == DeployState::Prepared
            && self.missing_files(store).is_empty()
            && self.missing_functions(store).is_empty()
    }

    pub(super) fn missing_files(&self, store: &UploadStore) -> BTreeSet<&String> {
        let files = self.content.files.values();
        files
            .filter(|digest| !store.files.contains_key(*digest))
            .collect()
    }

    pub(super) fn missing_functions(&self, store: &UploadStore) -> BTreeSet<&String> {
        let is_present = |digest: &String| match self.requires_all_functions {
            true => self.uploaded_functions.contains(digest),
            false => store.functions.contains_key(digest),
        };
        let functions = self.content.functions.values();
        functions.filter(|digest| !is_present(digest)).collect()
    }

    /// Stores the content of a file.
    ///
    /// # Errors
    ///
    /// 404 for a path that was not declared, 422 for content with another digest.
    pub(super) fn upload_file(
        &self,
        path: &str,
        body: Bytes,
        store: &mut UploadStore,
    ) -> Result<(), ApiError> {
        let files = &self.content.files;
        let digest = files
            .get(path.trim_start_matches('/'))
            .ok_or_else(ApiError::not_found)?;
        check_digest(digest, &hex::encode(Sha1::digest(&body)), path)?;
        store.files.insert(digest.clone(), body);
        Ok(())
    }

    /// Stores the archive of a function.
    ///
    /// # Errors
    ///
    /// As [`upload_file`](Self::upload_file).
    pub(super) fn upload_function(
        &mut self,
        name: &str,
        zip: Bytes,
        settings: FunctionSettings,
        store: &mut UploadStore,
    ) -> Result<(), ApiError> {
        let functions = &self.content.functions;
        let digest = functions.get(name).ok_or_else(ApiError::not_found)?;
        check_digest(digest, &hex::encode(Sha256::digest(&zip)), name)?;
        store
            .functions
            .insert(digest.clone(), (zip, settings.clone()));
        self.uploaded_functions.insert(digest.clone());
        self.function_settings.insert(name.to_owned(), settings);
        Ok(())
    }

    /// Returns the deploy with the uploads so far.
    pub(super) fn to_uploaded(&self, site: &str, store: &UploadStore) -> UploadedDeploy {
        let file = |(path, digest): (&String, &String)| {
            Some((path.clone(), store.files.get(digest)?.clone()))
        };
        let function = |(name, digest): (&String, &String)| {
            let settings = self.function_settings.get(name);
            Some((name.clone(), store.function(digest, settings)?))
        };
        let content = &self.content;
        UploadedDeploy {
            id: self.id.clone(),
            site: site.to_owned(),
            context: self.context.clone(),
            draft: self.draft,
            title: self.title.clone(),
            state: self.state,
            files: content.files.iter().filter_map(file).collect(),
            functions: content.functions.iter().filter_map(function).collect(),
            schedules: content.schedules.clone(),
            functions_config: content.functions_config.clone(),
            environment: self.own_environment.list().to_vec(),
        }
    }

    /// The branch that it was built from, or deployed as.
    pub(super) fn branch(&self) -> Option<&str> {
        let built = self.commit.as_ref().map(|commit| commit.branch.as_str());
        built.or_else(|| self.context.parameter())
    }
}

/// Creates an id in the format of Netlify's deploys and builds: 24 hexadecimal digits.
pub(super) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()[..24].to_owned()
}

fn check_digest(declared: &str, actual: &str, name: &str) -> Result<(), ApiError> {
    if declared == actual {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "{name} has the digest {actual}, and {declared} was declared"
    )))
}
