//! A local Heroku on 127.0.0.1: the Platform API and the data API, as far as they serve to find the
//! database of a pipeline stage.
//!
//! It serves the SDK and the official Heroku CLI. For the CLI, set `HEROKU_HOST` to
//! [`Heroku::url`], `HEROKU_API_KEY` to [`Heroku::api_key`], `HEROKU_DATA_HOST=127.0.0.1` and, for
//! `auth:whoami` and `apps`, `HEROKU_PARTICLEBOARD_URL` to the URL, too.
//!
//! # Behavior
//!
//! The state is in memory. The program that started the stand-in creates apps, pipelines and
//! databases through [`Heroku`]. Over HTTP a client can change config vars, rotate credentials,
//! promote an app and read everything else. A route that is not implemented is answered with 501 and a message that
//! names it. Dropping a [`Heroku`] stops its server in the background; [`Heroku::stop`] waits for
//! the end.

mod account;
mod addons;
mod api_error;
mod app_state;
mod apps;
mod attachments;
mod config_vars;
mod data_api;
mod database_owner;
mod deployer;
mod fault_access;
mod headers;
mod middleware;
mod pipelines;
mod promotions;
mod range;
mod rate_limit;
mod records;
mod release_output;
mod releases;
mod review_apps;
mod stage;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use uuid::Uuid;

use crate::Error;
use crate::api::Server;

pub use crate::api::{Failure, Fault, RecordedRequest};
pub use database_owner::{DatabaseFacts, DatabaseOwner, OwnerFuture};
pub use deployer::{DeployFuture, Deployer, Deployment};
pub(crate) use fault_access::FaultAccess;
pub use records::ReviewStatus;
pub use release_output::ReleaseOutput;
pub use stage::Stage;
pub use tokens::Access;

use api_error::ApiError;
use app_state::AppState;
use config_vars::ConfigChange;
use tokens::TokenScope;

/// A running local Heroku.
///
/// Its methods accept an app, a pipeline or an add-on by name or by id.
pub struct Heroku {
    api_key: String,
    state: AppState,
    server: Server,
}

