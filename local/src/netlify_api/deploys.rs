//! Deploys: their files and functions, the uploads that are missing, and their URLs.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::api_error::ApiError;
use super::context::Context;

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
}

/// An uploaded function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedFunction {
    /// Runtime that it was uploaded for: `rs` for a Rust program.
    pub runtime: Option<String>,
    /// Zip archive of the function.
    pub zip: Bytes,
}

/// State of a deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployState {
    /// The files and functions are not declared yet.
    New,
    /// Uploads are missing.
    Prepared,
    /// All uploads are complete, and the deploy can be served.
    Ready,
    /// The deploy was cancelled.
    Cancelled,
}

impl DeployState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Prepared => "prepared",
            Self::Ready => "ready",
            Self::Cancelled => "error",
        }
    }
}

/// A deploy as it is stored, with the digests of its files and functions.
pub(super) struct DeployRecord {
    pub(super) id: String,
    pub(super) site: Uuid,
    pub(super) context: Context,
    pub(super) draft: bool,
    pub(super) state: DeployState,
    /// When it was published; branch deploys are published to the URL of their branch.
    pub(super) published_at: Option<Timestamp>,
    /// True for the published deploy of a site whose automatic publishing is stopped.
    pub(super) locked: bool,
    /// The commit that Netlify built it from. `None` for an upload.
    pub(super) commit: Option<BuiltCommit>,
    title: Option<String>,
    created_at: Timestamp,
    /// SHA-1 of each file by path.
    files: BTreeMap<String, String>,
    /// SHA-256 of each function's archive by name.
    functions: BTreeMap<String, String>,
    schedules: BTreeMap<String, String>,
    /// Environment of its functions at the time when the deploy became ready. A later change of a
    /// variable does not affect it.
    pub(super) environment: BTreeMap<String, String>,
}

/// The commit of a deploy, and the build that made it.
pub(super) struct BuiltCommit {
    pub(super) branch: String,
    pub(super) commit: String,
    pub(super) build: String,
}

/// All uploads by digest. Content that is stored is not required again.
#[derive(Default)]
pub(super) struct UploadStore {
    files: HashMap<String, Bytes>,
    functions: HashMap<String, UploadedFunction>,
}

/// Body of a request that creates a deploy or declares its files and functions.
#[derive(Default, Deserialize)]
pub(super) struct DeployBody {
    draft: Option<bool>,
    branch: Option<String>,
    title: Option<String>,
    files: Option<BTreeMap<String, String>>,
    functions: Option<BTreeMap<String, String>>,
    function_schedules: Option<Vec<Schedule>>,
}

#[derive(Deserialize)]
struct Schedule {
    name: String,
    cron: String,
}

impl DeployBody {
    /// Sets the title, unless `title` is `None`.
    pub(super) fn with_title(mut self, title: Option<String>) -> Self {
        self.title = title.or(self.title);
        self
    }

    /// Creates the deploy of a site.
    pub(super) fn into_deploy(self, site: Uuid, draft_context: &Context) -> DeployRecord {
        let draft = self.draft == Some(true);
        let context = match &self.branch {
            _ if draft => draft_context.clone(),
            Some(branch) => Context::Branch(branch.clone()),
            None => Context::Production,
        };
        let mut deploy = DeployRecord {
            id: Uuid::new_v4().simple().to_string()[..24].to_owned(),
            site,
            context,
            draft,
            state: DeployState::New,
            published_at: None,
            locked: false,
            commit: None,
            title: self.title.clone(),
            created_at: Timestamp::now(),
            files: BTreeMap::new(),
            functions: BTreeMap::new(),
            schedules: BTreeMap::new(),
            environment: BTreeMap::new(),
        };
        deploy.declare(self);
        deploy
    }
}

impl DeployRecord {
    /// Declares the files and functions, if the body has any.
    pub(super) fn declare(&mut self, body: DeployBody) {
        if body.files.is_none() && body.functions.is_none() {
            return;
        }
        let files = body.files.unwrap_or_default();
        self.files = files
            .into_iter()
            .map(|(path, digest)| (path.trim_start_matches('/').to_owned(), digest))
            .collect();
        self.functions = body.functions.unwrap_or_default();
        self.schedules = body
            .function_schedules
            .unwrap_or_default()
            .into_iter()
            .map(|schedule| (schedule.name, schedule.cron))
            .collect();
        self.state = DeployState::Prepared;
    }

