//! A rollback on Lambda: the aliases of a stage get the versions of an earlier deploy.

use std::time::Duration;

use serde::Serialize;

use crate::artifact::Manifest;
use crate::aws::{AwsAccess, Lambda};
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationFolder;
use crate::promotion::deploy_record;
use crate::promotion::event::PromotionListener;
use crate::promotion::lambda::change::{
    Change, ChangeSchema, FunctionChange, TEST_LIMIT, VersionSource,
};
use crate::promotion::lambda::live::{LiveFunction, look, versions_of};
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::lambda::records::MOST_RECORDS;
use crate::promotion::lambda::report::LambdaReport;
use crate::promotion::lambda::rollback_target::RollbackTarget;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::summary::{LambdaPlannedFunction, planned};
use crate::promotion::rollback::COMMAND;
use crate::promotion::runnable::ensure_runnable;
use crate::promotion::unfinished_change::ensure_none_of_others;

/// The request of a rollback on Lambda.
#[derive(Debug)]
#[non_exhaustive]
pub struct LambdaRollbackRequest {
    /// The stage.
    pub stage: LambdaStage,
    /// The command `aws`.
    pub access: AwsAccess,
    /// The migrations of the project's folder, for the classes that the database does not know.
    pub migrations: Option<MigrationFolder>,
    /// The versions to go back to, as a deploy record has them; by default those before the current ones.
    pub to: Option<String>,
    /// The time in which each version has to pass its test.
    pub test_limit: Duration,
    /// The person or job, as `user@host`.
    pub by: String,
}

/// The plan of a rollback on Lambda. Making it changes nothing.
#[derive(Debug)]
pub struct LambdaRollbackPlan {
    lambda: Lambda,
    manifest: Manifest,
    changes: Vec<FunctionChange>,
    /// The functions that the deploy to go back to does not have.
    stays: Vec<LiveFunction>,
    summary: LambdaRollbackSummary,
}

/// The facts of the plan of a rollback on Lambda.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaRollbackSummary {
    /// The account and the region.
    pub account: String,
    /// The stage.
    pub stage: String,
    /// The digest of the artifact that the stage gets.
    pub artifact: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// When the stage got it, in the format of RFC 3339.
    pub deployed_at: Option<String>,
    /// The functions.
    pub functions: Vec<LambdaPlannedFunction>,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

impl LambdaRollbackRequest {
    /// Makes a request to go back to the versions before. There are no migrations, and the time limit of
    /// a test is a minute.
    pub fn new(stage: LambdaStage, access: AwsAccess) -> Self {
        Self {
            stage,
            access,
            migrations: None,
            to: None,
            test_limit: TEST_LIMIT,
            by: String::new(),
        }
    }
}

impl LambdaRollbackPlan {
    /// Looks up the versions before, and whether the stage can go back to them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] and [`ErrorKind::Migration`] where it cannot, with what is missing; the
    /// errors of AWS and the database.
    pub async fn make(request: &LambdaRollbackRequest) -> Result<Self, Error> {
        let stage = &request.stage;
        let unfinished = ensure_none_of_others(&stage.database, COMMAND).await?;
        let lambda = Lambda::connect(&request.access).await?;
        let progress = LambdaProgress::look(COMMAND, stage, lambda.caller()).await?;
        let live = look(&lambda, stage).await?;
        let records = deploy_record::deploy_records(&stage.database, MOST_RECORDS).await?;
        let to = request.to.as_deref();
        let goes_on = unfinished.zip(progress);
        let target = match &goes_on {
            Some((unfinished, progress)) => {
                RollbackTarget::of_unfinished(unfinished, progress, records, to)?
            }
            None => RollbackTarget::find(stage.stage, records, &versions_of(&live), to)?,
        };
        let RollbackTarget {
            record,
            versions,
            mut notes,
        } = target;
        let manifest = Manifest::of_json(&record.manifest)?;
        let migrations = request.migrations.as_ref();
        ensure_runnable(&stage.database, migrations, &manifest).await?;
        let (mut changes, mut stays) = (Vec::new(), Vec::new());
        for live in live {
            // An earlier rollback may have left one where it was, of which this artifact tells nothing.
            let is_of_artifact = manifest.content.functions.contains_key(&live.name);
            match versions.of(&live.lambda).filter(|_| is_of_artifact) {
                Some(version) => changes.push(FunctionChange {
                    source: VersionSource::Published(version.to_owned()),
                    live,
                }),
                None => {
                    notes.push(format!(
                        "{} is not of that deploy, and stays as it is",
                        live.lambda
                    ));
                    stays.push(live);
                }
            }
        }
        for (function, _) in versions.iter() {
            let named = changes.iter().map(|change| &change.live).chain(&stays);
            if !named
                .map(|live| &*live.lambda)
                .any(|named| named == function)
            {
                notes.push(format!(
                    "{function} was of that deploy, and is no function of stage {} any more: it stays as \
                     it is",
                    stage.stage
                ));
            }
        }
        let runs =
            |change: &FunctionChange| change.live.number() == versions.of(&change.live.lambda);
        if goes_on.is_none() && changes.iter().all(runs) {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!("stage {} runs {versions} already", stage.stage),
            ));
        }
        let summary = LambdaRollbackSummary {
            account: lambda.caller().to_string(),
            stage: stage.stage.to_string(),
            artifact: record.artifact.clone(),
            commit: record.commit.clone(),
            deployed_at: record.finished_at.clone(),
            functions: changes.iter().map(planned).collect(),
            notes,
        };
        Ok(Self {
            lambda,
            manifest,
            changes,
            stays,
            summary,
        })
    }

    /// Returns the facts of the plan.
    pub fn summary(&self) -> &LambdaRollbackSummary {
        &self.summary
    }

    /// Goes back by this plan, which was shown: tests each version, and moves the aliases. Migrations
    /// stay as they are.
    ///
    /// # Errors
    ///
    /// The error of the step that failed, with what was taken back;
    /// [`ErrorKind::Busy`] where another command changes the stage, or has moved an alias.
    pub async fn run(
        self,
        request: &LambdaRollbackRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<LambdaReport, Error> {
        let change = Change {
            command: COMMAND,
            lambda: &self.lambda,
            stage: &request.stage,
            by: &request.by,
            manifest: &self.manifest,
            schema: ChangeSchema::Runs(request.migrations.as_ref()),
            functions: &self.changes,
            stays: &self.stays,
            url: None,
            test_limit: request.test_limit,
            listener,
        };
        change.run().await
    }
}
