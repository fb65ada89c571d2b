//! A promotion beside what other people and other commands do to the stage at the same time.

use std::process::Output;
use std::time::Duration;

use stagelink_local::netlify_api::{Context, DeployState, GitBuild};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::hostile::by_hand;
use super::{SITE, Shop};
use crate::status::Run;

/// A promotion whose deploy Netlify has, and does not finish yet.
async fn begun(shop: &Shop) -> Child {
    let before = shop.production_deploys().len();
    shop.project.netlify.set_holds_deploys(true);
    let mut command = shop
        .command(&["promote", "--yes", "--again", "--json"])
        .await;
    let child = command.spawn().expect("it starts");
    let waits = async {
        let is_there = || {
            let deploys = shop.production_deploys();
            deploys.len() > before
                && deploys
                    .iter()
                    .any(|deploy| deploy.state == DeployState::Processing)
        };
        while !is_there() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), waits)
        .await
        .expect("a deploy");
    child
}

/// Lets Netlify finish its deploys, and waits for the promotion.
async fn ended(shop: &Shop, child: Child) -> Run {
    shop.project.netlify.set_holds_deploys(false);
    let output: Output = child.wait_with_output().await.expect("it ends");
    Run::new(&output, &shop.project.record)
}

#[tokio::test(flavor = "multi_thread")]
async fn push_that_gets_ready_meanwhile_is_named_and_not_published() {
    let shop = Shop::new().await;
    let child = begun(&shop).await;
    let push = GitBuild {
        context: Context::Production,
        branch: "main".to_owned(),
        commit: "ab".repeat(20),
        title: "a push\u{1b}[2J\nof main".to_owned(),
    };
    let push = shop.project.netlify.build(SITE, push).expect("a deploy");
    let run = ended(&shop, child).await;
    run.succeeds();
    let report = run.json();
    assert_eq!(report["deploy"], serde_json::json!(shop.published().id));
    let notes = report["notes"].to_string();
    let named = format!("the deploy {push} (a push");
    assert!(
        notes.contains(&named) && notes.contains("got ready meanwhile"),
        "{notes}"
    );
    assert!(!shop.project.netlify.publications(SITE).contains(&push));
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_that_another_person_publishes_meanwhile_stays() {
    let shop = Shop::new().await;
    let first = shop.published().id;
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let child = begun(&shop).await;
    by_hand(&shop, &format!("sites/{SITE}/deploys/{first}/restore")).await;
    let run = ended(&shop, child).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let told = format!("another person or job has published the deploy {first}");
    assert!(run.errors.contains(&told), "{}", run.errors);
    assert_eq!(shop.published().id, first);
    assert_eq!(shop.production_deploys().len(), 2, "its own was deleted");
    let leases = "SELECT count(*) FROM stagelink_leases";
    assert_eq!(shop.production_count(leases).await, 0);
}

/// Commands for production that come at the same time.
const BESIDE: [&[&str]; 4] = [
    &["promote", "--yes", "--again"],
    &["rollback", "--yes"],
    &["migrate", "production", "--yes"],
    &["deploy", "production", "--no-build", "--yes"],
];

/// The reasons for which one of two commands may end.
const REASONS: [&str; 7] = [
    "is being changed by",
    "has changed since it was shown",
    "has published the deploy",
    "no record of what was there before",
    "there is nothing to go back to",
    "is published already",
    "history has changed",
];

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_the_same_time_leave_one_whole_deploy_and_one_reason() {
    let shop = Shop::new().await;
    for (number, words) in BESIDE.into_iter().enumerate() {
        let column = format!("ALTER TABLE guestbook ADD b{number} text;\n");
        let file = format!("V{}__b{number}.sql", number + 2);
        let before = shop.published().id;
        let artifact = shop
            .deploy_next(&format!("beside {number}"), Some((&file, &column)))
            .await;
        let (promoted, other) = tokio::join!(shop.promote(), shop.run(words));
        let errors = format!("{words:?}: {}\n{}", promoted.errors, other.errors);
        for run in [&promoted, &other] {
            let is_told = REASONS.iter().any(|reason| run.errors.contains(reason));
            assert!(run.code == Some(0) || is_told, "{errors}");
        }
        assert!(
            promoted.code == Some(0) || other.code == Some(0),
            "{errors}"
        );
        let live = shop.published();
        let is_whole =
            live.id == before || Shop::artifact_of(&live) == artifact || other.code == Some(0);
        assert!(is_whole, "{errors}");
        assert!(!shop.is_locked(), "{errors}");
        let open = "SELECT (SELECT count(*) FROM stagelink_leases) + (SELECT count(*) FROM \
                    stagelink_deploys WHERE outcome IS NULL)";
        assert_eq!(shop.production_count(open).await, 0, "{errors}");
        let twice = "SELECT count(*) - count(DISTINCT version) FROM refinery_schema_history";
        assert_eq!(shop.production_count(twice).await, 0, "{errors}");
        let published = shop.project.netlify.publications(SITE);
        for deploy in shop.production_deploys() {
            assert!(published.contains(&deploy.id), "{errors}");
        }
        // The one that did not come to it does so now.
        if Shop::artifact_of(&shop.published()) != artifact {
            shop.promote().await.succeeds();
        }
        assert_eq!(shop.visit("/api/guestbook").await.status, 200);
    }
}
