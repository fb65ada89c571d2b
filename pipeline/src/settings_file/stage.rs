//! One stage of `stagelink.toml`: its branch, its functions on Lambda, and the source of its database.

use std::collections::BTreeMap;

use serde::Deserialize;
use stagelink::{Stage, StageKind};

use crate::error::{Error, ErrorKind};
use crate::settings_file::check::ensure_text;
use crate::settings_file::lambda;
use crate::settings_file::mistake::Mistake;

/// The settings of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSettings {
    branch: Option<String>,
    provider: Option<StageProvider>,
    lambda: BTreeMap<String, String>,
}

/// The source of a stage's database, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageProvider {
    /// A Heroku app.
    Heroku {
        /// Name or id of the pipeline.
        pipeline: String,
        /// Name or id of the app, where the stage has several in the pipeline.
        app: Option<String>,
        /// The config var with the URL, where it is not `DATABASE_URL`.
        config_var: Option<String>,
    },
    /// A branch of a Neon project.
    Neon {
        /// Id of the project.
        project: String,
        /// Id of the branch.
        branch: String,
        /// Name of the database.
        database: String,
        /// The role to log in as.
        role: String,
    },
    /// A Postgres on Render.
    Render {
        /// Its id.
        postgres: String,
    },
    /// A URL that the operator's environment holds.
    Url {
        /// The environment variable.
        variable: String,
    },
}

impl StageSettings {
    /// The branch whose deploys belong to the stage. For a stage of kind staging it is by default the
    /// stage's name.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    /// The functions of the stage's own on AWS Lambda, by the names of the project's functions.
    pub fn lambda(&self) -> &BTreeMap<String, String> {
        &self.lambda
    }

    /// The source of the stage's database. `None` if the file names neither one nor a Heroku
    /// pipeline.
    pub fn provider(&self) -> Option<&StageProvider> {
        self.provider.as_ref()
    }

    /// The Heroku app that the file names for the stage.
    pub fn heroku_app(&self) -> Option<&str> {
        match &self.provider {
            Some(StageProvider::Heroku { app, .. }) => app.as_deref(),
            _ => None,
        }
    }

    /// Returns the variables by which a function of the stage finds its database, without the
    /// stage and without tokens. `environment` gives the value of a variable of the operator's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the variable that holds the database URL is not set.
    pub fn variables(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let Some(provider) = &self.provider else {
            return Ok(Vec::new());
        };
        let mut variables = vec![("STAGELINK_PROVIDER", provider.name().to_owned())];
        match provider {
            StageProvider::Heroku {
                pipeline,
                app,
                config_var,
            } => {
                variables.push(("STAGELINK_HEROKU_PIPELINE", pipeline.clone()));
                let app = app.clone().map(|app| ("STAGELINK_HEROKU_APP", app));
                let config_var = config_var
                    .clone()
                    .map(|name| ("STAGELINK_CONFIG_VAR", name));
                variables.extend(app.into_iter().chain(config_var));
            }
            StageProvider::Neon {
                project,
                branch,
                database,
                role,
            } => {
                variables.push(("STAGELINK_NEON_PROJECT", project.clone()));
                variables.push(("STAGELINK_NEON_BRANCH", branch.clone()));
                variables.push(("STAGELINK_NEON_DATABASE", database.clone()));
                variables.push(("STAGELINK_NEON_ROLE", role.clone()));
            }
            StageProvider::Render { postgres } => {
                variables.push(("STAGELINK_RENDER_POSTGRES", postgres.clone()));
            }
            StageProvider::Url { variable } => {
                let url = environment(variable).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Settings,
                        format!(
                            "{variable} is not set: stagelink.toml says that it holds the database \
                             URL of the stage"
                        ),
                    )
                })?;
                variables.push(("DATABASE_URL", url));
            }
        }
        Ok(variables)
    }
}

impl StageProvider {
    /// The name that `STAGELINK_PROVIDER` has for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Heroku { .. } => "heroku",
            Self::Neon { .. } => "neon",
            Self::Render { .. } => "render",
            Self::Url { .. } => "url",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with the keys pipeline and config_var"
)]
pub(super) struct HerokuTable {
    pub(super) pipeline: Option<String>,
    pub(super) config_var: Option<String>,
}

/// A table `[stages.STAGE]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [stages.STAGE]")]
pub(super) struct StageTable {
    /// Needed where the table is not named after a kind.
    pub(super) kind: Option<String>,
    branch: Option<String>,
    app: Option<String>,
    neon: Option<NeonTable>,
    render: Option<RenderTable>,
    url: Option<UrlTable>,
    #[serde(default)]
    lambda: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { project = \"…\", branch = \"…\", database = \"…\", role = \"…\" }"
)]
struct NeonTable {
    project: String,
    branch: String,
    database: String,
    role: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { postgres = \"dpg-…\" }")]
