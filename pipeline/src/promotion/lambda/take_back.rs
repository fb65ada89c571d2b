//! Takes back a change on Lambda that does not come to its end: the aliases that it has moved, and the
//! lease.

use crate::aws::Lambda;
use crate::error::Error;
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::lambda::aliases::Aliases;
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lease::Lease;

/// A change that does not come to its end.
pub(super) struct Unfinished<'a> {
    pub(super) lambda: &'a Lambda,
    pub(super) stage: &'a LambdaStage,
    pub(super) lease: Lease,
    pub(super) progress: LambdaProgress,
}

impl Unfinished<'_> {
    /// Moves the aliases back that it has moved, and returns a sentence for each thing that was done or
    /// that stays.
    ///
    /// # Errors
    ///
    /// The error of the call that failed, with what was done. The lease stays with its progress then, so
    /// that the command goes on when it is run again.
    pub(super) async fn take_back(self, outcome: DeployOutcome) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        let acted = self.act(outcome, &mut done).await;
        if let Err(error) = acted {
            let stage = self.stage.stage;
            done.push(format!(
                "not all of it could be taken back ({}): run the same command again, which goes on, or \
                 `stagelink promote --to {stage} --abort`",
                error.report()
            ));
            return Err(Error::new(error.kind(), "it is not taken back").with_details(done));
        }
        let progress = &self.progress;
        if !progress.migrated_names.is_empty() {
            done.push(format!(
                "the migrations {} stay applied: code of before runs with them",
                progress.migrated_names.join(", ")
            ));
        }
        self.lease.release().await?;
        Ok(done)
    }

    async fn act(&self, outcome: DeployOutcome, done: &mut Vec<String>) -> Result<(), Error> {
        let Self {
            lambda,
            stage,
            lease,
            progress,
        } = self;
        if progress.moves {
            let mut aliases = Aliases::read(lambda, stage, progress).await?;
            for (function, before) in &progress.before {
                let new = progress.versions.of(function);
                if new.is_none() || aliases.version(function) != new || before.as_deref() == new {
                    continue;
                }
                lease.fence().await?;
                let alias = stage.alias();
                match before {
                    Some(version) => {
                        aliases.move_to(lambda, function, version).await?;
                        done.push(format!(
                            "the alias {alias} of {function} points to version {version} again"
                        ));
                    }
                    None => {
                        aliases.delete(lambda, function).await?;
                        done.push(format!("the new alias {alias} of {function} was deleted"));
                    }
                }
            }
        }
        lease.fence().await?;
        let versions = progress.versions.to_text();
        deploy_record::finish(
            &stage.database,
            lease.handle(),
            progress.record,
            outcome,
            versions.as_deref(),
            &progress.migrated,
        )
        .await
    }
}
