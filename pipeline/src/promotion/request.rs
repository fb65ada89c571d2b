//! The request of a promotion: the stages, the site, and what the operator's machine can add.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use stagelink::{Database, Stage};

use crate::api::ApiAccess;
use crate::migrations::{MigrationFolder, MigrationOptions};
use crate::netlify::READY_LIMIT;
use crate::settings_file::TestedPath;

/// The request of a promotion on Netlify.
#[derive(Debug)]
#[non_exhaustive]
pub struct PromotionRequest {
    /// The stage whose artifact is promoted.
    pub from: Stage,
    /// The branch whose deploys belong to it.
    pub from_branch: String,
    /// The stage that gets it.
    pub to: Stage,
    /// Netlify's API.
    pub access: ApiAccess,
    /// The site, by its name or id.
    pub site: String,
    /// The target's database itself, without a pooler.
    pub database: Database,
    /// The migrations of the project's folder. `None` where there is no folder.
    pub migrations: Option<MigrationFolder>,
    /// The limits of the run of migrations.
    pub migration_options: MigrationOptions,
    /// The project's Git repository.
    pub checkout: Box<dyn Checkout>,
    /// The folder of the project, whose `dist/functions` may hold the programs.
    pub project: PathBuf,
    /// Paths that the deploy has to answer, besides the self-check.
    pub paths: Vec<TestedPath>,
    /// The time in which the deploy has to pass its tests, at each of its addresses.
    pub test_limit: Duration,
    /// The time in which Netlify has to make the new deploy ready.
    pub ready_limit: Duration,
    /// The person or job, as `user@host`.
    pub by: String,
}

impl PromotionRequest {
    /// Makes a request: the source with its branch, the target, the site with the access to its API,
    /// and the target's database. There are no migrations and no tested paths, the time limit of a
    /// test is a minute, and Netlify has 20 minutes to make the deploy ready.
    pub fn new(
        (from, from_branch): (Stage, String),
        to: Stage,
        (access, site): (ApiAccess, String),
        database: Database,
        checkout: Box<dyn Checkout>,
    ) -> Self {
        Self {
            from,
            from_branch,
            to,
            access,
            site,
            database,
            migrations: None,
            migration_options: MigrationOptions::default(),
            checkout,
            project: PathBuf::from("."),
            paths: Vec::new(),
            test_limit: TEST_LIMIT,
            ready_limit: READY_LIMIT,
            by: String::new(),
        }
    }
}

/// The time limit of a test: a deploy is reachable within seconds, and a cold start takes some more.
pub(super) const TEST_LIMIT: Duration = Duration::from_secs(60);

/// A future of a [`Checkout`].
pub type CheckoutFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// The knowledge of a project's Git repository, for the library, which runs no command itself. An error is
/// the reason, as a part of a sentence.
pub trait Checkout: Send + Sync {
    /// Returns whether a commit has another one among its ancestors, or is it.
    fn descends<'a>(&'a self, newer: &'a str, older: &'a str) -> CheckoutFuture<'a, bool>;

    /// Returns the migrations as a commit has them.
    fn migrations_at<'a>(&'a self, commit: &'a str) -> CheckoutFuture<'a, MigrationFolder>;

    /// Builds the programs of a commit anew, and returns the folder of the project that holds them, in
    /// `dist/functions`.
    fn rebuild<'a>(&'a self, commit: &'a str) -> CheckoutFuture<'a, PathBuf>;
}

impl fmt::Debug for dyn Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkout")
    }
}
