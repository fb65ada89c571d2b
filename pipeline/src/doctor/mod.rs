//! `stagelink doctor`: examines the stages of a project, and reports their problems.
//!
//! The look-ups come first, stage by stage and side by side, by read-only requests. Each set of facts
//! has a type of its own, and each check is one pure function from facts to a [`Verdict`]. The table
//! [`CHECKS`] lists all checks with their stable ids.

mod artifact_checks;
mod check;
mod connection_checks;
mod connection_facts;
mod drift_checks;
mod end_of_life;
mod migration_checks;
mod own_database;
mod questions;
mod reach;
mod report;
mod request;
mod run;
mod running_code;
mod server_checks;
mod server_facts;
mod site_checks;
mod site_facts;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::check::{CHECKS, Check};
pub use self::report::{CheckResult, DoctorReport, StageReport};
pub use self::request::DoctorRequest;
pub use self::run::examine;
pub use self::verdict::{Finding, Level, Verdict};
