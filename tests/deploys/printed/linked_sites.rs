//! Sites of one account and a pipeline that they are linked to, by `stagelink link` and by the
//! lines that it prints.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use stagelink_local::heroku::{Access, Heroku, Stage};
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar, NetlifyApi};
use stagelink_local_postgres::Database;
use stagelink_tests::{Authority, CANARY, database, root, stagelink_command};
use tempfile::TempDir;

use crate::tools::{self, CliOutput};

/// All variables of a site, with the values of secrets.
pub(super) type SiteState = BTreeMap<String, VariableState>;

/// A variable of a site: whether it is a secret, its scopes, and its values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VariableState {
    pub(super) is_secret: bool,
    pub(super) scopes: Vec<EnvScope>,
    pub(super) values: BTreeMap<Context, String>,
}

/// A Netlify with sites, and a Heroku pipeline with the stages staging and production.
pub(super) struct LinkedSites {
    pub(super) netlify: NetlifyApi,
    pub(super) staging: Database,
    pub(super) production: Database,
    heroku: Heroku,
    /// The environment of `stagelink link`.
    variables: BTreeMap<String, String>,
    /// The environment of the printed lines: the secrets that they name.
    secrets: BTreeMap<String, String>,
    folder: TempDir,
}

impl LinkedSites {
    pub(super) async fn new() -> Self {
        let heroku = Heroku::start(0).await.expect("Heroku starts");
        heroku.create_pipeline("shop").expect("a pipeline");
        let (staging, production) = (database().await, database().await);
        for (stage, database) in [(Stage::Staging, &staging), (Stage::Production, &production)] {
            let app = format!("shop-{stage}");
            heroku.create_app(&app).expect("an app");
            heroku.couple("shop", &app, stage).expect("a coupling");
            heroku
                .set_config_var(&app, "DATABASE_URL", &database.url())
                .expect("a config var");
        }
        let token = heroku
            .create_token(&Access::Apps(vec!["shop-staging".to_owned()]))
            .expect("a token");
        let netlify = NetlifyApi::start(0).await.expect("Netlify starts");
        let mut sites = Self {
            variables: BTreeMap::from(
                [
                    ("STAGELINK_HEROKU_PIPELINE", "shop"),
                    ("STAGELINK_HEROKU_API_URL", heroku.url()),
                    // A value that begins with a hyphen, and has several lines.
                    (
                        "STAGELINK_ROOT_CERTIFICATES",
                        Authority::new("Roots of the shop").pem().as_str(),
                    ),
                    ("HEROKU_API_KEY", heroku.api_key()),
                    ("NETLIFY_API_URL", netlify.url()),
                    ("STAGING_TOKEN", &token),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            netlify,
            staging,
            production,
            heroku,
            secrets: BTreeMap::from([("STAGING_TOKEN".to_owned(), token)]),
            folder: tempfile::tempdir().expect("a folder"),
        };
        for (stage, database) in [
            ("staging", &sites.staging),
            ("production", &sites.production),
        ] {
            let mut command = Command::new(stagelink_command().await);
            command
                .args(["credentials", "--stage", stage])
                .env_clear()
                .env("DATABASE_URL", database.url())
                .env(ROOTS, &sites.variables[ROOTS]);
            let credentials = tools::run(command).await;
            assert!(credentials.success, "{}", credentials.stderr);
            let name = format!("STAGELINK_CREDENTIALS_{}", stage.to_uppercase());
            let credentials = credentials.stdout.trim().to_owned();
            sites.secrets.insert(name, credentials);
        }
        sites
    }

    /// Creates a site with these variables.
    pub(super) fn create(&self, site: &str, variables: &[EnvVar]) {
        self.netlify.create_site(site).expect("a site");
        for variable in variables {
            self.netlify
                .set_variable(site, variable.clone())
                .expect("a variable");
        }
    }

    /// Runs `stagelink link` for a site, with a token of Netlify's or without.
    pub(super) async fn link(&self, site: &str, has_token: bool, words: &[&str]) -> CliOutput {
        // It may write a stagelink.toml.
        let project = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(stagelink_command().await);
        command
            .current_dir(project.path())
            .args(["link", "--site", site])
            .args(words)
            .args(["--token-for", "staging=STAGING_TOKEN"])
            .args(["--staging-branch", BRANCH])
            .env_clear()
            .envs(&self.variables);
        if has_token {
            command.env("NETLIFY_AUTH_TOKEN", self.netlify.token());
        }
        tools::run(command).await
    }

    /// Returns the lines that `stagelink link --print` prints, which hold no secret.
    pub(super) async fn print(&self, site: &str, has_token: bool) -> String {
        let printed = self.link(site, has_token, &["--print"]).await;
        assert!(printed.success, "{}", printed.stderr);
        self.assert_no_secret(&printed.stdout);
        printed.stdout
    }

    /// Runs lines as a file with a shell. `netlify` is in the folder `programs`.
    pub(super) async fn run(
        &self,
        shell: &str,
        lines: &str,
        programs: &Path,
        more: &[(&str, &str)],
    ) -> CliOutput {
        let file = self.folder.path().join("lines");
        fs::write(&file, lines).expect("a file");
        let mut command = Command::new(shell);
        command
            .arg(file)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(tools::environment(self.folder.path(), Some(&self.netlify)))
            // Outside a CI the command line sends its arguments as telemetry.
            .env_remove("CI")
            .env("NETLIFY_TEST_TRACK_URL", self.telemetry("track"))
            .env("NETLIFY_TEST_IDENTIFY_URL", self.telemetry("identify"))
            .env("NETLIFY_TEST_ERROR_REPORT_URL", self.telemetry("error"))
            .env("NETLIFY_TEST_TELEMETRY_WAIT", "true")
            .envs(&self.secrets)
            .envs(more.iter().copied());
        let path = std::env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", programs.display()));
        let output = tools::run(command).await;
        self.assert_no_secret(&output.stdout);
        self.assert_no_secret(&output.stderr);
        output
    }

    /// Creates a folder with the quick stand-in of the Netlify command line.
    pub(super) fn quick_programs(&self) -> PathBuf {
        let programs = self.folder.path().join("programs");
        fs::create_dir_all(&programs).expect("a folder");
        let file = programs.join("netlify");
        let module = root().join("tests/deploys/printed/netlify.mjs");
        let text = format!(
            "#!/bin/sh\nexport WRITES='{}'\nexec node '{}' \"$@\"\n",
            programs.join("writes").display(),
            module.display()
        );
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a file");
        programs
    }

    pub(super) fn state(&self, site: &str) -> SiteState {
        let variables = self.netlify.variables(site).expect("a site");
        let state = |variable: &EnvVar| {
            let scopes = [
                EnvScope::Builds,
                EnvScope::Functions,
                EnvScope::Runtime,
                EnvScope::PostProcessing,
            ];
            let values = variable.values();
            VariableState {
                is_secret: variable.is_secret(),
                scopes: scopes
                    .into_iter()
                    .filter(|scope| variable.has_scope(*scope))
                    .collect(),
                values: values
                    .map(|(context, value)| (context.clone(), value.to_owned()))
                    .collect(),
            }
        };
        variables
            .iter()
            .map(|variable| (variable.key().to_owned(), state(variable)))
            .collect()
    }

    /// Returns the requests that changed something since this was asked last, each with its method
    /// and path.
    pub(super) fn writes(&self) -> Vec<String> {
        let requests = self.netlify.control().requests();
        self.netlify.control().clear_requests();
        let telemetry = requests.iter().find(|of| of.path.contains("telemetry"));
        assert!(telemetry.is_none(), "{telemetry:?}");
        requests
            .iter()
            .filter(|of| of.method != "GET")
            .map(|of| format!("{} {}", of.method, of.path))
            .collect()
    }

    fn telemetry(&self, kind: &str) -> String {
        format!("{}/telemetry/{kind}", self.netlify.url())
    }

    fn assert_no_secret(&self, text: &str) {
        let secrets = self.secrets.values().map(String::as_str);
        for secret in secrets.chain([CANARY, self.heroku.api_key(), self.netlify.token()]) {
            assert!(!text.contains(secret), "a secret is in:\n{text}");
        }
    }
}

/// A branch whose name a shell would take apart, and the Netlify command line write in lower case.
pub(super) const BRANCH: &str = "It's-$HOME/`id`-\"é\"!";

const ROOTS: &str = "STAGELINK_ROOT_CERTIFICATES";
