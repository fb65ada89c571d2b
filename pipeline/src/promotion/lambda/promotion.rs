//! A promotion on Lambda: what the aliases of one stage run, the aliases of another one get.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use stagelink::{Stage, one_line};

use crate::artifact::Manifest;
use crate::aws::{AwsAccess, FunctionConfiguration, Lambda, SettingsChange, UrlAccess};
use crate::error::{Error, ErrorKind};
use crate::migrations::{MigrationFolder, MigrationOptions};
use crate::promotion::deploy_record::{self, DeployOutcome, DeployRecord};
use crate::promotion::event::PromotionListener;
use crate::promotion::lambda::change::{
    Change, FunctionChange, LambdaReport, TEST_LIMIT, VersionSource, not_served,
};
use crate::promotion::lambda::live::{LiveFunction, base64_sha256, look, versions_of};
use crate::promotion::lambda::publish::{Upload, no_function};
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::request::Checkout;
use crate::promotion::schema::{SchemaPlan, SchemaTarget};

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

/// The facts of a plan on Lambda, for a table or JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaPlanSummary {
    /// The account and the region.
    pub account: String,
    /// The stage whose artifact it is; `None` for one that was built on this machine.
    pub from: Option<String>,
    /// The stage that gets it.
    pub to: String,
    /// The digest of the artifact.
    pub artifact: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// True if it was built with changes that are in no commit.
    pub has_uncommitted_changes: bool,
    /// The functions.
    pub functions: Vec<LambdaPlannedFunction>,
    /// True if the stage runs this artifact already.
    pub is_promoted: bool,
    /// The migrations that are applied first, as `V5__add_mail`.
    pub migrations: Vec<String>,
    /// The migrations of *after* that become possible.
    pub possible_after: Vec<String>,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

/// A function of a [`LambdaPlanSummary`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LambdaPlannedFunction {
    /// The name of the project's function.
    pub name: String,
    /// The name on Lambda.
    pub function: String,
    /// The version that the alias gets; `None` for one that is made.
    pub version: Option<String>,
    /// The version that the alias points to now.
    pub current: Option<String>,
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
        let running = running_record(to, &target).await?;
        let commit = manifest.commit.name.as_deref();
        ensure_descends(request, commit, running.as_ref(), &mut notes).await?;
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
            let chosen = choose(&lambda, request, source, &live, &manifest).await?;
            notes.extend(chosen.note);
            changes.push(FunctionChange {
                live,
                source: chosen.source,
            });
        }
        ensure_complete(to, &changes, &manifest)?;
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
            is_promoted: running.is_some_and(|running| running.artifact == manifest.digest()),
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
            schema: Some(&self.schema),
            functions: &self.changes,
            url: request.url,
            test_limit: request.test_limit,
            listener,
        };
        change.run().await
    }
}

/// Returns the names of the migrations that a plan applies.
pub(crate) fn migration_names(schema: &SchemaPlan) -> Vec<String> {
    let applying = schema.applying();
    applying
        .map(|one| format!("V{}__{}", one.version, one.name))
        .collect()
}

/// Returns a function of a summary.
pub(crate) fn planned(change: &FunctionChange) -> LambdaPlannedFunction {
    let live = &change.live;
    LambdaPlannedFunction {
        name: live.name.clone(),
        function: live.lambda.clone(),
        version: match &change.source {
            VersionSource::Published(version) => Some(version.clone()),
            VersionSource::Upload(_) => None,
        },
        current: live.number().map(str::to_owned),
    }
}

