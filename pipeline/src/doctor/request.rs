//! The request to examine stages.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use stagelink::{Database, HerokuApp, ProviderSettings, Settings, Stage};

use crate::api::ApiAccess;
use crate::doctor::artifact_checks::FunctionNeeds;
use crate::doctor::reach::Way;
use crate::needs::MigrationList;
use crate::netlify::DeployContext;
use crate::settings_file::StageProvider;
use crate::status::SiteSource;

/// A request to examine stages.
#[derive(Debug)]
pub struct DoctorRequest {
    pub(super) stages: Vec<StageRequest>,
    /// The project's other stages, which are not examined.
    pub(super) other_stages: Vec<Stage>,
    /// The folder of the project's migrations, where it has one.
    pub(super) migrations: Option<PathBuf>,
    /// The functions that were built, with the migrations that each lists.
    pub(super) artifacts: Vec<FunctionNeeds>,
    /// The reasons why other artifacts could not be read.
    pub(super) unread_artifacts: Vec<String>,
    pub(super) site: SiteSource,
    /// The site whose functions are asked what they run, where it is another one.
    pub(super) running_site: Option<SiteSource>,
    /// The deploy contexts of the site, each with its stage.
    pub(super) contexts: Vec<(DeployContext, Stage)>,
    /// The access to Heroku with the operator's token, and the pipeline.
    pub(super) heroku: Option<(ApiAccess, String)>,
    /// The tokens of functions, which the operator named.
    pub(super) tokens: Vec<(Stage, ApiAccess)>,
    /// The number of instances, where the operator names one.
    pub(super) concurrency: Option<u32>,
    pub(super) long_transaction: Duration,
    /// The options by which other commands find the same databases, with a space before them.
    pub(super) options: String,
}

/// A stage, and how its database is found.
#[derive(Debug)]
pub(super) struct StageRequest {
    pub(super) stage: Stage,
    /// The database; or the reason why the settings cannot be used.
    pub(super) database: Result<Database, String>,
    pub(super) way: Way,
    pub(super) is_at_heroku: bool,
    /// True if the project's owner writes the URL.
    pub(super) owns_url: bool,
    pub(super) uses_direct_tls: bool,
}

impl DoctorRequest {
    /// Makes a request without stages.
    pub fn new() -> Self {
        Self {
            stages: Vec::new(),
            other_stages: Vec::new(),
            migrations: None,
            artifacts: Vec::new(),
            unread_artifacts: Vec::new(),
            site: SiteSource::None("the project has no site".to_owned()),
            running_site: None,
            contexts: Vec::new(),
            heroku: None,
            tokens: Vec::new(),
            concurrency: None,
            long_transaction: Duration::from_secs(300),
            options: String::new(),
        }
    }

    /// Adds a stage with the settings by which its functions find the database, or the reason why
    /// there are none. `named` is the provider that the settings file names for the stage.
    #[must_use]
    pub fn with_stage(
        mut self,
        stage: Stage,
        settings: Result<Settings, String>,
        named: Option<&StageProvider>,
    ) -> Self {
        let settings = settings.map(Settings::with_app_names);
        let known = settings.as_ref().ok();
        let provider = known.and_then(|settings| settings.provider.as_ref());
        if let Some(ProviderSettings::Heroku(heroku)) = provider
            && let HerokuApp::InPipeline { pipeline, .. } = &heroku.app
        {
            let access = ApiAccess::new(&heroku.api_url, heroku.token.clone(), "HEROKU_API_KEY");
            self.heroku = Some((access, pipeline.clone()));
        }
        self.stages.push(StageRequest {
            stage,
            way: known.map_or_else(|| Way::of_file(named), Way::of),
            is_at_heroku: matches!(provider, Some(ProviderSettings::Heroku(_))),
            owns_url: matches!(provider, Some(ProviderSettings::Url(_))),
            uses_direct_tls: known.is_some_and(|settings| settings.server.direct_tls),
            database: settings.map(|settings| Database::new(Ok(settings))),
        });
        self
    }

    /// Adds a stage of the project that is not examined: its database is not known, so that a URL of
    /// the site may lead to it. Production is always among these if it is not examined.
    #[must_use]
    pub fn with_other_stage(mut self, stage: Stage) -> Self {
        self.other_stages.push(stage);
        self
    }

    /// Sets the Netlify site.
    #[must_use]
    pub fn with_site(mut self, site: SiteSource) -> Self {
        self.site = site;
        self
    }

    /// Sets the site whose functions are asked what they run, in place of the Netlify site: that of the local
    /// clouds, whose settings are not examined.
    #[must_use]
    pub fn with_running_site(mut self, site: SiteSource) -> Self {
        self.running_site = Some(site);
        self
    }

    /// Adds a deploy context of the site, and the stage that its functions serve.
    #[must_use]
    pub fn with_context(mut self, context: DeployContext, stage: Stage) -> Self {
        self.contexts.push((context, stage));
        self
    }

    /// Adds the Heroku token that functions of a stage have. `variable` names the variable of the
    /// operator's that holds it.
    #[must_use]
    pub fn with_token(mut self, stage: Stage, variable: &str, token: SecretString) -> Self {
        // The address is that of the operator's own access.
        let access = ApiAccess::new(String::new(), token, variable);
        self.tokens.push((stage, access));
        self
    }

    /// Sets the folder of the project's migrations.
    #[must_use]
    pub fn with_migrations(mut self, folder: impl Into<PathBuf>) -> Self {
        self.migrations = Some(folder.into());
        self
    }

    /// Adds artifacts of a function that have one list of migrations; `None` where they have none.
    /// `files` names them.
    #[must_use]
    pub fn with_artifacts(
        mut self,
        function: &str,
        files: Vec<String>,
        list: Option<MigrationList>,
    ) -> Self {
        self.artifacts.push(FunctionNeeds {
            function: function.to_owned(),
            files,
            list,
        });
        self
    }

    /// Adds an artifact that could not be read, for this reason.
    #[must_use]
    pub fn with_unread_artifact(mut self, reason: &str) -> Self {
        self.unread_artifacts.push(reason.to_owned());
        self
    }

    /// Sets the number of instances that the functions of a stage may have at once. The default is
    /// 1,000, what AWS Lambda allows an account in a region by default; on the local clouds the
    /// connections are not held against a default.
    #[must_use]
    pub fn with_concurrency(mut self, instances: u32) -> Self {
        self.concurrency = Some(instances);
        self
    }

    /// Sets the age from which on a transaction is a finding. The default is five minutes.
    #[must_use]
    pub fn with_long_transaction(mut self, age: Duration) -> Self {
        self.long_transaction = age;
        self
    }

    /// Sets the options that advice adds to other commands, such as `--local`.
    #[must_use]
    pub fn with_advised_options(mut self, options: &str) -> Self {
        self.options = match options {
            "" => String::new(),
            options => format!(" {options}"),
        };
        self
    }
}

impl Default for DoctorRequest {
    fn default() -> Self {
        Self::new()
    }
}

/// AWS Lambda's default limit of concurrent executions for an account in a region
/// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, 2026-02).
pub(super) const DEFAULT_CONCURRENCY: u32 = 1_000;
