//! `stagelink.toml`: the stages of a project, and where the database of each one is.

mod check;
mod document;
mod drill;
mod lambda;
mod mistake;
mod rollback_window;
mod secret_check;
mod stage;
mod tested_path;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stagelink::{Stage, StageKind};

use crate::error::{Error, ErrorKind};
use crate::no_stage::no_stage;
use crate::regular_file;

use self::document::Document;
pub use self::drill::{DrillCount, DrillSettings, DrillWrite};
pub use self::rollback_window::{DEFAULT_ROLLBACK_WINDOW, LEAST_ROLLBACK_WINDOW};
pub use self::secret_check::is_provider_token;
pub(crate) use self::secret_check::is_secret_text;
pub use self::stage::{StageProvider, StageSettings};
pub use self::tested_path::TestedPath;
pub use self::text::{NewSettingsFile, NewStage};

/// The name of the file, in the folder of the project.
pub const SETTINGS_FILE: &str = "stagelink.toml";

/// The settings of a project that all its commands share, from [`SETTINGS_FILE`]. They hold no
/// secret.
///
/// | key | meaning | default |
/// | --- | --- | --- |
/// | `netlify.site` | name or id of the Netlify site | the site of `.netlify/state.json` |
/// | `heroku.pipeline` | name or id of the Heroku pipeline of each stage that names no other source | none |
/// | `heroku.config_var` | the config var that holds the database URL of each app | `DATABASE_URL` |
/// | `stages.STAGE` | a stage of the project: `review`, `development`, `staging` or `production`, or a name of its own | none |
/// | `stages.STAGE.kind` | the kind of a stage with a name of its own: one of the four names above | none |
/// | `stages.STAGE.branch` | for stages of kind staging, the branch whose deploys belong to it | the stage's name |
/// | `stages.STAGE.app` | the Heroku app, where the pipeline has several of the stage's kind, or the stage has a name of its own; for review, that of previews without a review app | none |
/// | `stages.STAGE.neon` | the database on Neon: `{ project, branch, database, role }` | Heroku's |
/// | `stages.STAGE.render` | the database on Render: `{ postgres }` | Heroku's |
/// | `stages.STAGE.url` | the environment variable of the operator that holds the database URL: `{ variable }` | Heroku's |
/// | `stages.STAGE.lambda` | the functions of the stage's own on AWS Lambda, by the names of the project's functions: `{ guestbook = "shop-guestbook-prod" }` | those of `lambda.functions` |
/// | `lambda.functions` | the functions on AWS Lambda whose aliases are the stages, by the names of the project's functions: `{ guestbook = "shop-guestbook" }` | none |
/// | `migrations.folder` | the folder of the migrations, from that of the project | `migrations` |
/// | `policy.rollback_window` | the time after a promotion for which a rollback stays possible, and for which migrations of *after* wait: from `15m` to `90d` | `24h` |
/// | `policy.tested_paths` | the paths that a deploy has to answer before a promotion puts it live: `[{ path = "/api/guestbook", status = 200 }]`; without a status it is 200 | none |
/// | `drill` | the requests of `stagelink drill`: `read`, `write` and `count`, see [`DrillSettings`] | none |
///
/// The environment and a command's options override each of them. Tokens are never in the file.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    path: PathBuf,
    text: String,
    site: Option<String>,
    pipeline: Option<String>,
    config_var: Option<String>,
    stages: BTreeMap<Stage, StageSettings>,
    /// From the folder of the file.
    migrations: Option<PathBuf>,
    lambda: BTreeMap<String, String>,
    rollback_window: Duration,
    tested_paths: Vec<TestedPath>,
    drill: Option<DrillSettings>,
}

/// The advice where the file says nothing on the source of a database.
const NO_PIPELINE: &str =
    "and say where its database is: with the Heroku pipeline, as pipeline in a table [heroku], or";

/// Returns the path of the file that counts in a folder.
fn find(project: &Path) -> PathBuf {
    let own = project.join(SETTINGS_FILE);
    let Some(folder) = project.canonicalize().ok().filter(|_| !is_there(&own)) else {
        return own;
    };
    // Without a repository nothing says where a project ends.
    let Some(repository) = folder.ancestors().find(|above| above.join(".git").exists()) else {
        return own;
    };
    let inside = folder
        .ancestors()
        .take_while(|above| above.starts_with(repository));
    let mut files = inside.map(|above| above.join(SETTINGS_FILE));
    files.find(|file| is_there(file)).unwrap_or(own)
}

