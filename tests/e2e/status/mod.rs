//! `stagelink status`, `env` and `psql`: a project with a site and the databases of its stages.

mod board;
mod company;
mod env;
mod psql;
mod settings;
mod unknown;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Output, Stdio};

use serde_json::Value;
use stagelink_local::heroku::Heroku;
use stagelink_local::netlify_api::{Context, GitBuild, NetlifyApi};
use stagelink_local_postgres::Database;
use stagelink_tests::{CANARY, HttpCapture, Record, ShopClouds, as_superuser, stagelink_command};
use tempfile::{TempDir, tempdir};
use tokio::process::Command;

/// A project with a `stagelink.toml`, a site, and a pipeline whose add-ons are real databases.
pub(crate) struct Project {
    pub(crate) heroku: Heroku,
    pub(crate) netlify: NetlifyApi,
    pub(crate) netlify_requests: HttpCapture,
    pub(crate) staging: Database,
    pub(crate) production: Database,
    /// The environment of the command.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) folder: TempDir,
    pub(crate) record: Record,
}

const SETTINGS: &str = "[netlify]\nsite = \"shop-site\"\n\n[heroku]\npipeline = \"shop\"\n\n\
                        [stages.staging]\nbranch = \"staging\"\n\n[stages.production]\n";

impl Project {
    pub(crate) async fn new() -> Self {
        let clouds = ShopClouds::with_addons().await;
        let reach = clouds.variables();
        let ShopClouds {
            heroku,
            netlify,
            staging,
            production,
        } = clouds;
        let netlify_requests = HttpCapture::to(netlify.url()).await;
        let folder = tempdir().expect("a folder");
        fs::write(folder.path().join("stagelink.toml"), SETTINGS).expect("a file");
        fs::create_dir(folder.path().join("migrations")).expect("a folder");
        let record = Record::new([heroku.api_key().to_owned(), netlify.token().to_owned()]);
        let path = std::env::var("PATH").expect("a path");
        let own = [
            ("NETLIFY_API_URL", netlify_requests.url()),
            ("HOME", folder.path().to_str().expect("a path in UTF-8")),
            ("PATH", &path),
        ];
        let own = own.map(|(name, value)| (name, value.to_owned()));
        let variables = reach.into_iter().chain(own);
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        Self {
            variables: variables.collect(),
            heroku,
            netlify,
            netlify_requests,
            staging,
            production,
            folder,
            record,
        }
    }

    /// Writes the file by which `--local` finds the clouds of a running `stagelink dev`, which names those
    /// of this project.
    pub(crate) fn name_local_clouds(&self) {
        let variables = |stage: &'static str| {
            serde_json::json!({
                "STAGELINK_STAGE": stage,
                "STAGELINK_HEROKU_PIPELINE": "shop",
                "STAGELINK_HEROKU_API_URL": self.heroku.url(),
                "HEROKU_API_KEY": self.heroku.api_key(),
            })
        };
        let site = serde_json::json!({
            "process": std::process::id(),
            "port": 8888,
            "stages": {"staging": variables("staging"), "production": variables("production")},
            "urls": {
                "staging": "http://staging.localhost:8888",
                "production": "http://production.localhost:8888",
            },
            "clouds": {
                "pipeline": "shop",
                "heroku_url": self.heroku.url(),
                "heroku_token": self.heroku.api_key(),
                "site": "shop-site",
                "netlify_url": self.netlify.url(),
                "netlify_token": self.netlify.token(),
                "faults_url": "http://127.0.0.1:1",
                "faults_token": "none",
                "invoke_url": "http://127.0.0.1:1",
                "invoke_token": "none",
                "invoke_stage": "staging",
            },
        });
        let folder = self.folder.path().join("target/stagelink");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("dev-8888.json"), site.to_string()).expect("a file");
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a file");
    }

    /// Deploys a commit, and returns the deploy's id.
    pub(crate) fn build(&self, context: Context, branch: &str, commit: &str) -> String {
        let build = GitBuild {
            context,
            branch: branch.to_owned(),
            commit: commit.to_owned(),
            title: format!("Work on {branch}"),
        };
        self.netlify.build("shop-site", build).expect("a deploy")
    }

    /// Marks both databases as their stages'.
    pub(crate) async fn mark(&self) {
        mark(&self.staging, "staging").await;
        mark(&self.production, "production").await;
    }

    /// Returns `stagelink` with these arguments, in the folder of the project.
    pub(crate) async fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(stagelink_command().await);
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs `stagelink` with these arguments.
    pub(crate) async fn run(&self, words: &[&str]) -> Run {
        let output = self.command(words).await.output().await;
        Run::new(&output.expect("the command runs"), &self.record)
    }
}

/// Returns whether a command line is that of psql itself: Debian's is a wrapper of the one that it starts.
pub(crate) fn is_psql(line: &str) -> bool {
    let program = line.split(' ').next().unwrap_or_default();
    program.ends_with("psql")
}

/// A finished command. Neither of its outputs has a secret.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Run {
    pub(crate) fn new(output: &Output, record: &Record) -> Self {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let is_odd = |c: char| (c.is_control() && c != '\n') || turns_text(c);
            assert!(!text.contains(is_odd), "a terminal would obey: {text:?}");
            assert!(!text.contains(CANARY), "{text}");
            record.add(&text);
            text
        };
        let run = Self {
            code: output.status.code(),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        };
        record.text();
        run
    }

    pub(crate) fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "{}{}", self.output, self.errors);
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.output.lines().count(), 1, "{}", self.output);
        serde_json::from_str(&self.output).expect("a line of JSON")
    }
}

/// Returns whether a terminal shows the text after this character in another place than where it is.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Sets a database's stage mark.
pub(crate) async fn mark(database: &Database, stage: &str) {
    as_superuser(&format!(
        "ALTER DATABASE {} SET application_name = 'stagelink:{stage}'",
        database.name()
    ))
    .await;
}

pub(crate) fn branch(name: &str) -> Context {
    Context::Branch(name.to_owned())
}
