//! Promotions and rollbacks of the board, of deploys on the local Netlify.

use std::process::Stdio;

use stagelink_tests::{SmallProject, run_command, stagelink_command};
use tokio::process::Command;

use super::{browse, record};
use crate::dev::Dev;
use crate::promote::{AUTHOR, FIRST, NETLIFY_TOML, write_programs};

/// A project whose programs are built already.
async fn project() -> SmallProject {
    let manifest =
        |name| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    let settings = "heroku.pipeline = \"shop\"\n[stages.staging]\n[stages.production]\n";
    let migration = format!("migrations/{}", FIRST.0);
    let project = SmallProject::with(&[
        ("netlify.toml", NETLIFY_TOML),
        ("stagelink.toml", settings),
        ("public/index.html", "<h1>none</h1>\n"),
        (".gitignore", "dist\ntarget\n"),
        ("functions/guestbook/Cargo.toml", &manifest("guestbook")),
        ("functions/guestbook/src/main.rs", "fn main() {}\n"),
        ("functions/health/Cargo.toml", &manifest("health")),
        ("functions/health/src/main.rs", "fn main() {}\n"),
        (&migration, FIRST.1),
    ]);
    let root = project.root();
    std::fs::remove_dir_all(root.join("functions/hello")).expect("a folder");
    std::fs::create_dir_all(root.join("dist/functions")).expect("a folder");
    write_programs(root).await;
    run(&project, "git", &["init", "--quiet"]).await;
    project
}

async fn run(project: &SmallProject, program: &str, words: &[&str]) {
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(project.root())
        .envs(AUTHOR)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null());
    run_command(&mut command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn board_promotes_and_rolls_back_by_the_plan_that_it_shows() {
    let project = project().await;
    let dev = Dev::start(&["--project", project.path()]).await;
    let record = record(&dev, &project);
    let stagelink = stagelink_command().await.to_str().expect("a path");
    let link = [
        "link",
        "--local",
        "--stage",
        "staging",
        "--stage",
        "production",
    ];
    run(&project, stagelink, &link).await;
    for (stage, page) in [("production", "one"), ("staging", "two")] {
        project.write("public/index.html", &format!("<h1>{page}</h1>\n"));
        run(&project, "git", &["add", "--all"]).await;
        run(&project, "git", &["commit", "--quiet", "--message", page]).await;
        let deploy = ["deploy", stage, "--local", "--no-build"];
        run(&project, stagelink, &deploy).await;
    }
    let report = browse("promotion.mjs", &[dev.board()]).await;
    record.add(report["texts"].as_str().expect("texts"));
    record.text();
}
