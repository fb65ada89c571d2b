//! `stagelink link`: gives each context of a site the database of its stage, and no other.

mod apart;
mod compared;
mod leaks;
mod moved;
mod odd_names;
mod operator;
mod own_names;
mod refused;
mod set;
mod settings_file;
mod silent;
mod tokens;

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use serde_json::Value;
use stagelink_local::heroku::{Access, Heroku};
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar, NetlifyApi};
use stagelink_local_postgres::Database;
use stagelink_tests::{
    CapturedRequest, HttpCapture, Record, ShopClouds, as_superuser, database, stagelink_command,
};
use tempfile::{TempDir, tempdir};
use tokio::process::Command;

/// Site without variables, and a pipeline whose staging and production have databases.
struct Site {
    heroku: Heroku,
    netlify: NetlifyApi,
    http_capture: HttpCapture,
    staging: Database,
    production: Database,
    /// Environment variables that the command runs with.
    variables: BTreeMap<String, String>,
    /// The project's folder, in which the command runs, and the home of its user.
    folder: TempDir,
    record: Record,
}

impl Site {
    async fn new() -> Self {
        let clouds = ShopClouds::with_config_vars().await;
        let reach = clouds.variables();
        let ShopClouds {
            heroku,
            netlify,
            staging,
            production,
        } = clouds;
        let http_capture = HttpCapture::to(netlify.url()).await;
        let record = Record::new([heroku.api_key().to_owned(), netlify.token().to_owned()]);
        let folder = tempdir().expect("a folder");
        let own = [
            ("STAGELINK_HEROKU_PIPELINE", "shop"),
            ("NETLIFY_API_URL", http_capture.url()),
            ("NETLIFY_SITE_ID", "shop-site"),
            ("HOME", folder.path().to_str().expect("a path in UTF-8")),
        ];
        let own = own.map(|(name, value)| (name, value.to_owned()));
        let variables = reach.into_iter().chain(own);
        let variables = variables
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Self {
            heroku,
            netlify,
            http_capture,
            staging,
            production,
            variables,
            folder,
            record,
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Creates a token for these apps and sets a variable to it.
    fn token(&mut self, name: &str, apps: &[&str]) -> String {
        let apps = apps.iter().map(|&app| app.to_owned()).collect();
        let token = self.heroku.create_token(&Access::Apps(apps));
        let token = token.expect("a token");
        self.record.forbid(token.clone());
        self.set(name, &token);
        token
    }

    /// Runs `stagelink link` with these arguments.
    async fn link(&self, words: &[&str]) -> LinkOutput {
        self.stagelink(&[&["link"], words].concat()).await
    }

    /// Runs `stagelink` with these arguments, in the folder of the project.
    async fn stagelink(&self, words: &[&str]) -> LinkOutput {
        let output = Command::new(stagelink_command().await)
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the command runs");
        LinkOutput::new(&output, &self.record)
    }

    /// Runs `stagelink link`, and checks that it succeeds.
    async fn link_successfully(&self, words: &[&str]) -> LinkOutput {
        let linked = self.link(words).await;
        assert!(linked.succeeded, "{}", linked.errors);
        linked
    }

    /// Runs `stagelink link`, and checks that it fails with these messages and changes nothing.
    async fn assert_refused(&self, words: &[&str], reasons: &[&str]) {
        self.assert_refused_again(words, reasons).await;
        let writes = self.writes();
        assert!(writes.is_empty(), "something was sent: {writes:?}");
    }

    /// Runs `stagelink link`, and checks that it fails, where an earlier run has made changes.
    async fn assert_refused_again(&self, words: &[&str], reasons: &[&str]) {
        let before = self.all();
        let linked = self.link(words).await;
        assert!(!linked.succeeded, "{}", linked.output);
        for reason in reasons {
            assert!(
                linked.errors.contains(reason),
                "{reason:?} is not in:\n{}",
                linked.errors
            );
        }
        assert!(self.all() == before, "something was set");
    }

    fn set_variable(&self, variable: EnvVar) {
        let set = self.netlify.set_variable("shop-site", variable);
        set.expect("the site");
    }

    fn set_account_variable(&self, variable: EnvVar) {
        let set = self.netlify.set_account_variable(variable);
        set.expect("the account");
    }

    /// Returns the environment variables of functions in a context.
    fn functions_in(&self, context: &Context) -> BTreeMap<String, String> {
        self.environment(context, EnvScope::Functions)
    }

    fn environment(&self, context: &Context, scope: EnvScope) -> BTreeMap<String, String> {
        self.netlify
            .environment("shop-site", context, scope)
            .expect("the site")
    }

    /// Returns the requests that change something.
    fn writes(&self) -> Vec<CapturedRequest> {
        let mut requests = self.http_capture.requests();
        requests.retain(|request| request.method != "GET");
        requests
    }

    /// Returns all variables in all contexts.
    fn all(&self) -> Vec<BTreeMap<String, String>> {
        contexts()
            .iter()
            .map(|context| self.functions_in(context))
            .collect()
    }
}

/// Result of a run of the command.
struct LinkOutput {
    succeeded: bool,
    output: String,
    errors: String,
}

impl LinkOutput {
    fn new(output: &Output, record: &Record) -> Self {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let is_odd = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(is_odd), "a terminal would obey: {text:?}");
            text
        };
        let linked = Self {
            succeeded: output.status.success(),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        };
        record.add(&linked.output);
        record.add(&linked.errors);
        // Neither output contains a secret.
        record.text();
        linked
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.output).expect("a line of JSON")
    }
}

fn staging() -> Context {
    Context::Branch("staging".to_owned())
}

fn contexts() -> [Context; 7] {
    [
        Context::All,
        Context::Production,
        staging(),
        Context::Branch("feature".to_owned()),
        Context::BranchDeploy,
        Context::DeployPreview,
        Context::Dev,
    ]
}

/// Sets a database's stage mark.
async fn mark(database: &Database, stage: &str) {
    as_superuser(&format!(
        "ALTER DATABASE {} SET application_name = 'stagelink:{stage}'",
        database.name()
    ))
    .await;
}
