//! Promotions on AWS Lambda that fail, are killed, or meet another one.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_tests::server;

use crate::front::Effect;
use crate::shop::Shop;

/// Makes a shop whose production has version 1 of each function, and whose staging has version 2.
async fn two_versions(names: &[&'static str]) -> Shop {
    let shop = Shop::new(names).await;
    shop.first_deploy().await;
    shop.promote(&[]).await.succeeds();
    shop.build().await;
    shop.deploy("staging", &[]).await.succeeds();
    shop
}

async fn productions(shop: &Shop, functions: &[&str]) -> Vec<Value> {
    let mut versions = Vec::new();
    for function in functions {
        versions.push(shop.version(function, "production").await);
    }
    versions
}

#[tokio::test]
async fn alias_that_another_person_moves_meanwhile_is_left_to_them() {
    let shop = two_versions(&["guestbook"]).await;
    shop.front
        .fault("PUT", "/aliases/production", Effect::MovesAlias("1"));
    let run = shop.promote(&[]).await;
    run.fails(&["has changed the alias production of shop-guestbook", "412"]);
    assert_eq!(productions(&shop, &["shop-guestbook"]).await, ["1"]);
    // The lease is free, and the next one works.
    shop.promote(&[]).await.succeeds();
    assert_eq!(productions(&shop, &["shop-guestbook"]).await, ["2"]);
}

#[tokio::test]
async fn of_two_promotions_at_a_time_one_works_and_the_other_says_so() {
    let shop = two_versions(&["guestbook"]).await;
    let runs = tokio::join!(shop.promote(&[]), shop.promote(&[]));
    let mut runs = [runs.0, runs.1];
    runs.sort_by_key(|run| run.code);
    runs[0].succeeds();
    // It came during the other one, or right after it.
    let told = [
        "is being changed by",
        "has changed",
        "runs this artifact already",
    ];
    let errors = &runs[1].errors;
    assert!(told.iter().any(|words| errors.contains(words)), "{errors}");
    assert_eq!(productions(&shop, &["shop-guestbook"]).await, ["2"]);
}

#[tokio::test]
async fn failure_at_one_function_moves_the_others_back() {
    const BOTH: [&str; 2] = ["shop-guestbook", "shop-health"];
    let shop = two_versions(&["guestbook", "health"]).await;
    shop.front.fault(
        "PUT",
        "/shop-health/aliases/production",
        Effect::Refuse(403, "AccessDeniedException"),
    );
    let run = shop.promote(&[]).await;
    run.fails(&[
        "could not move the alias production of shop-health to version 2",
        "allow lambda:UpdateAlias",
        "the alias production of shop-guestbook points to version 1 again",
    ]);
    assert_eq!(productions(&shop, &BOTH).await, ["1", "1"]);
    shop.promote(&[]).await.succeeds();
    assert_eq!(productions(&shop, &BOTH).await, ["2", "2"]);
    shop.assert_private();
}

/// Kills a promotion of two functions when the first alias is moved and the second is not.
async fn killed(shop: &Shop) {
    shop.front
        .fault("PUT", "/shop-health/aliases/production", Effect::Hangs);
    let mut command = shop.command(&["promote", "--yes"]).await;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the command starts");
    shop.front.wait_for_hit().await;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    kill(Pid::from_raw(id.expect("it runs")), Signal::SIGKILL).expect("it is killed");
    child.wait().await.expect("it ends");
    assert_eq!(
        productions(shop, &["shop-guestbook", "shop-health"]).await,
        ["2", "1"]
    );
}

/// Lets the lease of a killed command end, as it does after a minute.
async fn end_lease(shop: &Shop) {
    let db = server()
        .await
        .connect_as_superuser_to(&shop.clouds.production)
        .await
        .expect("the database can be reached");
    let ended = db
        .execute(
            "UPDATE stagelink_leases SET expires_at = now() - interval '1 s'",
            &[],
        )
        .await;
    assert_eq!(ended.expect("it is updated"), 1);
}

#[tokio::test]
async fn killed_promotion_goes_on_where_it_ended() {
    let shop = two_versions(&["guestbook", "health"]).await;
    killed(&shop).await;
    end_lease(&shop).await;
    let report = shop.promote(&[]).await.succeeds().json();
    let previous = [
        &report["functions"][0]["previous"],
        &report["functions"][1]["previous"],
    ];
    assert_eq!(previous, [&json!("1"), &json!("1")]);
    assert_eq!(
        productions(&shop, &["shop-guestbook", "shop-health"]).await,
        ["2", "2"]
    );
    // The record has the versions of before, so a rollback finds them.
    shop.run(&["rollback", "--yes"]).await.succeeds();
    assert_eq!(
        productions(&shop, &["shop-guestbook", "shop-health"]).await,
        ["1", "1"]
    );
}

#[tokio::test]
async fn killed_promotion_is_taken_back_by_abort() {
    let shop = two_versions(&["guestbook", "health"]).await;
    killed(&shop).await;
    let abort = shop.run(&["promote", "--abort"]).await;
    let abort = &abort.succeeds().output;
    let words = "the alias production of shop-guestbook points to version 1 again";
    assert!(abort.contains(words), "{abort}");
    assert_eq!(
        productions(&shop, &["shop-guestbook", "shop-health"]).await,
        ["1", "1"]
    );
    let again = shop.run(&["promote", "--abort"]).await;
    assert!(
        again
            .succeeds()
            .output
            .contains("no change of production is unfinished")
    );
}

#[tokio::test]
async fn version_that_does_not_prove_itself_gets_no_requests() {
    let shop = two_versions(&["guestbook"]).await;
    let staging = shop.moto.function("shop-guestbook", "staging").await;
    let sha256 = staging["CodeSha256"].as_str().expect("a digest");
    // The program of the first build, in the place of the second.
    shop.front.end_functions();
    shop.front.add_program(sha256, shop.path("guestbook-0"));
    let run = shop.promote(&[]).await;
    run.fails(&["shop-guestbook:2 runs another program than the artifact's"]);
    assert_eq!(productions(&shop, &["shop-guestbook"]).await, ["1"]);
}
