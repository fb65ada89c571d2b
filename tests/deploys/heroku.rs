//! The real Heroku command line, against the local Heroku, and as the login of `stagelink`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use stagelink_local::heroku::{Heroku, Stage};
use stagelink_local::netlify::SiteConfig;
use stagelink_local::{Cloud, CloudConfig};
use stagelink_tests::{CANARY, root, server, stagelink_command, target_folder};

use crate::loopback::only_with_heroku;
use crate::tools::{self, CliOutput};

/// Installs the command line if it is missing.
pub(crate) fn install() {
    let output = check(&["--install"]).output();
    let output = output.expect("the script that installs the Heroku command line runs");
    assert!(
        output.status.success(),
        "the Heroku command line cannot be installed; it needs npm (apt-get install npm): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Returns the script that checks a Heroku, with arguments. It keeps the command line beside the
/// other tools.
fn check(arguments: &[&str]) -> Command {
    let mut command = Command::new(root().join("scripts/heroku-cli-check"));
    command
        .args(arguments)
        .env("STAGELINK_CACHE", target_folder().join("tools"));
    command
}

/// Runs a command of the command line with an account of a local Heroku. `home` is its home directory.
pub(crate) async fn heroku(home: &Path, heroku: &Heroku, arguments: &[&str]) -> CliOutput {
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = Command::new(programs().join("heroku"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "200")
        .env("DISABLE_TELEMETRY", "true")
        .env("HEROKU_SKIP_NEW_VERSION_CHECK", "true")
        .env("HEROKU_DISABLE_AUTOUPDATE", "1")
        .env("HEROKU_HOST", heroku.url())
        .env("HEROKU_DATA_HOST", "127.0.0.1")
        .env("HEROKU_API_KEY", heroku.api_key());
    tools::run(command).await
}

/// Returns the folder of the command line's programs.
fn programs() -> PathBuf {
    let installed = check(&["--install"]).output().expect("the script runs");
    let program = String::from_utf8(installed.stdout).expect("a path");
    let program = Path::new(program.trim());
    program.parent().expect("a folder").to_owned()
}

/// Starts the pipeline `shop` whose stage staging has a database.
async fn start_cloud(folder: &Path) -> Cloud {
    let server = server().await;
    // As on Heroku, the names have no character that a URL escapes: the command line does not
    // decode it.
    let database = server.create_database("shop", CANARY).await;
    let database = database.expect("a database");
    let config = CloudConfig {
        pipeline: "shop".to_owned(),
        stages: vec![(Stage::Staging, database).into()],
        databases: server.database_admin(),
        functions: BTreeMap::new(),
        variables: BTreeMap::new(),
        site: SiteConfig::load(folder).expect("a site"),
        site_port: 0,
        heroku_port: 0,
    };
    Cloud::start(config, |_, _| ()).await.expect("it starts")
}

#[test]
fn command_line_works_with_the_local_heroku() {
    let test = async {
        let folder = tempfile::tempdir().expect("a folder");
        let cloud = start_cloud(folder.path()).await;
        let mut command = check(&["--query", "shop-staging", "shop"]);
        command
            .env("HEROKU_HOST", cloud.heroku().url())
            .env("HEROKU_API_KEY", cloud.heroku().api_key());
        let output = tools::run(command).await;
        assert!(output.success, "{}{}", output.stdout, output.stderr);
        assert!(output.stdout.ends_with("all passed\n"));
        cloud.stop().await;
    };
    only_with_heroku("heroku::command_line_works_with_the_local_heroku", test);
}

#[test]
fn login_of_the_command_line_is_that_of_stagelink() {
    let test = async {
        let folder = tempfile::tempdir().expect("a folder");
        let cloud = start_cloud(folder.path()).await;
        let heroku = cloud.heroku();
        let host = heroku.url().trim_start_matches("http://");
        let netrc = folder.path().join(".netrc");
        let text = format!(
            "machine {host}\n  login you@example.com\n  password {}\n",
            heroku.api_key()
        );
        fs::write(&netrc, text).expect("a file");
        fs::set_permissions(&netrc, fs::Permissions::from_mode(0o600)).expect("permissions");
        let path = std::env::var("PATH").expect("a PATH");
        let show = async |host: &str| {
            let mut command = Command::new(stagelink_command().await);
            command
                .args(["mark", "show", "--stage", "staging", "--json"])
                .current_dir(folder.path())
                .env_clear()
                .env("PATH", format!("{}:{path}", programs().display()))
                .env("HOME", folder.path())
                .env("DISABLE_TELEMETRY", "true")
                .env("HEROKU_SKIP_NEW_VERSION_CHECK", "true")
                // The tests leave the operator's key ring alone.
                .env("HEROKU_NETRC_WRITE", "true")
                .env("HEROKU_HOST", host)
                .env("STAGELINK_HEROKU_PIPELINE", "shop")
                .env("STAGELINK_HEROKU_API_URL", heroku.url());
            tools::run(command).await
        };
        let shown = show(heroku.url()).await;
        assert!(shown.success, "{}", shown.stderr);
        let found: Value = serde_json::from_str(&shown.stdout).expect("one line of JSON");
        assert_eq!(
            found["credentials"],
            "DATABASE_URL of app shop-staging on Heroku"
        );
        let note = "the token for Heroku is that of the Heroku command line's login";
        assert!(shown.stderr.contains(note), "{}", shown.stderr);
        for text in [&shown.stdout, &shown.stderr] {
            assert!(!text.contains(CANARY) && !text.contains(heroku.api_key()));
        }
        // Logged out, it says how to log in.
        fs::remove_file(&netrc).expect("a file");
        let refused = show(heroku.url()).await;
        assert!(
            !refused.success && refused.stderr.contains("`heroku login`"),
            "{}",
            refused.stderr
        );
        cloud.stop().await;
    };
    only_with_heroku(
        "heroku::login_of_the_command_line_is_that_of_stagelink",
        test,
    );
}
