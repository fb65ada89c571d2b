//! The board: all stages with what was looked up, and their differences.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stagelink::{Database, Settings, Stage};

use crate::migrations::MigrationFolder;
use crate::needs::RecordedMigration;
use crate::netlify::DeployContext;
use crate::promotion::{CodeWindows, DeployRecord, PublishedCode, UnfinishedChange};
use crate::status::credentials;
use crate::status::database::{self, DatabaseStatus, LoginStatus};
use crate::status::deploy::DeployStatus;
use crate::status::difference::{Difference, differences};
use crate::status::lambda;
use crate::status::lookup::{Lookup, within};
use crate::status::migrations::{self, MigrationStatus};
use crate::status::pending_after;
use crate::status::plan::{self, PlanSource, ProviderStatus};
use crate::status::request::{StageSource, StatusRequest};
use crate::status::running::{RunningDeploy, RunningQuestion};
use crate::status::site;
use crate::status::stage::StageStatus;

/// The status of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatusBoard {
    /// The version of this form; a new one changes or removes a member.
    pub version: u32,
    /// When it was made, in the format of RFC 3339.
    pub made_at: String,
    /// The name of the Netlify site.
    pub site: Lookup<String>,
    /// The stages, in the order of the request.
    pub stages: Vec<StageStatus>,
    /// The differences between the stages.
    pub differences: Vec<Difference>,
}

impl StatusBoard {
    /// Looks up all parts of all stages side by side, and changes nothing. `tell` gets a line for
    /// each part that is done, from any thread.
    pub async fn look_up(request: StatusRequest, tell: impl Fn(&str) + Send + Sync) -> Self {
        let StatusRequest {
            stages,
            site,
            aws,
            migrations,
            windows,
            limit,
        } = request;
        let branches: BTreeSet<_> = stages
            .iter()
            .filter_map(|stage| match &stage.context {
                Ok(DeployContext::Branch(branch)) => Some(branch.clone()),
                _ => None,
            })
            .collect();
        let providers: Vec<_> = stages.iter().map(provider_of).collect();
        let plans: Vec<_> = stages.iter().map(plan_source).collect();
        let local_urls: Vec<_> = stages
            .iter()
            .map(|source| source.local_url.clone())
            .collect();
        let on_lambda: Vec<_> = stages
            .iter()
            .map(|source| (source.stage, source.lambda.clone()))
            .collect();
        let (contexts, settings): (Vec<_>, Vec<_>) = stages
            .into_iter()
            .map(|source| {
                (
                    (source.stage, source.context),
                    (source.stage, source.settings),
                )
            })
            .unzip();
        let plans = async {
            let found = plan::look_up(&plans, limit).await;
            tell("the plans are done");
            found
        };
        // The way to a plan leads by the app, which the database is looked up at.
        let plans = plans.shared();
        let site = async {
            let found = site::look_up(&site, &branches, limit).await;
            tell("the site is done");
            Arc::new(found)
        };
        let site = site.shared();
        let on_lambda = on_lambda.iter().map(|(stage, functions)| {
            lambda::look_up(&aws, stage.name(), functions, limit).shared()
        });
        let on_lambda: Vec<_> = on_lambda.collect();
        let settings = settings.into_iter().enumerate();
        let databases = settings.map(async |(index, (stage, settings))| {
            let settings = match settings {
                Ok(settings) if plan::leads_by_a_pipeline(&settings) => {
                    plans.clone().await[index].app.name_in(settings)
                }
                settings => settings,
            };
            let project = (&migrations, windows, local_urls[index].is_some());
            let published = async {
                let code = of_context(&contexts[index].1, &*site.clone().await, |site, context| {
                    site.deploy_of(context)
                });
                let aliases = on_lambda[index].clone().await;
                let found = [PublishedCode::of_status(&code), lambda::published(&aliases)];
                found.into_iter().flatten().collect()
            };
            let found = DatabaseParts::look_up(settings, project, published, limit).await;
            tell(&format!("the database of {stage} is done"));
            found
        });
        let (site, plans, databases, lambdas) = tokio::join!(
            site.clone(),
            plans.clone(),
            join_all(databases),
            join_all(on_lambda.iter().cloned()),
        );
        let codes: Vec<_> = contexts
            .iter()
            .zip(&databases)
            .map(|((_, context), database)| {
                match of_context(context, &site, site::SiteFacts::deploy_of) {
                    Lookup::Known { value } => Lookup::known(
                        value.with_records(&database.records, database.unfinished.value()),
                    ),
                    other => other,
                }
            })
            .collect();
        let running = contexts.iter().zip(&codes).zip(&databases);
        let running = running.map(async |(((stage, _), code), database)| {
            let found = database.ask_functions(*stage, code, limit).await;
            tell(&format!("the functions of {stage} are done"));
            found
        });
        let running = join_all(running).await;
        let parts = plans.into_iter().zip(databases);
        let parts = parts.zip(providers).zip(lambdas);
        let codes = codes.into_iter().zip(running);
        let stages: Vec<_> = contexts
            .into_iter()
            .zip(codes)
            .zip(parts)
            .zip(local_urls)
            .map(
                |(
                    (((stage, context), (code, running)), (((plan, database), provider), lambda)),
                    local_url,
                )| {
                    let function_credentials = of_context(&context, &site, |site, context| {
                        credentials::of_functions(site, stage, context, code.value())
                    });
                    let function_credentials = match (&local_url, function_credentials) {
                        (Some(_), Lookup::Absent { .. }) => Lookup::absent(
                            "`stagelink dev` gives them to its own build; `stagelink link --local` sets those of \
                             deploys on the local Netlify",
                        ),
                        (_, found) => found,
                    };
                    StageStatus {
                        stage: stage.name().to_owned(),
                        kind: stage.kind().to_string(),
                        code,
                        running,
                        unfinished: database.unfinished,
                        local_url,
                        lambda: lambda::status(lambda, database.records),
                        provider,
                        plan: plan.plan,
                        database: database.database,
                        login: database.login,
                        function_credentials,
                        migrations: database.migrations,
                    }
                },
            )
            .collect();
        Self {
            version: VERSION,
            made_at: Timestamp::now().to_string(),
            site: site.without_value(|site| Lookup::known(site.name.clone())),
            differences: differences(&stages),
            stages,
        }
    }

