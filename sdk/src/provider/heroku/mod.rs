//! Heroku: pipeline → couplings or review apps → app → config vars, from the Platform API.
//!
//! Sources: the Platform API's schema of 2026-02-19 (github.com/heroku/platform-api)
//! and <https://devcenter.heroku.com/articles/platform-api-reference>.

mod attachments;
mod review;

use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RANGE};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{HerokuApp, HerokuSettings};
use crate::credentials::{Credentials, DatabaseUrl};
use crate::error::{Error, ErrorKind};
use crate::provider::http::{ApiClient, ProviderApi, path_segment};
use crate::provider::{Provider, ResolveRequest};
use crate::stage::{Stage, StageKind};

use self::review::{ReviewApp, ReviewAppChoice};

/// Looks up a stage's database in Heroku's Platform API.
///
/// With a pipeline, a look-up costs three requests: the pipeline, its couplings (for a preview its
/// review apps), and the app's config vars. With an app's name it costs one. Heroku allows an
/// account 4,500 requests an hour (<https://devcenter.heroku.com/articles/platform-api-reference>,
/// 2026-11).
#[derive(Debug)]
pub struct Heroku {
    api: ApiClient,
    app: HerokuApp,
    config_var: String,
    /// The config var with the URL of the database's pooler, if pooling is on.
    pooler_var: Option<String>,
    names_app: bool,
}

impl Heroku {
    /// Creates the provider. Sends no request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the API's URL or the token cannot be used.
    pub fn new(settings: HerokuSettings) -> Result<Self, Error> {
        let pooler_var = settings.pooler.then(|| pooler_var(&settings.config_var));
        Ok(Self {
            api: ApiClient::new(&API, &settings.api_url, &settings.token, &settings.https)?,
            app: settings.app,
            pooler_var: pooler_var.flatten(),
            config_var: settings.config_var,
            names_app: settings.names_app,
        })
    }

    /// Finds the id of the app that a pipeline has for the stage.
    async fn app_in_pipeline(
        &self,
        stage: Stage,
        pipeline: &str,
        wanted: Option<&str>,
    ) -> Result<String, Error> {
        let subject = format!("pipeline {pipeline}");
        let id = self.pipeline_id(pipeline, &subject).await?;
        let mut apps = self.coupled_apps(&id, &subject, &[stage.kind()]).await?;
        match (wanted, apps.len()) {
            (None, 1) => Ok(apps.remove(0)),
            (_, 0) => Err(Error::new(
                ErrorKind::App,
                format!(
                    "stage {stage} has no app in {subject} on Heroku: add one with \
                     `heroku pipelines:add {pipeline} --app APP --stage {}`",
                    stage.kind()
                ),
            )),
            (Some(wanted), _) => {
                let place = format!("stage {}", stage.kind());
                self.resolve_named_app(wanted, &apps, &place, &subject)
                    .await
            }
            (None, count) => Err(Error::new(
                ErrorKind::App,
                format!(
                    "stage {stage} has {count} apps in {subject} on Heroku ({}): \
                     choose one with STAGELINK_HEROKU_APP",
                    self.names_of(&apps).await
                ),
            )),
        }
    }

