//! Deploys that are refused before anything is changed.

use std::fs;

use stagelink_local::netlify_api::Context;

use super::{Scene, rows};
use crate::status::branch;

#[tokio::test]
async fn deploy_of_another_stage_than_the_contexts_is_refused() {
    let scene = Scene::new().await;
    for (context, stage, words) in [
        (
            branch("staging"),
            "production",
            "is production in Netlify's context branch:staging",
        ),
        (branch("staging"), "staging/other", "is staging/other in"),
        (branch("staging"), "stging", "names no stage"),
        (
            Context::Production,
            "staging",
            "is staging in Netlify's context production",
        ),
    ] {
        scene.set_stage(&context, stage);
        let named = match context {
            Context::Production => "production",
            _ => "staging",
        };
        let run = scene.deploy(&[named, "--yes"]).await;
        assert_eq!(run.code, Some(1), "{}", run.errors);
        assert!(run.errors.contains(words), "{words}: {}", run.errors);
    }
    ensure_nothing_changed(&scene).await;
}

#[tokio::test]
async fn production_takes_no_changes_that_are_in_no_commit() {
    let scene = Scene::new().await;
    scene.write("public/new.html", "new");
    let run = scene.deploy(&["production", "--yes"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.errors.contains("in no commit"), "{}", run.errors);
    ensure_nothing_changed(&scene).await;
    scene
        .deploy(&["production", "--yes", "--dirty"])
        .await
        .succeeds();

    let netlify = &scene.project.netlify;
    netlify
        .set_prevents_api_deploys("shop-site", true)
        .expect("a site");
    let run = scene.deploy(&["production", "--yes", "--dirty"]).await;
    assert_eq!(run.code, Some(1));
    let words = "takes deploys to production from its Git repository alone";
    assert!(run.errors.contains(words), "{}", run.errors);
}

#[tokio::test]
async fn project_that_cannot_be_deployed_is_refused() {
    let scene = Scene::new().await;
    let refused = async |words: &str| {
        let run = scene.deploy(&["staging", "--yes"]).await;
        assert_eq!(run.code, Some(1), "{}", run.errors);
        assert!(run.errors.contains(words), "{words}: {}", run.errors);
    };
    let hello = scene.folder().join("dist/functions/hello");
    let program = fs::read(&hello).expect("a program");
    scene.write("dist/functions/old", "");
    refused("old belongs to no function of the project").await;
    fs::remove_file(scene.folder().join("dist/functions/old")).expect("a file");
    scene.write("dist/functions/hello", "#!/bin/sh\n");
    refused("the function hello cannot be deployed").await;
    fs::remove_file(&hello).expect("a file");
    refused("dist/functions/hello is missing: `stagelink build` makes it").await;
    fs::write(&hello, program).expect("a file");
    scene.write("netlify/edge-functions/geo.ts", "");
    refused("netlify/edge-functions (edge functions)").await;
    ensure_nothing_changed(&scene).await;
    let settings = fs::read_to_string(scene.folder().join("stagelink.toml"));
    let settings = settings.expect("a file") + "[stages.review]\n";
    scene.write("stagelink.toml", &settings);
    let run = scene.deploy(&["review", "--yes"]).await;
    assert!(
        run.errors.contains("has deploys of pull requests alone"),
        "{}",
        run.errors
    );
    let run = scene.deploy(&["nowhere", "--yes"]).await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
}

#[tokio::test]
async fn functions_that_the_database_cannot_run_are_refused() {
    let scene = Scene::new().await;
    let hello = scene.folder().join("dist/functions/hello");
    let old = fs::read(&hello).expect("a program");
    scene.write(
        "migrations/V2__mail.sql",
        "ALTER TABLE notes ADD COLUMN mail text;",
    );
    // It was built without V2, which it does not need.
    scene.deploy(&["staging", "--yes"]).await.succeeds();
    scene.write(
        "migrations/V3__drop.sql",
        "ALTER TABLE notes DROP COLUMN id;",
    );
    scene.build().await;
    scene.deploy(&["staging", "--yes"]).await.succeeds();
    let run = scene
        .project
        .run(&[
            "migrate",
            "staging",
            "--after",
            "--yes",
            // A rollback could bring back the artifact before.
            "--override",
            "after-code-runs@V3",
            "--reason",
            "a test",
        ])
        .await;
    run.succeeds();
    fs::write(&hello, old).expect("a file");
    let before = scene.deploys().len();
    let run = scene.deploy(&["staging", "--yes"]).await;
    assert_eq!(run.code, Some(1));
    for words in [
        "cannot run the functions",
        "V3__drop is applied, a migration of after",
    ] {
        assert!(run.errors.contains(words), "{}", run.errors);
    }
    assert_eq!(scene.deploys().len(), before);
}

async fn ensure_nothing_changed(scene: &Scene) {
    assert!(scene.deploys().is_empty());
    for database in [&scene.project.staging, &scene.project.production] {
        let tables = "SELECT relname::text FROM pg_class WHERE relname LIKE 'stagelink%' \
                      OR relname = 'notes'";
        assert!(rows(database, tables).await.is_empty());
    }
}