/// Returns whether a file is there, if only as a link that leads nowhere.
fn is_there(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

impl SettingsFile {
    /// Reads the file of a project, or returns `None` if the project has none. From a folder inside
    /// of a Git repository the file of the nearest folder above counts, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it cannot be read, has an unknown key or stage, a value that
    /// cannot be used, or a secret. The message names the key and the line, and repeats no value.
    pub fn load(project: &Path) -> Result<Option<Self>, Error> {
        let path = find(project);
        match regular_file::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == IoErrorKind::NotFound && !is_there(&path) => Ok(None),
            Err(error) if error.kind() == IoErrorKind::InvalidData => Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "could not read {}: it is not text in UTF-8: save it in that encoding",
                    path.display()
                ),
            )),
            Err(error) => Err(Error::with_source(
                ErrorKind::Settings,
                format!("could not read {}", path.display()),
                error,
            )),
        }
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, Error> {
        let in_file = |error: Error| error.context(format!("could not use {}", path.display()));
        secret_check::ensure_no_secret(text).map_err(in_file)?;
        let document = Document::parse(text).map_err(in_file)?;
        let stages = document.stages();
        let stages = stages.map_err(|mistake| in_file(mistake.into_error(text)))?;
        let window = document.rollback_window();
        let window = window.map_err(|mistake| in_file(mistake.into_error(text)))?;
        let tested_paths = document.tested_paths();
        let tested_paths = tested_paths.map_err(|mistake| in_file(mistake.into_error(text)))?;
        let drill = document.drill();
        let drill = drill.map_err(|mistake| in_file(mistake.into_error(text)))?;
        Ok(Self {
            site: document.netlify.site,
            pipeline: document.heroku.pipeline,
            config_var: document.heroku.config_var,
            stages,
            migrations: document.migrations.folder,
            lambda: document.lambda.functions,
            rollback_window: window,
            tested_paths,
            drill,
            path,
            text: text.to_owned(),
        })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The Netlify site, by its name or id.
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// The Heroku pipeline.
    pub fn pipeline(&self) -> Option<&str> {
        self.pipeline.as_deref()
    }

    /// The config var that holds the database URL of each app on Heroku.
    pub fn config_var(&self) -> Option<&str> {
        self.config_var.as_deref()
    }

    /// The functions of a stage on AWS Lambda, by the names of the project's functions. Each one's alias
    /// is called as the stage.
    pub fn lambda_functions(&self, stage: Stage) -> BTreeMap<String, String> {
        let own = self.stages.get(&stage).map(StageSettings::lambda);
        lambda::of_stage(&self.lambda, own.unwrap_or(&BTreeMap::new()))
    }

    /// Returns whether the file names functions on AWS Lambda, of a stage or of all.
    pub fn is_on_lambda(&self) -> bool {
        let mut stages = self.stages.values();
        !self.lambda.is_empty() || stages.any(|settings| !settings.lambda().is_empty())
    }

    /// The folder of the migrations.
    pub fn migrations(&self) -> PathBuf {
        let named = self.migrations.as_deref();
        let folder = self.path.parent().unwrap_or(Path::new(""));
        folder.join(named.unwrap_or(Path::new("migrations")))
    }

    /// Returns whether the file names the folder of the migrations, which then has to exist.
    pub fn names_migrations(&self) -> bool {
        self.migrations.is_some()
    }

    /// The time after a promotion for which a rollback to the artifact before it stays possible.
    pub fn rollback_window(&self) -> Duration {
        self.rollback_window
    }

    /// The paths that a deploy has to answer before it goes live, besides the self-check of its
    /// functions.
    pub fn tested_paths(&self) -> &[TestedPath] {
        &self.tested_paths
    }

    /// The requests of `stagelink drill`.
    pub fn drill(&self) -> Option<&DrillSettings> {
        self.drill.as_ref()
    }

    /// The stages of the project.
    pub fn stages(&self) -> &BTreeMap<Stage, StageSettings> {
        &self.stages
    }

    /// Returns the stage that an operator names: by its name here, or by its written form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for a text that is neither.
    pub fn find_stage(&self, text: &str) -> Result<Stage, Error> {
        if let Some(stage) = self.stages.keys().find(|stage| stage.name() == text) {
            return Ok(*stage);
        }
        text.parse().map_err(|error| {
            let missing = self.no_stage(text);
            let message =
                format!("{missing}; name one of these, or add a table [stages.NAME] with its kind");
            Error::with_source(ErrorKind::Settings, message, error)
        })
    }

    /// Makes sure that the app of a stage in the Heroku pipeline is known. The pipeline tells its
    /// apps apart by kind alone, so two stages of a kind name theirs, and so does each stage with a
    /// name of its own. A preview's app is its pull request's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the stage does not name its app.
    pub fn ensure_app(&self, stage: Stage) -> Result<(), Error> {
        let on_heroku = |stage: Stage| {
            let settings = self.stages.get(&stage)?;
            match settings.provider()? {
                StageProvider::Heroku { pipeline, app, .. } => Some((pipeline, app)),
                _ => None,
            }
        };
        let Some((pipeline, None)) = on_heroku(stage) else {
            return Ok(());
        };
        let mut of_kind = self.stages.keys().filter(|of| of.kind() == stage.kind());
        let has_sibling = of_kind.any(|of| *of != stage && on_heroku(*of).is_some());
        if stage.kind() == StageKind::Review || !(stage.has_own_name() || has_sibling) {
            return Ok(());
        }
        let name = stage.name();
        Err(Error::new(
            ErrorKind::Settings,
            format!(
                "{} does not name the app of stage {name}: the Heroku pipeline {pipeline} tells its \
                 apps apart by kind alone, so set app in the table [stages.{name}]",
                self.path.display()
            ),
        ))
    }

    fn no_stage(&self, named: &str) -> String {
        no_stage(
            self.path.display(),
            named,
            self.stages.keys().map(Stage::name),
        )
    }

    /// Returns the settings of a stage.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the file does not have the stage.
    pub fn stage(&self, stage: Stage) -> Result<&StageSettings, Error> {
        self.stages.get(&stage).ok_or_else(|| {
            let (missing, name) = (self.no_stage(stage.as_str()), stage.name());
            let kind = match stage.has_own_name() {
                true => format!(" and kind = \"{}\"", stage.kind()),
                false => String::new(),
            };
            let source = match &self.pipeline {
                Some(pipeline) => format!(
                    "with neon, render or url where the stage's database is not in the Heroku \
                     pipeline {pipeline}"
                ),
                None => format!("{NO_PIPELINE} with neon, render or url in the stage's table"),
            };
            Error::new(
                ErrorKind::Settings,
                format!("{missing}; add a table [stages.{name}]{kind} to it, {source}"),
            )
        })
    }
}
