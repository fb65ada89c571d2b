//! The facts of a plan on Lambda, for a table or JSON.

use serde::Serialize;

use crate::promotion::lambda::change::{FunctionChange, VersionSource};
use crate::promotion::schema::SchemaPlan;

/// The facts of a plan on Lambda, for a table or JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaPlanSummary {
    /// The account and the region.
    pub account: String,
    /// The stage whose artifact it is; `None` for one that was built on this machine.
    pub from: Option<String>,
    /// The stage that gets it.
    pub to: String,
    /// The digest of the artifact.
    pub artifact: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// True if it was built with changes that are in no commit.
    pub has_uncommitted_changes: bool,
    /// The functions.
    pub functions: Vec<LambdaPlannedFunction>,
    /// True if the stage runs this artifact already.
    pub is_promoted: bool,
    /// The migrations that are applied first, as `V5__add_mail`.
    pub migrations: Vec<String>,
    /// The migrations of *after* that become possible.
    pub possible_after: Vec<String>,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

/// A function of a [`LambdaPlanSummary`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaPlannedFunction {
    /// The name of the project's function.
    pub name: String,
    /// The name on Lambda.
    pub function: String,
    /// The version that the alias gets; `None` for one that is made.
    pub version: Option<String>,
    /// The version that the alias points to now.
    pub current: Option<String>,
}

/// Returns the names of the migrations that a plan applies.
pub(crate) fn migration_names(schema: &SchemaPlan) -> Vec<String> {
    let applying = schema.applying();
    applying
        .map(|one| format!("V{}__{}", one.version, one.name))
        .collect()
}

/// Returns a function of a summary.
pub(crate) fn planned(change: &FunctionChange) -> LambdaPlannedFunction {
    let live = &change.live;
    LambdaPlannedFunction {
        name: live.name.clone(),
        function: live.lambda.clone(),
        version: match &change.source {
            VersionSource::Published(version) => Some(version.clone()),
            VersionSource::Upload(_) => None,
        },
        current: live.number().map(str::to_owned),
    }
}
