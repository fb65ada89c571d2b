//! Tests of the variables of single deploys.

use serde_json::{Value, json};

use super::{deploy, deploy_with, request, start};
use crate::netlify_api::{Context, EnvVar, NetlifyApi};

fn own(key: &str, value: &str) -> Value {
    json!({"key": key, "value": value, "is_secret": true, "scopes": ["functions"]})
}

fn functions_get(netlify: &NetlifyApi, id: &str, key: &str) -> Option<String> {
    let environment = netlify.function_environment(id).expect("a ready deploy");
    environment.get(key).cloned()
}

#[tokio::test]
async fn variables_of_a_deploy_override_those_of_site_and_account_for_it_alone() {
    let netlify = start().await;
    let value = |key: &str, value: &str| EnvVar::new(key).value(Context::All, value);
    netlify
        .set_account_variable(value("TEAM", "team"))
        .expect("a variable");
    netlify
        .set_variable("shop", value("SITE", "site"))
        .expect("a variable");
    netlify
        .set_variable("shop", value("GONE", "site"))
        .expect("a variable");
    let list = json!([
        own("TEAM", "canary"),
        own("SITE", "canary"),
        own("GONE", ""),
        own("NEW", "new")
    ]);
    // By the request that creates it, and by the one that declares.
    let first = deploy(&netlify, json!({"environment": list}), "first").await;
    let declared = json!({"files": {}, "environment": list});
    let second = deploy_with(&netlify, json!({}), declared, &[]).await;
    let plain = deploy(&netlify, json!({}), "plain").await;
    for (key, has_own, site) in [
        ("TEAM", Some("canary"), Some("team")),
        ("SITE", Some("canary"), Some("site")),
        ("GONE", None, Some("site")),
        ("NEW", Some("new"), None),
    ] {
        for id in [&first, &second] {
            assert_eq!(
                functions_get(&netlify, id, key).as_deref(),
                has_own,
                "{key}"
            );
        }
        assert_eq!(
            functions_get(&netlify, &plain, key).as_deref(),
            site,
            "{key}"
        );
    }
    let deploys = netlify.deploys();
    assert_eq!(deploys[0].environment, deploys[1].environment);
    assert_eq!(deploys[0].environment[0].value, "canary");
    assert!(!format!("{deploys:?}").contains("canary"));
}

#[tokio::test]
async fn variables_of_a_deploy_are_set_once_and_are_in_no_response() {
    let netlify = start().await;
    let one = json!({"environment": [own("A", "canary")]});
    let created = request(&netlify, "POST", "/sites/shop/deploys", &one).await;
    let id = created.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/sites/shop/deploys/{id}");
    let later = json!({"files": {}, "environment": [own("A", "later canary"), own("B", "b")]});
    let declared = request(&netlify, "PUT", &path, &later).await;
    assert_eq!(declared.status, 200, "{}", declared.body);
    assert_eq!(functions_get(&netlify, &id, "A").as_deref(), Some("canary"));
    assert_eq!(functions_get(&netlify, &id, "B"), None);
    // The same declaration again, as a client sends it that lost the answer.
    let again = request(&netlify, "PUT", &path, &later).await;
    assert_eq!(
        (again.status, &again.json()["state"]),
        (200, &json!("ready"))
    );
    for response in [
        created,
        declared,
        again,
        request(&netlify, "GET", &path, &Value::Null).await,
        request(&netlify, "GET", &format!("/deploys/{id}"), &Value::Null).await,
        request(&netlify, "GET", "/sites/shop/deploys", &Value::Null).await,
        request(&netlify, "GET", "/sites/shop", &Value::Null).await,
        request(
            &netlify,
            "GET",
            "/accounts/local/env?site_id=shop",
            &Value::Null,
        )
        .await,
    ] {
        assert!(!response.body.contains("canary"), "{}", response.body);
    }
}

#[tokio::test]
async fn invalid_variable_of_a_deploy_is_refused_and_creates_nothing() {
    let netlify = start().await;
    for variable in [
        own("A-B", "canary"),
        own("AWS_REGION", "canary"),
        own("SITE_ID", "canary"),
        json!({"key": "A", "value": "canary", "scopes": ["functions"]}),
        json!({"key": "A", "value": "canary", "is_secret": false, "scopes": ["function"]}),
    ] {
        let body = json!({"environment": [variable], "files": {}});
        let refused = request(&netlify, "POST", "/sites/shop/deploys", &body).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(!refused.body.contains("canary"), "{}", refused.body);
    }
    assert!(netlify.deploys().is_empty());
    let body = json!({"environment": [own("A", "canary"), own("A", "canary")]});
    let id = deploy(&netlify, json!({}), "page").await;
    let created = request(&netlify, "POST", "/sites/shop/deploys", &json!({})).await;
    let new = created.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/sites/shop/deploys/{new}");
    assert_eq!(request(&netlify, "PUT", &path, &body).await.status, 422);
    let state = &request(&netlify, "GET", &path, &Value::Null).await.json()["state"];
    assert_eq!(state, "new");
    // Of a deploy that has them no longer open, they are ignored.
    let path = format!("/sites/shop/deploys/{id}");
    assert_eq!(request(&netlify, "PUT", &path, &body).await.status, 200);
    assert_eq!(functions_get(&netlify, &id, "A"), None);
}