/// Returns the record of the command that moved the aliases to where they are.
///
/// # Errors
///
/// The errors of the database.
pub(crate) async fn running_record(
    stage: &LambdaStage,
    functions: &[LiveFunction],
) -> Result<Option<DeployRecord>, Error> {
    let Some(versions) = versions_of(functions).to_text() else {
        return Ok(None);
    };
    let records = deploy_record::deploy_records(&stage.database, MOST_RECORDS).await?;
    let mut succeeded = records
        .into_iter()
        .filter(|record| record.outcome == Some(DeployOutcome::Succeeded));
    Ok(succeeded.find(|record| record.deploy.as_deref() == Some(&*versions)))
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

/// The version that a function gets, and a remark on it.
struct Chosen {
    source: VersionSource,
    note: Option<String>,
}

/// Chooses the version of a function: that of the source, where both stages are aliases of one function,
/// else a new one of the same archive.
async fn choose(
    lambda: &Lambda,
    request: &LambdaPromotionRequest,
    source: &LiveFunction,
    live: &LiveFunction,
    manifest: &Manifest,
) -> Result<Chosen, Error> {
    let (from, to) = (&request.from, &request.to);
    let function = &live.lambda;
    if source.lambda == *function {
        let version = source.version.as_ref();
        let variable = version.and_then(|version| version.stage.as_deref());
        if !to.is_served_with(variable) {
            return Err(not_served(to, function, variable));
        }
        let number = source.number().unwrap_or_default();
        return Ok(Chosen {
            source: VersionSource::Published(number.to_owned()),
            note: version
                .and_then(|version| shared_variables(from.stage, to.stage, function, version)),
        });
    }
    let Some(existing) = lambda.configuration(function, None).await? else {
        return Err(no_function(function));
    };
    if !to.is_served_with(existing.stage.as_deref()) {
        return Err(not_served(to, function, existing.stage.as_deref()));
    }
    let entry = manifest.content.functions.get(&live.name);
    let archive = entry
        .map(|entry| entry.archive.as_str())
        .unwrap_or_default();
    let architectures = source
        .version
        .as_ref()
        .map(|version| &version.architectures[..]);
    let architecture = architectures.and_then(<[String]>::first);
    let architecture = architecture.map_or("x86_64", String::as_str).to_owned();
    let zip = find_archive(&request.project, &architecture, &live.name, archive)?;
    Ok(Chosen {
        source: VersionSource::Upload(Upload {
            zip,
            architecture,
            settings: SettingsChange::default(),
        }),
        note: Some(format!(
            "{function} is stage {}'s own function, with its own variables: it gets the same archive as \
             a new version",
            to.stage
        )),
    })
}

/// Returns a remark on the variables that two aliases of one function share.
fn shared_variables(
    from: Stage,
    to: Stage,
    function: &str,
    version: &FunctionConfiguration,
) -> Option<String> {
    if version.variables.is_empty() {
        return None;
    }
    let names: Vec<_> = version
        .variables
        .iter()
        .map(|name| one_line(name).to_string())
        .collect();
    Some(format!(
        "{from} and {to} are aliases of one function, {function}, so code that runs as {from} can read \
         the same variables: {}",
        names.join(", ")
    ))
}

/// Returns the archive on this machine that the artifact has.
fn find_archive(
    project: &Path,
    architecture: &str,
    name: &str,
    archive: &str,
) -> Result<PathBuf, Error> {
    use sha2::Digest as _;
    let zip = archive_path(project, architecture, name);
    let found = std::fs::read(&zip).map(|bytes| hex::encode(sha2::Sha256::digest(bytes)));
    match found {
        Ok(found) if found == archive => Ok(zip),
        Ok(_) => Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "{} is another archive than the artifact's: check out the commit of the artifact, and \
                 build it again by `stagelink build --arch {}`",
                zip.display(),
                architecture.replace('_', "-")
            ),
        )),
        Err(error) => Err(Error::with_source(
            ErrorKind::Promotion,
            format!(
                "could not read {}, which a function of the stage's own gets: promote from the machine \
                 that built it, or check out the commit of the artifact and build it again",
                zip.display()
            ),
            error,
        )),
    }
}

/// Returns the path of a function's archive for Lambda.
pub(crate) fn archive_path(project: &Path, architecture: &str, name: &str) -> PathBuf {
    let folder = project.join("dist").join("lambda").join(architecture);
    folder.join(format!("{name}.zip"))
}

/// Makes sure that the promotion takes back no commit that the target has and the source has not, as
/// after a correction in production alone.
async fn ensure_descends(
    request: &LambdaPromotionRequest,
    commit: Option<&str>,
    running: Option<&DeployRecord>,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let (from, to) = (request.from.stage, request.to.stage);
    let older = running.and_then(|record| record.commit.as_deref());
    let (Some(newer), Some(older)) = (commit, older) else {
        notes.push(format!(
            "whether {from} has all that {to} has cannot be told: a commit of the two is not known"
        ));
        return Ok(());
    };
    if newer == older {
        return Ok(());
    }
    let message = match request.checkout.descends(newer, older).await {
        Ok(true) => return Ok(()),
        Ok(false) => format!(
            "stage {to} runs the commit {older}, which is not among the ancestors of {newer}, that stage \
             {from} runs: the promotion would take it back; merge it, and deploy to {from} anew"
        ),
        Err(reason) => format!(
            "whether {newer}, that stage {from} runs, has {older}, that {to} runs, among its ancestors \
             cannot be told ({reason}): fetch both commits into this repository"
        ),
    };
    Err(Error::new(ErrorKind::Promotion, message))
}

const COMMAND: &str = "promote";

/// More deploys than the aliases may have been moved by since.
const MOST_RECORDS: u32 = 200;
