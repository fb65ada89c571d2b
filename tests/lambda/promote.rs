//! Promotions on AWS Lambda that fail, are killed, or meet another one.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_local_postgres::Database;
use stagelink_tests::server;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::front::Effect;
use crate::shop::{ARCH, Shop};

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
    // Another tool shifts traffic.
    let weights = "AdditionalVersionWeights={1=0.5}";
    let shift = [
        "lambda",
        "update-alias",
        "--function-name",
        "shop-guestbook",
        "--name",
        "production",
    ];
    let shift = [&shift[..], &["--routing-config", weights]].concat();
    shop.moto.aws(&shift).await;
    shop.run(&["rollback", "--yes"])
        .await
        .fails(&["the alias production of shop-guestbook divides its requests"]);
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
    end_lease_of(&shop.clouds.production).await;
}

async fn end_lease_of(database: &Database) {
    let db = server()
        .await
        .connect_as_superuser_to(database)
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
    // A deploy says so before its build, which this folder has no packages for.
    let run = shop
        .run(&["deploy", "production", "--yes", "--dirty"])
        .await;
    run.fails(&["stage production: the promotion", "is not finished, begun"]);
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
    // There are no such functions in the other region, so nothing would be moved back there.
    let mut elsewhere = shop.command(&["promote", "--abort"]).await;
    let output = elsewhere.env("AWS_REGION", "us-east-1").output().await;
    shop.finished(&output.expect("the command runs")).fails(&[
        "is not finished, in another account or region of AWS",
        "eu-west-1): run it there",
    ]);
    let both = productions(&shop, &["shop-guestbook", "shop-health"]).await;
    assert_eq!(both, ["2", "1"]);
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
            .contains("no promotion to production is unfinished")
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

/// Waits for the message with which a step begins, and reads the others on.
async fn wait_for_step(child: &mut Child, step: &str) {
    let wanted = format!("… {step}");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    loop {
        let line = lines.next_line().await.expect("a line");
        if line.expect("it runs").trim() == wanted {
            break;
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

#[tokio::test]
async fn rollback_sees_a_migration_that_was_applied_since_its_plan() {
    let shop = Shop::new(&["guestbook"]).await;
    shop.first_deploy().await;
    shop.promote(&[]).await.succeeds();
    shop.migration(
        "V2__drop.sql",
        "ALTER TABLE guestbook DROP COLUMN created_at;\n",
    );
    shop.build().await;
    shop.deploy("staging", &[]).await.succeeds();
    shop.promote(&[]).await.succeeds();
    let holder = server().await;
    let holder = holder
        .connect_as_superuser_to(&shop.clouds.production)
        .await;
    let holder = holder.expect("a session");
    let lock = "BEGIN; LOCK TABLE stagelink_leases IN EXCLUSIVE MODE";
    holder.batch_execute(lock).await.expect("a lock");
    let mut command = shop.command(&["rollback", "--yes"]).await;
    let mut child = command.spawn().expect("it starts");
    // The plan is made, and the lease is waited for.
    wait_for_step(&mut child, "lease").await;
    let migrated = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                    SELECT 2, 'drop', applied_on, '1' FROM refinery_schema_history WHERE version = 1; \
                    ALTER TABLE guestbook DROP COLUMN created_at; COMMIT";
    holder.batch_execute(migrated).await.expect("it is applied");
    let code = child.wait().await.expect("it ends").code();
    assert_eq!(code, Some(1));
    assert_eq!(productions(&shop, &["shop-guestbook"]).await, ["2"]);
    let failed = "SELECT count(*) FROM stagelink_deploys WHERE command = 'rollback' \
                  AND outcome = 'failed'";
    let row = holder.query_one(failed, &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn rollback_is_taken_back_by_its_own_abort_also_where_a_version_is_gone() {
    let shop = two_versions(&["guestbook", "health"]).await;
    shop.promote(&[]).await.succeeds();
    let killed_rollback = async || {
        shop.front
            .fault("PUT", "/shop-health/aliases/production", Effect::Hangs);
        let mut command = shop.command(&["rollback", "--yes"]).await;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let hits = shop.front.hits();
        let mut child = command.spawn().expect("it starts");
        shop.front.wait_for_hits(hits + 1).await;
        child.kill().await.expect("it is killed");
        let both = productions(&shop, &["shop-guestbook", "shop-health"]).await;
        assert_eq!(both, ["1", "2"]);
    };
    killed_rollback().await;
    // It goes on with what it went back to, though the aliases are moved in part.
    let other = [
        "rollback",
        "--yes",
        "--to",
        "shop-guestbook:2 shop-health:2",
    ];
    shop.run(&other)
        .await
        .fails(&["goes back to shop-guestbook:1 shop-health:1"]);
    end_lease(&shop).await;
    shop.run(&["rollback", "--yes"]).await.succeeds();
    let both = productions(&shop, &["shop-guestbook", "shop-health"]).await;
    assert_eq!(both, ["1", "1"]);
    let to = [
        "rollback",
        "--yes",
        "--to",
        "shop-health:2  shop-guestbook:2",
    ];
    shop.run(&to).await.succeeds();
    killed_rollback().await;
    let promotion = shop.run(&["promote", "--abort"]).await;
    promotion.fails(&[
        "which is no promotion",
        "`stagelink rollback production --abort` takes that back",
    ]);
    let abort = shop.run(&["rollback", "--abort"]).await;
    let words = "the alias production of shop-guestbook points to version 2 again";
    assert!(abort.succeeds().output.contains(words), "{}", abort.output);
    let both = productions(&shop, &["shop-guestbook", "shop-health"]).await;
    assert_eq!(both, ["2", "2"]);
    killed_rollback().await;
    shop.front.remove_version("shop-guestbook", "2");
    let abort = shop.run(&["rollback", "--abort"]).await;
    let words = "shop-guestbook points to version 1, which has not passed its tests, and version 2 of \
                 before was deleted";
    assert!(abort.succeeds().output.contains(words), "{}", abort.output);
    let row = shop.run(&["history", "production", "--json"]).await;
    assert_eq!(row.succeeds().json()["deploys"][0]["outcome"], "untested");
}

#[tokio::test]
async fn deploy_that_goes_on_has_the_variables_of_now() {
    let shop = two_versions(&["guestbook", "health"]).await;
    shop.build().await;
    shop.front
        .fault("PUT", "/shop-health/aliases/staging", Effect::Hangs);
    let mut command = shop
        .command(&["deploy", "staging", "--no-build", "--yes", "--arch", ARCH])
        .await;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    shop.front.wait_for_hit().await;
    child.kill().await.expect("it is killed");
    let staging = [
        shop.version("shop-guestbook", "staging").await,
        shop.version("shop-health", "staging").await,
    ];
    assert_eq!(staging, ["3", "2"]);
    end_lease_of(&shop.clouds.staging).await;
    let variables = format!("{}NEW=one\n", shop.variables(None));
    shop.write("all.env", &variables);
    shop.deploy("staging", &["--env-file", "all.env"])
        .await
        .succeeds();
    for function in ["shop-guestbook", "shop-health"] {
        let live = shop.moto.function(function, "staging").await;
        assert_eq!(live["Environment"]["Variables"]["NEW"], "one", "{function}");
    }
    // What was live before is in the record.
    shop.run(&["rollback", "staging", "--yes"]).await.succeeds();
    assert_eq!(shop.version("shop-guestbook", "staging").await, "2");
    shop.assert_private();
}

#[tokio::test]
async fn rollback_over_a_function_that_was_added_leaves_a_record_of_the_whole_stage() {
    const BOTH: [&str; 2] = ["shop-guestbook", "shop-health"];
    let shop = Shop::new(&["guestbook", "health"]).await;
    shop.settings("[lambda]\nfunctions = { guestbook = \"shop-guestbook\" }\n");
    shop.first_deploy().await;
    let first = shop.promote(&[]).await.succeeds().json();
    shop.settings(
        "[lambda]\nfunctions = { guestbook = \"shop-guestbook\", health = \"shop-health\" }\n",
    );
    shop.build().await;
    shop.first_deploy().await;
    let second = shop.promote(&[]).await.succeeds().json();
    assert_eq!(productions(&shop, &BOTH).await, ["2", "1"]);
    // A deploy of what runs already changes no version, and the way back is the one of before.
    shop.promote(&["--again"]).await.succeeds();
    let back = shop.run(&["rollback", "--yes"]).await;
    back.succeeds();
    let stays = "shop-health is not of that deploy, and stays as it is";
    assert!(back.output.contains(stays), "{}", back.output);
    assert_eq!(productions(&shop, &BOTH).await, ["1", "1"]);
    let status = ["status", "production", "--json", "--timeout", "300"];
    let board = shop.run(&status).await.json();
    let artifact = &board["stages"][0]["lambda"]["value"]["artifact"]["value"];
    assert_eq!(*artifact, first["artifact"], "{board}");
    // Rolled back twice, it is where it began.
    let again = shop.run(&["rollback", "--yes", "--json"]).await;
    assert_eq!(again.succeeds().json()["artifact"], second["artifact"]);
    assert_eq!(productions(&shop, &BOTH).await, ["2", "1"]);
}

#[tokio::test]
async fn new_alias_is_deleted_where_that_of_another_function_cannot_be_made() {
    let shop = Shop::new(&["guestbook", "health"]).await;
    shop.first_deploy().await;
    shop.front.fault(
        "POST",
        "/shop-health/aliases",
        Effect::Refuse(403, "AccessDeniedException"),
    );
    shop.promote(&[]).await.fails(&[
        "could not make the alias production of shop-health",
        "allow lambda:CreateAlias",
        "the new alias production of shop-guestbook was deleted",
    ]);
    let none = [Value::Null, Value::Null];
    assert_eq!(
        productions(&shop, &["shop-guestbook", "shop-health"]).await,
        none
    );
}

#[tokio::test]
async fn ctrl_c_in_a_terminal_keeps_the_lease_while_a_call_may_still_arrive() {
    let shop = two_versions(&["guestbook", "health"]).await;
    shop.front
        .fault("PUT", "/shop-health/aliases/production", Effect::Hangs);
    let mut command = shop.command(&["promote", "--yes"]).await;
    let child = command.process_group(0).spawn().expect("it starts");
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    shop.front.wait_for_hit().await;
    // As a terminal does, to all processes of the group.
    killpg(Pid::from_raw(group.expect("it runs")), Signal::SIGINT).expect("it is asked to end");
    let output = child.wait_with_output().await.expect("it ends");
    let run = shop.finished(&output);
    assert_eq!(run.code, Some(130), "{run:?}");
    run.fails(&[
        "the lease on stage production holds until",
        "live are the versions shop-guestbook:2 shop-health:1: aliases are moved to those of the promotion",
        "which have not passed their test there",
    ]);
}
