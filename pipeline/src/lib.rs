#![doc = include_str!("../README.md")]

mod api;
mod attempts;
mod error;
mod heroku;
mod link;
mod migrations;
mod netlify;
mod refusal;

pub use crate::api::ApiAccess;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::link::Change;
pub use crate::link::FindingKind;
pub use crate::link::LinkPlan;
pub use crate::link::LinkRequest;
pub use crate::link::PlannedVariable;
pub use crate::link::ProvedTokens;
pub use crate::link::SHARED_SETTINGS;
pub use crate::link::SiteVariables;
pub use crate::link::StageDatabase;
pub use crate::link::StageDatabases;
pub use crate::link::StageSummary;
pub use crate::link::UrlOwners;
pub use crate::link::ValueFinding;
pub use crate::link::VariableChange;
pub use crate::link::ensure_own_stage;
pub use crate::migrations::statement::ConcurrentIndex;
pub use crate::migrations::statement::ObjectName;
pub use crate::migrations::statement::SplitError;
pub use crate::migrations::statement::SplitProblem;
pub use crate::migrations::statement::Statement;
pub use crate::migrations::statement::SyntaxError;
pub use crate::migrations::statement::split_statements;
pub use crate::netlify::DeployContext;
