//! Heroku: pipeline → couplings or review apps → app → config vars, over the Platform API.
//!
//! Facts by the Platform API's schema of 2026-02-19 (github.com/heroku/platform-api)
//! and <https://devcenter.heroku.com/articles/platform-api-reference>.

mod review;

use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RANGE};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{HerokuApp, HerokuSettings};
use crate::credentials::Credentials;
use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::provider::Provider;
use crate::provider::http::client::{Api, Service, segment};
use crate::stage::Stage;

use self::review::{Choice, ReviewApp};

/// Heroku's Platform API as the source of a stage's database.
///
/// A resolution costs three calls for a pipeline (the pipeline, its couplings,
/// the app's config vars; a preview's are the pipeline, its review apps and the config vars)
/// and one for an app that is named. All calls of an account share 4,500 an hour.
#[derive(Debug)]
pub struct Heroku {
    api: Api,
    app: HerokuApp,
    config_var: String,
    /// The config var of the database's pooler, if it is wanted.
    pooler_var: Option<String>,
}

impl Heroku {
    /// Makes ready to ask, without asking.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the API's URL or the token cannot be used.
    pub fn new(settings: HerokuSettings) -> Result<Self, Error> {
        let pooler_var = settings.pooler.then(|| pooler_var(&settings.config_var));
        Ok(Self {
            api: Api::new(&SERVICE, &settings.api_url, &settings.token)?,
            app: settings.app,
            pooler_var: pooler_var.flatten(),
            config_var: settings.config_var,
        })
    }

    /// The app that stands for the stage in a pipeline, by its id.
    async fn app_in_pipeline(
        &self,
        stage: Stage,
        pipeline: &str,
        wanted: Option<&str>,
    ) -> Result<String, Error> {
        let subject = format!("pipeline {pipeline}");
        let id = self.pipeline_id(pipeline, &subject).await?;
        let mut apps = self.coupled_apps(&id, &subject, &[stage]).await?;
        match (wanted, apps.len()) {
            (None, 1) => Ok(apps.remove(0)),
            (_, 0) => Err(Error::new(
                ErrorKind::App,
                format!(
                    "stage {stage} has no app in {subject} on Heroku: add one with \
                     `heroku pipelines:add {pipeline} --app APP --stage {stage}`"
                ),
            )),
            (Some(wanted), _) => {
                let is_in = format!("stage {stage}");
                self.pick(wanted, &apps, &is_in, &subject).await
            }
            (None, count) => Err(Error::new(
                ErrorKind::App,
                format!(
                    "stage {stage} has {count} apps in {subject} on Heroku ({}): \
                     say which with STAGELINK_HEROKU_APP",
                    self.names_of(&apps).await
                ),
            )),
        }
    }

    /// The app of a preview, by its id: its pull request's own, or the one that is named for
    /// those that have none.
    async fn app_of_preview(
        &self,
        pipeline: &str,
        wanted: Option<&str>,
        pull_request: Option<u64>,
    ) -> Result<String, Error> {
        let subject = format!("pipeline {pipeline}");
        let id = self.pipeline_id(pipeline, &subject).await?;
        let choice = match pull_request {
            Some(number) => {
                let path = format!("/pipelines/{}/review-apps", segment(&id));
                let apps: Vec<ReviewApp> = self.pages(&path, "review apps", &subject).await?;
                review::choose(&apps, number)
            }
            None => Choice::None(
                "it is not known which pull request it shows: neither \
                 STAGELINK_HEROKU_PULL_REQUEST is set, nor was STAGELINK_BUILT_FOR_PULL_REQUEST \
                 when it was built"
                    .to_owned(),
            ),
        };
        let why = match choice {
            Choice::App(app) => return Ok(app),
            Choice::Several(why) => {
                return Err(Error::new(ErrorKind::App, format!("in {subject} {why}")));
            }
            Choice::InTheMaking(why) => {
                return Err(Error::no_database(
                    format!("this preview has no database yet: in {subject} {why}"),
                    Some(UNTIL_IT_IS_MADE),
                ));
            }
            Choice::None(why) => why,
        };
        let Some(wanted) = wanted else {
            return Err(Error::no_database(
                format!(
                    "this preview has no database: in {subject} on Heroku {why}, and \
                     STAGELINK_HEROKU_APP names no app for such previews"
                ),
                None,
            ));
        };
        let stages = [Stage::Review, Stage::Development];
        let apps = self.coupled_apps(&id, &subject, &stages).await?;
        self.pick(wanted, &apps, "stage review or development", &subject)
            .await
    }

    async fn pipeline_id(&self, pipeline: &str, subject: &str) -> Result<String, Error> {
        let path = format!("/pipelines/{}", segment(pipeline));
        let found: Named = self.api.read(&path, subject).await?;
        Ok(found.id)
    }

    /// All apps of the stages.
    async fn coupled_apps(
        &self,
        pipeline_id: &str,
        subject: &str,
        stages: &[Stage],
    ) -> Result<Vec<String>, Error> {
        let path = format!("/pipelines/{}/pipeline-couplings", segment(pipeline_id));
        let couplings: Vec<Coupling> = self.pages(&path, "couplings", subject).await?;
        let is_wanted = |stage: &str| stages.iter().any(|wanted| wanted.as_str() == stage);
        Ok(couplings
            .into_iter()
            .filter(|coupling| is_wanted(&coupling.stage))
            .map(|coupling| coupling.app.id)
            .collect())
    }

