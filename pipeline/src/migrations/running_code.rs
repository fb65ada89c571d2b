//! The question whether the code that runs on a stage bears a file of *after*.

use std::fmt;
use std::sync::Arc;

use crate::migrations::class::Class;
use crate::migrations::demands::Demands;
use crate::migrations::enforcement::DeployPhase;
use crate::migrations::file::MigrationFile;

/// The code that runs on a stage, or may come back by a rollback, as far as a run of migrations asks
/// about it. [`running_code`](crate::running_code) makes it of the records of deploys.
#[derive(Clone)]
pub struct RunningCode(Arc<Question>);

/// Returns the reasons for which the code does not bear a file of *after*.
type Question = dyn Fn(&MigrationFile) -> Vec<String> + Send + Sync;

impl RunningCode {
    /// Makes it of a function that returns the reasons for which the code does not bear a file of
    /// *after*, each as a sentence without an end.
    pub(crate) fn new(
        reasons: impl Fn(&MigrationFile) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(reasons))
    }

    /// Returns the reasons for which the code does not bear a file of *after*.
    pub(crate) fn reasons(&self, file: &MigrationFile) -> Vec<String> {
        (self.0)(file)
    }
}

impl fmt::Debug for RunningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningCode").finish_non_exhaustive()
    }
}

/// Returns the reasons for which code that runs does not bear a file of this class, in the run's phase.
/// Only a run after a deploy applies files of *after*, and where no code runs each class is applied.
pub(super) fn reasons(
    code: Option<&RunningCode>,
    file: &MigrationFile,
    class: Class,
    demands: Demands,
) -> Vec<String> {
    match (code, class, demands) {
        (Some(code), Class::After, Demands::OfClasses(DeployPhase::After)) => code.reasons(file),
        _ => Vec::new(),
    }
}

/// Returns the refusal of a file for one of these reasons.
pub(super) fn refusal(file: &MigrationFile, reason: &str) -> String {
    let (path, version) = (file.path(), file.version());
    format!(
        "{path}: {reason}. To apply it nevertheless, add --override {AFTER_CODE_RUNS}@V{version} \
         --reason TEXT"
    )
}

/// The name by which an override lets a file of *after* pass although code runs that was built without
/// it. It is no rule of statements: the records of deploys decide.
pub const AFTER_CODE_RUNS: &str = "after-code-runs";
