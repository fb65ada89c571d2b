//! A whole project on this machine: a Heroku pipeline, the stages' functions, and the Netlify site.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use stagelink_local_postgres::{Database, DatabaseAdmin};

use crate::heroku::{Access, Heroku, Stage};
use crate::lambda::{Function, FunctionConfig, LogLine};
use crate::netlify::{BoundSite, Deploy, InvocationFuture, Invoke, Site, SiteConfig, Timeouts};
use crate::project_databases::{CurrentDatabase, ProjectDatabases};
use crate::{Error, ErrorKind, http_client};

/// Configuration of a [`Cloud`].
#[derive(Debug)]
pub struct CloudConfig {
    /// Name of the pipeline on the local Heroku. The app of a stage is named
    /// `<pipeline>-<name>`, and where that is too long `<pipeline>-<number>`.
    pub pipeline: String,
    /// The stages, each with its database.
    pub stages: Vec<StageConfig>,
    /// Access to the server of these databases. The local Heroku uses it for their live facts and
    /// for rotations.
    pub databases: DatabaseAdmin,
    /// Programs of the functions, by function name. Every stage runs all functions.
    pub functions: BTreeMap<String, PathBuf>,
    /// Variables of all functions, in addition to those of their stage.
    pub variables: BTreeMap<String, String>,
    /// Configuration of the site, as in netlify.toml.
    pub site: SiteConfig,
    /// Port of the site; 0 selects a free port.
    pub site_port: u16,
    /// Port of the local Heroku; 0 selects a free port.
    pub heroku_port: u16,
}

/// A stage of a [`CloudConfig`].
#[derive(Debug)]
pub struct StageConfig {
    /// The project's name for the stage, in lowercase letters, digits and hyphens. Several stages of
    /// a pipeline stage have different names.
    pub name: String,
    /// The stage in the pipeline.
    pub stage: Stage,
    /// The stage's database.
    pub database: Database,
}

impl From<(Stage, Database)> for StageConfig {
    /// Makes the stage that is called after that of the pipeline.
    fn from((stage, database): (Stage, Database)) -> Self {
        Self {
            name: stage.to_string(),
            stage,
            database,
        }
    }
}

/// A running project on this machine: Heroku, Lambda and Netlify.
///
/// Each stage is a deploy with processes of its own. As on Netlify, the functions get their
/// settings from variables. Among these is a token that gives access to the config vars of that
/// stage's app only.
///
/// Dropping it ends the processes; [`stop`](Cloud::stop) also waits for their end.
#[derive(Debug)]
pub struct Cloud {
    heroku: Heroku,
    site: Site,
    pipeline: String,
    stages: Vec<StageSite>,
}

/// A stage of a [`Cloud`].
#[derive(Debug)]
pub struct StageSite {
    name: String,
    stage: Stage,
    app: String,
    url: String,
    database: CurrentDatabase,
    variables: BTreeMap<String, String>,
    functions: BTreeMap<String, Function>,
}

impl Cloud {
    /// Starts the local clouds. `log` is called for each line of a function's log, with the name of
    /// its stage.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) if a port of the configuration is
    /// taken.
    pub async fn start(
        config: CloudConfig,
        log: impl Fn(&str, LogLine) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::start_with(config, log, async |_| Ok(())).await
    }

