//! Tests of what is published: restore, rollback, locks, deletion, and deploys that do not end well.

use serde_json::{Value, json};

use super::{archive, deploy, deploy_with, put, request, start};
use crate::api::test_client::{SendError, TestResponse, send};
use crate::api::{Failure, Fault};
use crate::netlify_api::{Context, DeployState, GitBuild, LockAfterRestore, NetlifyApi};

async fn restore(netlify: &NetlifyApi, id: &str) -> TestResponse {
    let path = format!("/sites/shop/deploys/{id}/restore");
    request(netlify, "POST", &path, &Value::Null).await
}

fn published(netlify: &NetlifyApi) -> String {
    netlify.published_deploy("shop").expect("a deploy").id
}

async fn status(netlify: &NetlifyApi, method: &str, path: &str) -> u16 {
    request(netlify, method, path, &Value::Null).await.status
}

#[tokio::test]
async fn restore_publishes_a_ready_deploy_of_production_and_rollback_the_one_before() {
    let netlify = start().await;
    assert_eq!(status(&netlify, "PUT", "/sites/shop/rollback").await, 422);
    let first = deploy(&netlify, json!({}), "first").await;
    assert_eq!(status(&netlify, "PUT", "/sites/shop/rollback").await, 422);
    let second = deploy(&netlify, json!({}), "second").await;
    assert_eq!(published(&netlify), second);
    let restored = restore(&netlify, &first).await;
    assert_eq!(
        (restored.status, &restored.json()["id"]),
        (201, &json!(first))
    );
    let site = request(&netlify, "GET", "/sites/shop", &Value::Null)
        .await
        .json();
    assert_eq!(site["published_deploy"]["id"], json!(first));
    // Again, as a client sends it that lost the answer.
    assert_eq!(restore(&netlify, &first).await.status, 201);
    assert_eq!(
        netlify.publications("shop"),
        [&first, &second, &first].map(String::as_str)
    );

    assert_eq!(status(&netlify, "PUT", "/sites/shop/rollback").await, 204);
    assert_eq!(published(&netlify), second);
    assert!(netlify.remove_deploy(&first));
    assert_eq!(status(&netlify, "PUT", "/sites/shop/rollback").await, 422);
    assert_eq!(restore(&netlify, &first).await.status, 404);
    assert_eq!(restore(&netlify, "other").await.status, 404);
    let other = netlify.create_site("other").expect("a site");
    let path = format!("/sites/{other}/deploys/{second}/restore");
    assert_eq!(status(&netlify, "POST", &path).await, 404);
    assert_eq!(published(&netlify), second);
}

#[tokio::test]
async fn restore_refuses_other_contexts_and_unfinished_deploys() {
    let netlify = start().await;
    let production = deploy(&netlify, json!({}), "production").await;
    let draft = deploy(&netlify, json!({"draft": true}), "draft").await;
    let branch = deploy(&netlify, json!({"branch": "staging"}), "branch").await;
    for id in [&draft, &branch] {
        assert_eq!(restore(&netlify, id).await.status, 422);
    }
    let created = request(&netlify, "POST", "/sites/shop/deploys", &json!({})).await;
    let new = created.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(restore(&netlify, &new).await.status, 422);
    assert_eq!(published(&netlify), production);
    netlify.set_restores_any_context(true);
    assert_eq!(restore(&netlify, &new).await.status, 422);
    for id in [draft, branch] {
        assert_eq!(restore(&netlify, &id).await.status, 201);
        assert_eq!(published(&netlify), id);
    }
}

#[tokio::test]
async fn locked_site_keeps_its_deploy_and_the_lock_moves_or_goes_with_a_restore() {
    for lock in [LockAfterRestore::Kept, LockAfterRestore::Released] {
        let netlify = start().await;
        netlify.set_lock_after_restore(lock);
        let live = deploy(&netlify, json!({}), "live").await;
        assert_eq!(
            status(&netlify, "POST", &format!("/deploys/{live}/lock")).await,
            200
        );
        let next = deploy(&netlify, json!({}), "next").await;
        assert_eq!(published(&netlify), live);
        let info = async |id: &str| {
            let path = format!("/deploys/{id}");
            request(&netlify, "GET", &path, &Value::Null).await.json()
        };
        let waiting = info(&next).await;
        assert_eq!(
            (
                &waiting["state"],
                &waiting["published_at"],
                &waiting["locked"]
            ),
            (&json!("ready"), &Value::Null, &json!(false))
        );
        // A lock is the published deploy's.
        assert_eq!(
            status(&netlify, "POST", &format!("/deploys/{next}/lock")).await,
            422
        );
        assert_eq!(restore(&netlify, &next).await.status, 201);
        let is_kept = lock == LockAfterRestore::Kept;
        assert_eq!(info(&next).await["locked"], is_kept);
        assert_eq!(info(&live).await["locked"], false);
        assert_eq!(netlify.is_locked("shop"), is_kept);
        let newest = deploy(&netlify, json!({}), "newest").await;
        assert_eq!(published(&netlify) == newest, !is_kept);
    }
}

