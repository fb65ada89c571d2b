//! The plan of a deploy, which changes nothing.

use super::{Scene, rows};

#[tokio::test]
async fn plan_shows_all_and_changes_nothing() {
    let scene = Scene::new().await;
    scene.write(
        "migrations/V2__drop.sql",
        "ALTER TABLE notes DROP COLUMN id;",
    );
    scene.build().await;
    let before = rows(&scene.project.staging, TABLES).await;
    let run = scene.deploy(&["staging", "--plan"]).await;
    run.succeeds();
    for part in [
        "1 function and 3 files",
        "CREATE TABLE notes",
        "with changes that are in no commit",
        "no deploy",
    ] {
        assert!(run.output.contains(part), "{part}: {}", run.output);
    }
    let plan = scene.deploy(&["staging", "--plan", "--json"]).await.json();
    // The database is empty: it takes files of each class.
    assert_eq!(
        plan["migrations"],
        serde_json::json!(["V1__notes", "V2__drop"])
    );
    assert_eq!(plan["refusals"], serde_json::json!([]));
    assert_eq!(plan["dirty"], true);
    assert_eq!(plan.get("result"), None);
    assert_eq!(plan["pending"][0]["class"], "before");

    let plan = scene.deploy(&["production", "--plan", "--json"]).await;
    plan.succeeds();
    let refusals = plan.json()["refusals"].to_string();
    assert!(refusals.contains("in no commit"), "{refusals}");
    assert!(scene.deploys().is_empty());
    assert_eq!(rows(&scene.project.staging, TABLES).await, before);

    let run = scene.deploy(&["staging"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.errors.contains("add --yes"), "{}", run.errors);
    assert!(scene.deploys().is_empty());
}

#[tokio::test]
async fn migration_of_after_waits_for_its_own_run() {
    let scene = Scene::new().await;
    scene.deploy(&["staging", "--yes"]).await.succeeds();
    scene.write(
        "migrations/V2__drop.sql",
        "ALTER TABLE notes DROP COLUMN id;",
    );
    scene.build().await;
    let run = scene.deploy(&["staging", "--yes"]).await;
    run.succeeds();
    let words = "one migration waits for `stagelink migrate staging --after`";
    assert!(run.output.contains(words), "{}", run.output);
}

const TABLES: &str = "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind = 'r' ORDER BY 1";
