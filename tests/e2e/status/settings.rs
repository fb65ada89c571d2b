//! `stagelink status`, `env` and `doctor`: settings that are empty, misspelled, or secrets.

use std::fs;

use serde_json::Value;
use stagelink_tests::CANARY;

use super::{Project, Run, SETTINGS};

/// The checks of this name in the part of the project.
fn checks<'a>(report: &'a Value, id: &str) -> Vec<&'a Value> {
    let checks = report["project"].as_array().expect("the checks");
    checks.iter().filter(|check| check["id"] == id).collect()
}

async fn doctor(project: &Project) -> (Run, Value) {
    let run = project.run(&["doctor", "--json"]).await;
    let report = run.json();
    (run, report)
}

#[tokio::test]
async fn empty_name_of_the_site_leaves_that_of_the_file() {
    let mut project = Project::new().await;
    project.mark().await;
    for empty in ["", " "] {
        project.set("NETLIFY_SITE_ID", empty);
        let run = project.run(&["status", "--json"]).await;
        assert_eq!(run.code, Some(0), "{}", run.errors);
        assert_eq!(run.json()["site"]["value"], "shop-site");
        project.run(&["env", "staging"]).await.succeeds();
        let (_, report) = doctor(&project).await;
        assert_eq!(checks(&report, "site")[0]["result"], "sound", "{report}");
    }
}

#[tokio::test]
async fn link_that_cannot_be_read_is_said_and_drops_no_check() {
    let project = Project::new().await;
    project.mark().await;
    project.write(
        "stagelink.toml",
        &SETTINGS.replace("site = \"shop-site\"", ""),
    );
    let folder = project.folder.path().join(".netlify");
    fs::create_dir(&folder).expect("a folder");
    for text in ["{", r#"{"siteId":1}"#] {
        fs::write(folder.join("state.json"), text).expect("a file");
        let run = project.run(&["status", "--json"]).await;
        assert_eq!(run.code, Some(1), "{}", run.errors);
        let site = &run.json()["site"];
        assert_eq!(site["state"], "not_known", "{site}");
        assert!(site["reason"].to_string().contains("state.json"), "{site}");
        let (_, report) = doctor(&project).await;
        let check = checks(&report, "site")[0];
        assert_eq!(check["result"], "not_checked", "{report}");
        let run = project.run(&["env", "staging", "--json"]).await;
        assert_eq!(run.code, Some(2), "{}", run.errors);
    }
    // A folder that was unlinked has no site.
    fs::write(folder.join("state.json"), "{}").expect("a file");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    assert_eq!(run.json()["site"]["state"], "absent");
}

#[tokio::test]
async fn folder_of_migrations_that_the_file_names_has_to_exist() {
    let project = Project::new().await;
    project.mark().await;
    project.write("migrations/V1__a.sql", "CREATE TABLE a ()");
    for stage in ["staging", "production"] {
        let run = project.run(&["migrate", stage, "--yes"]).await;
        assert_eq!(run.code, Some(0), "{}", run.errors);
    }
    let misspelled = format!("{SETTINGS}\n[migrations]\nfolder = \"migratons\"\n");
    project.write("stagelink.toml", &misspelled);
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    for stage in run.json()["stages"].as_array().expect("the stages") {
        let pending = &stage["migrations"]["value"]["pending"];
        assert_eq!(pending["state"], "not_known", "{pending}");
        let reason = pending["reason"].to_string();
        assert!(reason.contains("migratons"), "{reason}");
        assert!(!reason.contains("nothing was applied"), "{reason}");
    }
    let (run, report) = doctor(&project).await;
    assert_eq!(run.code, Some(2), "{report}");
    let check = checks(&report, "migration-files")[0];
    assert!(
        check.to_string().contains("migrations] of stagelink.toml"),
        "{check}"
    );
    for stage in report["stages"].as_array().expect("the stages") {
        let checks = stage["checks"].as_array().expect("the checks");
        // The drift is between the database and its own history.
        for (id, result) in [("migrations", "not_checked"), ("drift", "sound")] {
            let check = checks.iter().find(|check| check["id"] == id);
            let check = check.unwrap_or_else(|| panic!("no {id}: {stage}"));
            assert_eq!(check["result"], result, "{check}");
        }
    }
    // A link that leads nowhere is no absent folder.
    project.write("stagelink.toml", SETTINGS);
    let folder = project.folder.path().join("migrations");
    fs::rename(&folder, project.folder.path().join("moved")).expect("the folder");
    std::os::unix::fs::symlink("nowhere", &folder).expect("a link");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
}

