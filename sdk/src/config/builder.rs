//! Settings that a program makes itself, without the environment.

use secrecy::SecretString;

use crate::config::provider::{HEROKU_API, NEON_API, RENDER_API};
use crate::config::{
    HerokuApp, HerokuSettings, HttpsSettings, Limits, NeonSettings, ProviderSettings,
    RenderSettings, ServerSettings, Settings, URL_VARIABLE,
};
use crate::error::Error;
use crate::stage::Stage;

/// A builder of [`Settings`], started by [`Settings::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct SettingsBuilder(Settings);

impl SettingsBuilder {
    pub(super) fn new(stage: Stage) -> Self {
        Self(Settings {
            stage,
            deploy_time: None,
            provider: None,
            limits: Limits::default(),
            server: ServerSettings::default(),
            ignored_source: None,
            url_variable: URL_VARIABLE.into(),
        })
    }

    /// Sets the source of the database URL, such as [`HerokuSettings`](crate::HerokuSettings).
    pub fn provider(mut self, provider: impl Into<ProviderSettings>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// Sets the credentials from deploy time, as `STAGE=URL`.
    pub fn deploy_time(mut self, credentials: impl Into<SecretString>) -> Self {
        self.0.deploy_time = Some(credentials.into());
        self
    }

    /// Sets the number of connections and the time limits. Without it [`Limits`] has its defaults.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Sets the proofs that the database and its server have to give. Without it [`ServerSettings`]
    /// has its defaults.
    pub fn server(mut self, server: ServerSettings) -> Self {
        self.0.server = server;
        self
    }

    /// Makes the settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) without a provider and deploy-time
    /// credentials, except in stage review, and when production would accept an unauthenticated
    /// server.
    pub fn build(self) -> Result<Settings, Error> {
        self.0.check()
    }
}

impl HerokuSettings {
    /// Makes settings with Heroku's own API, `DATABASE_URL`, and its pooler where there is one.
    pub fn new(app: HerokuApp, token: impl Into<SecretString>) -> Self {
        Self {
            app,
            token: token.into(),
            api_url: HEROKU_API.to_owned(),
            config_var: "DATABASE_URL".to_owned(),
            pooler: true,
            names_app: false,
            https: HttpsSettings::default(),
        }
    }

    /// Sets the base URL of the Platform API. Plain `http` is accepted on this machine only.
    #[must_use]
    pub fn with_api_url(mut self, api_url: impl Into<String>) -> Self {
        self.api_url = api_url.into();
        self
    }

    /// Sets the config var that holds the database URL.
    #[must_use]
    pub fn with_config_var(mut self, config_var: impl Into<String>) -> Self {
        self.config_var = config_var.into();
        self
    }

    /// Sets whether to take the URL of the database's pooler where the app has one.
    #[must_use]
    pub fn with_pooler(mut self, pooler: bool) -> Self {
        self.pooler = pooler;
        self
    }
}

impl HerokuApp {
    /// Names the pipeline whose app of the stage owns the database.
    pub fn in_pipeline(pipeline: impl Into<String>) -> Self {
        Self::InPipeline {
            pipeline: pipeline.into(),
            app: None,
            pull_request: None,
        }
    }

    /// Selects an app of the pipeline by its name or id. Without a pipeline it replaces the app.
    #[must_use]
    pub fn with_app(self, name: impl Into<String>) -> Self {
        match self {
            Self::InPipeline {
                pipeline,
                pull_request,
                ..
            } => Self::InPipeline {
                pipeline,
                app: Some(name.into()),
                pull_request,
            },
            Self::Named(_) => Self::Named(name.into()),
        }
    }

    /// Sets the number of the pull request that a preview shows. Without a pipeline it has no
    /// effect.
    #[must_use]
    pub fn for_pull_request(mut self, number: u64) -> Self {
        if let Self::InPipeline { pull_request, .. } = &mut self {
            *pull_request = Some(number);
        }
        self
    }
}

impl NeonSettings {
    /// Makes settings with Neon's own API and its PgBouncer.
    pub fn new(
        project: impl Into<String>,
        branch: impl Into<String>,
        database: impl Into<String>,
        role: impl Into<String>,
        token: impl Into<SecretString>,
    ) -> Self {
        Self {
            project: project.into(),
            branch: branch.into(),
            database: database.into(),
            role: role.into(),
            pooled: true,
            token: token.into(),
            api_url: NEON_API.to_owned(),
            https: HttpsSettings::default(),
        }
    }

