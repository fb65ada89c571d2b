//! A promotion and a rollback whose deploy of before is gone when they are to be taken back: what is live is
//! named, with a way on that works.

use serde_json::json;
use stagelink_pipeline::PromotionStep;

use super::Shop;
use super::kills::kill_in;

/// Promotes a second artifact, kills the command when that is live and not yet tested there, and deletes the
/// deploy of before. Returns the ids of both.
async fn live_with_nothing_before(shop: &Shop) -> (String, String) {
    let before = shop.published().id;
    shop.deploy_next("two", None).await;
    kill_in(shop, PromotionStep::TestLive).await;
    let live = shop.published().id;
    assert_ne!(live, before);
    assert!(shop.project.netlify.remove_deploy(&before));
    (before, live)
}

async fn outcome(shop: &Shop) -> String {
    let run = shop.run(&["history", "production", "--json"]).await;
    run.succeeds();
    let outcome = &run.json()["deploys"][0]["outcome"];
    outcome.as_str().unwrap_or("none").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_that_cannot_be_taken_back_names_what_is_live_and_goes_on() {
    let shop = Shop::new().await;
    let (before, live) = live_with_nothing_before(&shop).await;
    shop.expire_leases().await;
    let settings = shop.project.folder.path().join("stagelink.toml");
    let good = std::fs::read_to_string(&settings).expect("settings");
    let none = "{ path = \"/none\", status = 404 }";
    let bad = good.replace(none, "{ path = \"/about\" }");
    assert_ne!(bad, good);
    std::fs::write(&settings, bad).expect("settings");
    let run = shop
        .run(&["promote", "--yes", "--again", "--test-limit", "3"])
        .await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in [
        format!("the deploy {live} is live and has not passed its test"),
        format!("Netlify has the deploy {before} of before no longer"),
        "run the same command again".to_owned(),
        "promote --to production --abort".to_owned(),
    ] {
        assert!(run.errors.contains(&part), "{part}: {}", run.errors);
    }
    assert_eq!(
        (shop.published().id, outcome(&shop).await),
        (live.clone(), "none".to_owned())
    );
    // The cause is gone, and the same command goes on.
    std::fs::write(&settings, good).expect("settings");
    shop.expire_leases().await;
    shop.run(&["promote", "--yes", "--again"]).await.succeeds();
    assert_eq!(
        (shop.published().id, outcome(&shop).await),
        (live, "succeeded".to_owned())
    );
    assert!(!shop.is_locked());
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_without_a_deploy_of_before_frees_the_stage_and_says_what_is_live() {
    let shop = Shop::new().await;
    let (before, live) = live_with_nothing_before(&shop).await;
    let run = shop.run(&["promote", "--abort"]).await;
    run.succeeds();
    let told = format!("the deploy {live} is live and has not passed its test");
    assert!(run.output.contains(&told), "{}", run.output);
    assert!(run.output.contains(&before), "{}", run.output);
    assert_eq!(
        (shop.published().id, shop.is_locked(), outcome(&shop).await),
        (live.clone(), false, "untested".to_owned())
    );
    let board = shop
        .run(&["status", "production", "--json", "--timeout", "300"])
        .await;
    let deploy = &board.json()["stages"][0]["code"]["value"];
    assert_eq!(
        (&deploy["id"], &deploy["is_untested"]),
        (&json!(live), &json!(true))
    );
    let board = shop
        .run(&["status", "production", "--timeout", "300"])
        .await;
    assert!(board.output.contains("untested"), "{}", board.output);
    // There is nothing to go back to, and it says so; a new deploy of the artifact is tested as any other.
    let back = shop.run(&["rollback", "--yes"]).await;
    assert_eq!(back.code, Some(1));
    let gone = format!("Netlify has the deploy {before} no longer");
    assert!(back.errors.contains(&gone), "{}", back.errors);
    shop.run(&["promote", "--yes", "--again"]).await.succeeds();
    assert_ne!(shop.published().id, live);
    assert_eq!(outcome(&shop).await, "succeeded");
}