#[tokio::test]
async fn secret_in_place_of_a_name_is_neither_sent_nor_shown() {
    let mut project = Project::new().await;
    let secrets = [
        format!("postgres://u:pa/{CANARY}@h/db"),
        format!("postgres://h/db?user=a&password={CANARY}"),
        format!("host=h password={CANARY}"),
    ];
    for secret in &secrets {
        for text in [
            SETTINGS.replace("shop-site", secret),
            SETTINGS.replace("\"shop\"", &format!("\"{secret}\"")),
            SETTINGS.replace("\"staging\"", &format!("\"{secret}\"")),
        ] {
            project.write("stagelink.toml", &text);
            for words in [
                &["status"][..],
                &["status", "--json"],
                &["env", "staging"],
                &["doctor"],
            ] {
                let run = project.run(words).await;
                assert_eq!(run.code, Some(2), "{words:?}: {}", run.output);
                assert!(run.errors.contains("looks like a secret"), "{}", run.errors);
            }
        }
    }
    // The same in the environment.
    project.write("stagelink.toml", SETTINGS);
    for secret in &secrets {
        project.set("NETLIFY_SITE_ID", secret);
        let run = project.run(&["status", "--json"]).await;
        assert_eq!(run.code, Some(1), "{}", run.errors);
        let run = project.run(&["env", "staging"]).await;
        assert_eq!(run.code, Some(2), "{}", run.errors);
        project.run(&["doctor"]).await;
    }
    assert_eq!(project.netlify_requests.requests().len(), 0);
}

#[tokio::test]
async fn link_of_the_projects_folder_counts_in_a_folder_of_it() {
    let project = Project::new().await;
    project.write(
        "stagelink.toml",
        &SETTINGS.replace("site = \"shop-site\"", ""),
    );
    let inner = project.folder.path().join("functions/notes");
    for folder in [
        &inner,
        &project.folder.path().join(".netlify"),
        &project.folder.path().join(".git"),
    ] {
        fs::create_dir_all(folder).expect("a folder");
    }
    project.write(".netlify/state.json", r#"{"siteId":"shop-site"}"#);
    let output = project
        .command(&["env", "staging"])
        .await
        .current_dir(inner)
        .output()
        .await;
    Run::new(&output.expect("the command runs"), &project.record).succeeds();
}

#[tokio::test]
async fn stage_that_is_named_twice_is_shown_once() {
    let project = Project::new().await;
    project.mark().await;
    let run = project
        .run(&["status", "staging", "production", "staging", "--json"])
        .await;
    let board = run.json();
    let names: Vec<_> = board["stages"]
        .as_array()
        .expect("the stages")
        .iter()
        .map(|of| &of["stage"])
        .collect();
    assert_eq!(names, ["staging", "production"]);
}

#[tokio::test]
async fn colours_that_are_unwanted_and_forced_are_off() {
    let mut project = Project::new().await;
    project.set("NO_COLOR", "1");
    project.set("CLICOLOR_FORCE", "1");
    // Each run makes sure that no control character is in its output.
    for words in [&["doctor"][..], &["status"]] {
        let run = project.run(words).await;
        assert!(run.output.contains("production"), "{}", run.output);
    }
}

#[tokio::test]
async fn wrong_arguments_are_json_where_it_is_wanted() {
    let project = Project::new().await;
    for words in [
        &["status", "--json", "--nonsense"][..],
        &["env", "--json"],
        &["doctor", "--json", "--long-transaction", "soon"],
    ] {
        let run = project.run(words).await;
        assert_eq!(run.code, Some(2), "{words:?}: {}", run.errors);
        assert!(run.json()["error"].is_string(), "{}", run.output);
    }
    let run = project.run(&["status", "--nonsense"]).await;
    assert_eq!((run.code, run.output.as_str()), (Some(2), ""));
}
