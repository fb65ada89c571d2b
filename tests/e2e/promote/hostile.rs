//! Promotions and rollbacks that are stopped and go on, and whose stage another person or command changes
//! between two calls.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stagelink_local::api::{Failure, Fault, RecordedRequest};
use stagelink_pipeline::PromotionStep;
use stagelink_tests::{send, server};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::kills::kill_in;
use super::{SITE, Shop};

/// It is tried again after a pause that leaves a test time to stop the process.
const ASKED_LATER: Failure = Failure::Status {
    status: 503,
    retry_after: Some(Duration::from_secs(8)),
};

/// Changes a deploy of production as a person does in Netlify's list of deploys.
pub(super) async fn by_hand(shop: &Shop, path: &str) {
    let netlify = &shop.project.netlify;
    let url = format!("{}/api/v1/{path}", netlify.url());
    let token = format!("Bearer {}", netlify.token());
    let answer = send("POST", &url, &[("authorization", token.as_str())], "").await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
}

/// Starts a command whose messages a test reads.
pub(super) async fn start(shop: &Shop, words: &[&str]) -> Child {
    let mut command = shop.command(words).await;
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

pub(super) fn signal(child: &Child, signal: Signal) {
    let id = child.id().expect("it runs").cast_signed();
    kill(Pid::from_raw(id), signal).expect("a signal");
}

/// Waits until Netlify got a POST to a path that ends so.
pub(super) async fn wait_for_request(shop: &Shop, end: &str) {
    let control = shop.project.netlify.control();
    let asked = async {
        let is_there = || {
            let requests = control.requests();
            let is_it = |one: &RecordedRequest| one.method == "POST" && one.path.ends_with(end);
            requests.iter().any(is_it)
        };
        while !is_there() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = timeout(Duration::from_secs(60), asked).await;
    asked.expect("the request comes");
}

/// Reads the messages of a command until one begins so.
pub(super) async fn wait_for_line(child: &mut Child, wanted: &str) {
    let stderr = child.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines();
    loop {
        let line = lines.next_line().await.expect("a line");
        let line = line.unwrap_or_else(|| panic!("it ended before {wanted}"));
        if line.trim() == wanted {
            break;
        }
    }
    // It is read to its end, so that the command does not wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_that_was_stopped_changes_nothing_once_another_command_has_the_stage() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let artifact = shop.deploy_next("three", None).await;
    let control = shop.project.netlify.control();
    control.clear_requests();
    // It is tried again after a pause, in which the process is stopped.
    let fault = Fault::new(ASKED_LATER).on("POST", "/api/v1/sites/*/deploys/*/restore");
    control.inject(fault.times(1));
    let child = start(&shop, &["rollback", "--yes", "--test-limit", "20"]).await;
    wait_for_request(&shop, "/restore").await;
    signal(&child, Signal::SIGSTOP);
    shop.expire_leases().await;
    shop.promote().await.succeeds();
    signal(&child, Signal::SIGCONT);
    let ended = child.wait_with_output().await.expect("it ends");
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(Shop::artifact_of(&shop.published()), artifact, "{errors}");
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("the lease on stage production was lost"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_that_goes_on_publishes_nothing_over_what_another_person_published() {
    let shop = Shop::new().await;
    let one = shop.published().id;
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    shop.deploy_next("three", None).await;
    kill_in(&shop, PromotionStep::TestLive).await;
    by_hand(&shop, &format!("sites/{SITE}/deploys/{one}/restore")).await;
    shop.expire_leases().await;
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        run.errors.contains("another person or job has published"),
        "{}",
        run.errors
    );
    assert_eq!(shop.published().id, one);
    // The lock that they got with it is theirs to take off, and is told.
    assert!(
        run.errors.contains("the site is locked at the deploy"),
        "{}",
        run.errors
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_that_another_person_took_off_lets_no_untested_deploy_go_live() {
    let shop = Shop::new().await;
    let before = shop.published();
    assert!(shop.project.netlify.set_lock(&before.id, true));
    shop.deploy_next("two", None).await;
    kill_in(&shop, PromotionStep::Lock).await;
    by_hand(&shop, &format!("deploys/{}/unlock", before.id)).await;
    shop.let_production_serve_staging();
    shop.expire_leases().await;
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let published = shop.project.netlify.publications(SITE);
    assert_eq!(published, [before.id], "{}", run.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_that_is_taken_off_before_the_files_are_declared_lets_no_untested_deploy_go_live() {
    let shop = Shop::new().await;
    let before = shop.published();
    shop.deploy_next("two", None).await;
    let control = shop.project.netlify.control();
    control.clear_requests();
    // It is tried again after a pause, in which the lock is taken off. Netlify has all files.
    let fault = Fault::new(ASKED_LATER).on("POST", "/api/v1/sites/*/deploys");
    control.inject(fault.times(1));
    let child = start(&shop, &["promote", "--yes"]).await;
    wait_for_request(&shop, "/deploys").await;
    signal(&child, Signal::SIGSTOP);
    by_hand(&shop, &format!("deploys/{}/unlock", before.id)).await;
    signal(&child, Signal::SIGCONT);
    let ended = child.wait_with_output().await.expect("it ends");
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    assert!(errors.contains("has taken off the lock of"), "{errors}");
    let published = shop.project.netlify.publications(SITE);
    assert_eq!(published, [before.id], "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_leaves_what_it_cannot_take_back_to_the_one_that_began_it() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    kill_in(&shop, PromotionStep::Test).await;
    let kept = "UPDATE stagelink_leases SET progress = jsonb_set(progress, '{site}', '\"other\"')";
    for (change, expected) in [
        (kept, "on another site, with the id other"),
        (
            "UPDATE stagelink_leases SET progress = progress - 'record'",
            "its progress is not of the form of this command",
        ),
    ] {
        shop.production_sql(change).await;
        let run = shop.run(&["promote", "--abort"]).await;
        assert_eq!(run.code, Some(1), "{}", run.errors);
        assert!(run.errors.contains(expected), "{}", run.errors);
        let rows = "SELECT count(*) FROM stagelink_leases";
        assert_eq!(shop.production_count(rows).await, 1, "{expected}");
        shop.expire_leases().await;
        let run = shop.promote().await;
        assert!(run.errors.contains(expected), "{}", run.errors);
    }
    assert!(shop.is_locked());
    assert_eq!(shop.production_deploys().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_of_a_restored_backup_takes_nothing_back() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    kill_in(&shop, PromotionStep::TestLive).await;
    // The backup of this moment comes back after the promotion has come to its end.
    shop.production_sql("CREATE TABLE backup AS SELECT * FROM stagelink_leases")
        .await;
    shop.expire_leases().await;
    let artifact = shop.deploy_next("two", None).await;
    shop.run(&["promote", "--yes", "--again"]).await.succeeds();
    let live = shop.published().id;
    shop.production_sql(
        "CREATE TABLE restored (LIKE stagelink_leases INCLUDING ALL); DROP TABLE stagelink_leases; \
         ALTER TABLE restored RENAME TO stagelink_leases; \
         INSERT INTO stagelink_leases SELECT * FROM backup; DROP TABLE backup",
    )
    .await;
    shop.expire_leases().await;
    let run = shop.run(&["promote", "--yes", "--again"]).await;
    assert_eq!(run.code, Some(1));
    let told = "was restored, forked or failed over";
    assert!(run.errors.contains(told), "{}", run.errors);
    let run = shop.run(&["promote", "--abort"]).await;
    run.succeeds();
    assert!(
        run.output.contains("nothing else was changed"),
        "{}",
        run.output
    );
    assert_eq!(shop.published().id, live);
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
    shop.run(&["promote", "--yes", "--again"]).await.succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_that_is_killed_goes_on_and_not_further_back() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let two = shop.published().id;
    shop.deploy_next("three", None).await;
    shop.promote().await.succeeds();
    kill_rollback(&shop).await;
    assert_eq!(shop.published().id, two);
    shop.expire_leases().await;
    shop.run(&["rollback", "--yes"]).await.succeeds();
    assert_eq!(shop.published().id, two);
    let records = "SELECT count(*) FROM stagelink_deploys WHERE command = 'rollback' \
                   AND outcome = 'succeeded'";
    assert_eq!(shop.production_count(records).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_that_fails_leaves_what_another_person_published_meanwhile() {
    let shop = Shop::new().await;
    let mut deploys = vec![shop.published().id];
    for name in ["two", "three"] {
        shop.deploy_next(name, None).await;
        shop.promote().await.succeeds();
        deploys.push(shop.published().id);
    }
    // The test of the live deploy gets no answer until another one is there.
    shop.project.netlify.set_holds_visitors(true);
    let mut child = start(&shop, &["rollback", "--yes", "--test-limit", "5"]).await;
    wait_for_line(&mut child, "… test live").await;
    signal(&child, Signal::SIGSTOP);
    let first = &deploys[0];
    by_hand(&shop, &format!("sites/{SITE}/deploys/{first}/restore")).await;
    signal(&child, Signal::SIGCONT);
    shop.project.netlify.set_holds_visitors(false);
    let code = child.wait().await.expect("it ends").code();
    assert_eq!((code, &shop.published().id), (Some(1), first));
    assert_eq!(shop.newest_record("outcome").await, "restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_does_not_go_on_once_another_person_has_published_a_third_deploy() {
    let shop = Shop::new().await;
    let one = shop.published().id;
    for name in ["two", "three"] {
        shop.deploy_next(name, None).await;
        shop.promote().await.succeeds();
    }
    kill_rollback(&shop).await;
    by_hand(&shop, &format!("sites/{SITE}/deploys/{one}/restore")).await;
    shop.expire_leases().await;
    let run = shop.run(&["rollback", "--yes"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let told = format!("another person or job has published the deploy {one} since");
    assert!(run.errors.contains(&told), "{}", run.errors);
    let run = shop.run(&["rollback", "--abort"]).await;
    run.succeeds();
    let told = format!("the deploy {one}, which another person or job has published, stays live");
    assert!(run.output.contains(&told), "{}", run.output);
    assert_eq!(shop.published().id, one);
}

/// Starts a rollback, and kills it when its deploy is live and not yet tested there.
pub(super) async fn kill_rollback(shop: &Shop) {
    let netlify = &shop.project.netlify;
    netlify.set_holds_visitors(true);
    let mut child = start(shop, &["rollback", "--yes"]).await;
    wait_for_line(&mut child, "… test live").await;
    child.kill().await.expect("it is killed");
    netlify.set_holds_visitors(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_of_a_rollback_publishes_what_was_there_before() {
    let shop = Shop::new().await;
    let one = shop.published().id;
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let two = shop.published().id;
    kill_rollback(&shop).await;
    assert_eq!(shop.published().id, one);
    // Another command's --abort leaves it alone.
    let other = shop.run(&["promote", "--abort"]).await;
    assert!(
        other.errors.contains("which is no promotion"),
        "{}",
        other.errors
    );
    let run = shop.run(&["rollback", "--abort"]).await;
    run.succeeds();
    let told = format!("the deploy {two} is published again");
    assert!(run.output.contains(&told), "{}", run.output);
    assert_eq!(shop.published().id, two);
    let again = shop.run(&["rollback", "--abort"]).await;
    again.succeeds();
    assert!(again.output.contains("no rollback of"), "{}", again.output);
    // The deploy of before is gone: what is live stays, and is named.
    kill_rollback(&shop).await;
    assert!(shop.project.netlify.remove_deploy(&two));
    let run = shop.run(&["rollback", "--abort"]).await;
    run.succeeds();
    let told = format!("the deploy {one} stays live, which has not passed its test");
    assert!(run.output.contains(&told), "{}", run.output);
    let outcomes = "SELECT count(*) FROM stagelink_deploys WHERE command = 'rollback' \
                    AND outcome IN ('aborted', 'untested')";
    assert_eq!(shop.production_count(outcomes).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_sees_a_migration_that_was_applied_since_its_plan() {
    let shop = Shop::new().await;
    let drop = "ALTER TABLE guestbook DROP COLUMN created_at;\n";
    shop.deploy_next("two", Some(("V2__drop.sql", drop))).await;
    shop.promote().await.succeeds();
    let two = shop.published().id;
    let holder = server().await.connect(&shop.project.production).await;
    let holder = holder.expect("a session");
    let lock = "BEGIN; LOCK TABLE stagelink_leases IN EXCLUSIVE MODE";
    holder.batch_execute(lock).await.expect("a lock");
    let mut child = start(&shop, &["rollback", "--yes"]).await;
    // The plan is made, and the lease is waited for.
    wait_for_line(&mut child, "… lease").await;
    let migrated = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                    SELECT 2, 'drop', applied_on, '1' FROM refinery_schema_history WHERE version = 1; \
                    ALTER TABLE guestbook DROP COLUMN created_at; COMMIT";
    holder.batch_execute(migrated).await.expect("it is applied");
    let code = child.wait().await.expect("it ends").code();
    assert_eq!((code, shop.published().id), (Some(1), two));
    let failed = "SELECT count(*) FROM stagelink_deploys WHERE command = 'rollback' \
                  AND outcome = 'failed'";
    assert_eq!(shop.production_count(failed).await, 1);
}

/// Calls that have their effect, and whose answer is one of something before Netlify.
const ODD_ANSWERS: [(&str, Failure); 5] = [
    ("/api/v1/sites/*/deploys", Failure::EmptyObject),
    ("/api/v1/sites/*/deploys", Failure::HtmlPage),
    ("/api/v1/deploys/*/lock", Failure::EmptyObject),
    ("/api/v1/sites/*/deploys/*/restore", Failure::EmptyObject),
    ("/api/v1/deploys/*/unlock", Failure::HtmlPage),
];

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_another_form_leaves_the_stage_as_it_was_or_promoted() {
    let shop = Shop::new().await;
    for (number, (path, failure)) in ODD_ANSWERS.into_iter().enumerate() {
        let what = format!("{path}: {failure:?}");
        let before = Shop::artifact_of(&shop.published());
        let artifact = shop.deploy_next(&format!("odd {number}"), None).await;
        let control = shop.project.netlify.control();
        control.inject(Fault::new(failure).on("POST", path).times(1));
        let run = shop.promote().await;
        control.clear_faults();
        let live = Shop::artifact_of(&shop.published());
        assert!(
            [&before, &artifact].contains(&&live),
            "{what}: {}",
            run.errors
        );
        if run.code != Some(0) {
            shop.expire_leases().await;
            shop.run(&["promote", "--yes", "--again", "--json"])
                .await
                .succeeds();
        }
        assert_eq!(Shop::artifact_of(&shop.published()), artifact, "{what}");
        assert!(!shop.is_locked(), "{what}");
    }
    assert_eq!(shop.production_deploys().len(), 1 + ODD_ANSWERS.len());
}
