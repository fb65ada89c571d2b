//! A rollback on Lambda: the aliases of a stage get the versions of an earlier deploy.

use std::time::Duration;

use serde::Serialize;

use crate::artifact::Manifest;
use crate::aws::{AwsAccess, Lambda};
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationFolder;
use crate::promotion::deploy_record::{self, DeployOutcome, DeployRecord};
use crate::promotion::event::PromotionListener;
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::lambda::change::{
    Change, ChangeSchema, FunctionChange, TEST_LIMIT, VersionSource,
};
use crate::promotion::lambda::live::{LiveFunction, look, versions_of};
use crate::promotion::lambda::records::MOST_RECORDS;
use crate::promotion::lambda::report::LambdaReport;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::summary::{LambdaPlannedFunction, planned};
use crate::promotion::rollback::twice;
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
        ensure_none_of_others(&stage.database, COMMAND).await?;
        let lambda = Lambda::connect(&request.access).await?;
        let live = look(&lambda, stage).await?;
        let (record, taken_back) = earlier_record(request, &live).await?;
        let versions = record.deploy.as_deref().and_then(FunctionVersions::parse);
        let versions = versions.unwrap_or_default();
        let manifest = Manifest::of_json(&record.manifest)?;
        let migrations = request.migrations.as_ref();
        ensure_runnable(&stage.database, migrations, &manifest).await?;
        let (mut changes, mut stays, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        notes.extend(taken_back.map(|begun| twice(stage.stage, &begun)));
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

/// Returns the record of the deploy to go back to; and where that takes a rollback back, when that began.
async fn earlier_record(
    request: &LambdaRollbackRequest,
    live: &[LiveFunction],
) -> Result<(DeployRecord, Option<String>), Error> {
    let stage = request.stage.stage;
    let refused = |message: String| Err(Error::new(ErrorKind::Promotion, message));
    let records = deploy_record::deploy_records(&request.stage.database, MOST_RECORDS).await?;
    let records = records.into_iter();
    let mut succeeded: Vec<_> = records
        .filter(|record| record.outcome == Some(DeployOutcome::Succeeded))
        .collect();
    let Some(current) = versions_of(live).to_text() else {
        return refused(format!("stage {stage} has no deploy on Lambda"));
    };
    let mut taken_back = None;
    let wanted = match &request.to {
        Some(versions) => versions.trim().to_owned(),
        None => {
            let running = succeeded.iter().find(|record| record.is_of(&current));
            let of_rollback = running.filter(|record| record.command == COMMAND);
            taken_back = of_rollback.map(|record| record.started_at.clone());
            let Some(previous) = running.and_then(|record| record.previous.clone()) else {
                return refused(format!(
                    "the database of stage {stage} has no record of what was there before {current}. \
                     `stagelink history {stage}` lists the versions, and `stagelink rollback {stage} --to \
                     VERSIONS` takes those of one of its rows"
                ));
            };
            previous
        }
    };
    if wanted == current {
        return refused(format!("stage {stage} runs {wanted} already"));
    }
    let found = succeeded.iter().position(|record| record.is_of(&wanted));
    match found {
        Some(found) => Ok((succeeded.swap_remove(found), taken_back)),
        None => refused(format!(
            "{} has no record in the database of stage {stage}, so nothing tells the schema that it \
             needs: it was made by other means than stagelink; move the aliases by hand, or go forward",
            stagelink::one_line(&wanted)
        )),
    }
}

const COMMAND: &str = "rollback";
