//! `stagelink dev` with a block more in `stagelink.toml` for each stage more.

use stagelink_tests::stagelink_command;
use tokio::process::Command;

use crate::dev::Dev;

#[tokio::test]
async fn block_more_is_a_local_stage_more_with_its_own_database_and_host() {
    let project = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\"]\n",
        ),
        (
            "functions/hello/Cargo.toml",
            "[package]\nname = \"hello\"\nedition = \"2024\"\n",
        ),
        ("functions/hello/src/main.rs", "fn main() {}\n"),
        ("migrations/V1__notes.sql", "CREATE TABLE notes (id int);\n"),
        ("index.html", "hello\n"),
        (
            "stagelink.toml",
            "[heroku]\npipeline = \"shop\"\n\n[stages.staging]\n\n[stages.qa]\n\
             kind = \"staging\"\n\n[stages.a-name-that-is-long-for-an-app]\n\
             kind = \"development\"\n\n[stages.live]\nkind = \"production\"\n\n\
             [stages.demo]\nkind = \"review\"\n",
        ),
    ] {
        let path = project.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let path = project.path().to_str().expect("a path");
    let dev = Dev::start(&["--project", path]).await;
    let mut databases = Vec::new();
    for (name, written, host) in [
        ("staging", "staging", "staging.localhost"),
        ("qa", "staging/qa", "qa.localhost"),
        (
            "a-name-that-is-long-for-an-app",
            "development/a-name-that-is-long-for-an-app",
            "a-name-that-is-long-for-an-app.localhost",
        ),
        ("live", "production/live", "localhost"),
    ] {
        let stage = dev.stage(name);
        let url = stage["url"].as_str().expect("a URL");
        assert!(url.starts_with(&format!("http://{host}:")), "{url}");
        let shown = Command::new(stagelink_command().await)
            .args(["mark", "show", "--local", "--json", "--stage", name])
            .current_dir(project.path())
            .env_clear()
            .output()
            .await
            .expect("the command runs");
        let errors = String::from_utf8_lossy(&shown.stderr);
        assert!(shown.status.success(), "{name}: {errors}");
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        assert_eq!(
            (&shown["stage"], &shown["mark"]),
            (&written.into(), &written.into())
        );
        databases.push(shown["database"].as_str().expect("a name").to_owned());
    }
    databases.sort();
    databases.dedup();
    assert_eq!(databases.len(), 4, "{databases:?}");
    drop(dev);
}
