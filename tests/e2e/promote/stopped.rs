//! Commands that a signal stops: the stage is given back, and what is live and unfinished is said by the command,
//! by `rollback` and by `status`.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stagelink_local::api::{Failure, Fault};
use stagelink_pipeline::PromotionStep;
use tokio::time::{sleep, timeout};

use super::Shop;
use super::hostile::{kill_rollback, signal, start, wait_for_request};
use super::kills::kill_in;

/// Returns the facts of a stage by `status`.
async fn stage(shop: &Shop, name: &str) -> Value {
    let board = shop.run(&["status", "--json"]).await.json();
    let stages = board["stages"].as_array().expect("the stages").iter();
    let mut of_name = stages.filter(|stage| stage["stage"] == name);
    of_name.next().expect("the stage").clone()
}

/// Waits until a command asks for the state of the deploy of production that comes after this number of others.
pub(crate) async fn wait_for_deploy(shop: &Shop, before: usize) {
    let asks = || {
        let deploys = shop.production_deploys();
        let made = deploys
            .get(before)
            .map(|deploy| format!("/deploys/{}", deploy.id));
        let requests = shop.project.netlify.control().requests();
        made.is_some_and(|path| {
            let mut questions = requests.iter().filter(|one| one.method.as_str() == "GET");
            questions.any(|one| one.path.ends_with(&path))
        })
    };
    let asked = timeout(Duration::from_secs(60), async {
        while !asks() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    asked.await.expect("it waits for the deploy");
}

/// Starts a promotion, stops it by a signal while Netlify makes the deploy ready, and returns what it said.
async fn stop_in_deploy(shop: &Shop) -> String {
    let netlify = &shop.project.netlify;
    let before = shop.production_deploys().len();
    netlify.set_holds_deploys(true);
    netlify.control().clear_requests();
    let child = start(shop, &["promote", "--yes"]).await;
    wait_for_deploy(shop, before).await;
    signal(&child, Signal::SIGINT);
    let ended = child.wait_with_output().await.expect("it ends");
    netlify.set_holds_deploys(false);
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_that_a_signal_stops_gives_the_stage_back_and_says_what_is_live() {
    let shop = Shop::new().await;
    let before = shop.published().id;
    let first = Shop::artifact_of(&shop.published());
    let commit = shop.git(&["rev-parse", "HEAD"]);
    let artifact = shop.deploy_next("two", None).await;
    let told = stop_in_deploy(&shop).await;
    let title = format!("promotion of artifact {}", &artifact[..12]);
    for part in [
        "the promotion was stopped by SIGINT: run the same command again, which goes on, or add --abort",
        "  the lease on stage production is given back",
        &format!(
            "  the deploy {before} is live (artifact {}), as before",
            &first[..12]
        ),
        &format!("  the {title} is not finished, begun 20"),
        "in the step `deploy`: `stagelink promote --to production` goes on with it, and `stagelink promote --to \
         production --abort` takes back what it did",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    // A rollback says the same, and changes nothing.
    let run = shop.run(&["rollback", "--yes"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in [&*title, "goes on with it", "--abort` takes back"] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    assert!(!run.errors.contains("--to DEPLOY"), "{}", run.errors);

    // So does the status.
    let production = stage(&shop, "production").await;
    let unfinished = &production["unfinished"]["value"];
    assert_eq!(unfinished["command"], "promote", "{production}");
    assert_eq!(unfinished["artifact"], json!(artifact));
    assert_eq!(unfinished["step"], "deploy");
    assert_eq!(unfinished["lease_until"], Value::Null);
    assert_eq!(unfinished["by"], shop.newest_record("by").await);
    assert_eq!(production["code"]["value"]["is_untested"], false);
    // The commit is that of the record, as in the history.
    assert_eq!(production["code"]["value"]["commit"], json!(commit));
    assert_eq!(
        stage(&shop, "staging").await["unfinished"]["state"],
        "absent"
    );
    let text = shop.run(&["status", "production"]).await.output;
    let text = text.replace(['│', '┆'], " ");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        &*format!("! {title} not finished, since 20"),
        "in the step deploy",
        "`stagelink promote --to production` goes on with it",
        "! locked meanwhile: newer deploys are not published",
        &commit[..7],
    ] {
        assert!(words.contains(part), "{part}: {text}");
    }

    // The next run waits for nothing.
    let run = shop.run(&["promote", "--yes"]).await;
    run.succeeds();
    assert!(!run.errors.contains("looking whether"), "{}", run.errors);
    assert!(
        run.output.contains("this one goes on with it"),
        "{}",
        run.output
    );
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
    assert_eq!(
        stage(&shop, "production").await["unfinished"]["state"],
        "absent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_promotion_that_is_aborted_is_so_in_the_history() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    stop_in_deploy(&shop).await;
    shop.run(&["promote", "--abort"]).await.succeeds();
    assert_eq!(shop.newest_record("outcome").await, "aborted");
    // Also one that was live by then.
    kill_in(&shop, PromotionStep::TestLive).await;
    shop.run(&["promote", "--abort"]).await.succeeds();
    assert_eq!(shop.newest_record("outcome").await, "aborted");
    let history = shop.run(&["history"]).await.output;
    assert_eq!(history.matches("! aborted").count(), 2, "{history}");
    assert!(!history.contains("restored"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn change_without_an_answer_keeps_the_lease_and_its_end_is_said() {
    let shop = Shop::new().await;
    let artifact = shop.deploy_next("two", None).await;
    let control = shop.project.netlify.control();
    control.clear_requests();
    let hang = Fault::new(Failure::Hang).on("POST", "/api/v1/deploys/*/lock");
    control.inject(hang);
    let child = start(&shop, &["promote", "--yes"]).await;
    wait_for_request(&shop, "/lock").await;
    signal(&child, Signal::SIGTERM);
    let ended = child.wait_with_output().await.expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(143), "{told}");
    for part in [
        "  the lease on stage production holds until 20",
        "since a call that changes something was under way, whose result is not known",
        "it runs, or was killed a moment ago and has the stage until 20",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let held = "SELECT count(*) FROM stagelink_leases WHERE expires_at > clock_timestamp()";
    assert_eq!(shop.production_count(held).await, 1);
    control.clear_faults();
    shop.expire_leases().await;
    shop.promote().await.succeeds();
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_deploy_of_an_interrupted_command_is_untested_in_the_status() {
    let shop = Shop::new().await;
    let artifact = shop.deploy_next("two", None).await;
    kill_in(&shop, PromotionStep::TestLive).await;
    let live = shop.published().id;
    let production = stage(&shop, "production").await;
    let code = &production["code"]["value"];
    assert_eq!(
        (&code["id"], &code["is_untested"]),
        (&json!(live), &json!(true))
    );
    assert_eq!(code["digest"]["value"], json!(artifact));
    // It was killed a moment ago.
    assert_ne!(
        production["unfinished"]["value"]["lease_until"],
        Value::Null
    );
    shop.expire_leases().await;
    shop.promote().await.succeeds();
    assert_eq!(
        stage(&shop, "production").await["code"]["value"]["is_untested"],
        false
    );
    kill_rollback(&shop).await;
    let production = stage(&shop, "production").await;
    assert_eq!(production["unfinished"]["value"]["command"], "rollback");
    assert_eq!(
        production["code"]["value"]["is_untested"], true,
        "{production}"
    );
}