    /// Starts the local clouds, and calls `prepare` with the stages before the site serves the first
    /// request: Heroku and the databases answer by then, and clients of the site wait. A project
    /// applies its migrations there, so that no request meets a database without its tables.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Cloud::start), and those of `prepare`; behind either nothing of the clouds
    /// is left.
    pub async fn start_with<E: From<Error>>(
        config: CloudConfig,
        log: impl Fn(&str, LogLine) + Send + Sync + 'static,
        prepare: impl AsyncFnOnce(&[StageSite]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let pipeline = config.pipeline.clone();
        let (heroku, stages, site) = Self::bind(config, log).await?;
        if let Err(error) = prepare(&stages).await {
            heroku.stop().await;
            return Err(error);
        }
        Ok(Self {
            heroku,
            site: site.serve(Timeouts::default()),
            pipeline,
            stages,
        })
    }

    /// Starts Heroku with the stages, and listens for the site.
    async fn bind(
        config: CloudConfig,
        log: impl Fn(&str, LogLine) + Send + Sync + 'static,
    ) -> Result<(Heroku, Vec<StageSite>, BoundSite), Error> {
        let heroku = Heroku::start(config.heroku_port).await?;
        heroku.create_pipeline(&config.pipeline)?;
        let log = Arc::new(log);
        let mut stages = Vec::new();
        let mut deploys = Vec::new();
        let mut databases = Vec::new();
        let main = config
            .stages
            .iter()
            .find(|of| of.stage == Stage::Production);
        let main = main.map(|of| of.name.clone());
        let pipeline_stages: Vec<Stage> = config.stages.iter().map(|of| of.stage).collect();
        for (number, of) in config.stages.into_iter().enumerate() {
            let StageConfig {
                name: stage_name,
                stage,
                database,
            } = of;
            let app = app_name(&config.pipeline, &stage_name, number);
            heroku.create_app(&app)?;
            heroku.couple(&config.pipeline, &app, stage)?;
            heroku.attach_postgres(&app, &database.url())?;
            let token = heroku.create_token(&Access::Apps(vec![app.clone()]))?;
            let mut variables = config.variables.clone();
            let written = match stage_name == stage.as_str() {
                true => stage_name.clone(),
                false => format!("{stage}/{stage_name}"),
            };
            // A pipeline tells its apps apart by the stage alone.
            let of_stage = pipeline_stages.iter().filter(|of| **of == stage);
            if written != stage_name || of_stage.count() > 1 {
                variables.insert("STAGELINK_HEROKU_APP".to_owned(), app.clone());
            }
            variables.extend(
                [
                    ("STAGELINK_STAGE", &*written),
                    ("STAGELINK_HEROKU_PIPELINE", &config.pipeline),
                    ("STAGELINK_HEROKU_API_URL", heroku.url()),
                    ("HEROKU_API_KEY", &token),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            let is_main = main.as_ref() == Some(&stage_name);
            let host = host_name(&stage_name, is_main);
            let mut deploy = Deploy::new(host.clone(), &config.site);
            let mut functions = BTreeMap::new();
            for (name, executable) in &config.functions {
                let mut function_config = FunctionConfig::new(name, executable);
                function_config.environment.clone_from(&variables);
                let (log, stage_name) = (log.clone(), stage_name.clone());
                function_config.logs = Arc::new(move |line| log(&stage_name, line));
                let function = Function::new(function_config);
                deploy = deploy.with_function(name, Arc::new(function.clone()));
                functions.insert(name.clone(), function);
            }
            let database = CurrentDatabase::new(database);
            databases.push(database.clone());
            deploys.push(deploy);
            stages.push(StageSite {
                name: stage_name,
                stage,
                app,
                url: host,
                database,
                variables,
                functions,
            });
        }
        heroku.set_database_owner(Arc::new(ProjectDatabases::new(config.databases, databases)));
        let site = BoundSite::bind(config.site_port, deploys).await?;
        for stage in &mut stages {
            stage.url = site.url(&stage.url);
        }
        Ok((heroku, stages, site))
    }

    /// The local Heroku.
    pub fn heroku(&self) -> &Heroku {
        &self.heroku
    }

    /// Name of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The stages, in the order of the config.
    pub fn stages(&self) -> &[StageSite] {
        &self.stages
    }

    /// Stops the site, then the functions, then Heroku. In this order no request is lost.
    pub async fn stop(self) {
        self.site.stop().await;
        for stage in &self.stages {
            for function in stage.functions.values() {
                function.shutdown().await;
            }
        }
        self.heroku.stop().await;
    }
}

impl StageSite {
    /// The project's name for the stage.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stage in the pipeline.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Name of the app on the local Heroku.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// URL of the stage's site, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The stage's database, with its current password.
    pub fn database(&self) -> Database {
        self.database.database()
    }

    /// The variables of the stage's functions. With them another program on this machine connects
    /// to the stage as a function does.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Sends a request to the stage's site, with an optional JSON body, and returns the whole
    /// response. It is meant for tests of a project's functions.
    ///
    /// ```no_run
    /// # async fn example(staging: &stagelink_local::StageSite) -> Result<(), Box<dyn std::error::Error>> {
    /// let note = serde_json::json!({ "text": "hello" });
    /// let response = staging.request("POST", "/api/notes", Some(&note)).await?;
    /// assert_eq!(response.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for an invalid method or path,
    /// [`ErrorKind::System`](crate::ErrorKind::System) if the site does not respond.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        json: Option<&Value>,
    ) -> Result<Response<Bytes>, Error> {
        let url = &self.url;
        let request = json_request(url, method, path, json)?;
        let (head, body) = http_client::send(url, request).await?.into_parts();
        let body = body.collect().await.map_err(|cause| {
            let message = format!("could not read the response to {method} {url}{path}");
            Error::new(ErrorKind::System, message).with_source(cause)
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Returns a function of the stage by name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }
}

impl Invoke for Function {
    fn invoke(&self, event: Bytes) -> InvocationFuture<'_> {
        Box::pin(self.invoke(event))
    }
}

/// Returns the host name of a stage: the site's name for the first stage of production, a subdomain
/// for every other stage, as for Netlify's branch deploys.
fn host_name(stage: &str, is_main: bool) -> String {
    match is_main {
        true => "localhost".to_owned(),
        false => format!("{stage}.localhost"),
    }
}

/// Returns the name of a stage's app. Heroku's have 30 characters at most.
fn app_name(pipeline: &str, stage: &str, number: usize) -> String {
    let name = format!("{pipeline}-{stage}");
    match name.len() <= 30 {
        true => name,
        false => format!("{pipeline}-{number}"),
    }
}

/// Creates a request with an optional JSON body.
fn json_request(
    url: &str,
    method: &str,
    path: &str,
    json: Option<&Value>,
) -> Result<Request<Bytes>, Error> {
    let mut request = Request::builder().method(method).uri(path);
    if json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = json.map(Value::to_string).unwrap_or_default();
    request.body(body.into()).map_err(|cause| {
        let message = format!("could not send {method} {url}{path}: invalid method or path");
        Error::new(ErrorKind::Input, message).with_source(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_is_named_after_the_stage_where_that_fits() {
        assert_eq!(app_name("shop", "qa", 2), "shop-qa");
        let long = "n".repeat(26);
        assert_eq!(app_name("shop", &long, 2), "shop-2");
    }

    #[test]
    fn request_with_an_invalid_method_or_path_is_an_input_error() {
        let url = "http://localhost:8888";
        for (method, path) in [("GET", "no path"), ("G ET", "/")] {
            let error = json_request(url, method, path, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(url), "{error}");
        }
    }
}
