//! The stage of `--remote`: which one, by which credential, and whether the operator may open it.

use anyhow::{anyhow, bail};
use stagelink::{ProviderSettings, Settings, Stage, StageKind};
use stagelink_pipeline::{RemoteAccess, RemoteDatabase, SettingsFile};

use super::{production, variables};
use crate::args::{DevOptions, LocalOptions};
use crate::output::note;
use crate::progress::Step;
use crate::remote_facts::GUARDED;
use crate::stage_database::settings_of;
use crate::stage_name;
use crate::usage_error::of_usage;

/// A stage that the operator may open, before anything is looked up.
pub(super) struct RemoteStage {
    stage: Stage,
    project: LocalOptions,
    config_var: Option<String>,
    is_guarded: bool,
}

/// A stage's database that was looked up once, with what functions need to find it.
pub(super) struct OpenedStage {
    pub(super) stage: Stage,
    pub(super) database: RemoteDatabase,
    pub(super) first: RemoteAccess,
    /// The app, or the database where it is of no app.
    pub(super) app: String,
    /// The variables that say what the server has to prove.
    pub(super) server_variables: Vec<(&'static str, String)>,
}

impl RemoteStage {
    /// Reads the options.
    ///
    /// # Errors
    ///
    /// When there is no such stage, it is a preview's, or it is production and that was not said.
    pub(super) fn of(
        options: &DevOptions,
        name: &str,
        file: Option<&SettingsFile>,
    ) -> anyhow::Result<Self> {
        let stage = stage_name::parse(name, file)?;
        if stage.kind() == StageKind::Review {
            return Err(of_usage(anyhow!(
                "--remote takes no preview: its database is that of a pull request, which a local function has \
                 not"
            )));
        }
        if stage.kind() == StageKind::Production {
            production::ensure_wanted(stage.name(), options.production)?;
        }
        Ok(Self {
            stage,
            project: LocalOptions {
                local: None,
                project: options.project.clone(),
            },
            config_var: options.config_var.clone(),
            is_guarded: options.guarded,
        })
    }

    /// The project's name for the stage.
    pub(super) fn name(&self) -> &str {
        self.stage.name()
    }

    /// Looks the database up as `stagelink psql` does, and proves that it is the stage's and is not written.
    ///
    /// # Errors
    ///
    /// When it cannot be found or used, or its credential may write and the access is not guarded.
    pub(super) async fn open(self) -> anyhow::Result<OpenedStage> {
        let stage = self.stage;
        let written = stage.to_string();
        let settings = settings_of(&[], Some(&written), &self.project).await??;
        let settings = self.with_config_var(settings)?;
        let server_variables = variables::of_server(&settings.server);
        let step = Step::begin("database");
        let database = RemoteDatabase::new(settings, self.is_guarded);
        let first = database.look_up().await?;
        let info = &first.info;
        step.done(&format!(
            "{} as role {} on {}, which was proved by {}",
            info.database, info.role, info.server, info.server_auth
        ));
        let app = app_of(&info.origin).unwrap_or(&info.database).to_owned();
        if stage.kind() == StageKind::Production {
            production::confirm(stage.name(), &app).await?;
        }
        if first.proof.is_none() {
            let way = match app_of(&info.origin) {
                Some(_) => ": --config-var",
                None => "",
            };
            note(format_args!(
                "  ! {GUARDED}; a credential that only reads is proof{way}"
            ));
        }
        Ok(OpenedStage {
            stage,
            database,
            first,
            app,
            server_variables,
        })
    }

    /// Takes the credential of another config var of the app.
    fn with_config_var(&self, mut settings: Settings) -> anyhow::Result<Settings> {
        let Some(name) = &self.config_var else {
            return Ok(settings);
        };
        match &mut settings.provider {
            Some(ProviderSettings::Heroku(heroku)) => heroku.config_var.clone_from(name),
            _ => bail!(
                "--config-var names a config var of a Heroku app, and the database of stage {} is found \
                 elsewhere: set the variables of its provider to a role that only reads",
                self.stage.name()
            ),
        }
        Ok(settings)
    }
}

/// Returns the app of an origin such as `DATABASE_URL of app shop on Heroku`.
fn app_of(origin: &str) -> Option<&str> {
    let (_, rest) = origin.split_once(" of app ")?;
    rest.strip_suffix(" on Heroku")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_is_that_of_the_config_var() {
        assert_eq!(
            app_of("A_URL of app shop-staging on Heroku"),
            Some("shop-staging")
        );
        assert_eq!(app_of("DATABASE_URL"), None);
    }
}
