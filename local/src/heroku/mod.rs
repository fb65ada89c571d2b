//! A local Heroku: the Platform API and the part of the data API that people and
//! programs use to find the database of a pipeline stage, on 127.0.0.1.
//!
//! It answers the SDK and the official Heroku CLI alike. For the CLI, set
//! `HEROKU_HOST` to [`Heroku::url`], `HEROKU_API_KEY` to [`Heroku::api_key`],
//! `HEROKU_DATA_HOST=127.0.0.1` and, for `auth:whoami` and `apps`,
//! `HEROKU_PARTICLEBOARD_URL` to the URL as well.
//!
//! # Behavior
//!
//! The state is in memory and ends with the stand-in. Apps, pipelines and databases are
//! made by its owner, through [`Heroku`]; over HTTP config vars can be changed,
//! credentials rotated and everything else read. A route that is missing is answered with 501 and says
//! so, never with something made up. Dropping a [`Heroku`] ends it too, at some later
//! moment; [`Heroku::stop`] waits for the end.

mod account;
mod addons;
mod api_error;
mod apps;
mod attachments;
mod config_vars;
mod data;
mod database_owner;
mod pipelines;
mod range;
mod rate_limit;
mod releases;
mod review_apps;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod tokens;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use uuid::Uuid;

use crate::Error;
use crate::api::Server;

pub use crate::api::{Failure, Fault, Recorded};
pub use database_owner::{DatabaseOwner, LiveFacts, OwnerFuture};
pub use pipelines::Stage;
pub use review_apps::ReviewStatus;
pub use tokens::Access;

use api_error::ApiError;
use config_vars::ConfigChange;
use shared::Shared;
use tokens::Reach;

/// A local Heroku that runs.
///
/// Apps, pipelines and add-ons are named by their name or by their id.
pub struct Heroku {
    api_key: String,
    shared: Shared,
    server: Server,
}

