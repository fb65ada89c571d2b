//! The request of a deploy: the project, the stage, and where it goes.

use std::path::PathBuf;
use std::time::Duration;

use stagelink::{Database, Stage};

use crate::api::ApiAccess;
use crate::deploy::stale_credentials::HerokuDatabase;
use crate::migrations::{MigrationFolder, MigrationOptions};
use crate::netlify::{DeployContext, READY_LIMIT};

/// A built project, and the stage that it is deployed to.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeployRequest {
    /// The stage.
    pub stage: Stage,
    /// The deploy context that belongs to the stage.
    pub context: DeployContext,
    /// The folder of the project, with `netlify.toml` and `dist/functions`.
    pub project: PathBuf,
    /// Netlify's API.
    pub access: ApiAccess,
    /// The site, by its id or name.
    pub site: String,
    /// The stage's database itself, without a pooler.
    pub database: Database,
    /// The way to that database at Heroku, where it is there: the deploy looks whether the functions' own
    /// credentials are older than its URL.
    pub heroku: Option<HerokuDatabase>,
    /// The migrations of the project; `None` where it has none.
    pub migrations: Option<MigrationFolder>,
    /// The limits and rules of their run, and the person or job that runs the command.
    pub options: MigrationOptions,
    /// The commit that the project was built from, where it is known.
    pub commit: Option<String>,
    /// True if the folder has changes that are in no commit; `None` where that is not known.
    pub is_dirty: Option<bool>,
    /// True if a production deploy may have such changes.
    pub allows_dirty: bool,
    /// The time limit of the test of the deploy, in which its functions say what they run; `None` where it
    /// is not tested.
    pub test_limit: Option<Duration>,
    /// The time in which Netlify has to make the deploy ready.
    pub ready_limit: Duration,
}

impl DeployRequest {
    /// Makes a request for a stage of a site, without migrations, from a folder about whose commit
    /// nothing is known.
    pub fn new(
        stage: Stage,
        context: DeployContext,
        project: PathBuf,
        (access, site): (ApiAccess, String),
        database: Database,
    ) -> Self {
        Self {
            stage,
            context,
            project,
            access,
            site,
            database,
            heroku: None,
            migrations: None,
            options: MigrationOptions::default(),
            commit: None,
            is_dirty: None,
            allows_dirty: false,
            test_limit: Some(TEST_LIMIT),
            ready_limit: READY_LIMIT,
        }
    }
}

/// Longer than Netlify takes to make a deploy reachable, and its functions to start.
const TEST_LIMIT: Duration = Duration::from_secs(60);
