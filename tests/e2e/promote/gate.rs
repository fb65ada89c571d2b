//! Histories of two stages, and what a promotion does with each.

use stagelink_local::api::{Failure, Fault};

use super::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn staging_that_is_two_migrations_ahead_passes_in_their_order() {
    let shop = Shop::new().await;
    shop.deploy_next(
        "two",
        Some(("V2__mail.sql", "ALTER TABLE guestbook ADD mail text;\n")),
    )
    .await;
    shop.deploy_next(
        "three",
        Some(("V3__tags.sql", "CREATE TABLE tags (id int8 PRIMARY KEY);\n")),
    )
    .await;
    let run = shop.promote().await;
    run.succeeds();
    assert_eq!(
        run.json()["migrations"],
        serde_json::json!(["V2__mail", "V3__tags"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_that_locks_a_large_table_stops_the_promotion_before_any_change() {
    let shop = Shop::new().await;
    let before = shop.published();
    let fill = "INSERT INTO guestbook (name, message) SELECT 'a', repeat('b', 200) FROM \
                generate_series(1, 50000); ANALYZE guestbook";
    shop.production_sql(fill).await;
    // Staging's table is empty, so a lock on it lasts a moment.
    let index = ("V2__index.sql", "CREATE INDEX ON guestbook (name);\n");
    shop.deploy_next("two", Some(index)).await;
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains("V2__index"), "{}", run.errors);
    assert_eq!(shop.published().id, before.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn destructive_migration_waits_and_is_listed() {
    let shop = Shop::new().await;
    let drop = (
        "V2__drop.sql",
        "ALTER TABLE guestbook DROP COLUMN created_at;\n",
    );
    shop.deploy_next("two", Some(drop)).await;
    let run = shop.promote().await;
    run.succeeds();
    let report = run.json();
    assert_eq!(report["migrations"], serde_json::json!([]));
    assert_eq!(report["possible_after"], serde_json::json!(["V2__drop"]));
    // It is refused while the artifact before may come back.
    let after = shop
        .run(&["migrate", "production", "--after", "--yes"])
        .await;
    assert_eq!(after.code, Some(1), "{}", after.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn correction_in_production_alone_stops_a_promotion_that_would_take_it_back() {
    let shop = Shop::new().await;
    let first = shop.git(&["rev-parse", "HEAD"]);
    // A correction on a branch of its own goes to production.
    shop.git(&["checkout", "--quiet", "-b", "fix"]);
    shop.project.write("public/index.html", "<h1>fix</h1>\n");
    let fix = shop.commit("fix");
    shop.build().await;
    shop.deploy_to("production").await;
    shop.git(&["checkout", "--quiet", "main"]);
    assert_eq!(shop.git(&["rev-parse", "HEAD"]), first);
    shop.deploy_next("two", None).await;
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains(&fix), "{}", run.errors);
    assert_eq!(shop.page().await, "<h1>fix</h1>\n");
    // Once it is merged, the promotion passes.
    shop.git(&[
        "merge",
        "--quiet",
        "--strategy-option",
        "ours",
        "--no-edit",
        "fix",
    ]);
    shop.build().await;
    shop.deploy_to("staging").await;
    shop.promote().await.succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_stay_where_a_later_step_fails_and_the_next_run_goes_on() {
    let shop = Shop::new().await;
    let before = shop.published();
    shop.deploy_next(
        "two",
        Some(("V2__mail.sql", "ALTER TABLE guestbook ADD mail text;\n")),
    )
    .await;
    let failing = Failure::Status {
        status: 422,
        retry_after: None,
    };
    let fault = Fault::new(failing).on("POST", "/api/v1/sites/*/deploys");
    shop.project.netlify.control().inject(fault);
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains("stay applied"), "{}", run.errors);
    assert_eq!(shop.published().id, before.id);
    shop.project.netlify.control().clear_faults();
    let run = shop.promote().await;
    run.succeeds();
    assert_eq!(run.json()["migrations"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_without_a_record_is_not_promoted() {
    let shop = Shop::new().await;
    let branch = crate::status::branch("staging");
    shop.project.build(branch, "staging", &"ab".repeat(20));
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains("no record file"), "{}", run.errors);
}
