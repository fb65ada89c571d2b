//! Linking a Netlify site: each deploy context gets the database of its stage.
//!
//! The steps, in this order: a [`LinkRequest`]; [`SiteVariables`] and [`StageDatabases`], which look
//! up what is there; [`ProvedTokens`] and [`UrlOwners`], which find out what the tokens and the URLs
//! in it lead to; a [`LinkPlan`], which is shown, and then applied.

mod change;
mod connection_string;
mod context_plan;
mod diff;
mod leak;
mod moved;
mod moved_stage;
mod owner_search;
mod password_parts;
mod plan;
mod planned_variable;
mod project_stages;
mod prove;
mod request;
mod site_tokens;
mod site_variables;
mod stage_database;
mod url_owners;
mod value_finding;
mod value_owners;
mod value_place;
mod variables_size;

pub use self::change::Change;
pub use self::context_plan::DesiredVariable;
pub use self::plan::{LinkPlan, StageSummary};
pub use self::planned_variable::{PlannedVariable, VariableChange};
pub use self::project_stages::ProjectStages;
pub use self::prove::ProvedTokens;
pub use self::request::{LinkRequest, OPERATOR_SETTINGS, SHARED_SETTINGS};
pub use self::site_variables::SiteVariables;
pub use self::stage_database::{StageDatabase, StageDatabases, ensure_own_stage};
pub use self::url_owners::UrlOwners;
pub use self::value_finding::{FindingKind, ValueFinding};
pub(crate) use self::value_place::ValuePlace;
pub(crate) use self::variables_size::excess as size_excess;
