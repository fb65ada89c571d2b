//! Deploys: what each is made of, what of it is still to be uploaded, and where it is seen.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::context::Context;
use super::refusal::Refusal;

/// A deploy with all that was uploaded for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// The deploy's id.
    pub id: String,
    /// The name of its site.
    pub site: String,
    /// Which values of the environment variables its functions get.
    pub context: Context,
    /// Whether it is a draft, which has an address of its own alone.
    pub draft: bool,
    /// What was said of it when it was made.
    pub title: Option<String>,
    /// Whether all of it is there.
    pub state: DeployState,
    /// The files by path, without a slash at the beginning.
    pub files: BTreeMap<String, Bytes>,
    /// The functions by name.
    pub functions: BTreeMap<String, UploadedFunction>,
    /// The cron expressions of the functions that run by a schedule.
    pub schedules: BTreeMap<String, String>,
}

/// A function as it was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedFunction {
    /// What it is said to run on: `rs` for a Rust program.
    pub runtime: Option<String>,
    /// The archive.
    pub zip: Bytes,
}

/// How far a deploy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployState {
    /// It is not said yet what it is made of.
    New,
    /// Files or functions are missing.
    Prepared,
    /// It is served.
    Ready,
    /// It was cancelled, and never is.
    Cancelled,
}

impl DeployState {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Prepared => "prepared",
            Self::Ready => "ready",
            Self::Cancelled => "error",
        }
    }
}

/// A deploy, by the digests of its parts.
pub(super) struct Deploy {
    pub(super) id: String,
    pub(super) site: Uuid,
    pub(super) context: Context,
    pub(super) draft: bool,
    pub(super) state: DeployState,
    title: Option<String>,
    created_at: Timestamp,
    /// Path to SHA-1.
    files: BTreeMap<String, String>,
    /// Name to SHA-256 of the archive.
    functions: BTreeMap<String, String>,
    schedules: BTreeMap<String, String>,
    /// What its functions find in their environment, as it was when the deploy became
    /// ready: a variable that is changed later changes nothing of it.
    pub(super) environment: BTreeMap<String, String>,
}

/// What was ever uploaded, by digest: what is here already is not asked for again.
#[derive(Default)]
pub(super) struct Store {
    files: HashMap<String, Bytes>,
    functions: HashMap<String, UploadedFunction>,
}

/// What a request says of a deploy.
#[derive(Default, Deserialize)]
pub(super) struct Written {
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

impl Written {
    pub(super) fn titled(mut self, title: Option<String>) -> Self {
        self.title = title.or(self.title);
        self
    }

    /// The deploy that this makes of a site.
    pub(super) fn deploy(self, site: Uuid, draft_context: &Context) -> Deploy {
        let draft = self.draft == Some(true);
        let context = match &self.branch {
            _ if draft => draft_context.clone(),
            Some(branch) => Context::Branch(branch.clone()),
            None => Context::Production,
        };
        let mut deploy = Deploy {
            id: Uuid::new_v4().simple().to_string()[..24].to_owned(),
            site,
            context,
            draft,
            state: DeployState::New,
            title: self.title.clone(),
            created_at: Timestamp::now(),
            files: BTreeMap::new(),
            functions: BTreeMap::new(),
            schedules: BTreeMap::new(),
            environment: BTreeMap::new(),
        };
        deploy.describe(self);
        deploy
    }
}

impl Deploy {
    /// Says what it is made of, as far as this does.
    pub(super) fn describe(&mut self, written: Written) {
        if written.files.is_none() && written.functions.is_none() {
            return;
        }
        let files = written.files.unwrap_or_default();
        self.files = files
            .into_iter()
            .map(|(path, digest)| (path.trim_start_matches('/').to_owned(), digest))
            .collect();
        self.functions = written.functions.unwrap_or_default();
        self.schedules = written
            .function_schedules
            .unwrap_or_default()
            .into_iter()
            .map(|schedule| (schedule.name, schedule.cron))
            .collect();
        self.state = DeployState::Prepared;
    }

    /// Whether it waits for nothing more; then its state may be [`DeployState::Ready`].
    pub(super) fn is_complete(&self, store: &Store) -> bool {
        self.state == DeployState::Prepared
            && self.missing_files(store).is_empty()
            && self.missing_functions(store).is_empty()
    }

    fn missing_files(&self, store: &Store) -> Vec<&String> {
        let files = self.files.values();
        files
            .filter(|digest| !store.files.contains_key(*digest))
            .collect()
    }

    fn missing_functions(&self, store: &Store) -> Vec<&String> {
        let functions = self.functions.values();
        functions
            .filter(|digest| !store.functions.contains_key(*digest))
            .collect()
    }

    /// Takes the content of a file.
    ///
    /// # Errors
    ///
    /// 404 for a path that it does not have, 422 for another content than was announced.
    pub(super) fn file(&self, path: &str, body: Bytes, store: &mut Store) -> Result<(), Refusal> {
        let announced = self
            .files
            .get(path.trim_start_matches('/'))
            .ok_or_else(Refusal::not_found)?;
        agreed(announced, &hex(&Sha1::digest(&body)), path)?;
        store.files.insert(announced.clone(), body);
        Ok(())
    }

    /// Takes the archive of a function.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file).
    pub(super) fn function(
        &self,
        name: &str,
        function: UploadedFunction,
        store: &mut Store,
    ) -> Result<(), Refusal> {
        let announced = self.functions.get(name).ok_or_else(Refusal::not_found)?;
        agreed(announced, &hex(&Sha256::digest(&function.zip)), name)?;
        store.functions.insert(announced.clone(), function);
        Ok(())
    }

    /// With what was uploaded so far.
    pub(super) fn uploaded(&self, site: &str, store: &Store) -> Uploaded {
        let file = |(path, digest): (&String, &String)| {
            Some((path.clone(), store.files.get(digest)?.clone()))
        };
        let function = |(name, digest): (&String, &String)| {
            Some((name.clone(), store.functions.get(digest)?.clone()))
        };
        Uploaded {
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

    /// As the API tells it.
    pub(super) fn json(&self, site: &str, store: &Store) -> Value {
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
        json!({
            "id": self.id,
            "site_id": self.site,
            "name": site,
            "state": self.state.name(),
            "context": context,
            "branch": self.context.parameter(),
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

fn agreed(announced: &str, actual: &str, what: &str) -> Result<(), Refusal> {
    if announced == actual {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "{what} was announced with the digest {announced} and has {actual}"
    )))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
