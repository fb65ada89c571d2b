//! `stagelink promote`, `rollback` and `history`: a shop with two stages on a Netlify site whose deploys
//! are served, and real databases.

mod beside;
mod contents;
mod faults;
mod gate;
mod gone;
mod hostile;
mod kills;
mod local;
mod odd_texts;
mod programs;
mod promotion;
mod published;
mod rollback;
mod running;
pub(crate) mod stopped;
mod under_load;
mod workflows;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};

use serde_json::Value;
use stagelink_cli::build::Artifact;
use stagelink_local::heroku::Access;
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar, Hosting, UploadedDeploy};
use stagelink_pipeline::{MigrationFolder, MigrationList};
use stagelink_tests::{Answer, built_artifacts, send, server};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::status::{Project, Run};

/// A linked project, with a deploy of both stages by `stagelink deploy`.
pub(crate) struct Shop {
    pub(crate) project: Project,
    pub(crate) hosting: Hosting,
}

pub(crate) const NETLIFY_TOML: &str = "[build]\npublish = \"public\"\n\n[functions]\ndirectory = \
                            \"dist/functions\"\n\n[[redirects]]\nfrom = \"/api/*\"\nto = \
                            \"/.netlify/functions/:splat\"\nstatus = 200\n";

const TESTED_PATHS: &str = "[policy]\ntested_paths = [{ path = \"/api/guestbook\" }, { path = \"/none\", status = 404 }]\n";

/// The migrations that the first artifact is built with.
pub(crate) const FIRST: (&str, &str) = (
    "V1__guestbook.sql",
    "CREATE TABLE guestbook (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, \
     message text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());\n",
);

impl Shop {
    /// Makes the project, links the site, and deploys the first artifact to both stages.
    pub(crate) async fn new() -> Self {
        let mut project = Project::new().await;
        let hosting = project.netlify.host(|_| ()).await.expect("a server");
        project.set("NETLIFY_SITE_ID", "shop-site");
        project.set("GIT_CONFIG_GLOBAL", "/dev/null");
        for (name, value) in AUTHOR {
            project.set(name, value);
        }
        project.write("netlify.toml", NETLIFY_TOML);
        let settings = fs::read_to_string(project.folder.path().join("stagelink.toml"));
        let settings = settings.expect("settings");
        project.write("stagelink.toml", &format!("{settings}\n{TESTED_PATHS}"));
        // The folder of the user is the project's own here.
        let cargo = Path::new(env!("CARGO"));
        project.set("CARGO", &cargo.display().to_string());
        project.set(
            "RUSTC",
            &cargo.with_file_name("rustc").display().to_string(),
        );
        for folder in ["public", "dist/functions"] {
            fs::create_dir_all(project.folder.path().join(folder)).expect("a folder");
        }
        write_workspace(&project);
        project.write("public/index.html", "<h1>one</h1>\n");
        project.write(".gitignore", "dist\n.netlify\n.config\n.cache\n");
        project.write(&format!("migrations/{}", FIRST.0), FIRST.1);
        let shop = Self { project, hosting };
        shop.git(&["init", "--quiet", "--initial-branch", "main"]);
        shop.commit("one");
        shop.set_up_stages().await;
        shop.build().await;
        for stage in ["staging", "production"] {
            shop.run(&["deploy", stage, "--no-build", "--yes"])
                .await
                .succeeds();
        }
        shop
    }

    /// Marks the databases, and links the site to them.
    async fn set_up_stages(&self) {
        self.project.mark().await;
        let staging = scoped_token(&self.project, "shop-staging");
        let production = scoped_token(&self.project, "shop-production");
        let mut command = self
            .project
            .command(&[
                "link",
                "--yes",
                "--skip-branch-deploys",
                "--stage",
                "staging",
                "--stage",
                "production",
                "--token-for",
                "production=PRODUCTION_TOKEN",
                "--token-for",
                "staging=STAGING_TOKEN",
            ])
            .await;
        command
            .env("PRODUCTION_TOKEN", production)
            .env("STAGING_TOKEN", staging);
        let output = command.output().await.expect("the command runs");
        Run::new(&output, &self.project.record).succeeds();
    }

    /// Writes the programs as a build with the migrations of the folder would.
    pub(crate) async fn build(&self) {
        write_programs(self.project.folder.path()).await;
    }

    /// Makes the next version: another page, a migration, a commit and a build, deployed to staging.
    /// Returns the digest of its artifact.
    pub(crate) async fn deploy_next(&self, name: &str, migration: Option<(&str, &str)>) -> String {
        self.project
            .write("public/index.html", &format!("<h1>{name}</h1>\n"));
        if let Some((file, sql)) = migration {
            self.project.write(&format!("migrations/{file}"), sql);
        }
        self.commit(name);
        self.build().await;
        self.deploy_to("staging").await
    }

