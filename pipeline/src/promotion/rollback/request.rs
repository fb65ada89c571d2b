//! The request of a rollback on Netlify.

use std::time::Duration;

use stagelink::{Database, Stage};

use crate::api::ApiAccess;
use crate::migrations::MigrationFolder;
use crate::promotion::request::TEST_LIMIT;
use crate::settings_file::TestedPath;

/// The request of a rollback on Netlify.
#[derive(Debug)]
#[non_exhaustive]
pub struct RollbackRequest {
    /// The stage, of kind production: Netlify restores no other deploys.
    pub stage: Stage,
    /// Netlify's API.
    pub access: ApiAccess,
    /// The site, by its name or id.
    pub site: String,
    /// The stage's database itself, without a pooler.
    pub database: Database,
    /// The migrations of the project's folder, for the classes that the database does not know.
    pub migrations: Option<MigrationFolder>,
    /// The deploy to take the stage back to; by default the one before the published one.
    pub to: Option<String>,
    /// Paths that the deploy has to answer, besides the self-check.
    pub paths: Vec<TestedPath>,
    /// The time in which the deploy has to pass its test, at each of its addresses.
    pub test_limit: Duration,
    /// The person or job, as `user@host`.
    pub by: String,
}

impl RollbackRequest {
    /// Makes a request to go back to the deploy before. There are no migrations and no tested paths, and
    /// the time limit of a test is a minute.
    pub fn new(stage: Stage, (access, site): (ApiAccess, String), database: Database) -> Self {
        Self {
            stage,
            access,
            site,
            database,
            migrations: None,
            to: None,
            paths: Vec::new(),
            test_limit: TEST_LIMIT,
            by: String::new(),
        }
    }
}