struct RenderTable {
    postgres: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { variable = \"STAGING_DATABASE_URL\" }, with the name of an environment variable"
)]
struct UrlTable {
    variable: String,
}

impl StageTable {
    /// Returns the settings of the stage, whose app is in the pipeline of `heroku`.
    pub(super) fn settings(
        &self,
        stage: Stage,
        heroku: &HerokuTable,
    ) -> Result<StageSettings, Mistake> {
        self.ensure_texts(stage)?;
        let name = stage.name();
        let is_staging = stage.kind() == StageKind::Staging;
        if self.branch.is_some() && !is_staging {
            return Err(Mistake::new(
                format!(
                    "stages.{name}.branch is set, and only staging has a branch of its own, or another stage \
                     of its kind: \
                     production deploys come from the site's production branch, previews from pull \
                     requests"
                ),
                format_args!("stages.{name}.branch"),
            ));
        }
        let provider = self.provider(stage, heroku)?;
        Ok(StageSettings {
            branch: self
                .branch
                .clone()
                .or_else(|| is_staging.then(|| name.to_owned())),
            provider,
            lambda: self.lambda.clone(),
        })
    }

    fn provider(
        &self,
        stage: Stage,
        heroku: &HerokuTable,
    ) -> Result<Option<StageProvider>, Mistake> {
        let name = stage.name();
        let neon = self.neon.clone().map(|neon| StageProvider::Neon {
            project: neon.project,
            branch: neon.branch,
            database: neon.database,
            role: neon.role,
        });
        let render = self.render.clone().map(|render| StageProvider::Render {
            postgres: render.postgres,
        });
        let url = self.url.clone().map(|url| StageProvider::Url {
            variable: url.variable,
        });
        let mut others = [neon, render, url].into_iter().flatten();
        let other = others.next();
        if others.next().is_some() || (other.is_some() && self.app.is_some()) {
            return Err(Mistake::new(
                format!(
                    "stages.{name} names several sources of the database: keep one of app, neon, \
                     render and url"
                ),
                format_args!("stages.{name}"),
            ));
        }
        let heroku = heroku
            .pipeline
            .as_ref()
            .map(|pipeline| StageProvider::Heroku {
                pipeline: pipeline.clone(),
                app: self.app.clone(),
                config_var: heroku.config_var.clone(),
            });
        if self.app.is_some() && heroku.is_none() {
            return Err(Mistake::new(
                format!(
                    "stages.{name}.app is set without heroku.pipeline: name the app's pipeline, as \
                     pipeline in a table [heroku]"
                ),
                format_args!("stages.{name}.app"),
            ));
        }
        Ok(other.or(heroku))
    }

    fn ensure_texts(&self, stage: Stage) -> Result<(), Mistake> {
        let name = stage.name();
        let texts = [
            ("branch", self.branch.as_deref()),
            ("app", self.app.as_deref()),
            (
                "neon.project",
                self.neon.as_ref().map(|neon| neon.project.as_str()),
            ),
            (
                "neon.branch",
                self.neon.as_ref().map(|neon| neon.branch.as_str()),
            ),
            (
                "neon.database",
                self.neon.as_ref().map(|neon| neon.database.as_str()),
            ),
            (
                "neon.role",
                self.neon.as_ref().map(|neon| neon.role.as_str()),
            ),
            (
                "render.postgres",
                self.render.as_ref().map(|render| render.postgres.as_str()),
            ),
            (
                "url.variable",
                self.url.as_ref().map(|url| url.variable.as_str()),
            ),
        ];
        for (key, text) in texts {
            ensure_text(&format!("stages.{name}.{key}"), text)?;
        }
        lambda::ensure_names(&["stages", name, "lambda"], &self.lambda)?;
        let is_name = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        };
        match &self.url {
            // Text that is no name may be the URL itself, and is not repeated.
            Some(url) if !is_name(&url.variable) => Err(Mistake::new(
                format!(
                    "stages.{name}.url.variable is not the name of an environment variable in \
                     capital letters, such as {}_DATABASE_URL: the URL itself is a secret and stays out of the file",
                    name.to_uppercase().replace('-', "_")
                ),
                format_args!("stages.{name}.url.variable"),
            )),
            _ => Ok(()),
        }
    }
}
