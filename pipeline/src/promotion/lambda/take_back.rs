//! Takes back a change on Lambda that does not come to its end: the aliases that it has moved, and the
//! lease.

use std::collections::BTreeSet;

use crate::aws::Lambda;
use crate::error::{Error, ErrorKind};
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::lambda::aliases::Aliases;
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lease::Lease;
use crate::promotion::take_back::WhereGone;

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
    /// The error of the call that failed, or of a version of before that is gone, unless `where_gone` frees
    /// the stage all the same; with what was done. The lease stays with its progress then, so that the
    /// command goes on when it is run again.
    pub(super) async fn take_back(
        self,
        outcome: DeployOutcome,
        where_gone: WhereGone,
    ) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        let acted = self.act(outcome, where_gone, &mut done).await;
        if let Err(error) = acted {
            done.push(format!(
                "not all of it could be taken back ({}): run the same command again, which goes on, or \
                 add --abort",
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
        done.extend(settings_stay(&progress.settings));
        done.extend(self.lease.release().await?.warning());
        Ok(done)
    }

    async fn act(
        &self,
        outcome: DeployOutcome,
        where_gone: WhereGone,
        done: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Self {
            lambda,
            stage,
            lease,
            progress,
        } = self;
        let mut gone = Vec::new();
        if progress.moves {
            let mut aliases = Aliases::read(lambda, stage, progress).await?;
            for (function, before) in &progress.before {
                let now = aliases.version(function);
                let is_own = now.is_some_and(|now| progress.has_made(function, now));
                if before.as_deref() == now {
                    continue;
                }
                let alias = stage.alias();
                if !is_own || aliases.is_split(function) {
                    done.push(stays(alias, function, now));
                    continue;
                }
                match before {
                    Some(version) if is_gone(lambda, function, version).await? => {
                        gone.push(untested(stage, function, now.unwrap_or_default(), version));
                    }
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
        let outcome = match (gone.is_empty(), where_gone) {
            (true, _) => outcome,
            (false, WhereGone::Frees) => DeployOutcome::Untested,
            (false, WhereGone::Stops) => {
                return Err(Error::new(ErrorKind::Promotion, gone.join("; ")));
            }
        };
        done.extend(gone);
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

/// Returns the sentence about settings that no version but `$LATEST` has.
fn settings_stay(functions: &BTreeSet<String>) -> Option<String> {
    if functions.is_empty() {
        return None;
    }
    let functions: Vec<_> = functions.iter().map(String::as_str).collect();
    Some(format!(
        "the variables, the role, the memory and the time limit that it set stay in $LATEST of {}, to which no alias \
         points: the next deploy publishes them, unless its options set others (--env-file sets all variables)",
        functions.join(", ")
    ))
}

/// Returns the sentence about an alias that another person or job has changed since, which stays theirs.
fn stays(alias: &str, function: &str, now: Option<&str>) -> String {
    let now = match now {
        Some(version) => format!("points to version {version}"),
        None => "is gone".to_owned(),
    };
    format!(
        "the alias {alias} of {function} stays as another person or job has changed it meanwhile: it {now}"
    )
}

/// Returns whether a version was deleted.
async fn is_gone(lambda: &Lambda, function: &str, version: &str) -> Result<bool, Error> {
    let found = lambda.configuration(function, Some(version)).await?;
    Ok(found.is_none())
}

/// Returns the sentence about a version that stays live without having passed its tests, since the one of
/// before is gone, with the ways on.
fn untested(stage: &LambdaStage, function: &str, now: &str, before: &str) -> String {
    let (alias, stage) = (stage.alias(), stage.stage);
    format!(
        "the alias {alias} of {function} points to version {now}, which has not passed its tests, and \
         version {before} of before was deleted. `stagelink rollback {stage} --to VERSIONS` takes those \
         of another row of `stagelink history {stage}`, and `stagelink deploy {stage}` makes new ones, \
         both once --abort has freed the stage"
    )
}