    /// Returns whether all could be looked up: each part is known, or known to be absent.
    pub fn is_complete(&self) -> bool {
        !self.site.is_not_known() && self.stages.iter().all(StageStatus::is_complete)
    }
}

/// The parts of a stage that a connection to its database gives.
struct DatabaseParts {
    database: Lookup<DatabaseStatus>,
    login: Lookup<LoginStatus>,
    migrations: Lookup<MigrationStatus>,
    unfinished: Lookup<UnfinishedChange>,
    /// The records of deploys.
    records: Result<Vec<DeployRecord>, String>,
    /// The history of migrations, for the functions that run.
    history: Result<Vec<RecordedMigration>, String>,
}

impl DatabaseParts {
    async fn look_up(
        settings: Result<Settings, String>,
        (folder, windows, is_local): (&Result<Option<MigrationFolder>, String>, CodeWindows, bool),
        published: impl Future<Output = Vec<PublishedCode>>,
        limit: Duration,
    ) -> Self {
        let settings = match settings {
            Ok(settings) => settings,
            Err(reason) => return Self::not_known(&reason),
        };
        let handle = Database::new(Ok(settings.with_app_names()));
        let (database, login) = match within(limit, database::connect(&handle)).await {
            Ok(found) => found,
            Err(error) => return Self::not_known(&error.report()),
        };
        let mut migrations = match &database {
            Lookup::Known { .. } => {
                let read = migrations::read(&handle, folder, is_local);
                Lookup::of(within(limit, read).await)
            }
            other => other.without_value(|_| Lookup::absent("")),
        };
        let records = match &database {
            Lookup::Known { .. } => lambda::read_records(&handle, limit).await,
            Lookup::NotKnown { reason } => Err(reason.clone()),
            Lookup::Absent { .. } => Ok(Vec::new()),
        };
        let history = match &records {
            Ok(records) if !records.is_empty() => {
                let folder = folder.as_ref().ok().and_then(Option::as_ref);
                let read = RecordedMigration::read_all(&handle, folder);
                within(limit, read).await.map_err(|error| error.report())
            }
            _ => Ok(Vec::new()),
        };
        let unfinished = match &database {
            Lookup::Known { .. } => database::unfinished(&handle, &records, limit).await,
            other => other.without_value(|_| Lookup::absent("")),
        };
        if let (Lookup::Known { value: found }, Ok(Some(folder))) = (&mut migrations, folder) {
            let pending = found.pending.value().map_or(&[][..], Vec::as_slice);
            found.after =
                pending_after::look_up(&handle, folder, pending, windows, published, limit).await;
        }
        handle.close().await;
        Self {
            unfinished,
            database,
            login,
            migrations,
            records,
            history,
        }
    }

    fn not_known(reason: &str) -> Self {
        Self {
            database: Lookup::not_known(reason),
            login: Lookup::not_known(reason),
            migrations: Lookup::not_known(reason),
            unfinished: Lookup::not_known(reason),
            records: Err(reason.to_owned()),
            history: Err(reason.to_owned()),
        }
    }

    /// Asks the functions of the stage's deploy what they run.
    async fn ask_functions(
        &self,
        stage: Stage,
        code: &Lookup<DeployStatus>,
        limit: Duration,
    ) -> Lookup<RunningDeploy> {
        let deploy = match code {
            Lookup::Known { value } => value,
            other => return other.without_value(|_| Lookup::absent("")),
        };
        let records = match &self.records {
            Ok(records) => records,
            Err(reason) => return Lookup::not_known(reason),
        };
        let question = RunningQuestion {
            stage,
            deploy: &deploy.id,
            url: deploy.url.as_deref(),
            records,
            history: &self.history,
        };
        question.ask(limit).await
    }
}

/// Looks up a part of a stage's context at the site.
fn of_context<T>(
    context: &Result<DeployContext, String>,
    site: &Lookup<site::SiteFacts>,
    look_up: impl FnOnce(&site::SiteFacts, &DeployContext) -> Lookup<T>,
) -> Lookup<T> {
    match context {
        Ok(context) => site.without_value(|site| look_up(site, context)),
        Err(reason) => Lookup::absent(reason),
    }
}

fn provider_of(source: &StageSource) -> Option<ProviderStatus> {
    ProviderStatus::of(source.settings.as_ref().ok()?)
}

fn plan_source(source: &StageSource) -> Result<PlanSource, String> {
    match &source.settings {
        Ok(settings) => PlanSource::of(settings, source.stage.kind().as_str()),
        Err(_) => Err("the stage's settings cannot be used".to_owned()),
    }
}

const VERSION: u32 = 1;