    /// A list, over as many pages as the answer has.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &str,
        subject: &str,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        let mut range = HeaderValue::from_static("id ..; max=1000");
        for _ in 0..PAGES_AT_MOST {
            let answer = self.api.ask(path, Some((RANGE, range)), subject).await?;
            items.extend(answer.json::<Vec<T>>()?);
            match answer.header(NEXT_RANGE) {
                Some(next) => range = next.clone(),
                None => return Ok(items),
            }
        }
        Err(Error::new(
            ErrorKind::ProviderUnavailable,
            format!("Heroku's API gave more than {PAGES_AT_MOST} pages of {what} for {subject}"),
        ))
    }

    /// The app that the settings name, if it is one of these.
    async fn pick(
        &self,
        wanted: &str,
        apps: &[String],
        is_in: &str,
        subject: &str,
    ) -> Result<String, Error> {
        let app: Named = self
            .api
            .read(
                &format!("/apps/{}", segment(wanted)),
                &format!("app {wanted}"),
            )
            .await?;
        if apps.contains(&app.id) {
            return Ok(app.id);
        }
        Err(Error::new(
            ErrorKind::App,
            format!(
                "app {wanted} is not in {is_in} of {subject} on Heroku: \
                 correct STAGELINK_HEROKU_APP or the pipeline"
            ),
        ))
    }

    /// The database URL among the app's config vars. The other vars are
    /// skipped while they are read; none is kept.
    async fn database_url(&self, app: &str, stage: Stage) -> Result<Credentials, Error> {
        let path = format!("/apps/{}/config-vars", segment(app));
        let answer = self.api.ask(&path, None, &format!("app {app}")).await?;
        let pooler_var = self.pooler_var.as_deref().unwrap_or_default();
        let [url, pooler] = answer.texts([&self.config_var, pooler_var])?;
        let Some(url) = url else {
            let message = format!(
                "app {} on Heroku has no config var {}: attach a database with \
                 `heroku addons:create heroku-postgresql`, or name the right var in \
                 STAGELINK_CONFIG_VAR",
                self.names_of(std::slice::from_ref(&app.to_owned())).await,
                self.config_var
            );
            return Err(match stage {
                Stage::Review => Error::no_database(message, None),
                _ => Error::new(ErrorKind::DatabaseUrl, message),
            });
        };
        let origin = format!("{} of app {app} on Heroku", self.config_var);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        let Some(pooler) = pooler else {
            return Ok(Credentials::new(url, origin));
        };
        let origin = format!("{pooler_var} of app {app} on Heroku");
        let pooler = DatabaseUrl::parse(pooler.expose_secret(), &origin)?;
        Ok(Credentials::new(pooler, origin).with_direct(url))
    }

    /// The apps' names for a message; where one cannot be had, its id.
    async fn names_of(&self, ids: &[String]) -> String {
        let mut names = Vec::new();
        for id in ids.iter().take(5) {
            let path = format!("/apps/{}", segment(id));
            let name = match self.api.read::<Named>(&path, "app").await {
                Ok(Named {
                    name: Some(name), ..
                }) => name,
                _ => id.clone(),
            };
            names.push(name);
        }
        if ids.len() > names.len() {
            names.push("…".to_owned());
        }
        names.join(", ")
    }
}

impl Provider for Heroku {
    async fn resolve(&self, stage: Stage) -> Result<Credentials, Error> {
        match &self.app {
            HerokuApp::Named(app) => self.database_url(app, stage).await,
            HerokuApp::InPipeline {
                pipeline,
                app,
                pull_request,
            } => {
                let wanted = app.as_deref();
                let app = match stage {
                    Stage::Review => self.app_of_preview(pipeline, wanted, *pull_request).await?,
                    _ => self.app_in_pipeline(stage, pipeline, wanted).await?,
                };
                self.database_url(&app, stage).await
            }
        }
    }
}

/// What the pooler of a database is attached as, by Heroku's documents (`heroku
/// pg:connection-pooling:attach DATABASE_URL --as DATABASE_CONNECTION_POOL`,
/// devcenter.heroku.com/articles/postgres-connection-pooling, 2026-05-29).
fn pooler_var(config_var: &str) -> Option<String> {
    let attachment = config_var.strip_suffix("_URL")?;
    Some(format!("{attachment}_CONNECTION_POOL_URL"))
}

/// An object that has a name beside its id, such as an app or a pipeline.
#[derive(Deserialize)]
struct Named {
    id: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Coupling {
    app: Reference,
    stage: String,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

const SERVICE: Service = Service {
    name: "Heroku",
    accept: "application/vnd.heroku+json; version=3",
    url_variable: "STAGELINK_HEROKU_API_URL",
    token_variable: "HEROKU_API_KEY",
    new_token: "make one with `heroku authorizations:create --scope read-protected`",
    access: "its account needs access to it, and the token the scope read-protected",
    names: "check the name in STAGELINK_HEROKU_PIPELINE or STAGELINK_HEROKU_APP, and that the \
            token's account may see it",
};

/// The header that a partial answer carries until the last page.
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

/// A review app takes minutes: whoever comes back then may have come too early, but not for
/// nothing.
const UNTIL_IT_IS_MADE: Duration = Duration::from_secs(10);

/// A pipeline of 20,000 apps; more means that the answer never ends.
const PAGES_AT_MOST: usize = 20;
