//! The plan and the result of a deploy, for the output of a command.

use serde::Serialize;

/// The facts of the plan of a deploy. They hold no secret.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeploySummary {
    /// The stage.
    pub stage: String,
    /// Netlify's context, as its command line writes it.
    pub context: String,
    /// The site's name.
    pub site: String,
    /// The digest of the artifact.
    pub artifact: String,
    /// The commit that it was built from, where it is known.
    pub commit: Option<String>,
    /// True if it has changes that are in no commit, or that is not known.
    pub dirty: bool,
    /// The names of its functions.
    pub functions: Vec<String>,
    /// The number of its static files.
    pub files: usize,
    /// Netlify's id of the deploy that serves the stage now.
    pub previous: Option<String>,
    /// The migrations that are applied first, as `V1__name`.
    pub migrations: Vec<String>,
    /// The migrations that wait for `stagelink migrate --after`.
    pub waiting: Vec<String>,
    /// The reasons for which a run would be refused.
    pub refusals: Vec<String>,
}

/// The result of a deploy.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeployReport {
    /// Netlify's id of the deploy.
    pub deploy: String,
    /// The address of this deploy alone.
    pub permalink: Option<String>,
    /// The address of the stage.
    pub address: Option<String>,
    /// True if the stage's visitors see it. A deploy of production is ready and not published where
    /// publishing is locked, or where another one was published meanwhile.
    pub is_published: bool,
    /// Netlify's id of the deploy that visitors of production see in its place.
    pub published_instead: Option<String>,
    /// True if publishing is locked at that one.
    pub is_locked: bool,
    /// The migrations that were applied, as `V1__name`.
    pub applied: Vec<String>,
}