    /// Sets whether to connect through Neon's PgBouncer.
    #[must_use]
    pub fn with_pooler(mut self, pooler: bool) -> Self {
        self.pooled = pooler;
        self
    }

    /// Sets the base URL of the Neon API. Plain `http` is accepted on this machine only.
    #[must_use]
    pub fn with_api_url(mut self, api_url: impl Into<String>) -> Self {
        self.api_url = api_url.into();
        self
    }
}

impl RenderSettings {
    /// Makes settings with Render's own API.
    pub fn new(postgres: impl Into<String>, token: impl Into<SecretString>) -> Self {
        Self {
            postgres: postgres.into(),
            token: token.into(),
            api_url: RENDER_API.to_owned(),
            https: HttpsSettings::default(),
        }
    }

    /// Sets the base URL of the Render API. Plain `http` is accepted on this machine only.
    #[must_use]
    pub fn with_api_url(mut self, api_url: impl Into<String>) -> Self {
        self.api_url = api_url.into();
        self
    }
}

impl From<HerokuSettings> for ProviderSettings {
    fn from(settings: HerokuSettings) -> Self {
        Self::Heroku(settings)
    }
}

impl From<NeonSettings> for ProviderSettings {
    fn from(settings: NeonSettings) -> Self {
        Self::Neon(settings)
    }
}

impl From<RenderSettings> for ProviderSettings {
    fn from(settings: RenderSettings) -> Self {
        Self::Render(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn built_settings_without_a_pooler_do_not_take_the_providers() {
        let built = Settings::builder(Stage::STAGING)
            .provider(HerokuSettings::new(HerokuApp::in_pipeline("p"), "token").with_pooler(true))
            .server(ServerSettings {
                pooler: crate::config::Pooler::Never,
                ..ServerSettings::default()
            })
            .build()
            .unwrap();
        let Some(ProviderSettings::Heroku(heroku)) = built.provider else {
            panic!("another provider");
        };
        assert!(!heroku.pooler);
    }

    #[test]
    fn built_settings_are_those_of_the_environment() {
        let app = HerokuApp::in_pipeline("guestbook").with_app("guestbook-blue");
        let built = Settings::builder(Stage::STAGING)
            .provider(HerokuSettings::new(app, "token").with_pooler(true))
            .build()
            .unwrap();
        let read = Settings::from_vars([
            ("STAGELINK_STAGE", "staging"),
            ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
            ("STAGELINK_HEROKU_APP", "guestbook-blue"),
            ("HEROKU_API_KEY", "token"),
        ])
        .unwrap();
        assert_eq!(format!("{built:?}"), format!("{read:?}"));
    }

    #[test]
    fn each_provider_can_be_built() {
        let neon = NeonSettings::new("project", "br-1", "shop", "shop", "token");
        let render = RenderSettings::new("dpg-1", "token");
        for builder in [
            Settings::builder(Stage::PRODUCTION).provider(neon),
            Settings::builder(Stage::PRODUCTION).provider(render),
            Settings::builder(Stage::PRODUCTION)
                .provider(ProviderSettings::Url("postgres://u@h/d".into())),
            Settings::builder(Stage::PRODUCTION).deploy_time("production=postgres://u@h/d"),
            Settings::builder(Stage::REVIEW),
        ] {
            builder.build().unwrap();
        }
    }

    #[test]
    fn settings_without_a_source_or_an_unauthenticated_production_are_refused() {
        let nothing = Settings::builder(Stage::PRODUCTION);
        let danger = ServerSettings {
            danger_unauthenticated: true,
            ..ServerSettings::default()
        };
        let danger = Settings::builder(Stage::PRODUCTION)
            .deploy_time("production=postgres://u@h/d")
            .server(danger);
        for builder in [nothing, danger] {
            assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Settings);
        }
    }
}
