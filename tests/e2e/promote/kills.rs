//! A promotion that is killed in a step: the next run goes on, and `--abort` takes back.

use std::process::Stdio;

use stagelink_pipeline::PromotionStep;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::Shop;

/// Starts a promotion, and kills it as soon as it says that the step has begun. The test of the live deploy
/// gets no answer until then, so it has not passed.
pub(super) async fn kill_in(shop: &Shop, step: PromotionStep) {
    let netlify = &shop.project.netlify;
    netlify.set_holds_visitors(step == PromotionStep::TestLive);
    let mut command = shop
        .command(&["promote", "--yes", "--json", "--test-limit", "20"])
        .await;
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let stderr = child.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines();
    let wanted = format!("… {step}");
    let mut seen = String::new();
    loop {
        let line = lines.next_line().await.expect("a line");
        let line = line.unwrap_or_else(|| panic!("it ended before {step}: {seen}"));
        if line.trim() == wanted {
            break;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    child.kill().await.expect("it is killed");
    netlify.set_holds_visitors(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_that_is_killed_in_any_step_goes_on_when_it_runs_again() {
    let shop = Shop::new().await;
    for (number, step) in PromotionStep::ALL.into_iter().enumerate() {
        let column = format!("ALTER TABLE guestbook ADD a{number} text;\n");
        let file = format!("V{}__a{number}.sql", number + 2);
        let artifact = shop
            .deploy_next(&format!("{step}"), Some((&file, &column)))
            .await;
        kill_in(&shop, step).await;
        shop.expire_leases().await;
        let run = shop.run(&["promote", "--yes", "--again", "--json"]).await;
        assert_eq!(run.code, Some(0), "killed in {step}: {}", run.errors);
        let live = shop.published();
        assert_eq!(Shop::artifact_of(&live), artifact, "killed in {step}");
        assert!(!shop.is_locked(), "killed in {step}: the lock stays");
        assert_eq!(shop.page().await, format!("<h1>{step}</h1>\n"));
        // No deploy is left that was never published.
        let deploys = shop.production_deploys().into_iter();
        let count = deploys
            .filter(|deploy| Shop::artifact_of(deploy) == artifact)
            .count();
        // Once the promotion was done and recorded, --again is another one.
        let is_done = step >= PromotionStep::Record;
        assert!(
            count == 1 || (is_done && count == 2),
            "killed in {step}: {count} deploys"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_waits_for_the_lease_of_a_killed_one_says_so_and_goes_on() {
    let shop = Shop::new().await;
    let artifact = shop.deploy_next("two", None).await;
    kill_in(&shop, PromotionStep::ALL[2]).await;
    let mut command = shop.command(&["promote", "--yes", "--json"]).await;
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut seen = String::new();
    loop {
        let line = lines.next_line().await.expect("a line");
        let line = line.unwrap_or_else(|| panic!("it said nothing of a wait: {seen}"));
        if line.contains("… looking whether") {
            break;
        }
        seen.push_str(&line);
    }
    shop.expire_leases().await;
    while lines.next_line().await.expect("a line").is_some() {}
    assert!(child.wait().await.expect("it ends").success());
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_takes_back_what_a_killed_promotion_did() {
    let shop = Shop::new().await;
    for step in [
        PromotionStep::Lock,
        PromotionStep::Deploy,
        PromotionStep::Test,
        PromotionStep::TestLive,
    ] {
        let before = shop.published();
        shop.deploy_next(&format!("abort {step}"), None).await;
        kill_in(&shop, step).await;
        let run = shop.run(&["promote", "--abort"]).await;
        assert_eq!(run.code, Some(0), "killed in {step}: {}", run.errors);
        let after = shop.published();
        assert_eq!(
            (after.id, shop.is_locked()),
            (before.id, false),
            "killed in {step}"
        );
        assert_eq!(shop.production_deploys().len(), 1, "killed in {step}");
    }
    // One that was live and tested stays.
    let artifact = shop.deploy_next("tested", None).await;
    kill_in(&shop, PromotionStep::CleanUp).await;
    shop.run(&["promote", "--abort"]).await.succeeds();
    let live = Shop::artifact_of(&shop.published());
    assert_eq!((live, shop.is_locked()), (artifact, false));
    let again = shop.run(&["promote", "--abort"]).await;
    again.succeeds();
    assert!(again.output.contains("no promotion"), "{}", again.output);
}
