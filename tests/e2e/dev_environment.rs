//! The project's own variables in `stagelink dev`: they reach its functions, and no output.

use std::process::Stdio;

use stagelink_tests::{
    CANARY, SmallProject, answer_project, send_to_secret_keeper, stagelink_command,
};
use tokio::process::Command;

use crate::dev::Dev;

/// Answers with its variables, as Rust writes a list of them.
const SHOWING: &str = r#"fn main() {
    runtime::serve(|| {
        let names = ["OF_ALL", "OF_STAGE", "OF_OPTION", "RUST_LOG", "DATABASE_URL"];
        let values = names.map(|name| std::env::var(name).unwrap_or_default());
        values.join("|")
    });
}
"#;

#[tokio::test]
async fn variables_of_files_and_options_reach_the_functions_of_their_stage() {
    let project = answer_project(&[
        ("functions/hello/src/main.rs", SHOWING),
        (
            ".env",
            "OF_ALL=all\nOF_STAGE=all\nOF_OPTION=all\nRUST_LOG=warn\n\
             DATABASE_URL=postgres://localhost/app\n",
        ),
        (
            ".env.production",
            &format!("OF_STAGE='production {CANARY}'\n"),
        ),
    ]);
    let options = [
        "--project",
        project.path(),
        "--env",
        "OF_OPTION=of-an-option",
    ];
    let dev = Dev::start(&options).await;
    for (stage, expected) in [
        ("staging", "all|all|of-an-option|warn|".to_owned()),
        (
            "production",
            format!("all|production {CANARY}|of-an-option|warn|"),
        ),
    ] {
        let url = dev.stage(stage)["url"].as_str().expect("a URL");
        let url = format!("{url}/.netlify/functions/hello");
        let text = send_to_secret_keeper("GET", &url, &[], "").await.text();
        assert_eq!(text, expected, "{stage}");
    }
    let log = dev.log();
    assert!(log.contains(".env: DATABASE_URL is left out"), "{log}");
    assert!(
        !log.contains(CANARY) && !log.contains("of-an-option"),
        "{log}"
    );
    // Nor does the file for other commands hold them.
    let folder = project.root().join("target/stagelink");
    for file in std::fs::read_dir(folder).expect("a folder").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a file");
        assert!(!text.contains("OF_STAGE") && !text.contains(CANARY));
    }
}

#[tokio::test]
async fn variable_that_leads_to_a_real_database_is_refused_before_anything_starts() {
    for (file, text, expected) in [
        (
            ".env.production",
            format!("CACHE=redis://:{CANARY}@cache.example.com/0"),
            ".env.production sets CACHE to an address beyond this machine",
        ),
        (
            ".env",
            format!("STAGELINK_CREDENTIALS={CANARY}"),
            ".env sets STAGELINK_CREDENTIALS, which says whose database it is",
        ),
        (
            ".env",
            format!("A=1\nB={CANARY} and more"),
            "could not read .env: line 2",
        ),
    ] {
        let project = SmallProject::with(&[(file, &text)]);
        let (code, log) = run(&project, &[]).await;
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(expected), "{log}");
        assert!(!log.contains(CANARY), "{log}");
        assert!(!project.root().join("target").exists());
    }
    let project = SmallProject::with(&[]);
    let (code, log) = run(&project, &["--env", &format!("{CANARY} without a name")]).await;
    assert_eq!(code, Some(2), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}

/// Runs `stagelink dev`, and returns its exit code and its errors.
async fn run(project: &SmallProject, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(stagelink_command().await)
        .args(["dev", "--port", "0", "--project", project.path()])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the command runs");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), log)
}
