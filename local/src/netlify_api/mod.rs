//! A local Netlify: the part of its API that the Netlify CLI and a program that sets
//! environment variables ask, on 127.0.0.1; and what was deployed to it, served.
//!
//! By Netlify's open-api (`@netlify/open-api`, as in netlify-cli 26.2.0, 2026-11), under
//! `/api/v1`. For the Netlify CLI, set `NETLIFY_API_URL` to [`NetlifyApi::url`] and
//! `NETLIFY_AUTH_TOKEN` to [`NetlifyApi::token`].
//!
//! # Behavior
//!
//! There is one account with one user. The state is in memory and ends with the stand-in.
//! Sites are made by its owner, through [`NetlifyApi`]; over HTTP sites are read, and
//! environment variables read and changed, and deploys made. A secret's values are masked
//! when they are read back; code that runs on Netlify gets them, as
//! [`NetlifyApi::environment`] does. Which context the functions of a draft are in is not
//! documented: here it is that of deploy previews, unless
//! [`NetlifyApi::set_draft_context`] says another. [`NetlifyApi::host`] serves what was
//! deployed.
//!
//! A route that is missing is answered with 501 and says so. Dropping a [`NetlifyApi`] ends it at
//! some later moment; [`NetlifyApi::stop`] waits for the end.

mod account;
mod context;
mod deploy_routes;
mod deploys;
mod env_routes;
mod env_vars;
mod hosting;
mod refusal;
mod shared;
mod sites;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use axum::Router;
use axum::middleware::from_fn_with_state;
use uuid::Uuid;

use crate::api::{Control, Server};
use crate::{Error, ErrorKind};

pub use context::Context;
pub use deploys::{DeployState, Uploaded, UploadedFunction};
pub use env_vars::{EnvScope, EnvVar};
pub use hosting::Hosting;

use refusal::{Refusal, of_status};
use shared::Shared;

/// A local Netlify that runs.
///
/// Sites are named by their name or by their id.
pub struct NetlifyApi {
    token: String,
    shared: Shared,
    control: Control,
    server: Server,
}

impl NetlifyApi {
    /// Starts a Netlify with an account without sites on 127.0.0.1, at this port or, for 0,
    /// at a free one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] when the port is taken, [`ErrorKind::System`] when it
    /// cannot be opened for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let shared = Shared::default();
        let control = Control::default();
        let token = shared.state().create_token();
        let routes = control.wrap(router(shared.clone()), of_status);
        Ok(Self {
            token,
            server: Server::start(port, routes).await?,
            shared,
            control,
        })
    }

    /// Where it listens, such as `http://127.0.0.1:5001`. The API is under `/api/v1`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// A token of the one user, made anew at each start.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The slug of the account, its name in the paths of environment variables. Its id
    /// does as well.
    pub fn account(&self) -> &'static str {
        account::SLUG
    }

    /// Makes it fail, and tells its requests.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Makes a site and tells its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a name that is taken, or is not made of lower-case letters,
    /// digits and `-`.
    pub fn create_site(&self, name: &str) -> Result<Uuid, Error> {
        self.shared.state().create_site(name)
    }

    /// Makes one more token.
    pub fn create_token(&self) -> String {
        self.shared.state().create_token()
    }

    /// Ends a token, [`token`](Self::token) too; false when it was not valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.state().revoke_token(token)
    }

    /// Whether the account's plan knows scopes, as it does at the start. On a plan without,
    /// a variable has all scopes, and one with fewer is refused.
    pub fn set_scopes(&self, available: bool) {
        self.shared.state().scopes_available = available;
    }

    /// Sets a variable of a site, whatever it was before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when there is no such site, and for a variable that the API
    /// would refuse. No value is in it.
    pub fn set_variable(&self, site: &str, variable: EnvVar) -> Result<(), Error> {
        let mut state = self.shared.state();
        let scopes = state.scopes_available;
        variable.check(scopes).map_err(Error::from)?;
        let site = state.existing_site(site, "set a variable of it")?;
        site.variables.set(variable);
        Ok(())
    }

    /// The variables of a site as they were set, with the values of secrets.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when there is no such site.
    pub fn variables(&self, site: &str) -> Result<Vec<EnvVar>, Error> {
        let mut state = self.shared.state();
        let site = state.existing_site(site, "read its variables")?;
        Ok(site.variables.list().to_vec())
    }

    /// What code of this scope finds in its environment, in a context: the account's
    /// variables under the site's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when there is no such site.
    pub fn environment(
        &self,
        site: &str,
        context: &Context,
        scope: EnvScope,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut state = self.shared.state();
        let mut environment = state.variables.environment(context, scope);
        let site = state.existing_site(site, "read its environment")?;
        environment.extend(site.variables.environment(context, scope));
        Ok(environment)
    }

    /// In which context the functions of a draft are from now on.
    pub fn set_draft_context(&self, context: Context) {
        self.shared.state().draft_context = context;
    }

    /// The deploys of all sites, in the order in which they were made, with what was
    /// uploaded for each.
    pub fn deploys(&self) -> Vec<Uploaded> {
        let state = self.shared.state();
        let uploaded = |of: &deploys::Deploy| of.uploaded(state.site_name(of.site), &state.store);
        state.deploys.iter().map(uploaded).collect()
    }

    /// Ends it: the port is free and every connection closed when this returns.
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

fn router(shared: Shared) -> Router {
    let routes = Router::new()
        .merge(account::routes())
        .merge(sites::routes())
        .merge(env_routes::routes())
        .merge(deploy_routes::routes())
        .layer(from_fn_with_state(shared.clone(), account::authenticated));
    Router::new()
        .nest("/api/v1", routes)
        .merge(account::extensions())
        .fallback(async || Refusal::missing_route())
        .method_not_allowed_fallback(async || Refusal::missing_route())
        .with_state(shared)
}

/// An error of the stand-in's owner, who named something that is not there.
fn unknown_site(site: &str, purpose: &str) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("there is no site {site}, so nobody can {purpose}"),
    )
}
