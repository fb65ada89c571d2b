//! The plan of a deploy to AWS Lambda, and its run.

use std::path::PathBuf;
use std::time::Duration;

use stagelink::{Database, Stage, StageKind};

use crate::artifact::SourceCommit;
use crate::aws::{AwsAccess, Lambda, SettingsChange, UrlAccess};
use crate::blocking;
use crate::deploy::lambda::artifact::LambdaArtifact;
use crate::deploy::lambda::environment_file::LambdaVariables;
use crate::error::{Error, ErrorKind};
use crate::migrations::{MigrationFolder, MigrationOptions};
use crate::promotion::{
    Change, ChangeSchema, Checkout, DeployOutcome, FunctionChange, LambdaPlanSummary, LambdaReport,
    LambdaStage, PromotionListener, SchemaPlan, SchemaTarget, Upload, VersionSource,
    deploy_records, ensure_none_is_interrupted, look, migration_names, no_function, not_served,
    planned, record_of, unpublished_settings,
};

/// The request of a deploy to Lambda.
#[derive(Debug)]
#[non_exhaustive]
pub struct LambdaDeployRequest {
    /// The stage.
    pub stage: LambdaStage,
    /// The command `aws`.
    pub access: AwsAccess,
    /// The folder of the project, whose `dist/lambda` has the archives.
    pub project: PathBuf,
    /// The processor, as Lambda names it: `arm64` or `x86_64`.
    pub architecture: String,
    /// The commit that the archives were built from, where it is known.
    pub commit: Option<String>,
    /// True if the folder had changes that are in no commit.
    pub is_dirty: bool,
    /// The migrations of the project's folder. `None` where there is no folder.
    pub migrations: Option<MigrationFolder>,
    /// The limits of the run of migrations.
    pub migration_options: MigrationOptions,
    /// The project's Git repository.
    pub checkout: Box<dyn Checkout>,
    /// The settings of the functions that change.
    pub settings: LambdaSettings,
    /// The function URLs to give, if any.
    pub url: Option<UrlAccess>,
    /// The other stages that may have tested the artifact, with their databases.
    pub tested_in: Vec<(Stage, Database)>,
    /// True to deploy to production what no other stage has.
    pub despite_untested: bool,
    /// The time in which each version has to pass its test.
    pub test_limit: Duration,
    /// The person or job, as `user@host`.
    pub by: String,
}

/// The settings of functions that a deploy changes. `None` leaves one as it is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LambdaSettings {
    /// The role that a new function runs as.
    pub role: Option<String>,
    /// The memory in MB; 256 for a new function.
    pub memory_mb: Option<u32>,
    /// The time limit of an invocation in seconds; 15 for a new function.
    pub timeout_seconds: Option<u32>,
    /// All variables, in the place of those that the functions have.
    pub variables: Option<LambdaVariables>,
}

/// The plan of a deploy to Lambda. Making it changes nothing.
#[derive(Debug)]
pub struct LambdaDeployPlan {
    lambda: Lambda,
    artifact: LambdaArtifact,
    schema: SchemaPlan,
    changes: Vec<FunctionChange>,
    summary: LambdaPlanSummary,
}

impl LambdaDeployRequest {
    /// Makes a request for arm64. There are no migrations, no commit and no changed settings, and the
    /// time limit of a test is a minute.
    pub fn new(stage: LambdaStage, access: AwsAccess, checkout: Box<dyn Checkout>) -> Self {
        Self {
            stage,
            access,
            project: PathBuf::from("."),
            architecture: "arm64".to_owned(),
            commit: None,
            is_dirty: false,
            migrations: None,
            migration_options: MigrationOptions::default(),
            checkout,
            settings: LambdaSettings::default(),
            url: None,
            tested_in: Vec::new(),
            despite_untested: false,
            test_limit: Duration::from_secs(60),
            by: String::new(),
        }
    }
}

/// Looks at a stage on Lambda before its functions are built, which takes minutes. It changes nothing.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where another command on the stage is not finished; the errors of AWS and the
/// database.
pub async fn look_at_lambda_stage(stage: &LambdaStage, access: &AwsAccess) -> Result<(), Error> {
    ensure_none_is_interrupted(&stage.database, COMMAND).await?;
    let lambda = Lambda::connect(access).await?;
    look(&lambda, stage).await.map(drop)
}