    /// Deploys what is built, and returns the digest of the artifact.
    pub(crate) async fn deploy_to(&self, stage: &str) -> String {
        let run = self
            .run(&["deploy", stage, "--no-build", "--yes", "--json"])
            .await;
        run.succeeds();
        let json = run.json();
        json["artifact"].as_str().expect("a digest").to_owned()
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let mut command = StdCommand::new("git");
        command.args(words).current_dir(self.project.folder.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").envs(AUTHOR);
        let output = command.stdin(Stdio::null()).output().expect("git runs");
        assert!(output.status.success(), "git {words:?}: {output:?}");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// Commits all, and returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) async fn command(&self, words: &[&str]) -> Command {
        self.project.command(words).await
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Run {
        self.project.run(words).await
    }

    /// Promotes without a question.
    pub(crate) async fn promote(&self) -> Run {
        self.run(&["promote", "--yes", "--json", "--test-limit", "20"])
            .await
    }

    /// The deploy that is published.
    pub(crate) fn published(&self) -> UploadedDeploy {
        let published = self.project.netlify.published_deploy(SITE);
        published.expect("a published deploy")
    }

    /// Returns whether the site's publishing is stopped.
    pub(crate) fn is_locked(&self) -> bool {
        self.project.netlify.is_locked(SITE)
    }

    /// The deploys of the production context.
    pub(crate) fn production_deploys(&self) -> Vec<UploadedDeploy> {
        let deploys = self.project.netlify.deploys().into_iter();
        let of_production = deploys.filter(|deploy| deploy.context == Context::Production);
        of_production.collect()
    }

    /// Asks production as its visitors do.
    pub(crate) async fn visit(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.hosting.url("shop-site.localhost"));
        send("GET", &url, &[], "").await
    }

    /// The page that visitors of production see.
    pub(crate) async fn page(&self) -> String {
        self.visit("/").await.text()
    }

    /// Lets production's functions serve staging, as a person may by mistake.
    pub(crate) fn let_production_serve_staging(&self) {
        let variable = EnvVar::new("STAGELINK_STAGE")
            .scopes([EnvScope::Functions])
            .value(Context::Production, "staging");
        let set = self.project.netlify.set_variable(SITE, variable);
        set.expect("a variable");
    }

    /// The digest in the record file of a deploy.
    pub(crate) fn artifact_of(deploy: &UploadedDeploy) -> String {
        let file = &deploy.files[".well-known/stagelink.json"];
        let json: Value = serde_json::from_slice(file).expect("JSON");
        json["digest"].as_str().expect("a digest").to_owned()
    }

    /// Lets the leases expire, as they do a minute after the end of a killed command.
    pub(crate) async fn expire_leases(&self) {
        let expire = "DO $$ BEGIN IF to_regclass('stagelink_leases') IS NOT NULL THEN UPDATE \
                      stagelink_leases SET expires_at = clock_timestamp() - interval '1 s'; END IF; \
                      END $$";
        self.production_sql(expire).await;
    }

    /// Runs SQL in production's database.
    pub(crate) async fn production_sql(&self, sql: &str) {
        let client = server().await.connect(&self.project.production).await;
        client
            .expect("a session")
            .batch_execute(sql)
            .await
            .expect("it runs");
    }

    /// Takes the token and the pipeline from production's functions, which then ask no provider.
    pub(crate) fn remove_tokens_of_functions(&self) {
        for name in [
            "HEROKU_API_KEY",
            "STAGELINK_HEROKU_API_URL",
            "STAGELINK_HEROKU_PIPELINE",
            "STAGELINK_PROVIDER",
        ] {
            // Functions do not get one of builds.
            let variable = EnvVar::new(name)
                .scopes([EnvScope::Builds])
                .value(Context::Production, "none");
            let set = self.project.netlify.set_variable(SITE, variable);
            set.expect("a variable");
        }
    }

    /// Reads a text of the newest record of production.
    pub(crate) async fn newest_record(&self, column: &str) -> String {
        let client = server().await.connect(&self.project.production).await;
        let read = format!("SELECT {column} FROM stagelink_deploys ORDER BY id DESC LIMIT 1");
        let row = client.expect("a session").query_one(&read, &[]).await;
        row.expect("a row").get(0)
    }

    /// Reads a number from production's database.
    pub(crate) async fn production_count(&self, sql: &str) -> i64 {
        let client = server().await.connect(&self.project.production).await;
        let row = client.expect("a session").query_one(sql, &[]).await;
        row.expect("a row").get(0)
    }
}

/// Writes the programs of a project as a build with the migrations of its folder would.
pub(crate) async fn write_programs(project: &Path) {
    let migrations = MigrationFolder::read(&project.join("migrations")).expect("migrations");
    let list = MigrationList::of(&migrations);
    for (name, program) in programs().await {
        let program = list.write_into(program).expect("a program");
        fs::write(project.join("dist/functions").join(name), program).expect("a file");
    }
}

/// Writes a workspace with the functions whose programs are deployed. It is not built here.
fn write_workspace(project: &Project) {
    let workspace = "[workspace]\nmembers = [\"functions/*\"]\nresolver = \"3\"\n";
    project.write("Cargo.toml", workspace);
    for name in ["guestbook", "health"] {
        let source = format!("functions/{name}/src");
        fs::create_dir_all(project.folder.path().join(&source)).expect("a folder");
        project.write(&format!("{source}/main.rs"), "fn main() {}\n");
        let package =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        project.write(&format!("functions/{name}/Cargo.toml"), &package);
    }
}

fn scoped_token(project: &Project, app: &str) -> String {
    let access = Access::Apps(vec![app.to_owned()]);
    let token = project.heroku.create_token(&access).expect("a token");
    project.record.forbid(&token);
    token
}

pub(crate) const SITE: &str = "shop-site";

/// The programs as they are deployed, by name.
async fn programs() -> &'static BTreeMap<String, Vec<u8>> {
    static READ: OnceCell<BTreeMap<String, Vec<u8>>> = OnceCell::const_new();
    READ.get_or_init(|| async {
        let built = built_artifacts().await.iter();
        let read = |(name, artifact): (&String, &Artifact)| {
            let program = fs::read(&artifact.program).expect("a program");
            (name.clone(), program)
        };
        built.map(read).collect()
    })
    .await
}

pub(crate) const AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "A"),
    ("GIT_AUTHOR_EMAIL", "a@example.com"),
    ("GIT_COMMITTER_NAME", "A"),
    ("GIT_COMMITTER_EMAIL", "a@example.com"),
];
