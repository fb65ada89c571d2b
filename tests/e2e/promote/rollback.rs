//! `stagelink rollback`: back to the deploy before, where it still works.

use super::{SITE, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn rollback_publishes_the_deploy_before_and_back() {
    let shop = Shop::new().await;
    let first = shop.published();
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let second = shop.published();
    let plan = shop
        .run(&["rollback", "--plan", "--json", "--test-limit", "20"])
        .await;
    plan.succeeds();
    assert_eq!(plan.json()["deploy"], serde_json::json!(first.id));
    assert_eq!(shop.published().id, second.id);
    shop.run(&["rollback", "--yes"]).await.succeeds();
    assert_eq!(shop.published().id, first.id);
    assert_eq!(shop.page().await, "<h1>one</h1>\n");
    // The one that was taken back is the one before now.
    shop.run(&["rollback", "--yes"]).await.succeeds();
    assert_eq!(shop.published().id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_is_refused_where_the_schema_no_longer_carries_the_code() {
    let shop = Shop::new().await;
    let drop = (
        "V2__drop.sql",
        "ALTER TABLE guestbook DROP COLUMN created_at;\n",
    );
    shop.deploy_next("two", Some(drop)).await;
    shop.promote().await.succeeds();
    let second = shop.published();
    let after = [
        "migrate",
        "production",
        "--after",
        "--yes",
        "--override",
        "after-code-runs@V2",
        "--reason",
        "a test",
    ];
    shop.run(&after).await.succeeds();
    let run = shop.run(&["rollback", "--yes"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains("V2__drop"), "{}", run.errors);
    assert_eq!(shop.published().id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_names_a_deploy_that_netlify_has_no_longer_and_one_that_does_not_answer() {
    let shop = Shop::new().await;
    let first = shop.published();
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let second = shop.published();
    shop.project
        .netlify
        .set_site_protection(SITE, true)
        .expect("a site");
    let run = shop.run(&["rollback", "--yes", "--test-limit", "5"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        run.errors.contains("protected by a password"),
        "{}",
        run.errors
    );
    shop.project
        .netlify
        .set_site_protection(SITE, false)
        .expect("a site");
    shop.project.netlify.remove_deploy(&first.id);
    let run = shop.run(&["rollback", "--yes"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains("no longer"), "{}", run.errors);
    assert_eq!(shop.published().id, second.id);
}
