//! `stagelink dev` with a block more in `stagelink.toml` for each stage more.

use stagelink_tests::{SmallProject, stagelink_command};
use tokio::process::Command;

use crate::dev::Dev;

#[tokio::test]
async fn block_more_is_a_local_stage_more_with_its_own_database_and_host() {
    let project = SmallProject::with(&[
        ("migrations/V1__notes.sql", "CREATE TABLE notes (id int);\n"),
        (
            "stagelink.toml",
            "[heroku]\npipeline = \"shop\"\n\n[stages.staging]\n\n[stages.qa]\n\
             kind = \"staging\"\n\n[stages.a-name-that-is-long-for-an-app]\n\
             kind = \"development\"\n\n[stages.live]\nkind = \"production\"\n\n\
             [stages.demo]\nkind = \"review\"\n",
        ),
    ]);
    let dev = Dev::start(&["--project", project.path()]).await;
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
            .current_dir(project.root())
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
