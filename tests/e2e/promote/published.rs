//! Migrations of *after* beside what Netlify publishes, where the newest record tells otherwise.

use nix::sys::signal::Signal;
use serde_json::Value;
use stagelink_local::netlify_api::{Context, DeployState, GitBuild};
use tokio::time::{Duration, sleep, timeout};

use super::hostile::{by_hand, signal};
use super::{SITE, Shop};
use crate::status::Run;

const DROP: (&str, &str) = (
    "V2__drop.sql",
    "ALTER TABLE guestbook DROP COLUMN created_at;\n",
);

const AFTER: [&str; 4] = ["migrate", "production", "--after", "--yes"];

/// Runs `migrate --after` on production, which refuses the file for this reason and leaves the code alone.
async fn is_refused(shop: &Shop, parts: &[&str]) {
    let run = shop.run(&AFTER).await;
    ensure_refused(&run, parts);
    let answer = shop.visit("/api/guestbook").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let waits = waits_for(shop).await;
    for part in parts {
        assert!(waits.contains(part), "{part}: {waits}");
    }
}

fn ensure_refused(run: &Run, parts: &[&str]) {
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in parts {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
}

/// Returns the reasons for which the file waits, by the status of production.
async fn waits_for(shop: &Shop) -> String {
    let run = shop.run(&["status", "production", "--json"]).await;
    let board = run.json();
    let after = &board["stages"][0]["migrations"]["value"]["after"];
    assert_eq!(after["state"], "known", "{after}");
    assert_eq!(after["value"][0]["migration"], "V2__drop", "{after}");
    let waits: Vec<String> =
        serde_json::from_value(after["value"][0]["waits_for"].clone()).expect("reasons");
    waits.join("; ")
}

async fn publish(shop: &Shop, deploy: &str) {
    by_hand(shop, &format!("sites/{SITE}/deploys/{deploy}/restore")).await;
}

/// The newest deploy in the records of production.
async fn newest_record(shop: &Shop) -> Value {
    let run = shop.run(&["history", "production", "--json"]).await;
    run.succeeds();
    run.json()["deploys"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_under_a_lock_is_not_live_and_after_waits_for_the_code_that_is() {
    let shop = Shop::new().await;
    let first = shop.published();
    let artifact = Shop::artifact_of(&first);
    assert!(shop.project.netlify.set_lock(&first.id, true));
    shop.project
        .write(&format!("migrations/{}", DROP.0), DROP.1);
    shop.commit("two");
    shop.build().await;
    let run = shop
        .run(&["deploy", "production", "--no-build", "--yes"])
        .await;
    run.succeeds();
    for part in [
        "since publishing is locked: unlock and publish it on Netlify",
        "`stagelink migrate production --after`, once visitors see this deploy",
    ] {
        assert!(run.output.contains(part), "{part}: {}", run.output);
    }
    assert_eq!(shop.published().id, first.id);
    let record = newest_record(&shop).await;
    assert_eq!(record["outcome"], "unpublished");
    let runs = format!("artifact {} runs since ", &artifact[..12]);
    is_refused(&shop, &[&runs, "was built without V2__drop"]).await;

    // A record of an earlier version, which says that the deploy is live, and no window is left.
    shop.production_sql(
        "UPDATE stagelink_deploys SET outcome = 'succeeded', started_at = started_at - interval '30 days', \
         finished_at = finished_at - interval '30 days'",
    )
    .await;
    let runs = format!(
        "artifact {} runs, since Netlify publishes its deploy {} now",
        &artifact[..12],
        first.id
    );
    is_refused(&shop, &[&runs, "was built without V2__drop"]).await;

    assert!(shop.project.netlify.set_lock(&first.id, false));
    publish(&shop, record["deploy"].as_str().expect("a deploy")).await;
    assert_eq!(waits_for(&shop).await, "");
    shop.run(&AFTER).await.succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_that_a_person_publishes_again_runs_whatever_the_records_say() {
    let shop = Shop::new().await;
    let first = shop.published();
    shop.deploy_next("two", Some(DROP)).await;
    shop.promote().await.succeeds();
    let second = shop.published();
    shop.production_sql(
        "UPDATE stagelink_deploys SET started_at = started_at - interval '30 days', \
         finished_at = finished_at - interval '30 days'",
    )
    .await;
    assert_eq!(waits_for(&shop).await, "");
    publish(&shop, &first.id).await;
    let artifact = Shop::artifact_of(&first);
    let (short, id) = (&artifact[..12], &first.id);
    let runs = format!("artifact {short} runs, since Netlify publishes its deploy {id} now");
    is_refused(&shop, &[&runs, "was built without V2__drop"]).await;

    // A project with a site does not go by the records alone.
    let mut command = shop.command(&AFTER).await;
    let output = command.env_remove("NETLIFY_AUTH_TOKEN").output().await;
    let run = Run::new(&output.expect("it runs"), &shop.project.record);
    let unknown =
        "it could not be looked up which code Netlify publishes now (NETLIFY_AUTH_TOKEN is not set";
    ensure_refused(&run, &[unknown, "--override after-code-runs@V2"]);

    // Without a record, the file that the deploy publishes says what it is.
    let forget = format!("DELETE FROM stagelink_deploys WHERE deploy = '{id}'");
    shop.production_sql(&forget).await;
    let runs = format!(
        "artifact {short} runs, since Netlify publishes the deploy {id} now, which has no record"
    );
    is_refused(&shop, &[&runs, "was built without V2__drop"]).await;

    // A push without `stagelink build` has no such file.
    let push = GitBuild {
        context: Context::Production,
        branch: "main".to_owned(),
        commit: "ab".repeat(20),
        title: "a push".to_owned(),
    };
    let push = shop.project.netlify.build(SITE, push).expect("a deploy");
    let runs = format!("Netlify publishes {push} now, which has no record");
    ensure_refused(
        &shop.run(&AFTER).await,
        &[&runs, "what it needs is not known"],
    );

    publish(&shop, &second.id).await;
    assert_eq!(waits_for(&shop).await, "");
    shop.run(&AFTER).await.succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_in_whose_place_another_is_published_meanwhile_is_told_and_not_recorded_as_live() {
    let shop = Shop::new().await;
    let first = shop.published().id;
    let before = shop.production_deploys().len();
    shop.project.netlify.set_holds_deploys(true);
    let mut command = shop
        .command(&["deploy", "production", "--no-build", "--yes"])
        .await;
    let child = command.spawn().expect("it starts");
    let waits = async {
        let is_held = || {
            let deploys = shop.production_deploys();
            let newest = deploys.last().map(|deploy| deploy.state);
            deploys.len() > before && newest == Some(DeployState::Processing)
        };
        while !is_held() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let is_there = timeout(Duration::from_secs(60), waits).await;
    is_there.expect("a deploy");
    // The command notices at its next look that it is ready, and tests it then.
    signal(&child, Signal::SIGSTOP);
    shop.project.netlify.set_holds_deploys(false);
    publish(&shop, &first).await;
    signal(&child, Signal::SIGCONT);
    let output = child.wait_with_output().await.expect("it ends");
    let run = Run::new(&output, &shop.project.record);
    run.succeeds();
    let told = format!("since the deploy {first} was published meanwhile");
    assert!(run.output.contains(&told), "{}", run.output);
    assert_eq!(newest_record(&shop).await["outcome"], "unpublished");
}
