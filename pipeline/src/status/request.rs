//! The request of a status: the stages, and where each part of them is looked up.

use std::collections::BTreeMap;
use std::time::Duration;

use stagelink::{Settings, Stage};

use crate::api::ApiAccess;
use crate::aws::AwsAccess;
use crate::migrations::MigrationFolder;
use crate::netlify::DeployContext;
use crate::promotion::CodeWindows;
use crate::settings_file::DEFAULT_ROLLBACK_WINDOW;

/// The stages of a project, and where each part of them is looked up.
#[derive(Debug)]
#[non_exhaustive]
pub struct StatusRequest {
    /// The stages, in the order in which they are shown.
    pub stages: Vec<StageSource>,
    /// The Netlify site.
    pub site: SiteSource,
    /// The command `aws`, or the reason why there is none. It is asked where a stage has functions on
    /// Lambda.
    pub aws: Result<AwsAccess, String>,
    /// The migrations of the project, or the reason why they are not known. `None` where the project
    /// has none.
    pub migrations: Result<Option<MigrationFolder>, String>,
    /// The times for which code that was replaced may come back, or goes on.
    pub windows: CodeWindows,
    /// The time limit of each look-up.
    pub limit: Duration,
}

/// A stage, and the sources of its parts.
#[derive(Debug)]
#[non_exhaustive]
pub struct StageSource {
    /// The stage.
    pub stage: Stage,
    /// The deploy context that belongs to the stage, or the reason why there is none.
    pub context: Result<DeployContext, String>,
    /// The settings by which its database is found, or the reason why they are not known.
    pub settings: Result<Settings, String>,
    /// The functions on AWS Lambda, by the names of the project's functions.
    pub lambda: BTreeMap<String, String>,
    /// The URL at which a `stagelink dev` serves the project's own build, where the stage is local.
    pub local_url: Option<String>,
}

/// The Netlify site of a project.
#[derive(Debug)]
#[non_exhaustive]
pub enum SiteSource {
    /// A site, by its id or name.
    Site {
        /// The API.
        access: ApiAccess,
        /// Id or name.
        site: String,
    },
    /// The project has no site, with the reason.
    None(String),
    /// The site cannot be asked, with the reason, such as a token that is not set.
    NotKnown(String),
}

impl StatusRequest {
    /// Makes a request for stages of a site, without migrations, with a limit of 20 s for each
    /// look-up.
    pub fn new(stages: Vec<StageSource>, site: SiteSource) -> Self {
        Self {
            stages,
            site,
            aws: Err("the command aws was not looked for".to_owned()),
            migrations: Ok(None),
            windows: CodeWindows::of_stage(DEFAULT_ROLLBACK_WINDOW),
            limit: DEFAULT_LIMIT,
        }
    }
}

impl StageSource {
    /// Makes a source of a stage.
    pub fn new(
        stage: Stage,
        context: Result<DeployContext, String>,
        settings: Result<Settings, String>,
    ) -> Self {
        Self {
            stage,
            context,
            settings,
            lambda: BTreeMap::new(),
            local_url: None,
        }
    }
}

/// Longer than a provider's rate limit makes a short look-up wait.
const DEFAULT_LIMIT: Duration = Duration::from_secs(20);
