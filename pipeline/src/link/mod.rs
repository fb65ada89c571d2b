//! Linking a Netlify site: each deploy context gets the database of its stage.
//!
//! The steps, in this order: a [`LinkRequest`]; [`SiteVariables`] and [`StageDatabase`], which look
//! up what is there; [`ProvedTokens`]; a [`LinkPlan`], which is shown, and then applied.

mod apply;
mod context_plan;
mod diff;
mod look_up;
mod plan;
mod prove;
mod request;

pub use self::diff::Change;
pub use self::look_up::{SiteVariables, StageDatabase, ensure_own_stage};
pub use self::plan::{LinkPlan, PlannedVariable, StageSummary, VariableChange};
pub use self::prove::ProvedTokens;
pub use self::request::{LinkRequest, SHARED_SETTINGS};
