//! The plan of a deploy: the artifact, its stage and context, the migrations that come first, and
//! whether the database can run it then.

use stagelink::{DatabaseInfo, StageKind};

use crate::artifact::{SiteArtifact, SourceCommit};
use crate::blocking;
use crate::deploy::leftover::COMMAND;
use crate::deploy::report::DeploySummary;
use crate::deploy::request::DeployRequest;
use crate::deploy::stage_variable::ensure_stage;
use crate::deploy::stale_credentials::ensure_fresh;
use crate::error::{Error, ErrorKind};
use crate::link::ensure_own_stage;
use crate::migrations::class::Class;
use crate::migrations::{MigrationFolder, MigrationPlan};
use crate::needs::{GateVerdict, MigrationList, RecordedMigration, gate_site};
use crate::netlify::{Deploy, DeployContext, Site};
use crate::promotion::ensure_none_is_interrupted;

/// The plan of a deploy. It was made without a change to the site or the database.
#[derive(Debug)]
pub struct DeployPlan {
    pub(super) request: DeployRequest,
    pub(super) artifact: SiteArtifact,
    pub(super) site: Site,
    pub(super) found: DatabaseInfo,
    pub(super) migrations: Option<MigrationPlan>,
    /// Netlify's id of the deploy that serves the stage now.
    pub(super) previous: Option<String>,
    /// The answer of the gate for the artifact and the database with the migrations of the plan.
    verdict: GateVerdict,
}

/// The place of a deploy: its site and its database, as they are now.
#[derive(Debug)]
pub struct DeployTarget {
    request: DeployRequest,
    site: Site,
    found: DatabaseInfo,
    previous: Option<Deploy>,
}

impl DeployTarget {
    /// Looks up the site and the database, which needs nothing that is built. It changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Isolation`] when the context or the database belongs to another stage, and the
    /// errors of the look-ups.
    pub async fn find(request: DeployRequest) -> Result<Self, Error> {
        let stage = request.stage;
        let branch = branch_of(&request)?;
        let mut site = Site::find(&request.access, &request.site, true).await?;
        site.set_ready_limit(request.ready_limit);
        let variables = ensure_stage(&site, &request.context, stage).await?;
        let previous = match branch {
            // It is of interest alone: no failure of this look-up stops a deploy.
            Some(branch) => site.newest_deploy(branch).await.unwrap_or_default(),
            None => site.published_deploy()?,
        };
        let database = &request.database;
        let found = database.inspect().await.map_err(|error| {
            let message = format!("could not connect to the database of stage {stage}");
            Error::with_source(ErrorKind::Database, message, error)
        })?;
        ensure_own_stage(&found)?;
        ensure_none_is_interrupted(database, COMMAND).await?;
        let place = (stage, &request.context);
        ensure_fresh(&site, &variables, place, request.heroku.as_ref()).await?;
        Ok(Self {
            request,
            site,
            found,
            previous,
        })
    }

    /// Makes the plan of what is built. It changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the project cannot be deployed, and the errors of the look-ups.
    /// What only a run refuses is part of the plan.
    pub async fn plan(self) -> Result<DeployPlan, Error> {
        let Self {
            request,
            site,
            found,
            previous,
        } = self;
        let commit = SourceCommit {
            name: request.commit.clone(),
            is_dirty: request.is_dirty != Some(false),
        };
        let project = request.project.clone();
        let artifact = blocking::run(move || SiteArtifact::of_project(&project, commit)).await?;
        let database = &request.database;
        let mut history =
            RecordedMigration::read_all(database, request.migrations.as_ref()).await?;
        let migrations = match &request.migrations {
            Some(folder) => Some(MigrationPlan::make(database, folder, &request.options).await?),
            None => None,
        };
        if let (Some(plan), Some(folder)) = (&migrations, &request.migrations) {
            history.extend(applied_by(plan, folder));
        }
        let lists = artifact.manifest.migration_lists();
        let verdict = gate_site(lists.iter().map(Option::as_ref), &history);
        Ok(DeployPlan {
            request,
            artifact,
            site,
            found,
            migrations,
            previous: previous.map(|deploy| deploy.id),
            verdict,
        })
    }
}

