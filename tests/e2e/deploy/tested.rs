//! Deploys of this repository's functions, which are asked what they run once the deploy is ready.

use std::fs;

use stagelink_local::netlify_api::{EnvScope, EnvVar};
use stagelink_tests::{built_artifacts, root};

use super::{Scene, outcomes};
use crate::status::branch;

#[tokio::test]
async fn deploy_is_tested_with_its_stage_and_database() {
    let scene = of_this_repository().await;
    let record = scene.project.record.clone();
    let netlify = &scene.project.netlify;
    let hosting = netlify.host(move |line| record.add(line.line)).await;
    let hosting = hosting.expect("the deploys are served");
    let words = ["deploy", "--no-build", "staging", "--yes"];
    let run = scene.project.run(&words).await;
    run.succeeds();
    assert!(run.errors.contains("test: passed at"), "{}", run.errors);
    scene.ensure_no_secret_is_told();

    // The functions get the database of another stage by mistake: it has no mark of theirs.
    let staging = &scene.project.staging;
    crate::status::mark(staging, "review").await;
    let run = scene.project.run(&words).await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.errors.contains("marked as stage review"),
        "{}",
        run.errors
    );
    crate::status::mark(staging, "staging").await;

    let heroku_url = EnvVar::new("STAGELINK_HEROKU_API_URL")
        .value(branch("staging"), "http://127.0.0.1:9")
        .scopes([EnvScope::Functions]);
    netlify
        .set_variable("shop-site", heroku_url)
        .expect("a variable");
    let run = scene
        .project
        .run(&[&words[..], &["--test-limit", "5"]].concat())
        .await;
    assert_eq!(run.code, Some(1));
    for part in ["does not answer as it should", "the function guestbook"] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    let expected = ["deploy succeeded {1,2}", "deploy untested {}"];
    assert_eq!(outcomes(staging).await, expected);
    scene.ensure_no_secret_is_told();
    hosting.stop().await;
}

/// Returns a project with this repository's functions, and a site whose context of staging has what
/// they need.
async fn of_this_repository() -> Scene {
    let scene = Scene::new().await;
    fs::remove_dir_all(scene.folder().join("functions")).expect("a folder");
    fs::remove_dir_all(scene.folder().join("dist")).expect("a folder");
    fs::remove_file(scene.folder().join("migrations/V1__notes.sql")).expect("a file");
    for (name, artifact) in built_artifacts().await {
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        scene.write(&format!("functions/{name}/Cargo.toml"), &manifest);
        scene.write(&format!("functions/{name}/src/main.rs"), "fn main() {}\n");
        let program = scene.folder().join("dist/functions").join(name);
        fs::create_dir_all(program.parent().expect("a folder")).expect("a folder");
        fs::copy(&artifact.program, program).expect("a program");
    }
    for entry in fs::read_dir(root().join("migrations")).expect("the migrations") {
        let entry = entry.expect("a file");
        let text = fs::read_to_string(entry.path()).expect("a migration");
        let name = entry.file_name().into_string().expect("a name");
        scene.write(&format!("migrations/{name}"), &text);
    }
    let heroku = &scene.project.heroku;
    for (name, value) in [
        ("STAGELINK_HEROKU_PIPELINE", "shop"),
        ("STAGELINK_HEROKU_API_URL", heroku.url()),
        ("HEROKU_API_KEY", heroku.api_key()),
    ] {
        let variable = EnvVar::new(name)
            .value(branch("staging"), value)
            .scopes([EnvScope::Functions]);
        let set = scene.project.netlify.set_variable("shop-site", variable);
        set.expect("a variable");
    }
    scene
}
