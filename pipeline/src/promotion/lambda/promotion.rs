//! A promotion on Lambda: what the aliases of one stage run, the aliases of another one get.

use std::path::PathBuf;
use std::time::Duration;

use stagelink::one_line;

use crate::artifact::Manifest;
use crate::aws::{AwsAccess, Lambda, UrlAccess};
use crate::error::{Error, ErrorKind};
use crate::migrations::{MigrationFolder, MigrationOptions};
use crate::promotion::ancestry::Commits;
use crate::promotion::deploy_record::deploy_records;
use crate::promotion::event::PromotionListener;
use crate::promotion::lambda::change::{
    Change, ChangeSchema, FunctionChange, TEST_LIMIT, VersionSource,
};
use crate::promotion::lambda::choice::Choice;
use crate::promotion::lambda::live::{LiveFunction, base64_sha256, look, versions_of};
use crate::promotion::lambda::records::{
    MOST_RECORDS, record_of, running_record, unpublished_settings,
};
use crate::promotion::lambda::report::LambdaReport;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::summary::{LambdaPlanSummary, migration_names, planned};
use crate::promotion::request::Checkout;
use crate::promotion::schema::{SchemaPlan, SchemaTarget};
use crate::promotion::unfinished_change::ensure_none_is_interrupted;

/// The request of a promotion on Lambda.
#[derive(Debug)]
#[non_exhaustive]
pub struct LambdaPromotionRequest {
    /// The stage whose artifact is promoted.
    pub from: LambdaStage,
    /// The stage that gets it.
    pub to: LambdaStage,
    /// The command `aws`.
    pub access: AwsAccess,
    /// The migrations of the project's folder. `None` where there is no folder.
    pub migrations: Option<MigrationFolder>,
    /// The limits of the run of migrations.
    pub migration_options: MigrationOptions,
    /// The project's Git repository.
    pub checkout: Box<dyn Checkout>,
    /// The folder of the project, whose `dist/lambda` may hold the archives.
    pub project: PathBuf,
    /// The function URLs to give, if any.
    pub url: Option<UrlAccess>,
    /// The time in which each version has to pass its test.
    pub test_limit: Duration,
    /// The person or job, as `user@host`.
    pub by: String,
}

/// The plan of a promotion on Lambda. Making it changes nothing.
#[derive(Debug)]
pub struct LambdaPromotionPlan {
    lambda: Lambda,
    manifest: Manifest,
    schema: SchemaPlan,
    changes: Vec<FunctionChange>,
    summary: LambdaPlanSummary,
}

impl LambdaPromotionRequest {
    /// Makes a request. There are no migrations, and the time limit of a test is a minute.
    pub fn new(
        from: LambdaStage,
        to: LambdaStage,
        access: AwsAccess,
        checkout: Box<dyn Checkout>,
    ) -> Self {
        Self {
            from,
            to,
            access,
            migrations: None,
            migration_options: MigrationOptions::default(),
            checkout,
            project: PathBuf::from("."),
            url: None,
            test_limit: TEST_LIMIT,
            by: String::new(),
        }
    }
}

impl LambdaPromotionPlan {
    /// Looks up what the source runs and what the target has, and makes the plan.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] where the promotion cannot be done, and [`ErrorKind::Migration`] where
    /// the target's schema does not allow it, each with what would have to happen; the errors of AWS and
    /// of the two databases.
    pub async fn make(request: &LambdaPromotionRequest) -> Result<Self, Error> {
        let (from, to) = (&request.from, &request.to);
        let unfinished = ensure_none_is_interrupted(&to.database, COMMAND).await?;
        let lambda = Lambda::connect(&request.access).await?;
        let source = look(&lambda, from).await?;
        let target = look(&lambda, to).await?;
        let record = running_record(from, &source).await?;
        let Some(record) = record else {
            return Err(nothing_known(from, &source));
        };
        let manifest = Manifest::of_json(&record.manifest)?;
        ensure_same_archives(from, &source, &manifest)?;
        let mut notes = Vec::new();
        notes.extend(
            unfinished
                .iter()
                .map(|earlier| earlier.note(&manifest.digest())),
        );
        let goes_on =
            unfinished.is_some_and(|earlier| earlier.is_gone_on_with_by(&manifest.digest()));
        let records = deploy_records(&to.database, MOST_RECORDS).await?;
        let unpublished = unpublished_settings(&records, &target);
        let running = record_of(records, &target);
        let commit = manifest.commit.name.as_deref();
        let older = running.as_ref().and_then(|record| record.commit.as_deref());
        let commits = Commits {
            from: (from.stage, commit),
            to: (to.stage, older),
        };
        let checkout = &*request.checkout;
        commits
            .ensure_none_is_taken_back(checkout, &mut notes)
            .await?;
        let schema = SchemaPlan::make(
            &SchemaTarget {
                from: from.stage,
                to: to.stage,
                database: &to.database,
                migrations: request.migrations.as_ref(),
                options: &request.migration_options,
                checkout: &*request.checkout,
            },
            &manifest,
        )
        .await?;
        let choice = Choice {
            from,
            to,
            project: &request.project,
            manifest: &manifest,
        };
        let mut changes = Vec::new();
        for live in target {
            let Some(source) = source.iter().find(|source| source.name == live.name) else {
                return Err(Error::new(
                    ErrorKind::Promotion,
                    format!(
                        "stage {} has no function {} on Lambda: name it in [lambda] of stagelink.toml, \
                         and deploy to {}",
                        from.stage, live.name, from.stage
                    ),
                ));
            };
            let chosen = choice.choose(&lambda, source, &live).await?;
            notes.extend(chosen.note);
            changes.push(FunctionChange {
                live,
                source: chosen.source,
            });
        }
        ensure_complete(to, &changes, &manifest)?;
        let is_new = |change: &FunctionChange| matches!(change.source, VersionSource::Upload(_));
        notes.extend(unpublished.filter(|_| changes.iter().any(is_new)));
        if manifest.commit.is_dirty {
            notes.push(format!(
                "{} was deployed with changes that are in no commit, so its functions cannot be built \
                 anew",
                from.stage
            ));
        }
        let summary = LambdaPlanSummary {
            account: lambda.caller().to_string(),
            from: Some(from.stage.to_string()),
            to: to.stage.to_string(),
            artifact: manifest.digest(),
            commit: manifest.commit.name.clone(),
            has_uncommitted_changes: manifest.commit.is_dirty,
            functions: changes.iter().map(planned).collect(),
            is_promoted: !goes_on
                && running.is_some_and(|running| running.artifact == manifest.digest()),
            migrations: migration_names(&schema),
            possible_after: schema.possible_after(),
            notes,
        };
        Ok(Self {
            lambda,
            manifest,
            schema,
            changes,
            summary,
        })
    }