impl Heroku {
    /// Starts a Heroku with an empty account on 127.0.0.1, at this port or, for 0, at
    /// a free one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) when the port is taken, [`ErrorKind::System`](crate::ErrorKind::System) when it
    /// cannot be opened for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let shared = Shared::new();
        let api_key = shared.tokens().create(Reach::All);
        Ok(Self {
            api_key,
            server: Server::start(port, router(shared.clone())).await?,
            shared,
        })
    }

    /// Where it listens, such as `http://127.0.0.1:5001`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// A token that reaches every app, made anew at each start.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Makes a pipeline.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a name that Heroku does not allow or that is taken.
    pub fn create_pipeline(&self, name: &str) -> Result<Uuid, Error> {
        self.shared.cloud().create_pipeline(name)
    }

    /// Removes a pipeline with its couplings. Its apps stay.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such pipeline.
    pub fn delete_pipeline(&self, pipeline: &str) -> Result<(), Error> {
        self.shared.cloud().delete_pipeline(pipeline)
    }

    /// Makes an app, with its first release.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a name that Heroku does not allow or that is taken.
    pub fn create_app(&self, name: &str) -> Result<Uuid, Error> {
        self.shared.cloud().create_app(name)
    }

    /// Removes an app with its coupling and its add-ons.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such app.
    pub fn delete_app(&self, app: &str) -> Result<(), Error> {
        self.shared.cloud().delete_app(app)
    }

    /// Puts an app into a stage of a pipeline and tells the id of the coupling. A stage
    /// may have several apps.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such pipeline or app, or when the app is
    /// in a pipeline already.
    pub fn couple(&self, pipeline: &str, app: &str, stage: Stage) -> Result<Uuid, Error> {
        self.shared.cloud().couple(pipeline, app, stage)
    }

    /// Takes an app out of its pipeline.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such app or it is in no pipeline.
    pub fn uncouple(&self, app: &str) -> Result<(), Error> {
        self.shared.cloud().uncouple(app)
    }

    /// Begins a review app for a pull request and tells its id. It is `pending` and has no
    /// app yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such pipeline.
    pub fn create_review_app(&self, pipeline: &str, pull_request: u64) -> Result<Uuid, Error> {
        self.shared
            .cloud()
            .create_review_app(pipeline, pull_request)
    }

    /// Makes a review app's app, in stage review of its pipeline: it is `creating` from then
    /// on, until it is said to be [`Created`](ReviewStatus::Created).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such review app, when it
    /// has an app already, and for a name as in [`create_app`](Self::create_app).
    pub fn create_app_of_review_app(&self, review_app: Uuid, name: &str) -> Result<Uuid, Error> {
        self.shared
            .cloud()
            .create_app_of_review_app(review_app, name)
    }

    /// Says what has become of a review app. With [`Deleted`](ReviewStatus::Deleted) its app
    /// is gone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such review app.
    pub fn set_review_status(&self, review_app: Uuid, status: ReviewStatus) -> Result<(), Error> {
        self.shared.cloud().set_review_status(review_app, status)
    }

    /// Sets a config var. As on Heroku that makes a release, unless the var has the
    /// value already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such app, for a name that is not made of
    /// letters, digits and `_`, and for a var that belongs to an attachment: use
    /// [`set_database_url`](Self::set_database_url) for that.
    pub fn set_config_var(&self, app: &str, name: &str, value: &str) -> Result<(), Error> {
        self.change_config(app, ConfigChange::set(name, value))
    }

    /// Removes a config var, if it is there, with a release.
    ///
    /// # Errors
    ///
    /// As [`set_config_var`](Self::set_config_var).
    pub fn unset_config_var(&self, app: &str, name: &str) -> Result<(), Error> {
        self.change_config(app, ConfigChange::unset(name))
    }

    fn change_config(&self, app: &str, change: ConfigChange) -> Result<(), Error> {
        let mut cloud = self.shared.cloud();
        let app = cloud.existing_app(app, "change its config vars")?;
        Ok(cloud.change_config(app, change)?)
    }

    /// Gives an app the database at `url` as an add-on and tells the add-on's name.
    ///
    /// The first database of an app is attached as `DATABASE`, so that its URL is in
    /// `DATABASE_URL`; a further one as `HEROKU_POSTGRESQL_<COLOR>`. The plan is
    /// `heroku-postgresql:essential-0`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such app, when the config var exists
    /// without an attachment, and for a URL that does not begin with `postgres://` or
    /// lacks user, password, host or database. The URL is in no error.
    pub fn attach_postgres(&self, app: &str, url: &str) -> Result<String, Error> {
        self.shared.cloud().attach_postgres(app, url)
    }

    /// Gives the database of an add-on another URL, as a rotation or a failover does:
    /// its config vars change, with a release.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when there is no such add-on, and for a URL as in
    /// [`attach_postgres`](Self::attach_postgres).
    pub fn set_database_url(&self, addon: &str, url: &str) -> Result<(), Error> {
        self.shared.cloud().set_database_url(addon, url)
    }

    /// Says who owns the databases: for the live facts of `pg:info`, and for
    /// `pg:credentials:rotate`.
    pub fn set_database_owner(&self, owner: Arc<dyn DatabaseOwner>) {
        self.shared.set_owner(owner);
    }

    /// Makes one more token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when an app that it is to reach does not exist.
    pub fn create_token(&self, access: &Access) -> Result<String, Error> {
        let reach = match access {
            Access::AllApps => Reach::All,
            Access::Apps(apps) => {
                let cloud = self.shared.cloud();
                let apps = apps
                    .iter()
                    .map(|app| cloud.existing_app(app, "make a token for it"));
                Reach::Only(apps.collect::<Result<_, _>>()?)
            }
        };
        Ok(self.shared.tokens().create(reach))
    }

    /// Ends a token, [`api_key`](Self::api_key) too; false when it was not valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.tokens().revoke(token)
    }

    /// Makes requests fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.shared.control().inject(fault);
    }

    /// Ends all faults. A request that hangs already goes on hanging.
    pub fn clear_faults(&self) {
        self.shared.control().clear_faults();
    }

    /// The requests so far, in the order in which they came in: the last 10 000.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.control().requests()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.control().forget_requests();
    }

    /// Lets no answer to a `GET` hold more items than this, so that few are enough to need
    /// several pages. 0 is what it starts with and what Heroku does: 200 items, up to 1000
    /// when the request says so.
    pub fn set_page_size(&self, items: usize) {
        self.shared.set_page_size(items);
    }

    /// Leaves the account this many requests, at most Heroku's 4500. They refill by 75 a
    /// minute; without any, requests are answered with 429 `rate_limit`.
    pub fn set_rate_limit_remaining(&self, requests: u32) {
        self.shared.rate_limit().leave(requests, Instant::now());
    }

    /// Ends it: the port is free and every connection closed when this returns.
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

fn router(shared: Shared) -> Router {
    Router::new()
        .merge(account::routes())
        .merge(apps::routes())
        .merge(config_vars::routes())
        .merge(pipelines::routes())
        .merge(releases::routes())
        .merge(review_apps::routes())
        .merge(addons::routes())
        .merge(attachments::routes())
        .merge(data::routes())
        .fallback(not_implemented)
        .method_not_allowed_fallback(not_implemented)
        .layer(from_fn_with_state(shared.clone(), transport::transport))
        .with_state(shared)
}

async fn not_implemented(request: Request) -> ApiError {
    ApiError::not_implemented(request.method().as_str(), request.uri().path())
}
