//! The result of a deploy, a promotion or a rollback on Lambda.

use serde::Serialize;

/// The result of a deploy, a promotion or a rollback on Lambda.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaReport {
    /// The stage.
    pub stage: String,
    /// The digest of the artifact.
    pub artifact: String,
    /// The functions.
    pub functions: Vec<LambdaFunctionReport>,
    /// The migrations that were applied.
    pub migrations: Vec<String>,
    /// The migrations of *after* that are possible now.
    pub possible_after: Vec<String>,
    /// The time that it took, in seconds.
    pub seconds: u64,
}

/// A function of a [`LambdaReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaFunctionReport {
    /// The name of the project's function.
    pub name: String,
    /// The name on Lambda.
    pub function: String,
    /// The version that the stage's alias points to.
    pub version: String,
    /// The version before.
    pub previous: Option<String>,
    /// The alias's function URL, where one was asked for.
    pub url: Option<String>,
}
