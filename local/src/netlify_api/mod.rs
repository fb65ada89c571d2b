//! A local Netlify API on 127.0.0.1: sites, environment variables and deploys, as far as the
//! Netlify CLI uses them, and a server for the deploys.
//!
//! By Netlify's open-api (`@netlify/open-api`, as in netlify-cli 27.10.2, 2026-11), under
//! `/api/v1`. For the Netlify CLI, set `NETLIFY_API_URL` to [`NetlifyApi::url`] and
//! `NETLIFY_AUTH_TOKEN` to [`NetlifyApi::token`].
//!
//! # Behavior
//!
//! There is one account with one user. The state is in memory. The program that started the
//! stand-in creates sites through [`NetlifyApi`]. Over HTTP a client can read sites, read and
//! change environment variables, create deploys with files, functions and variables of their own,
//! and publish, lock, cancel and delete deploys. The API masks the values of a secret; code
//! that runs on Netlify gets them, and so do [`NetlifyApi::environment`] and
//! [`NetlifyApi::function_environment`]. [`NetlifyApi::host`] serves the deploys.
//!
//! A deploy of production that becomes ready is published, unless the published one is locked. A
//! site keeps the order of its publications, so that a rollback has a meaning. The values of a
//! deploy's variables are fixed when it becomes ready; publishing it again does not change them.
//!
//! # Unknown
//!
//! Netlify does not document the following (2026-11). Here it is modelled after the documents that
//! come closest, and a setter selects the other possibility, so that a client is tested with both:
//!
//! - the context of a draft's functions ([`NetlifyApi::set_draft_context`]);
//! - the lock after a `restore` ([`NetlifyApi::set_lock_after_restore`]);
//! - which deploy is published by an unlock ([`NetlifyApi::set_unlock_publishes_newest`]);
//! - `restore` of a draft or of a branch's deploy ([`NetlifyApi::set_restores_any_context`]);
//! - whether a function's archive that was uploaded for an earlier deploy has to be uploaded again
//!   ([`NetlifyApi::set_forgets_functions`]);
//! - the number of deploys per minute ([`NetlifyApi::set_deploy_limit`]).
//!
//! Also unknown, and without a setter: a rollback publishes the deploy that was published before the
//! current one, so that two of them in a row change nothing; a lock of another deploy than the
//! published one, a cancelled deploy that is no longer in progress, and other content for a complete
//! deploy are refused with 422; an empty value of a deploy's own variable removes it.
//!
//! A route that is not implemented is answered with 501. Dropping a [`NetlifyApi`] stops its server
//! in the background; [`NetlifyApi::stop`] waits for the end.

mod account;
mod account_routes;
mod addresses;
mod api_error;
mod app_state;
mod completion;
mod context;
mod deploy_body;
mod deploy_environment;
mod deploy_json;
mod deploy_routes;
mod deploys;
mod env_bodies;
mod env_routes;
mod env_vars;
mod git_build;
mod hosted_deploy;
mod hosting;
mod live_hosts;
mod protection;
mod publishing;
mod publishing_routes;
mod rate_limit;
mod run_folder;
mod site;
mod site_routes;
#[cfg(test)]
mod tests;
mod undocumented;
mod upload_store;

use std::collections::BTreeMap;
use std::fmt;

use axum::Router;
use axum::middleware::from_fn_with_state;
use uuid::Uuid;

use crate::Error;
use crate::api::{Control, Server};

pub use context::Context;
pub use deploy_environment::DeployVariable;
pub use deploys::{DeployState, UploadedDeploy};
pub use env_vars::{EnvScope, EnvVar};
pub use git_build::GitBuild;
pub use hosting::Hosting;
pub use undocumented::LockAfterRestore;
pub use upload_store::UploadedFunction;

use account::Account;
use api_error::{ApiError, from_status};
use app_state::AppState;
use deploys::DeployRecord;

/// A running local Netlify API.
///
/// Its methods accept a site by name or by id.
pub struct NetlifyApi {
    token: String,
    state: AppState,
    control: Control,
    server: Server,
}