#[tokio::test]
async fn unlocking_publishes_nothing_or_the_newest() {
    for publishes in [false, true] {
        let netlify = start().await;
        netlify.set_unlock_publishes_newest(publishes);
        let live = deploy(&netlify, json!({}), "live").await;
        assert!(netlify.set_lock(&live, true));
        deploy(&netlify, json!({}), "next").await;
        let newest = deploy(&netlify, json!({}), "newest").await;
        deploy(&netlify, json!({"draft": true}), "draft").await;
        assert_eq!(
            status(&netlify, "POST", &format!("/deploys/{live}/unlock")).await,
            200
        );
        assert!(!netlify.is_locked("shop"));
        assert_eq!(published(&netlify), if publishes { newest } else { live });
    }
}

#[tokio::test]
async fn published_and_unfinished_deploys_are_not_deleted() {
    let netlify = start().await;
    let old = deploy(&netlify, json!({}), "old").await;
    let draft = deploy(&netlify, json!({"draft": true}), "draft").await;
    let live = deploy(&netlify, json!({}), "live").await;
    let created = request(&netlify, "POST", "/sites/shop/deploys", &json!({})).await;
    let new = created.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        status(&netlify, "DELETE", &format!("/deploys/{live}")).await,
        422
    );
    assert!(!netlify.remove_deploy(&live));
    assert_eq!(
        status(&netlify, "DELETE", &format!("/deploys/{new}")).await,
        422
    );
    assert_eq!(
        status(&netlify, "POST", &format!("/deploys/{new}/cancel")).await,
        201
    );
    assert_eq!(
        status(&netlify, "POST", &format!("/deploys/{live}/cancel")).await,
        422
    );
    for path in [
        format!("/deploys/{new}"),
        format!("/deploys/{old}"),
        format!("/sites/shop/deploys/{draft}"),
    ] {
        assert_eq!(status(&netlify, "DELETE", &path).await, 204);
        assert_eq!(status(&netlify, "DELETE", &path).await, 404);
        assert_eq!(status(&netlify, "GET", &path).await, 404);
    }
    let path = format!("/sites/other/deploys/{live}");
    assert_eq!(status(&netlify, "DELETE", &path).await, 404);
    let list = request(&netlify, "GET", "/sites/shop/deploys", &Value::Null).await;
    assert_eq!(list.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn list_of_the_latest_published_deploy_has_no_other() {
    let netlify = start().await;
    let staging = deploy(&netlify, json!({"branch": "staging"}), "staging").await;
    let first = deploy(&netlify, json!({}), "first").await;
    let second = deploy(&netlify, json!({}), "second").await;
    assert!(netlify.set_lock(&second, true));
    deploy(&netlify, json!({}), "waits").await;
    restore(&netlify, &first).await;
    let ids = async |query: &str| {
        let path = format!("/sites/shop/deploys?latest-published=true&{query}");
        let list = request(&netlify, "GET", &path, &Value::Null).await.json();
        let list = list.as_array().expect("a list").clone();
        list.into_iter()
            .map(|it| it["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("production=true&state=ready").await, [json!(first)]);
    assert_eq!(ids("branch=staging").await, [json!(staging)]);
    assert!(ids("branch=other").await.is_empty());
}

#[tokio::test]
async fn functions_of_an_earlier_deploy_are_present_unless_they_are_forgotten() {
    let netlify = start().await;
    let (zip, digest) = archive("program");
    let declared = json!({
        "functions": {"f": digest},
        "function_schedules": [{"name": "f", "cron": "@daily"}],
        "functions_config": {"f": {"memory": 2048, "region": "fra"}},
    });
    let upload = "functions/f?runtime=rs&size=9&invocation_mode=background&timeout=30";
    let first = deploy_with(&netlify, json!({}), declared.clone(), &[(upload, &zip)]).await;
    let second = deploy_with(&netlify, json!({}), declared.clone(), &[]).await;
    netlify.set_forgets_functions(true);
    let third = deploy_with(&netlify, json!({}), declared, &[]).await;
    let path = format!("/deploys/{third}");
    let info = request(&netlify, "GET", &path, &Value::Null).await.json();
    assert_eq!(info["required_functions"], json!([digest]));
    assert_eq!(info["function_schedules"][0]["cron"], "@daily");
    let again = put(
        &netlify,
        &format!("/deploys/{third}/functions/f?runtime=rs"),
        &zip,
    )
    .await;
    assert_eq!(again.status, 200);
    let deploys = netlify.deploys();
    let states: Vec<_> = deploys
        .iter()
        .map(|it| (it.id.as_str(), it.state))
        .collect();
    assert_eq!(
        states,
        [&first, &second, &third].map(|id| (id.as_str(), DeployState::Ready))
    );
    let of_first = &deploys[0].functions["f"];
    assert_eq!(of_first.sha256, digest);
    assert_eq!(
        (
            of_first.runtime.as_deref(),
            of_first.invocation_mode.as_deref()
        ),
        (Some("rs"), Some("background"))
    );
    assert_eq!((of_first.size, of_first.timeout_secs), (Some(9), Some(30)));
    assert_eq!(deploys[2].functions["f"].timeout_secs, None);
    assert_eq!(deploys[0].functions_config, deploys[2].functions_config);
    assert_eq!(deploys[0].functions_config["f"]["region"], "fra");
    assert_eq!(deploys[2].schedules["f"], "@daily");
}

#[tokio::test]
async fn held_deploy_is_published_when_it_is_released_and_a_failed_one_never() {
    let netlify = start().await;
    let live = deploy(&netlify, json!({}), "live").await;
    netlify.set_holds_deploys(true);
    let held = deploy(&netlify, json!({}), "held").await;
    let path = format!("/deploys/{held}");
    let state = async || {
        let json = request(&netlify, "GET", &path, &Value::Null).await.json();
        json["state"].as_str().expect("a state").to_owned()
    };
    assert_eq!(state().await, "processing");
    assert_eq!(restore(&netlify, &held).await.status, 422);
    assert_eq!(status(&netlify, "DELETE", &path).await, 422);
    assert_eq!(published(&netlify), live);
    netlify.set_holds_deploys(false);
    assert_eq!(state().await, "ready");
    assert_eq!(published(&netlify), held);

    netlify.fail_next_deploy("out of space");
    let failed = deploy(&netlify, json!({}), "failed").await;
    let path = format!("/deploys/{failed}");
    let info = request(&netlify, "GET", &path, &Value::Null).await.json();
    assert_eq!(
        (&info["state"], &info["error_message"]),
        (&json!("error"), &json!("out of space"))
    );
    assert_eq!(restore(&netlify, &failed).await.status, 422);
    assert_eq!(published(&netlify), held);
    assert_eq!(status(&netlify, "DELETE", &path).await, 204);
}

#[tokio::test]
async fn lost_answer_comes_after_the_effect() {
    let netlify = start().await;
    let first = deploy(&netlify, json!({}), "first").await;
    deploy(&netlify, json!({}), "second").await;
    let lost = |method: &str, path: &str| {
        let fault = Fault::new(Failure::DisconnectAfterwards).on(method, path);
        netlify.control().inject(fault.times(1));
    };
    lost("POST", "/api/v1/sites/*/deploys/*/restore");
    lost("POST", "/api/v1/sites/*/deploys");
    let authorization = format!("Bearer {}", netlify.token());
    for path in [
        format!("/api/v1/sites/shop/deploys/{first}/restore"),
        "/api/v1/sites/shop/deploys?title=lost".to_owned(),
    ] {
        let headers = [("authorization", authorization.as_str())];
        let answer = send(netlify.url(), "POST", &path, headers, "").await;
        assert!(
            matches!(answer, Err(SendError::NoResponse(_))),
            "{answer:?}"
        );
    }
    assert_eq!(published(&netlify), first);
    let created = netlify.deploys().pop().expect("a deploy");
    assert_eq!(created.title.as_deref(), Some("lost"));
}

#[tokio::test]
async fn build_of_a_locked_site_is_ready_and_not_published() {
    let netlify = start().await;
    let live = deploy(&netlify, json!({}), "live").await;
    assert!(netlify.set_lock(&live, true));
    let build = GitBuild {
        context: Context::Production,
        branch: "main".to_owned(),
        commit: "1".repeat(40),
        title: "a commit".to_owned(),
    };
    let built = netlify.build("shop", build).expect("a deploy");
    assert_eq!(published(&netlify), live);
    assert_eq!(restore(&netlify, &built).await.status, 201);
    assert_eq!(published(&netlify), built);
}
