//! The facts of a rollback's plan, and its result.

use serde::Serialize;

/// The facts of a rollback's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RollbackSummary {
    /// The stage.
    pub stage: String,
    /// The site.
    pub site: String,
    /// The deploy that is published now.
    pub published_deploy: String,
    /// The deploy that is published again.
    pub deploy: String,
    /// The digest of its artifact.
    pub artifact: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// When it was published, in the format of RFC 3339.
    pub deployed_at: Option<String>,
    /// True if the site's publishing is stopped by a lock.
    pub is_locked: bool,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

/// The result of a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RollbackReport {
    /// The deploy that is published now.
    pub deploy: String,
    /// The digest of its artifact.
    pub artifact: String,
    /// The address of the site.
    pub live: String,
    /// The deploy that was published before.
    pub previous: String,
    /// The number of requests to Netlify's API.
    pub api_requests: u64,
    /// The time that it took, in seconds.
    pub seconds: u64,
}
