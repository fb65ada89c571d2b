//! Fixture for tests of a function, independent of the provider.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stagelink_cli::build::Artifact;
use stagelink_local::lambda::{Function, FunctionConfig};
use stagelink_local_postgres::Database;

use crate::tls_library::{TLS_LIBRARY, is_native};
use crate::{Answer, PATIENT, Record, Target, functions};

/// Database of one test, and functions with the variables that link them to it.
#[derive(Debug)]
pub struct FunctionHarness {
    /// The database.
    pub database: Database,
    /// Environment of the functions. It starts valid; a test may break it.
    pub variables: BTreeMap<String, String>,
    /// Logs and responses of the functions.
    pub record: Record,
}

impl FunctionHarness {
    /// Creates a harness whose functions serve staging with these variables, [`PATIENT`] and the
    /// TLS library of this run. No log may contain one of the secrets.
    pub fn new<const N: usize>(
        database: Database,
        variables: [(&str, &str); N],
        secrets: impl IntoIterator<Item = String>,
    ) -> Self {
        let own = [("STAGELINK_STAGE", "staging")];
        let library = is_native().then_some((TLS_LIBRARY, "native-tls"));
        let own = own.into_iter().chain(library);
        let variables = own.chain(PATIENT).chain(variables);
        Self {
            database,
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            record: Record::new(secrets),
        }
    }

    /// Sets an environment variable of the functions.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Starts a function of the project with the current variables.
    pub async fn function(&self, name: &str) -> Function {
        self.start(name, &functions().await[name])
    }

    /// Starts a function of the project with this time-out for an invocation.
    pub async fn function_within(&self, timeout: Duration, name: &str) -> Function {
        let mut config = self.config(name, &functions().await[name]);
        config.timeout = timeout;
        Function::new(config)
    }

    /// Starts `count` functions with one instance each, so that a test knows which instance it
    /// calls.
    pub async fn instances(&self, count: usize, name: &str) -> Vec<Function> {
        let mut config = self.config(name, &functions().await[name]);
        config.max_instances = 1;
        let one = |_| Function::new(config.clone());
        (0..count).map(one).collect()
    }

    /// Starts any program as a function, with the current variables.
    pub fn start(&self, name: &str, executable: &Path) -> Function {
        Function::new(self.config(name, executable))
    }

    /// Starts the program of an artifact, which has rustls alone.
    pub fn start_artifact(&self, artifact: &Artifact) -> Function {
        self.start_as(&artifact.function, &artifact.program, |config| {
            config.environment.remove(TLS_LIBRARY);
        })
    }

    /// Starts any program as a function, with a configuration that the test changes.
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
        // Longer than on Lambda, because all functions share this machine.
        config.init_timeout = Duration::from_secs(60);
        config.logs = Arc::new(move |line| record.add(line.line));
        config
    }

    /// Sends one GET request to a new instance of a function, and shuts it down.
    pub async fn get(&self, name: &str) -> Answer {
        let function = self.function(name).await;
        let answer = self
            .ask(&function, "GET", &format!("/api/{name}"), None)
            .await;
        function.shutdown().await;
        answer
    }

    /// Sends one request to a function, in the event format of API Gateway.
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

    /// Returns a function as the target of requests whose responses are searched for secrets.
    pub fn target(&self, function: &Function) -> Target {
        Target::Function {
            function: function.clone(),
            record: self.record.clone(),
        }
    }

    /// Returns all logs and responses of the functions so far, and checks that they contain no
    /// secret.
    pub fn log(&self) -> String {
        self.record.text()
    }
}