impl DeployPlan {
    /// Returns the facts of the plan.
    pub fn summary(&self) -> DeploySummary {
        let manifest = &self.artifact.manifest;
        let migrations = self.migrations.iter();
        let refusals = self.refusals();
        DeploySummary {
            stage: self.request.stage.to_string(),
            context: self.request.context.to_string(),
            site: self.site.name().to_owned(),
            artifact: manifest.digest(),
            commit: manifest.commit.name.clone(),
            dirty: manifest.commit.is_dirty,
            functions: manifest.content.functions.keys().cloned().collect(),
            files: manifest.content.files.len(),
            previous: self.previous.clone(),
            migrations: migrations
                .clone()
                .flat_map(MigrationPlan::applying)
                .map(|one| format!("V{}__{}", one.version, one.name))
                .collect(),
            waiting: migrations
                .flat_map(MigrationPlan::waiting)
                .map(|one| format!("V{}__{}", one.version, one.name))
                .collect(),
            refusals: refusals.iter().map(Error::report).collect(),
        }
    }

    /// Returns the plan of the migrations that come first; `None` where the project has none.
    pub fn migrations(&self) -> Option<&MigrationPlan> {
        self.migrations.as_ref()
    }

    /// Returns the stage's database, as it was found.
    pub fn database(&self) -> &DatabaseInfo {
        &self.found
    }

    /// Makes sure that a run may begin.
    ///
    /// # Errors
    ///
    /// The first of the plan's refusals.
    pub fn ensure_admitted(&self) -> Result<(), Error> {
        self.refusals().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns the reasons for which a run is refused.
    fn refusals(&self) -> Vec<Error> {
        let mut refusals = Vec::new();
        let request = &self.request;
        let is_production = request.stage.kind() == StageKind::Production;
        if is_production && !request.allows_dirty && request.is_dirty != Some(false) {
            let message = match request.is_dirty {
                Some(_) => {
                    "the project has changes that are in no commit; commit them, or add --dirty to \
                     deploy them to production"
                }
                None => {
                    "git does not say whether the project has changes that are in no commit; add --dirty \
                     to deploy it to production all the same"
                }
            };
            refusals.push(Error::new(ErrorKind::Settings, message));
        }
        if is_production && self.site.refuses_api_deploys() == Some(true) {
            let site = self.site.name();
            let message = format!(
                "the site {site} takes deploys to production from its Git repository alone: push, or \
                 allow others in the site's settings (Build & deploy)"
            );
            refusals.push(Error::new(ErrorKind::Refused, message));
        }
        if let Some(Err(error)) = self.migrations.as_ref().map(MigrationPlan::ensure_admitted) {
            refusals.push(error);
        } else if let Some(error) = self.refusal_of_gate() {
            refusals.push(error);
        }
        refusals
    }

    /// Returns the reason why the database cannot run the artifact after the plan's migrations.
    fn refusal_of_gate(&self) -> Option<Error> {
        let stage = self.request.stage;
        let reasons = self.verdict.reasons();
        let message = match &self.verdict {
            GateVerdict::Runs => return None,
            GateVerdict::NeedsFirst(_) => {
                let held_back = self.migrations.as_ref();
                if let Some(Err(error)) = held_back.map(MigrationPlan::ensure_none_is_held_back) {
                    return Some(error);
                }
                format!(
                    "the functions need migrations that this deploy does not apply to the database of \
                     stage {stage}; build them again with the project's present migrations, or apply \
                     those with `stagelink migrate {stage}`"
                )
            }
            GateVerdict::Unknown(_) => format!(
                "it is not known whether the database of stage {stage} can run the functions; \
                 `stagelink needs --stage {stage}` shows each of them"
            ),
            GateVerdict::CannotRun(_) => format!(
                "the database of stage {stage} cannot run the functions, which were built without a \
                 migration of after that it has; build them from a commit that has it"
            ),
        };
        Some(Error::new(ErrorKind::Migration, message).with_details(reasons))
    }
}

/// Returns the branch of a deploy; `None` for one of production.
pub(super) fn branch_of(request: &DeployRequest) -> Result<Option<&str>, Error> {
    match &request.context {
        DeployContext::Production => Ok(None),
        DeployContext::Branch(branch) => Ok(Some(branch)),
        context => Err(Error::new(
            ErrorKind::Settings,
            format!(
                "stage {} belongs to Netlify's context {context}, which has deploys of pull requests \
                 alone: push to a pull request, or make a draft with `netlify deploy`",
                request.stage
            ),
        )),
    }
}

/// Returns the rows that a run of this plan adds to the history.
fn applied_by(plan: &MigrationPlan, folder: &MigrationFolder) -> Vec<RecordedMigration> {
    let list = MigrationList::of(folder);
    let listed = list.migrations();
    let applying = plan.applying();
    applying
        .filter_map(|one| {
            let listed = listed.iter().find(|listed| listed.version == one.version)?;
            Some(RecordedMigration {
                version: listed.version,
                name: listed.name.clone(),
                checksum: listed.checksums.first().cloned().unwrap_or_default(),
                class: Class::named(one.class),
            })
        })
        .collect()
}