    /// Returns whether the deploy is prepared and no upload is missing.
    pub(super) fn is_complete(&self, store: &UploadStore) -> bool {
        self.state == DeployState::Prepared
            && self.missing_files(store).is_empty()
            && self.missing_functions(store).is_empty()
    }

    fn missing_files(&self, store: &UploadStore) -> Vec<&String> {
        let files = self.files.values();
        files
            .filter(|digest| !store.files.contains_key(*digest))
            .collect()
    }

    fn missing_functions(&self, store: &UploadStore) -> Vec<&String> {
        let functions = self.functions.values();
        functions
            .filter(|digest| !store.functions.contains_key(*digest))
            .collect()
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
        let digest = self
            .files
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
        &self,
        name: &str,
        function: UploadedFunction,
        store: &mut UploadStore,
    ) -> Result<(), ApiError> {
        let digest = self.functions.get(name).ok_or_else(ApiError::not_found)?;
        check_digest(digest, &hex::encode(Sha256::digest(&function.zip)), name)?;
        store.functions.insert(digest.clone(), function);
        Ok(())
    }

    /// Returns the deploy with the uploads so far.
    pub(super) fn to_uploaded(&self, site: &str, store: &UploadStore) -> UploadedDeploy {
        let file = |(path, digest): (&String, &String)| {
            Some((path.clone(), store.files.get(digest)?.clone()))
        };
        let function = |(name, digest): (&String, &String)| {
            Some((name.clone(), store.functions.get(digest)?.clone()))
        };
        UploadedDeploy {
            id: self.id.clone(),
            site: site.to_owned(),
            context: self.context.clone(),
            draft: self.draft,
            title: self.title.clone(),
            state: self.state,
            files: self.files.iter().filter_map(file).collect(),
            functions: self.functions.iter().filter_map(function).collect(),
            schedules: self.schedules.clone(),
        }
    }

    /// The branch that it was built from, or deployed as.
    pub(super) fn branch(&self) -> Option<&str> {
        let built = self.commit.as_ref().map(|commit| commit.branch.as_str());
        built.or_else(|| self.context.parameter())
    }

    /// Returns the API's JSON.
    pub(super) fn json(&self, site: &str, store: &UploadStore) -> Value {
        let own = format!("https://{}--{site}.netlify.app", self.id);
        let public = match &self.context {
            Context::Branch(branch) => format!("https://{branch}--{site}.netlify.app"),
            Context::Production if !self.draft => format!("https://{site}.netlify.app"),
            _ => own.clone(),
        };
        let context = match &self.context {
            Context::Branch(_) => "branch-deploy",
            context => context.name(),
        };
        let cancelled = self.state == DeployState::Cancelled;
        let commit = self.commit.as_ref();
        json!({
            "id": self.id,
            "site_id": self.site,
            "name": site,
            "state": self.state.name(),
            "context": context,
            "branch": self.branch(),
            "build_id": commit.map(|commit| &commit.build),
            "commit_ref": commit.map(|commit| &commit.commit),
            "locked": self.locked,
            "published_at": self.published_at.map(|at| at.to_string()),
            "draft": self.draft,
            "title": self.title,
            "created_at": self.created_at.to_string(),
            "url": public,
            "ssl_url": public,
            "deploy_url": public,
            "deploy_ssl_url": public,
            "links": {"permalink": own, "alias": public},
            "admin_url": format!("https://app.netlify.com/projects/{site}"),
            "required": self.missing_files(store),
            "required_functions": self.missing_functions(store),
            "error_message": cancelled.then_some("Canceled"),
        })
    }
}

fn check_digest(declared: &str, actual: &str, name: &str) -> Result<(), ApiError> {
    if declared == actual {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "{name} has the digest {actual}, and {declared} was declared"
    )))
}