impl LambdaDeployPlan {
    /// Reads the archives, looks up what the stage runs, and makes the plan.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] where the deploy cannot be made, and [`ErrorKind::Migration`] where the
    /// stage's schema does not allow it, each with what would have to happen; the errors of AWS and the
    /// database.
    pub async fn make(request: &LambdaDeployRequest) -> Result<Self, Error> {
        let stage = &request.stage;
        let commit = SourceCommit {
            name: request.commit.clone(),
            is_dirty: request.is_dirty,
        };
        let (project, architecture) = (request.project.clone(), request.architecture.clone());
        let functions: Vec<_> = stage.functions.keys().cloned().collect();
        let artifact = blocking::run(move || {
            LambdaArtifact::of_project(&project, &architecture, functions.iter(), commit)
        });
        let artifact = artifact.await?;
        if let Some(variables) = &request.settings.variables {
            ensure_served(stage, "the functions", variables.stage())?;
        }
        let manifest = &artifact.manifest;
        let mut notes = Vec::new();
        notes.extend(ensure_tested(request, &manifest.digest()).await?);
        let earlier = ensure_none_is_interrupted(&stage.database, COMMAND).await?;
        notes.extend(earlier.map(|earlier| earlier.note(&manifest.digest())));
        let lambda = Lambda::connect(&request.access).await?;
        let live = look(&lambda, stage).await?;
        let records = deploy_records(&stage.database, MOST_RECORDS).await?;
        if request.settings.variables.is_none() {
            notes.extend(unpublished_settings(&records, &live));
        }
        let running = record_of(records, &live);
        let schema = SchemaPlan::make(
            &SchemaTarget {
                from: stage.stage,
                to: stage.stage,
                database: &stage.database,
                migrations: request.migrations.as_ref(),
                options: &request.migration_options,
                checkout: &*request.checkout,
            },
            manifest,
        )
        .await?;
        let settings = request.settings.to_change();
        let mut changes = Vec::new();
        for live in live {
            let existing = lambda.configuration(&live.lambda, None).await?;
            match existing {
                None if settings.role.is_none() => return Err(no_function(&live.lambda)),
                None => notes.push(format!("{} is made on Lambda", live.lambda)),
                Some(existing) if settings.variables.is_none() => {
                    ensure_served(stage, &live.lambda, existing.stage.as_deref())?;
                }
                Some(_) => {}
            }
            let Some(zip) = artifact.archives.get(&live.name) else {
                continue;
            };
            let upload = Upload {
                zip: zip.clone(),
                architecture: request.architecture.clone(),
                settings: settings.clone(),
            };
            changes.push(FunctionChange {
                live,
                source: VersionSource::Upload(upload),
            });
        }
        let summary = LambdaPlanSummary {
            account: lambda.caller().to_string(),
            from: None,
            to: stage.stage.to_string(),
            artifact: manifest.digest(),
            commit: manifest.commit.name.clone(),
            has_uncommitted_changes: manifest.commit.is_dirty,
            functions: changes.iter().map(planned).collect(),
            is_promoted: running.is_some_and(|running| running.artifact == manifest.digest()),
            migrations: migration_names(&schema),
            possible_after: schema.possible_after(),
            notes,
        };
        Ok(Self {
            lambda,
            artifact,
            schema,
            changes,
            summary,
        })
    }

    /// Returns the facts of the plan.
    pub fn summary(&self) -> &LambdaPlanSummary {
        &self.summary
    }

    /// Deploys by this plan, which was shown.
    ///
    /// Killed at any point, it goes on when it is made and run again. A step that fails is taken back
    /// with all before it but the migrations, and versions that no alias points to, which stay.
    ///
    /// # Errors
    ///
    /// The error of the step that failed, with what was taken back and what stays;
    /// [`ErrorKind::Busy`] where another command changes the stage, or has moved an alias.
    pub async fn run(
        self,
        request: &LambdaDeployRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<LambdaReport, Error> {
        let change = Change {
            command: COMMAND,
            lambda: &self.lambda,
            stage: &request.stage,
            by: &request.by,
            manifest: &self.artifact.manifest,
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

impl LambdaSettings {
    fn to_change(&self) -> SettingsChange {
        let variables = self.variables.as_ref();
        SettingsChange {
            role: self.role.clone(),
            memory_mb: self.memory_mb,
            timeout_seconds: self.timeout_seconds,
            variables: variables.map(|variables| variables.pairs().to_vec()),
        }
    }
}

fn ensure_served(stage: &LambdaStage, function: &str, variable: Option<&str>) -> Result<(), Error> {
    match stage.is_served_with(variable) {
        true => Ok(()),
        false => Err(not_served(stage, function, variable)),
    }
}

/// Makes sure that a stage of kind production gets what another stage has. Returns a remark.
async fn ensure_tested(
    request: &LambdaDeployRequest,
    digest: &str,
) -> Result<Option<String>, Error> {
    let stage = request.stage.stage;
    if stage.kind() != StageKind::Production {
        return Ok(None);
    }
    let mut reasons = Vec::new();
    for (other, database) in &request.tested_in {
        match deploy_records(database, MOST_RECORDS).await {
            Ok(records) => {
                let has = records.iter().any(|record| {
                    record.artifact == digest && record.outcome == Some(DeployOutcome::Succeeded)
                });
                if has {
                    return Ok(Some(format!(
                        "{other} has this artifact, by its deploy record"
                    )));
                }
                reasons.push(format!("{other} has no deploy record of it"));
            }
            Err(error) => reasons.push(format!(
                "the deploy records of {other} cannot be read: {}",
                error.report()
            )),
        }
    }
    if request.despite_untested {
        return Ok(Some("no other stage has this artifact".to_owned()));
    }
    Err(Error::new(
        ErrorKind::Promotion,
        format!(
            "stage {stage} gets what another stage has tested, and no other one has this artifact: \
             promote it by `stagelink promote --to {stage}`, or add --despite-untested"
        ),
    )
    .with_details(reasons))
}

const COMMAND: &str = "deploy";

/// More deploys of a stage than an artifact is behind, or than its aliases may have been moved by since.
const MOST_RECORDS: u32 = 200;
