//! The deploys that a hosting serves at each moment: those that the API has as ready.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::account::Account;
use super::app_state::AppState;
use super::deploys::{DeployState, UploadedDeploy};
use super::hosted_deploy::{DeployFolder, HostedDeploy};
use super::protection::password_page;
use crate::lambda::Function;
use crate::netlify::{DeployOrResponse, FindDeploy, FoundDeploy, ServedDeploy, text_response};
use crate::{Error, ErrorKind};

/// Finds the deploy for each request by the state of the API. Clones share the opened deploys.
///
/// The account's lock makes a change of the published deploy atomic: each request gets the deploy
/// from before the change or from after it. A deploy is opened by its first request.
#[derive(Clone)]
pub(super) struct LiveHosts(Arc<Inner>);

struct Inner {
    state: AppState,
    folder: DeployFolder,
    /// The opened deploys by id.
    opened: Mutex<HashMap<String, OpenedDeploy>>,
    /// Held while a deploy is opened, so that each is opened once.
    opening: tokio::sync::Mutex<()>,
}

struct OpenedDeploy {
    served: Arc<ServedDeploy>,
    functions: Vec<Function>,
}

impl LiveHosts {
    /// Creates the hosts of an account, whose deploys go to a folder.
    pub(super) fn new(state: AppState, folder: DeployFolder) -> Self {
        Self(Arc::new(Inner {
            state,
            folder,
            opened: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }))
    }

    /// Opens all deploys that are ready.
    pub(super) async fn open_ready(&self) -> Result<(), Error> {
        let ready: Vec<_> = {
            let account = self.0.state.account();
            let deploys = account.deploys.iter();
            let ready = deploys.filter(|deploy| deploy.state == DeployState::Ready);
            ready.map(|deploy| deploy.id.clone()).collect()
        };
        for id in ready {
            self.open(&id).await?;
        }
        Ok(())
    }

    /// Ends the functions of all opened deploys, and waits for the end of their processes.
    pub(super) async fn shut_down(&self) {
        let opened: Vec<_> = self.0.opened().drain().collect();
        for (_, deploy) in opened {
            for function in deploy.functions {
                function.shutdown().await;
            }
        }
    }

    /// Returns the opened deploy, and opens it first if necessary. `None` if it does not exist any
    /// more.
    async fn open(&self, id: &str) -> Result<Option<Arc<ServedDeploy>>, Error> {
        if let Some(served) = self.0.find_opened(id) {
            return Ok(Some(served));
        }
        // A task of its own: this future ends when the client disconnects, and half a deploy would
        // stay in the folder.
        let (inner, id) = (Arc::clone(&self.0), id.to_owned());
        let task = tokio::spawn(async move { inner.open_new(&id).await });
        task.await.map_err(stopped)?
    }

    /// Waits while the visitors of a site's own address are held.
    async fn wait_for_release(&self, host: &str) {
        let held = {
            let account = self.0.state.account();
            let site = account.site_at(host);
            let is_own = site.is_some_and(|(_, label)| label.is_none());
            is_own.then(|| account.holds_visitors.subscribe())
        };
        if let Some(mut held) = held {
            // It only fails without the account, which has the other end.
            held.wait_for(|holds| !holds).await.ok();
        }
    }

    async fn find_served(&self, host: &str) -> DeployOrResponse {
        self.wait_for_release(host).await;
        let id = {
            let account = self.0.state.account();
            self.0.forget_deleted(&account);
            let site = account.site_at(host);
            if site.is_some_and(|(site, _)| site.is_protected) {
                return Err(Box::new(password_page()));
            }
            account.deploy_at(host).map(|deploy| deploy.id.clone())
        };
        let Some(id) = id else {
            return Ok(None);
        };
        self.open(&id).await.map_err(|error| {
            tracing::warn!(deploy = id, %error, "could not serve a deploy");
            let text = format!("{error}\n");
            Box::new(text_response(StatusCode::BAD_GATEWAY, text))
        })
    }
}

impl FindDeploy for LiveHosts {
    fn find<'a>(&'a self, host: &'a str) -> FoundDeploy<'a> {
        Box::pin(self.find_served(host))
    }

    fn hosts(&self) -> Vec<String> {
        self.0.state.account().hosts()
    }
}

impl fmt::Debug for LiveHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveHosts").finish_non_exhaustive()
    }
}

impl Inner {
    async fn open_new(self: Arc<Self>, id: &str) -> Result<Option<Arc<ServedDeploy>>, Error> {
        let _opening = self.opening.lock().await;
        if let Some(served) = self.find_opened(id) {
            return Ok(Some(served));
        }
        let Some((deploy, environment)) = self.uploads(id) else {
            return Ok(None);
        };
        let inner = Arc::clone(&self);
        let prepare = move || inner.folder.prepare(&deploy, &environment);
        let prepared = tokio::task::spawn_blocking(prepare).await;
        let HostedDeploy { deploy, functions } = prepared.map_err(stopped)??;
        let served = Arc::new(ServedDeploy::open(deploy).await?);
        let opened = OpenedDeploy {
            served: Arc::clone(&served),
            functions,
        };
        self.opened().insert(id.to_owned(), opened);
        Ok(Some(served))
    }

    /// Returns a ready deploy with the environment of its functions.
    fn uploads(&self, id: &str) -> Option<(UploadedDeploy, BTreeMap<String, String>)> {
        let account = self.state.account();
        let deploy = account
            .deploy(id)
            .filter(|deploy| deploy.state == DeployState::Ready)?;
        let uploaded = deploy.to_uploaded(account.site_name(deploy.site), &account.store);
        Some((uploaded, deploy.environment.clone()))
    }

    fn find_opened(&self, id: &str) -> Option<Arc<ServedDeploy>> {
        let opened = self.opened();
        opened.get(id).map(|deploy| Arc::clone(&deploy.served))
    }

    /// Drops the opened deploys that do not exist any more. Their functions end with their last
    /// request.
    fn forget_deleted(&self, account: &Account) {
        self.opened().retain(|id, _| {
            let exists = account.deploy(id).is_some();
            if !exists {
                self.folder.delete(id);
            }
            exists
        });
    }

    /// Locks the opened deploys. Poison is ignored: a panic leaves no state that could not be used.
    fn opened(&self) -> MutexGuard<'_, HashMap<String, OpenedDeploy>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error for a task that panicked or was aborted.
fn stopped(cause: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::System, "could not open a deploy: the task ended").with_source(cause)
}
