//! `stagelink build --gate` as the build command of a real build by Netlify's tools.

use std::fs;
use std::path::Path;

use stagelink_local::heroku::Stage;
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar, NetlifyApi};
use stagelink_tests::{HerokuFixture, database, stagelink_command};
use tempfile::TempDir;

use crate::loopback::only_with_command;
use crate::tools::{self, CliOutput};

/// A project with one small function and one migration.
async fn project() -> TempDir {
    let project = tempfile::tempdir().expect("a folder");
    let stagelink = stagelink_command().await;
    // The tools run a build outside of Netlify, whose own machines set this variable.
    let build = format!(
        "NETLIFY=true {} build --gate --no-check",
        stagelink.display()
    );
    let toml = format!(
        "[build]\npublish = \"public\"\ncommand = \"{build}\"\n\n\
         [functions]\ndirectory = \"dist/functions\"\n"
    );
    write(project.path(), "netlify.toml", &toml);
    for (file, text) in [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\"]\n",
        ),
        (
            "functions/hello/Cargo.toml",
            "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        ("functions/hello/src/main.rs", "fn main() {}\n"),
        ("public/index.html", "a page\n"),
        (
            "migrations/V1__notes.sql",
            "CREATE TABLE notes (note text);\n",
        ),
        (
            "stagelink.toml",
            "[heroku]\npipeline = \"shop\"\n\n[stages.staging]\n\n[stages.production]\n",
        ),
    ] {
        write(project.path(), file, text);
    }
    project
}

fn write(project: &Path, file: &str, text: &str) {
    let path = project.join(file);
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

async fn deploy(project: &Path, netlify: &NetlifyApi, more: &[&str]) -> CliOutput {
    let arguments = [&["deploy", "--site", "shop"], more].concat();
    tools::netlify(project, Some(netlify), &arguments).await
}

#[test]
fn push_goes_live_only_where_its_schema_is_there() {
    let test = async {
        let mut fixture = HerokuFixture::new().await;
        let production = database().await;
        fixture.add_app("shop-production", Stage::Production);
        fixture
            .heroku
            .set_config_var("shop-production", "DATABASE_URL", &production.url())
            .expect("a config var");
        let netlify = NetlifyApi::start(0).await.expect("Netlify starts");
        netlify.create_site("shop").expect("a site");
        for (name, context, value) in [
            ("STAGELINK_STAGE", Context::Production, "production"),
            (
                "STAGELINK_HEROKU_API_URL",
                Context::All,
                fixture.heroku.url(),
            ),
            ("STAGELINK_HEROKU_PIPELINE", Context::All, "shop"),
        ] {
            let variable = EnvVar::new(name).value(context, value);
            netlify.set_variable("shop", variable).expect("a variable");
        }
        let project = project().await;

        // Without a token of the build's own nothing says that production can run it.
        let output = deploy(project.path(), &netlify, &["--prod"]).await;
        assert!(!output.success);
        let said = output.stdout + &output.stderr;
        assert!(said.contains("--allow-unknown"), "{said}");

        let token = fixture.variables["HEROKU_API_KEY"].clone();
        let variable = EnvVar::new("HEROKU_API_KEY")
            .value(Context::All, &token)
            .scopes([EnvScope::Builds]);
        netlify.set_variable("shop", variable).expect("a variable");
        let output = deploy(project.path(), &netlify, &["--prod"]).await;
        assert!(!output.success);
        let said = output.stdout + &output.stderr;
        for part in ["V1__notes is not applied", "stagelink migrate production"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains(&token));
        // The tool has made a deploy before the build, and nothing is uploaded to it.
        for deploy in netlify.deploys() {
            assert!(deploy.functions.is_empty() && deploy.files.is_empty());
        }

        let mut migrate = tokio::process::Command::new(stagelink_command().await);
        migrate
            .args(["migrate", "production", "--yes", "--project"])
            .arg(project.path())
            .env("HEROKU_API_KEY", &token)
            .env("STAGELINK_HEROKU_API_URL", fixture.heroku.url());
        let migrated = migrate.output().await.expect("it runs");
        assert!(migrated.status.success(), "{migrated:?}");

        let output = deploy(project.path(), &netlify, &["--prod"]).await;
        assert!(output.success, "{}\n{}", output.stdout, output.stderr);
        let live = netlify.deploys().pop().expect("a deploy");
        let record = &live.files[".well-known/stagelink.json"];
        let record: serde_json::Value = serde_json::from_slice(record).expect("a record");
        assert_eq!(
            record["content"]["functions"]["hello"]["migrations"][0]["name"],
            "notes"
        );
    };
    only_with_command("gate::push_goes_live_only_where_its_schema_is_there", test);
}