    /// Returns the facts of the plan.
    pub fn summary(&self) -> &LambdaPlanSummary {
        &self.summary
    }

    /// Promotes by this plan, which was shown.
    ///
    /// Killed at any point, it goes on when it is made and run again. A step that fails is taken back
    /// with all before it but the migrations, which stay.
    ///
    /// # Errors
    ///
    /// The error of the step that failed, with what was taken back and what stays;
    /// [`ErrorKind::Busy`] where another command changes the stage, or has moved an alias.
    pub async fn run(
        self,
        request: &LambdaPromotionRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<LambdaReport, Error> {
        let change = Change {
            command: COMMAND,
            lambda: &self.lambda,
            stage: &request.to,
            by: &request.by,
            manifest: &self.manifest,
            schema: ChangeSchema::Migrates(&self.schema),
            functions: &self.changes,
            stays: &[],
            url: request.url,
            test_limit: request.test_limit,
            listener,
        };
        change.run().await
    }
}

fn nothing_known(from: &LambdaStage, functions: &[LiveFunction]) -> Error {
    let stage = from.stage;
    let message = match versions_of(functions).to_text() {
        None => format!(
            "stage {stage} has no deploy on Lambda: no function has an alias {}; deploy to it first, by \
             `stagelink deploy {stage}`",
            from.alias()
        ),
        Some(versions) => format!(
            "nothing tells what stage {stage} runs: its aliases point to {versions}, and its database has \
             no record of a deploy that moved them there; deploy to it by `stagelink deploy {stage}`"
        ),
    };
    Error::new(ErrorKind::Promotion, message)
}

/// Makes sure that the versions of the source have the archives of its record.
fn ensure_same_archives(
    from: &LambdaStage,
    functions: &[LiveFunction],
    manifest: &Manifest,
) -> Result<(), Error> {
    for live in functions {
        let entry = manifest.content.functions.get(&live.name);
        let wanted = entry.map(|entry| base64_sha256(&entry.archive));
        let found = live.version.as_ref().map(|found| &*found.sha256);
        if found.is_none() || found != wanted.as_deref() {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "the alias {} of {} runs another archive (SHA-256 {}) than the record of the deploy \
                     says ({}): deploy to {} anew",
                    from.alias(),
                    live.lambda,
                    one_line(found.unwrap_or("none")),
                    wanted.as_deref().unwrap_or("none"),
                    from.stage
                ),
            ));
        }
    }
    Ok(())
}

/// Makes sure that each function of the artifact has one on Lambda.
fn ensure_complete(
    to: &LambdaStage,
    changes: &[FunctionChange],
    manifest: &Manifest,
) -> Result<(), Error> {
    let functions = manifest.content.functions.keys();
    let has = |name: &&String| changes.iter().any(|change| change.live.name == **name);
    let missing: Vec<_> = functions.filter(|name| !has(name)).cloned().collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "the artifact has functions that stage {} does not have on Lambda: {}; name them in \
                 [lambda] of stagelink.toml",
                to.stage,
                missing.join(", ")
            ),
        )),
    }
}

const COMMAND: &str = "promote";
