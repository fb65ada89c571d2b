//! What every test of a function has, whoever knows the database.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stagelink_local::lambda::{Function, FunctionConfig};
use stagelink_local_postgres::Database;

use crate::{Answer, Record, Target, functions};

/// A database of the test's own, and functions with the variables that link them to it.
#[derive(Debug)]
pub struct FunctionHarness {
    /// The database.
    pub database: Database,
    /// The variables that functions are started with: those of a good set-up,
    /// for a test to spoil.
    pub variables: BTreeMap<String, String>,
    /// What functions logged and answered.
    pub record: Record,
}

impl FunctionHarness {
    /// A harness whose functions serve staging with these variables. No log may hold one
    /// of the secrets.
    pub fn new<const N: usize>(
        database: Database,
        variables: [(&str, &str); N],
        secrets: impl IntoIterator<Item = String>,
    ) -> Self {
        let stage = [("STAGELINK_STAGE", "staging")];
        let variables = stage.into_iter().chain(variables);
        Self {
            database,
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            record: Record::new(secrets),
        }
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

    /// Starts as many functions of one instance each, so that a test knows which of them
    /// it asks. Their start may take longer than on Lambda: they share this machine.
    pub async fn instances(&self, count: usize, name: &str) -> Vec<Function> {
        let mut config = self.config(name, &functions().await[name]);
        config.max_instances = 1;
        config.init_timeout = Duration::from_secs(60);
        let one = |_| Function::new(config.clone());
        (0..count).map(one).collect()
    }

    /// Starts any program as a function, with the variables as they are now.
    pub fn start(&self, name: &str, executable: &Path) -> Function {
        Function::new(self.config(name, executable))
    }

    /// The same, as the test wants it to be run.
    pub fn start_as(
        &self,
        name: &str,
        executable: &Path,
        configure: impl FnOnce(&mut FunctionConfig),
    ) -> Function {
        let mut config = self.config(name, executable);
        configure(&mut config);
        Function::new(config)
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