impl NetlifyApi {
    /// Starts a Netlify API with an account without sites on a port of 127.0.0.1; 0 selects a free
    /// port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) if the port is taken,
    /// [`ErrorKind::System`](crate::ErrorKind::System) if it cannot be opened for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let state = AppState::default();
        let control = Control::default();
        let token = state.account().create_token();
        let routes = control.wrap(router(state.clone()), from_status);
        Ok(Self {
            token,
            server: Server::start(port, routes).await?,
            state,
            control,
        })
    }

    /// Base URL of the server, such as `http://127.0.0.1:5001`. The API is under `/api/v1`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Token of the user. Each start creates a new one.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Slug of the account, which the paths of environment variables contain. The API also accepts
    /// its id there.
    pub fn account(&self) -> &'static str {
        account::SLUG
    }

    /// Handle to inject faults and to list the received requests.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Creates a site and returns its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a name that is taken or has other
    /// characters than lower-case letters, digits and `-`.
    pub fn create_site(&self, name: &str) -> Result<Uuid, Error> {
        self.state.account().create_site(name)
    }

    /// Creates a token.
    pub fn create_token(&self) -> String {
        self.state.account().create_token()
    }

    /// Revokes a token, which may be [`token`](Self::token). Returns false if it was not valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.state.account().revoke_token(token)
    }

    /// Sets whether the account's plan supports scopes; the default is true. On a plan without
    /// scopes a variable has all of them, and a variable with fewer is refused.
    pub fn set_scopes(&self, available: bool) {
        self.state.account().scopes_available = available;
    }

    /// Sets or replaces a variable of a site.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such site, and for a variable
    /// that the API would refuse. No error contains a value.
    pub fn set_variable(&self, site: &str, variable: EnvVar) -> Result<(), Error> {
        let mut account = self.state.account();
        let scopes = account.scopes_available;
        variable.check(scopes).map_err(Error::from)?;
        let site = account.find_site(site, "set a variable")?;
        site.variables.set(variable);
        Ok(())
    }

    /// Sets or replaces a variable of the account, which all sites have unless they have one of
    /// that name themselves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a variable that the API would refuse. No
    /// error contains a value.
    pub fn set_account_variable(&self, variable: EnvVar) -> Result<(), Error> {
        let mut account = self.state.account();
        variable
            .check(account.scopes_available)
            .map_err(Error::from)?;
        account.variables.set(variable);
        Ok(())
    }

    /// Returns the variables of a site, with the values of secrets.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such site.
    pub fn variables(&self, site: &str) -> Result<Vec<EnvVar>, Error> {
        let mut account = self.state.account();
        let site = account.find_site(site, "read the variables")?;
        Ok(site.variables.list().to_vec())
    }

    /// Returns the environment of code of this scope in a context: the account's variables,
    /// overridden by the site's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such site.
    pub fn environment(
        &self,
        site: &str,
        context: &Context,
        scope: EnvScope,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut account = self.state.account();
        let mut environment = account.variables.environment(context, scope);
        let site = account.find_site(site, "read the environment")?;
        environment.extend(site.variables.environment(context, scope));
        Ok(environment)
    }

    /// Sets whether a site says that production takes deploys from its Git repository alone. The
    /// stand-in takes them all the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such site.
    pub fn set_prevents_api_deploys(&self, site: &str, prevents: bool) -> Result<(), Error> {
        let mut account = self.state.account();
        let site = account.find_site(site, "set what it takes")?;
        site.prevents_api_deploys = prevents;
        Ok(())
    }

    /// Deploys a commit of a site's repository, as Netlify does after a push, without files and
    /// functions. Returns the deploy's id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such site.
    pub fn build(&self, site: &str, build: GitBuild) -> Result<String, Error> {
        self.state.account().build(site, build)
    }

    /// Locks or unlocks the published deploy of a site. While it is locked, newer deploys become
    /// ready and are not published. Returns false if it is not a published deploy.
    pub fn set_lock(&self, deploy: &str, is_locked: bool) -> bool {
        self.state.account().set_lock(deploy, is_locked).is_ok()
    }

    /// Returns whether a site's published deploy is locked.
    pub fn is_locked(&self, site: &str) -> bool {
        let mut account = self.state.account();
        account.site(site).is_ok_and(|site| site.is_locked)
    }

    /// Returns the deploys of all sites with their uploads, in the order of their creation.
    pub fn deploys(&self) -> Vec<UploadedDeploy> {
        let account = self.state.account();
        let deploys = account.deploys.iter();
        deploys.map(|deploy| uploaded(&account, deploy)).collect()
    }

    /// Returns the deploy that a site's visitors see. `None` if there is none, or no such site.
    pub fn published_deploy(&self, site: &str) -> Option<UploadedDeploy> {
        let mut account = self.state.account();
        let id = account.site(site).ok()?.published()?.to_owned();
        let deploy = account.deploy(&id)?;
        Some(uploaded(&account, deploy))
    }

    /// Returns the ids of the deploys that were published to a site's production, in that order.
    pub fn publications(&self, site: &str) -> Vec<String> {
        let mut account = self.state.account();
        let site = account.site(site);
        site.map_or_else(|_| Vec::new(), |site| site.publications.clone())
    }

    /// Returns the environment of a deploy's functions, with the values of secrets, as it was when
    /// the deploy became ready. `None` if there is no such ready deploy.
    pub fn function_environment(&self, deploy: &str) -> Option<BTreeMap<String, String>> {
        let account = self.state.account();
        let deploy = account.deploy(deploy)?;
        (deploy.state == DeployState::Ready).then(|| deploy.environment.clone())
    }

    /// Lets a site have no published deploy, as before its first one. Returns false if there is no such
    /// site.
    pub fn unpublish(&self, site: &str) -> bool {
        self.state.account().unpublish(site)
    }

    /// Removes a deploy, as Netlify does when its time of retention is over. Returns false if there is
    /// no such deploy, and for a published one.
    pub fn remove_deploy(&self, deploy: &str) -> bool {
        self.state.account().remove_deploy(deploy)
    }

    /// Stops the server. When it returns, the port is free and every connection is closed.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl fmt::Debug for NetlifyApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetlifyApi")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

fn uploaded(account: &Account, deploy: &DeployRecord) -> UploadedDeploy {
    deploy.to_uploaded(account.site_name(deploy.site), &account.store)
}

fn router(state: AppState) -> Router {
    let routes = Router::new()
        .merge(account_routes::routes())
        .merge(site_routes::routes())
        .merge(env_routes::routes())
        .merge(deploy_routes::routes())
        .merge(publishing_routes::routes())
        .layer(from_fn_with_state(
            state.clone(),
            account_routes::authenticate,
        ));
    Router::new()
        .nest("/api/v1", routes)
        .merge(account_routes::extensions())
        .fallback(async || ApiError::not_implemented())
        .method_not_allowed_fallback(async || ApiError::not_implemented())
        .with_state(state)
}
