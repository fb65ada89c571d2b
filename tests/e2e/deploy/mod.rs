//! `stagelink deploy`: a project with one function, a site, and the databases of its stages.

mod interrupted;
mod plan;
mod refusals;
mod runs;
mod tested;

use std::fs;
use std::path::Path;
use std::process::Command;

use stagelink_cli::build::{Build, Target};
use stagelink_local::api::RecordedRequest;
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar, UploadedDeploy};
use stagelink_local_postgres::Database;
use stagelink_tests::{CANARY, server, write_small_function};

use crate::status::{Project, Run, branch};

/// A project whose function is built, and whose site has the contexts of staging and production.
pub(crate) struct Scene {
    pub(crate) project: Project,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let mut project = Project::new().await;
        project.mark().await;
        // The folder of the user is the project's own here.
        let cargo = Path::new(env!("CARGO"));
        project.set("CARGO", &cargo.display().to_string());
        project.set(
            "RUSTC",
            &cargo.with_file_name("rustc").display().to_string(),
        );
        let scene = Self { project };
        write_small_function(scene.folder());
        for (path, text) in [
            ("netlify.toml", "[build]\npublish = \"public\"\n"),
            ("public/index.html", "a page\n"),
            ("public/_redirects", "/a /\n"),
            ("public/.secret", CANARY),
            (".gitignore", "/dist\n/target\n/.gitignore\n"),
            ("migrations/V1__notes.sql", "CREATE TABLE notes (id int);"),
        ] {
            scene.write(path, text);
        }
        scene.set_stage(&branch("staging"), "staging");
        scene.set_stage(&Context::Production, "production");
        scene.build().await;
        scene.commit();
        scene
    }

    pub(crate) fn folder(&self) -> &Path {
        self.project.folder.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Sets the stage of a context, besides those of others.
    pub(crate) fn set_stage(&self, context: &Context, stage: &str) {
        let netlify = &self.project.netlify;
        let variables = netlify.variables("shop-site").expect("a site");
        let mut found = variables.into_iter();
        let variable = found.find(|variable| variable.key() == "STAGELINK_STAGE");
        let variable = variable
            .unwrap_or_else(|| EnvVar::new("STAGELINK_STAGE").scopes([EnvScope::Functions]))
            .value(context.clone(), stage);
        netlify
            .set_variable("shop-site", variable)
            .expect("a variable");
    }

    /// Builds the function, as `stagelink build` does.
    pub(crate) async fn build(&self) {
        let build = Build {
            project: self.folder().to_owned(),
            target: "x86_64-unknown-linux-gnu"
                .parse::<Target>()
                .expect("a target"),
            output: self.folder().join("dist"),
        };
        build.run(|_| ()).await.expect("it builds");
    }

    /// Commits all files.
    pub(crate) fn commit(&self) {
        let own = [
            "-c",
            "user.name=Test",
            "-c",
            "user.email=t@stagelink.example",
        ];
        for arguments in [
            &["init", "--quiet"][..],
            &["add", "."],
            &[&own[..], &["commit", "--quiet", "--message", "all"]].concat(),
        ] {
            let mut git = Command::new("git");
            let status = git.current_dir(self.folder()).args(arguments).status();
            assert!(status.expect("git runs").success(), "{arguments:?}");
        }
    }

    /// Runs `stagelink deploy` with the programs that are there, which answer no self-check.
    pub(crate) async fn deploy(&self, words: &[&str]) -> Run {
        let words = [&["deploy", "--no-build", "--no-test"], words].concat();
        let run = self.project.run(&words).await;
        self.ensure_no_secret_is_told();
        run
    }

    /// Searches the uploads for secrets, and the outputs for the keys of the deploys.
    pub(crate) fn ensure_no_secret_is_told(&self) {
        let project = &self.project;
        let token = project.netlify.token();
        for deploy in project.netlify.deploys() {
            let key = self.key_of(&deploy.id);
            let secrets = [Some(CANARY), Some(token), key.as_deref()];
            let mut contents: Vec<_> = deploy.files.values().cloned().map(Vec::from).collect();
            for function in deploy.functions.values() {
                contents.extend(function.unpack().expect("an archive").into_values());
            }
            for secret in secrets.into_iter().flatten() {
                let is_in = |bytes: &Vec<u8>| {
                    let mut windows = bytes.windows(secret.len());
                    windows.any(|window| window == secret.as_bytes())
                };
                assert!(!contents.iter().any(is_in), "a secret was uploaded");
                assert!(!project.record.text().contains(secret), "a secret was told");
            }
        }
    }

    /// Returns the key of a deploy's self-checks, which its functions alone get.
    pub(crate) fn key_of(&self, deploy: &str) -> Option<String> {
        let environment = self.project.netlify.function_environment(deploy)?;
        environment.get("STAGELINK_SELF_CHECK_KEY").cloned()
    }

    pub(crate) fn deploys(&self) -> Vec<UploadedDeploy> {
        self.project.netlify.deploys()
    }

    /// Returns the number of answered requests with this method whose path has this part.
    pub(crate) fn requests(&self, method: &str, part: &str) -> usize {
        let requests = self.project.netlify.control().requests();
        let of = |request: &&RecordedRequest| {
            request.method.as_str() == method && request.path.contains(part)
        };
        requests.iter().filter(of).count()
    }
}

/// Returns the first column of a query's rows.
pub(crate) async fn rows(database: &Database, sql: &str) -> Vec<String> {
    let client = server().await.connect_as_superuser_to(database).await;
    let rows = client.expect("a superuser").query(sql, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Returns the outcomes of the recorded deploys of a database, each with the migrations.
pub(crate) async fn outcomes(database: &Database) -> Vec<String> {
    let sql = "SELECT concat(command, ' ', outcome, ' ', applied_migrations) FROM \
               stagelink_deploys ORDER BY id";
    rows(database, sql).await
}

/// Returns the number of leases that a database has.
pub(crate) async fn leases(database: &Database) -> usize {
    rows(database, "SELECT command FROM stagelink_leases")
        .await
        .len()
}
