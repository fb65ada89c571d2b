//! A stage with its Heroku, its database and a function: the place of most tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stagelink_local::heroku::{Access, Heroku, Stage};
use stagelink_local::lambda::{Function, FunctionConfig};
use stagelink_local::postgres::Database;

use crate::{Answer, Record, Target, database, functions};

/// A pipeline `shop` with the app `shop-staging` in the stage staging, whose
/// database is the test's own.
#[derive(Debug)]
pub struct Scene {
    /// The local Heroku. Its pipeline is `shop`.
    pub heroku: Heroku,
    /// The database of `shop-staging`.
    pub database: Database,
    /// The variables that functions are started with: those of a good set-up,
    /// for a test to spoil.
    pub variables: BTreeMap<String, String>,
    record: Record,
}

impl Scene {
    /// Sets it up.
    ///
    /// # Panics
    ///
    /// When that fails, as all methods do.
    pub async fn new() -> Self {
        let database = database().await;
        let heroku = Heroku::start(0).await.expect("Heroku starts");
        heroku.create_pipeline("shop").expect("a pipeline");
        heroku.create_app("shop-staging").expect("an app");
        heroku
            .couple("shop", "shop-staging", Stage::Staging)
            .expect("a coupling");
        heroku
            .set_config_var("shop-staging", "DATABASE_URL", &database.url())
            .expect("a config var");
        let token = heroku
            .create_token(&Access::Apps(vec!["shop-staging".to_owned()]))
            .expect("a token");
        let variables = BTreeMap::from([
            ("STAGELINK_STAGE".to_owned(), "staging".to_owned()),
            ("STAGELINK_HEROKU_PIPELINE".to_owned(), "shop".to_owned()),
            (
                "STAGELINK_HEROKU_API_URL".to_owned(),
                heroku.url().to_owned(),
            ),
            ("HEROKU_API_KEY".to_owned(), token.clone()),
        ]);
        let record = Record::new([token, heroku.api_key().to_owned()]);
        Self {
            heroku,
            database,
            variables,
            record,
        }
    }

    /// A good set-up whose database URL is this one.
    pub async fn with_url(url: &str) -> Self {
        let scene = Self::new().await;
        scene.set_url(url);
        scene
    }

    /// Sets `DATABASE_URL` of the app, as `heroku config:set` does.
    pub fn set_url(&self, url: &str) {
        self.heroku
            .set_config_var("shop-staging", "DATABASE_URL", url)
            .expect("a config var");
    }

    /// Adds an app to a stage of the pipeline, and gives the functions a token
    /// that reads all of the account's apps.
    pub fn add_app(&mut self, name: &str, stage: Stage) {
        self.heroku.create_app(name).expect("an app");
        self.heroku.couple("shop", name, stage).expect("a coupling");
        let token = self.heroku.create_token(&Access::AllApps).expect("a token");
        self.set("HEROKU_API_KEY", &token);
        self.record.forbid(token);
    }

    /// Sets a variable of the function.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Starts a function of the project with the variables as they are now.
    pub async fn function(&self, name: &str) -> Function {
        self.start(name, &functions().await[name])
    }

    /// Starts a function of the project that may take so long for an invocation.
    pub async fn function_within(&self, timeout: Duration, name: &str) -> Function {
        let mut config = self.config(name, &functions().await[name]);
        config.timeout = timeout;
        Function::new(config)
    }

    /// Starts any program as a function, with the variables as they are now.
    pub fn start(&self, name: &str, executable: &Path) -> Function {
        Function::new(self.config(name, executable))
    }

    fn config(&self, name: &str, executable: &Path) -> FunctionConfig {
        let record = self.record.clone();
        let mut config = FunctionConfig::new(name, executable);
        config.environment.clone_from(&self.variables);
        config.logs = Arc::new(move |line| record.add(line.line));
        config
    }

    /// Sends one GET to a new instance of a function and ends it.
    pub async fn get(&self, name: &str) -> Answer {
        let function = self.function(name).await;
        let answer = self
            .ask(&function, "GET", &format!("/api/{name}"), None)
            .await;
        function.shutdown().await;
        answer
    }

    /// Sends one request to a function, as API Gateway writes it.
    pub async fn ask(
        &self,
        function: &Function,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        self.target(function)
            .ask(method, path, &[], body)
            .await
            .unwrap_or_else(|why| panic!("{method} {path}: {why}\n{}", self.log()))
    }

    /// A function as the target of requests, whose answers are searched for secrets.
    pub fn target(&self, function: &Function) -> Target {
        Target::Function {
            function: function.clone(),
            record: self.record.clone(),
        }
    }

    /// All that the functions logged and answered so far; it holds no secret.
    pub fn log(&self) -> String {
        self.record.text()
    }
}
