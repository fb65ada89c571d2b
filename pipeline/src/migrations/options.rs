//! The limits of a run, and what it passes over on purpose.

use std::time::Duration;

use crate::migrations::comparison::Disagreement;
use crate::migrations::enforcement::{DeployPhase, Enforcement};
use crate::migrations::rule_override::RuleOverride;
use crate::migrations::running_code::RunningCode;

/// The options of a run. The defaults are for a database under load.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrationOptions {
    /// The time for which a statement of a file waits for a lock, with the table's other users behind
    /// it. One second by default.
    pub lock_timeout: Duration,
    /// The time to wait in all: for another migration of the database to end, and for each file
    /// whose tables are busy. Five minutes by default.
    pub wait: Duration,
    /// The longest time that a file's transaction may take, as long as it keeps its locks. One
    /// minute by default.
    pub time_limit: Duration,
    /// The disagreements of folder and history that do not stop the run. None by default.
    pub allowed: Vec<Disagreement>,
    /// The strictness about the classes of the files: by default that of a stage before a deploy.
    pub enforcement: Enforcement,
    /// The rules that a person has overridden in files of this run. None by default.
    pub overrides: Vec<RuleOverride>,
    /// The person or job that runs it, as `user@host`, for the records. Empty by default.
    pub applied_by: String,
    /// The code that runs on the stage, which a file of *after* has to leave alone. `None`, the default,
    /// where it is not known, or where none runs.
    pub running_code: Option<RunningCode>,
    /// True for the database of a running `stagelink dev`, which begins empty with each start: advice is another one
    /// there.
    pub is_local: bool,
}

impl Default for MigrationOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(1),
            wait: Duration::from_secs(300),
            time_limit: Duration::from_secs(60),
            allowed: Vec::new(),
            enforcement: Enforcement::OfStage(DeployPhase::Before),
            overrides: Vec::new(),
            applied_by: String::new(),
            running_code: None,
            is_local: false,
        }
    }
}
