//! The status of one stage: its parts, each looked up by itself.

use serde::{Deserialize, Serialize};
use stagelink::StageKind;

use crate::promotion::UnfinishedChange;
use crate::status::credentials::FunctionCredentials;
use crate::status::database::{self, DatabaseStatus, LoginStatus};
use crate::status::deploy::DeployStatus;
use crate::status::lambda::{self, LambdaStatus};
use crate::status::lookup::Lookup;
use crate::status::migrations::MigrationStatus;
use crate::status::plan::ProviderStatus;
use crate::status::running::{self, RunningDeploy};

/// The status of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageStatus {
    /// The stage's name.
    pub stage: String,
    /// The stage's kind: `review`, `development`, `staging` or `production`.
    pub kind: String,
    /// The code on Netlify.
    pub code: Lookup<DeployStatus>,
    /// The URL at which a `stagelink dev` serves the project's own build, where the stage is local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_url: Option<String>,
    /// The code on AWS Lambda.
    #[serde(default = "lambda::not_looked_up")]
    pub lambda: Lookup<LambdaStatus>,
    /// The program that each function of the deploy says it runs, where the deploy has a record.
    #[serde(default = "running::not_looked_up")]
    pub running: Lookup<RunningDeploy>,
    /// The change of the stage that did not come to its end, or still runs.
    #[serde(default = "database::not_looked_up")]
    pub unfinished: Lookup<UnfinishedChange>,
    /// The provider of the database. `None` where the stage's settings cannot be used.
    pub provider: Option<ProviderStatus>,
    /// The plan of the database, as the provider names it.
    pub plan: Lookup<String>,
    /// The database.
    pub database: Lookup<DatabaseStatus>,
    /// A login with the credentials that the provider gives.
    pub login: Lookup<LoginStatus>,
    /// The way in which the stage's functions get their credentials.
    pub function_credentials: Lookup<FunctionCredentials>,
    /// The migrations.
    pub migrations: Lookup<MigrationStatus>,
}

impl StageStatus {
    /// Returns whether the rules of production apply to the stage.
    pub(super) fn is_production(&self) -> bool {
        self.kind == StageKind::Production.as_str()
    }

    /// Returns whether all of its parts could be looked up.
    pub(super) fn is_complete(&self) -> bool {
        let migrations = self.migrations.value();
        let pending = migrations.map(|found| &found.pending);
        let credentials = self.function_credentials.value();
        let artifact = self.lambda.value().map(|found| &found.artifact);
        let running = self.running.value();
        !(self.code.is_not_known()
            || self.running.is_not_known()
            || running.is_some_and(|found| !found.is_complete())
            || self.lambda.is_not_known()
            || artifact.is_some_and(Lookup::is_not_known)
            || self.unfinished.is_not_known()
            || self.plan.is_not_known()
            || self.database.is_not_known()
            || self.login.is_not_known()
            || self.function_credentials.is_not_known()
            || credentials.is_some_and(|found| found.renewed_by_not_known.is_some())
            || self.migrations.is_not_known()
            || pending.is_some_and(Lookup::is_not_known)
            || migrations.is_some_and(|found| found.after.is_not_known()))
    }
}