impl Heroku {
    /// Starts a Heroku with an empty account on a port of 127.0.0.1; 0 selects a free port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) if the port is taken,
    /// [`ErrorKind::System`](crate::ErrorKind::System) if it cannot be opened for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let state = AppState::new();
        let api_key = state.tokens().create(TokenScope::AllApps);
        Ok(Self {
            api_key,
            server: Server::start(port, router(state.clone())).await?,
            state,
        })
    }

    /// Base URL of the API, such as `http://127.0.0.1:5001`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Token with access to every app. Each start creates a new one.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Creates a pipeline.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a name that Heroku does not
    /// allow or that is taken.
    pub fn create_pipeline(&self, name: &str) -> Result<Uuid, Error> {
        self.state.account().create_pipeline(name)
    }

    /// Deletes a pipeline with its couplings. Its apps stay.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such pipeline.
    pub fn delete_pipeline(&self, pipeline: &str) -> Result<(), Error> {
        self.state.account().delete_pipeline(pipeline)
    }

    /// Creates an app with its first release.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a name that Heroku does not
    /// allow or that is taken.
    pub fn create_app(&self, name: &str) -> Result<Uuid, Error> {
        self.state.account().create_app(name)
    }

    /// Deletes an app with its coupling and its add-ons.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such app.
    pub fn delete_app(&self, app: &str) -> Result<(), Error> {
        self.state.account().delete_app(app)
    }

    /// Puts an app into a stage of a pipeline and returns the id of the coupling. A stage may have
    /// several apps.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such pipeline or app, or
    /// if the app is already in a pipeline.
    pub fn couple(&self, pipeline: &str, app: &str, stage: Stage) -> Result<Uuid, Error> {
        self.state.account().couple(pipeline, app, stage)
    }

    /// Removes an app from its pipeline.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such app or if it is
    /// not in a pipeline.
    pub fn uncouple(&self, app: &str) -> Result<(), Error> {
        self.state.account().uncouple(app)
    }

    /// Creates a review app for a pull request and returns its id. It is `pending` and has no app
    /// yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such pipeline.
    pub fn create_review_app(&self, pipeline: &str, pull_request: u64) -> Result<Uuid, Error> {
        self.state
            .account()
            .create_review_app(pipeline, pull_request)
    }

    /// Creates a review app's app, in the review stage of its pipeline. The review app is then
    /// `creating`, until [`set_review_status`](Self::set_review_status) changes that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such review app, if it already
    /// has an app, and for a name as in [`create_app`](Self::create_app).
    pub fn create_app_for_review_app(&self, review_app: Uuid, name: &str) -> Result<Uuid, Error> {
        self.state
            .account()
            .create_app_for_review_app(review_app, name)
    }

    /// Sets the status of a review app. [`Deleted`](ReviewStatus::Deleted) also deletes its app.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such review app.
    pub fn set_review_status(&self, review_app: Uuid, status: ReviewStatus) -> Result<(), Error> {
        self.state.account().set_review_status(review_app, status)
    }

    /// Sets a config var. As on Heroku that creates a release, unless the var already has the
    /// value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such app, for a name with other
    /// characters than letters, digits and `_`, and for a var that belongs to an attachment: use
    /// [`set_database_url`](Self::set_database_url) for that.
    pub fn set_config_var(&self, app: &str, name: &str, value: &str) -> Result<(), Error> {
        self.change_config(app, ConfigChange::set(name, value))
    }

    /// Removes a config var and creates a release. Does nothing if the var does not exist.
    ///
    /// # Errors
    ///
    /// As [`set_config_var`](Self::set_config_var).
    pub fn unset_config_var(&self, app: &str, name: &str) -> Result<(), Error> {
        self.change_config(app, ConfigChange::unset(name))
    }

    fn change_config(&self, app: &str, change: ConfigChange) -> Result<(), Error> {
        let mut account = self.state.account();
        let app = account.find_app_id(app, "change config vars")?;
        Ok(account.change_config(app, change)?)
    }

    /// Attaches the database at `url` to an app as an add-on and returns the add-on's name.
    ///
    /// The first database of an app is attached as `DATABASE`, so that its URL is in
    /// `DATABASE_URL`, further ones as `HEROKU_POSTGRESQL_<COLOR>`. The plan is
    /// `heroku-postgresql:essential-0`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such app, if the config var
    /// exists without an attachment, and for a URL that does not begin with `postgres://` or lacks
    /// user, password, host or database. No error contains the URL.
    pub fn attach_postgres(&self, app: &str, url: &str) -> Result<String, Error> {
        self.state.account().attach_postgres(app, url)
    }

    /// Changes the URL of an add-on's database, as a rotation or a failover does. The config var of
    /// the attachment changes, with a release.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such add-on, and for a URL as
    /// in [`attach_postgres`](Self::attach_postgres).
    pub fn set_database_url(&self, addon: &str, url: &str) -> Result<(), Error> {
        self.state.account().set_database_url(addon, url)
    }

    /// Sets the owner of the databases, which provides the live facts of `pg:info` and does
    /// `pg:credentials:rotate`.
    pub fn set_database_owner(&self, owner: Arc<dyn DatabaseOwner>) {
        self.state.set_owner(owner);
    }

    /// Deploys a slug to an app, with a release that succeeds at once, and returns the release's id.
    /// A release by another cause keeps the app's slug, and a promotion copies it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such app.
    pub fn deploy_slug(&self, app: &str, slug: Uuid) -> Result<Uuid, Error> {
        self.state.account().create_slug_release(app, slug)
    }

    /// Sets the owner of the apps' programs, which a promotion has deploy to each target.
    pub fn set_deployer(&self, deployer: Arc<dyn Deployer>) {
        self.state.set_deployer(deployer);
    }

    /// Creates a token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if an app in `access` does
    /// not exist.
    pub fn create_token(&self, access: &Access) -> Result<String, Error> {
        let scope = match access {
            Access::AllApps => TokenScope::AllApps,
            Access::Apps(apps) => {
                let account = self.state.account();
                let apps = apps
                    .iter()
                    .map(|app| account.find_app_id(app, "create a token for it"));
                TokenScope::Apps(apps.collect::<Result<_, _>>()?)
            }
        };
        Ok(self.state.tokens().create(scope))
    }

    /// Revokes a token, which may be [`api_key`](Self::api_key). Returns false if it was not valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.state.tokens().revoke(token)
    }

    /// Returns what injects faults, without the server.
    pub(crate) fn fault_access(&self) -> FaultAccess {
        FaultAccess::new(self.state.clone())
    }

    /// Makes matching requests fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.state.control().inject(fault);
    }

    /// Removes all faults. A request that already hangs keeps hanging.
    pub fn clear_faults(&self) {
        self.state.control().clear_faults();
    }

    /// Received requests in their order, the last 10 000.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.control().requests()
    }

    /// Clears the list of received requests.
    pub fn clear_requests(&self) {
        self.state.control().clear_requests();
    }

    /// Limits the items in a response to `GET`, so that a test needs few items for several pages.
    /// The default 0 means Heroku's sizes: 200 items, up to 1000 if the request says so.
    pub fn set_page_size(&self, items: usize) {
        self.state.set_page_size(items);
    }

    /// Sets the number of requests left in the rate limit, at most Heroku's 4500. It refills by 75
    /// per minute; at 0, requests are answered with 429 `rate_limit`.
    pub fn set_rate_limit_remaining(&self, requests: u32) {
        self.state
            .rate_limit()
            .set_remaining(requests, Instant::now());
    }

    /// Stops the server. When it returns, the port is free and every connection is closed.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl fmt::Debug for Heroku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heroku")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

fn router(state: AppState) -> Router {
    Router::new()
        .merge(users::routes())
        .merge(apps::routes())
        .merge(config_vars::routes())
        .merge(pipelines::routes())
        .merge(promotions::routes())
        .merge(releases::routes())
        .merge(review_apps::routes())
        .merge(addons::routes())
        .merge(attachments::routes())
        .merge(data_api::routes())
        .fallback(not_implemented)
        .method_not_allowed_fallback(not_implemented)
        .layer(from_fn_with_state(state.clone(), middleware::middleware))
        .with_state(state)
}

async fn not_implemented(request: Request) -> ApiError {
    ApiError::not_implemented(request.method().as_str(), request.uri().path())
}
