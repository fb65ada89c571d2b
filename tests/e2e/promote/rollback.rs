//! `stagelink rollback`: back to the deploy before, where it still works.

use std::time::Duration;

use stagelink_local::api::{Failure, Fault};
use stagelink_tests::{CANARY, as_superuser, end_sessions, send, server};

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
    assert_eq!(plan.json()["notes"], serde_json::json!([]));
    // The one that was taken back is the one before now, and the plan says so.
    let twice = shop.run(&["rollback", "--yes"]).await;
    twice.succeeds();
    for part in [
        "! stage production was rolled back at 20",
        "this takes that rollback back, and publishes what it replaced",
        "`stagelink rollback production --to DEPLOY`",
    ] {
        assert!(twice.output.contains(part), "{part}: {}", twice.output);
    }
    assert_eq!(shop.published().id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_that_netlify_may_still_make_keeps_the_stage_until_its_lease_has_expired() {
    let shop = Shop::new().await;
    let first = shop.published();
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    // It asks for more time than the command waits.
    let busy = Failure::Status {
        status: 503,
        retry_after: Some(Duration::from_secs(600)),
    };
    let busy = Fault::new(busy).on("POST", "/api/v1/sites/*/deploys/*/restore");
    shop.project.netlify.control().inject(busy);
    let run = shop.run(&["rollback", "--yes"]).await;
    shop.project.netlify.control().clear_faults();
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in ["the lease on stage production holds until ", "is not known"] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    let held = "SELECT count(*) FROM stagelink_leases WHERE expires_at > clock_timestamp()";
    assert_eq!(shop.production_count(held).await, 1);
    shop.expire_leases().await;
    shop.run(&["rollback", "--yes"]).await.succeeds();
    assert_eq!(shop.published().id, first.id);
    assert_eq!(shop.production_count(held).await, 0);
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

/// Gives production's database another password, as a rotation of Heroku's does, and ends its sessions.
async fn rotate_production(shop: &Shop) {
    let (heroku, database) = (&shop.project.heroku, &shop.project.production);
    let role = database.role();
    let changed = format!("{CANARY}-rotated");
    let end = end_sessions(role);
    as_superuser(&format!(
        "ALTER ROLE {role} PASSWORD '{changed}-{role}'; {end}"
    ))
    .await;
    let url = format!("{}/apps/shop-production/addon-attachments", heroku.url());
    let key = format!("Bearer {}", heroku.api_key());
    let accept = "application/vnd.heroku+json; version=3";
    let headers = [("authorization", &*key), ("accept", accept)];
    let attachments = send("GET", &url, &headers, "").await.json();
    let addon = attachments[0]["addon"]["name"].as_str().expect("an add-on");
    let rotated = heroku.set_database_url(addon, &database.url().replace(CANARY, &changed));
    rotated.expect("it is rotated");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_to_a_deploy_whose_credentials_are_revoked_is_refused_by_name() {
    let shop = Shop::new().await;
    let first = shop.published();
    let commit = shop.git(&["rev-parse", "HEAD"]);
    rotate_production(&shop).await;
    // The site gets another token, and the credentials of now.
    shop.set_up_stages().await;
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    let second = shop.published();
    // The password alone: the deploy asks Heroku for the one of now.
    let plan = shop.run(&["rollback", "--plan", "--json"]).await;
    plan.succeeds();
    assert_eq!(plan.json()["deploy"], serde_json::json!(first.id));
    // Its token, too. Its instances, which are warm since the plan, still have the password of now.
    let netlify = &shop.project.netlify;
    let frozen = netlify.function_environment(&first.id).expect("variables");
    let now = netlify.function_environment(&second.id).expect("variables");
    assert_ne!(frozen["HEROKU_API_KEY"], now["HEROKU_API_KEY"]);
    assert!(shop.project.heroku.revoke_token(&frozen["HEROKU_API_KEY"]));
    for words in [["rollback", "--plan"], ["rollback", "--yes"]] {
        let run = shop.run(&words).await;
        assert_eq!(run.code, Some(1), "{}", run.output);
        for part in [
            "the deploy does not pass its test at",
            "the function guestbook cannot use the database of stage production (database-refused): \
             it refuses the password of the deploy",
            &format!("the deploy {} has the variables of its time", first.id),
            &format!("check out commit {commit}, and run `stagelink deploy production`"),
        ] {
            assert!(run.errors.contains(part), "{part}: {}", run.errors);
        }
        assert_eq!(
            (shop.published().id, shop.is_locked()),
            (second.id.clone(), false)
        );
        assert_eq!(shop.page().await, "<h1>two</h1>\n");
    }
    let rollbacks = "SELECT count(*) FROM stagelink_deploys WHERE command = 'rollback'";
    let records = as_superuser_of(&shop, rollbacks).await;
    assert_eq!(records, 0, "nothing was begun");
    // The way that it names.
    shop.git(&["checkout", "--quiet", &commit]);
    shop.build().await;
    shop.deploy_to("production").await;
    assert_eq!(shop.page().await, "<h1>one</h1>\n");
}

/// Reads a number from production's database, whose own password is another one by now.
async fn as_superuser_of(shop: &Shop, sql: &str) -> i64 {
    let client = server()
        .await
        .connect_as_superuser_to(&shop.project.production);
    let row = client.await.expect("a superuser").query_one(sql, &[]).await;
    row.expect("a row").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_of_the_local_clouds_finds_credentials_that_were_replaced() {
    let shop = Shop::new().await;
    shop.remove_tokens_of_functions();
    shop.deploy_to("production").await;
    shop.project.name_local_clouds();
    let running = async || {
        let run = shop
            .run(&["doctor", "production", "--local", "--json"])
            .await;
        let checks = run.json()["stages"][0]["checks"].clone();
        let checks = checks.as_array().expect("the checks").clone();
        let mut of_code = checks
            .into_iter()
            .filter(|check| check["id"] == "running-code");
        (run.code, of_code.next().expect("the check"))
    };
    assert_eq!(running().await.1["result"], "sound");
    rotate_production(&shop).await;
    let (code, check) = running().await;
    assert_eq!(
        (code, &check["result"]),
        (Some(2), &"error".into()),
        "{check}"
    );
    let finding = &check["findings"][0];
    let message = finding["message"].as_str().expect("a text");
    let words = "the running function guestbook cannot use its database (database-refused)";
    assert!(message.contains(words), "{finding}");
    let advice = finding["advice"].as_str().expect("a text");
    let way =
        "`stagelink link --local` sets the one of now, then `stagelink deploy production --local`";
    assert!(advice.ends_with(way), "{finding}");
    // The way that it names, with the tokens of this test.
    shop.set_up_stages().await;
    let again = ["deploy", "production", "--no-build", "--yes", "--dirty"];
    shop.run(&again).await.succeeds();
    assert_eq!(running().await.1["result"], "sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_whose_credentials_were_replaced_is_refused_before_its_build() {
    let shop = Shop::new().await;
    shop.remove_tokens_of_functions();
    rotate_production(&shop).await;
    let deploys = shop.production_deploys().len();
    // The build would take minutes, and this project has nothing to build.
    let run = shop.run(&["deploy", "production", "--yes"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in [
        "the functions of stage production would get credentials that its database refuses",
        "the app shop-production got another database URL",
        "`stagelink link`",
        "--token-for",
    ] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    assert!(!run.errors.contains("artifacts"), "{}", run.errors);
    assert_eq!(shop.production_deploys().len(), deploys);
    // A promotion finds the same in its test, and names the way.
    shop.deploy_next("two", None).await;
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1));
    for part in ["(database-refused)", "set those of now by `stagelink link`"] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    shop.set_up_stages().await;
    shop.promote().await.succeeds();
}
