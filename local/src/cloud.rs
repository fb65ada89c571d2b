//! A whole site on this machine: Heroku's pipeline, the stages' functions, and Netlify's routes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::Value;
use stagelink_local_postgres::{Database, DatabaseAdmin};

use crate::Error;
use crate::ask::ask;
use crate::heroku::{Access, Heroku, Stage};
use crate::lambda::{Function, FunctionConfig, LogLine};
use crate::netlify::{Deploy, Invocation, Invoke, Site, SiteConfig};
use crate::owner::{Current, Owner};

/// What a [`Cloud`] is made of.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline's name on the local Heroku. The app of a stage is named
    /// `<pipeline>-<stage>`.
    pub pipeline: String,
    /// The stages with the database of each.
    pub stages: Vec<(Stage, Database)>,
    /// The way to the server of these databases, for what the local Heroku does to
    /// them and tells of them.
    pub databases: DatabaseAdmin,
    /// The functions, by name, as programs. Every stage runs all of them.
    pub functions: BTreeMap<String, PathBuf>,
    /// Variables that all functions get beside those of their stage.
    pub variables: BTreeMap<String, String>,
    /// What netlify.toml says.
    pub config: SiteConfig,
    /// The port of the site; 0 takes a free one.
    pub site_port: u16,
    /// The port of the local Heroku; 0 takes a free one.
    pub heroku_port: u16,
}

/// A site on this machine that runs.
///
/// Each stage is a deploy of its own, with its own processes. A stage's
/// functions get their settings as they get them on Netlify, from variables, and
/// among these a token that reads the config vars of that stage's app alone.
///
/// Dropping it ends the processes; [`stop`](Cloud::stop) also waits for that.
#[derive(Debug)]
pub struct Cloud {
    heroku: Heroku,
    site: Site,
    pipeline: String,
    stages: Vec<StageSite>,
}

/// One stage of a site.
#[derive(Debug)]
pub struct StageSite {
    stage: Stage,
    app: String,
    url: String,
    database: Current,
    variables: BTreeMap<String, String>,
    functions: BTreeMap<String, Function>,
}

impl Cloud {
    /// Brings all of it up. `log` gets what the functions write, with their stage.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) when a port that was
    /// asked for is taken.
    pub async fn start(
        plan: Plan,
        log: impl Fn(Stage, LogLine) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let heroku = Heroku::start(plan.heroku_port).await?;
        heroku.create_pipeline(&plan.pipeline)?;
        let log = Arc::new(log);
        let mut stages = Vec::new();
        let mut deploys = Vec::new();
        let mut databases = Vec::new();
        for (stage, database) in plan.stages {
            let app = format!("{}-{stage}", plan.pipeline);
            heroku.create_app(&app)?;
            heroku.couple(&plan.pipeline, &app, stage)?;
            heroku.attach_postgres(&app, &database.url())?;
            let token = heroku.create_token(&Access::Apps(vec![app.clone()]))?;
            let mut variables = plan.variables.clone();
            variables.extend(
                [
                    ("STAGELINK_STAGE", stage.as_str()),
                    ("STAGELINK_HEROKU_PIPELINE", &plan.pipeline),
                    ("STAGELINK_HEROKU_API_URL", heroku.url()),
                    ("HEROKU_API_KEY", &token),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            let mut deploy = Deploy::new(host(stage), &plan.config);
            let mut functions = BTreeMap::new();
            for (name, executable) in &plan.functions {
                let mut config = FunctionConfig::new(name, executable);
                config.environment.clone_from(&variables);
                let log = log.clone();
                config.logs = Arc::new(move |line| log(stage, line));
                let function = Function::new(config);
                deploy = deploy.function(name, Arc::new(function.clone()));
                functions.insert(name.clone(), function);
            }
            let database = Current::new(database);
            databases.push(database.clone());
            deploys.push(deploy);
            stages.push(StageSite {
                stage,
                app,
                url: String::new(),
                database,
                variables,
                functions,
            });
        }
        heroku.set_database_owner(Arc::new(Owner::new(plan.databases, databases)));
        let site = Site::start(plan.site_port, deploys).await?;
        for stage in &mut stages {
            stage.url = site.url(&host(stage.stage));
        }
        Ok(Self {
            heroku,
            site,
            pipeline: plan.pipeline,
            stages,
        })
    }

    /// The local Heroku.
    pub fn heroku(&self) -> &Heroku {
        &self.heroku
    }

    /// The pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The stages, in the order of the plan.
    pub fn stages(&self) -> &[StageSite] {
        &self.stages
    }

    /// Ends it: first the site, so that no request is lost, then the functions,
    /// then Heroku.
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
    /// Which stage it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The app's name on the local Heroku.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Where the site answers, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The stage's database, with the password that it has now.
    pub fn database(&self) -> Database {
        self.database.database()
    }

    /// The variables that its functions get: how a program of this machine links
    /// to the stage as a function does.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Sends one request to the stage's site, with a body of JSON or without one, and reads
    /// the answer whole: what a test of a project's functions asks.
    ///
    /// ```no_run
    /// # async fn example(staging: &stagelink_local::StageSite) -> Result<(), Box<dyn std::error::Error>> {
    /// let note = serde_json::json!({ "text": "hello" });
    /// let answer = staging.ask("POST", "/api/notes", Some(&note)).await?;
    /// assert_eq!(answer.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when method or path is none,
    /// [`ErrorKind::System`](crate::ErrorKind::System) when the site does not answer.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        json: Option<&Value>,
    ) -> Result<Response<Bytes>, Error> {
        ask(method, &self.url, path, json).await
    }

    /// A function of the stage, by name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }
}

impl Invoke for Function {
    fn invoke(&self, event: Bytes) -> Invocation<'_> {
        Box::pin(self.invoke(event))
    }
}

/// Production has the site's own name, every other stage one beneath it, as
/// Netlify names the deploys of branches.
fn host(stage: Stage) -> String {
    match stage {
        Stage::Production => "localhost".to_owned(),
        other => format!("{other}.localhost"),
    }
}
