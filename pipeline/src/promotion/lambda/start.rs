//! The start of a change on Lambda: the lease, the record, and the progress of a run that did not come to
//! its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::artifact::Manifest;
use crate::aws::Lambda;
use crate::error::{Error, ErrorKind};
use crate::promotion::deploy_record::{self, NewDeploy};
use crate::promotion::event::PromotionListener;
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::lambda::aliases::Aliases;
use crate::promotion::lambda::live::{LiveFunction, versions_of};
use crate::promotion::lambda::progress::{LambdaProgress, Platform};
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lease::{Lease, Taken};
use crate::promotion::unfinished::rerun;
use crate::promotion::unfinished_change::ROLLBACK;
use crate::promotion::waiting::take_when_free;

/// A change that is about to begin.
pub(super) struct Beginning<'a> {
    pub(super) command: &'static str,
    pub(super) by: &'a str,
    pub(super) lambda: &'a Lambda,
    pub(super) stage: &'a LambdaStage,
    pub(super) manifest: &'a Manifest,
    /// The functions of the stage as the plan has found them.
    pub(super) planned: Vec<LiveFunction>,
    /// The versions that the aliases get or keep, as far as they are published.
    pub(super) versions: FunctionVersions,
    pub(super) listener: &'a PromotionListener<'a>,
}

/// A change that has the lease of its stage.
pub(super) struct Started {
    pub(super) lease: Lease,
    pub(super) progress: LambdaProgress,
    /// True if an earlier run made the progress.
    pub(super) is_resumed: bool,
    /// The aliases as they were read last.
    pub(super) aliases: Option<Aliases>,
}

impl Beginning<'_> {
    /// Takes the lease, and makes sure that the plan still holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where another command has the stage, or what the plan was made from has
    /// changed; [`ErrorKind::Promotion`] where an earlier run of another artifact did not come to its
    /// end; the errors of AWS and the database.
    pub(super) async fn start(self) -> Result<Started, Error> {
        let database = &self.stage.database;
        let taken = take_when_free(database, self.by, self.command, self.listener).await?;
        let (Taken::Fresh(lease) | Taken::Resumed(lease, _)) = &taken;
        self.lambda.set_fence(Arc::new(lease.handle().clone()));
        let (lease, earlier) = match taken {
            Taken::Resumed(lease, earlier) => {
                let caller = self.lambda.caller();
                let earlier =
                    LambdaProgress::read(earlier, self.command, self.stage.stage, caller)?;
                (lease, earlier)
            }
            Taken::Fresh(lease) => (lease, None),
        };
        match earlier {
            Some(progress) => {
                if progress.artifact != self.manifest.digest() {
                    let short = progress.artifact.get(..12).unwrap_or_default();
                    return Err(self.unfinished(&format!("of the artifact {short}")));
                }
                // One artifact may have several versions, with other variables.
                if self.command == ROLLBACK && progress.versions != self.versions {
                    return Err(self.unfinished(&format!("to the versions {}", progress.versions)));
                }
                Ok(Started {
                    lease,
                    progress,
                    is_resumed: true,
                    aliases: None,
                })
            }
            None => match self.begin(&lease).await {
                Ok(progress) => Ok(Started {
                    lease,
                    progress,
                    is_resumed: false,
                    aliases: None,
                }),
                Err(error) => Err(lease.release_after(error).await),
            },
        }
    }

    /// Looks at the aliases again, and begins the record and the progress.
    async fn begin(&self, lease: &Lease) -> Result<LambdaProgress, Error> {
        let artifact = self.manifest.digest();
        let before = self.planned.iter().map(|function| {
            let number = function.number().map(str::to_owned);
            (function.lambda.clone(), number)
        });
        let mut progress = LambdaProgress {
            on: Platform::Lambda,
            account: Some(self.lambda.caller().to_string()),
            artifact: artifact.clone(),
            before: before.collect(),
            versions: FunctionVersions::default(),
            replaced: Vec::new(),
            settings: BTreeSet::new(),
            migrated: Vec::new(),
            migrated_names: Vec::new(),
            moves: false,
            deploy: None,
            is_tested: false,
            record: 0,
            step: None,
        };
        let now = Aliases::read(self.lambda, self.stage, &progress).await?;
        now.ensure_known(&progress)?;
        progress.versions = self.versions.clone();
        let previous = versions_of(&self.planned).to_text();
        let manifest = self.manifest.to_json();
        let new = NewDeploy {
            command: self.command,
            artifact: &artifact,
            previous: previous.as_deref(),
            commit: self.manifest.commit.name.as_deref(),
            by: self.by,
            manifest: &manifest,
            self_check_key: None,
        };
        lease.fence().await?;
        progress.record = deploy_record::begin(&self.stage.database, lease.handle(), &new).await?;
        progress.save(lease).await?;
        Ok(progress)
    }

    fn unfinished(&self, what: &str) -> Error {
        let (stage, command) = (self.stage.stage, self.command);
        Error::new(
            ErrorKind::Promotion,
            format!(
                "an earlier `stagelink {command}` on stage {stage} is not finished, {what}: take back \
                 what it did by `{} --abort`",
                rerun(command, &stage.to_string())
            ),
        )
    }
}