    /// Finds the id of a preview's app: the review app of its pull request, else the app that
    /// the settings name for previews without a review app.
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
                let path = format!("/pipelines/{}/review-apps", path_segment(&id));
                let apps: Vec<ReviewApp> = self.list(&path, "review apps", &subject).await?;
                review::choose(&apps, number)
            }
            None => ReviewAppChoice::None(
                "its pull request is unknown: STAGELINK_HEROKU_PULL_REQUEST is not set, and \
                 STAGELINK_BUILT_FOR_PULL_REQUEST was not set when it was built"
                    .to_owned(),
            ),
        };
        let why = match choice {
            ReviewAppChoice::App(app) => return Ok(app),
            ReviewAppChoice::Ambiguous(why) => {
                return Err(Error::new(ErrorKind::App, format!("in {subject} {why}")));
            }
            ReviewAppChoice::Pending(why) => {
                return Err(Error::no_database(
                    format!("this preview has no database yet: in {subject} {why}"),
                    Some(PENDING_RETRY_AFTER),
                ));
            }
            ReviewAppChoice::None(why) => why,
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
        let kinds = [StageKind::Review, StageKind::Development];
        let apps = self.coupled_apps(&id, &subject, &kinds).await?;
        self.resolve_named_app(wanted, &apps, "stage review or development", &subject)
            .await
    }

    async fn pipeline_id(&self, pipeline: &str, subject: &str) -> Result<String, Error> {
        let path = format!("/pipelines/{}", path_segment(pipeline));
        let found: Named = self.api.get_json(&path, subject).await?;
        Ok(found.id)
    }

    /// Lists the ids of all apps that a pipeline has in its stages of the given kinds.
    async fn coupled_apps(
        &self,
        pipeline_id: &str,
        subject: &str,
        kinds: &[StageKind],
    ) -> Result<Vec<String>, Error> {
        let path = format!(
            "/pipelines/{}/pipeline-couplings",
            path_segment(pipeline_id)
        );
        let couplings: Vec<Coupling> = self.list(&path, "couplings", subject).await?;
        let is_wanted = |stage: &str| kinds.iter().any(|kind| kind.as_str() == stage);
        Ok(couplings
            .into_iter()
            .filter(|coupling| is_wanted(&coupling.stage))
            .map(|coupling| coupling.app.id)
            .collect())
    }

    /// Reads a list, page by page.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &str,
        subject: &str,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        let mut range = HeaderValue::from_static("id ..; max=1000");
        for _ in 0..MAX_PAGES {
            let response = self.api.get(path, Some((RANGE, range)), subject).await?;
            items.extend(response.json::<Vec<T>>()?);
            match response.header(NEXT_RANGE) {
                Some(next) => range = next.clone(),
                None => return Ok(items),
            }
        }
        Err(Error::new(
            ErrorKind::ProviderUnavailable,
            format!("Heroku's API sent more than {MAX_PAGES} pages of {what} for {subject}"),
        ))
    }

    /// Resolves the app that the settings name, and checks that it is one of `apps`.
    async fn resolve_named_app(
        &self,
        wanted: &str,
        apps: &[String],
        place: &str,
        subject: &str,
    ) -> Result<String, Error> {
        let app: Named = self
            .api
            .get_json(
                &format!("/apps/{}", path_segment(wanted)),
                &format!("app {wanted}"),
            )
            .await?;
        if apps.contains(&app.id) {
            return Ok(app.id);
        }
        Err(Error::new(
            ErrorKind::App,
            format!(
                "app {wanted} is not in {place} of {subject} on Heroku: \
                 correct STAGELINK_HEROKU_APP or the pipeline"
            ),
        ))
    }

    /// Reads the database URL, and the pooler's, from an app's config vars. Other config vars are
    /// skipped and not copied.
    async fn database_url(&self, app: &str, stage: Stage) -> Result<Credentials, Error> {
        let path = format!("/apps/{}/config-vars", path_segment(app));
        let name = match (self.names_app, &self.app) {
            (true, HerokuApp::InPipeline { .. }) => self.name_of(app).await,
            _ => app.to_owned(),
        };
        let response = self.api.get(&path, None, &format!("app {name}")).await?;
        let pooler_var = self.pooler_var.as_deref().unwrap_or_default();
        let [url, pooler] = response.string_fields([&self.config_var, pooler_var])?;
        let Some(url) = url else {
            let name = match self.names_app {
                true => name,
                false => self.name_of(app).await,
            };
            let others = response.database_url_names().unwrap_or_default();
            let message = attachments::missing(&name, &self.config_var, &others);
            return Err(match stage.kind() {
                StageKind::Review => Error::no_database(message, None),
                _ => Error::new(ErrorKind::DatabaseUrl, message),
            });
        };
        let origin = format!("{} of app {name} on Heroku", self.config_var);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        let Some(pooler) = pooler else {
            return Ok(Credentials::new(url, origin));
        };
        let origin = format!("{pooler_var} of app {name} on Heroku");
        let pooler = DatabaseUrl::parse(pooler.expose_secret(), &origin)?;
        Ok(Credentials::new(pooler, origin).with_direct(url))
    }

    /// Looks up the apps' names for a message; an app whose name cannot be read is shown by id.
    async fn names_of(&self, ids: &[String]) -> String {
        let mut names = Vec::new();
        for id in ids.iter().take(5) {
            names.push(self.name_of(id).await);
        }
        if ids.len() > names.len() {
            names.push("…".to_owned());
        }
        names.join(", ")
    }
}

impl Heroku {
    /// Looks up an app's name; an app whose name cannot be read is shown by id.
    async fn name_of(&self, id: &str) -> String {
        let path = format!("/apps/{}", path_segment(id));
        match self.api.get_json::<Named>(&path, "app").await {
            Ok(Named {
                name: Some(name), ..
            }) => name,
            _ => id.to_owned(),
        }
    }
}

impl Provider for Heroku {
    async fn resolve(&self, request: &ResolveRequest) -> Result<Credentials, Error> {
        let stage = request.stage;
        match &self.app {
            HerokuApp::Named(app) => self.database_url(app, stage).await,
            HerokuApp::InPipeline {
                pipeline,
                app,
                pull_request,
            } => {
                self.app.check_for(stage)?;
                let wanted = app.as_deref();
                let app = match stage.kind() {
                    StageKind::Review => {
                        self.app_of_preview(pipeline, wanted, *pull_request).await?
                    }
                    _ => self.app_in_pipeline(stage, pipeline, wanted).await?,
                };
                self.database_url(&app, stage).await
            }
        }
    }
}

/// Derives the config var of a database's pooler, as Heroku's documentation attaches it (`heroku
/// pg:connection-pooling:attach DATABASE_URL --as DATABASE_CONNECTION_POOL`,
/// devcenter.heroku.com/articles/postgres-connection-pooling, 2026-05-29).
fn pooler_var(config_var: &str) -> Option<String> {
    let attachment = config_var.strip_suffix("_URL")?;
    Some(format!("{attachment}_CONNECTION_POOL_URL"))
}

/// An object with an id and a name, such as an app or a pipeline.
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

const API: ProviderApi = ProviderApi {
    name: "Heroku",
    accept: "application/vnd.heroku+json; version=3",
    url_variable: "STAGELINK_HEROKU_API_URL",
    token_variable: "HEROKU_API_KEY",
    token_advice: "make one with `heroku authorizations:create --scope read-protected`",
    access_advice: "its account needs access to it, and the token the scope read-protected",
    name_advice: "check the name in STAGELINK_HEROKU_PIPELINE or STAGELINK_HEROKU_APP, and that the \
            token's account may see it",
};

/// The header that points to the next page; the last page has none.
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

/// Wait before the next look at a review app that is being created, which takes minutes.
const PENDING_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Enough for a pipeline of 20,000 apps. A list that is longer has no end.
const MAX_PAGES: usize = 20;
