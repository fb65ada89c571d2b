//! Tests of environment variables over HTTP.

use serde_json::{Value, json};

use super::{request, request_as, start};
use crate::api::{Failure, Fault};
use crate::netlify_api::{Context, EnvScope, EnvVar};

const ENV: &str = "/accounts/local/env?site_id=shop";

#[tokio::test]
async fn site_is_found_by_name_and_id() {
    let netlify = start().await;
    let by_name = request(&netlify, "GET", "/sites/shop", &Value::Null).await;
    let id = by_name.json()["id"].as_str().expect("an id").to_owned();
    let by_id = request(&netlify, "GET", &format!("/sites/{id}"), &Value::Null).await;
    assert_eq!(by_id.json()["account_slug"], "local");
    let list = request(&netlify, "GET", "/sites?name=sho", &Value::Null).await;
    assert_eq!(list.json()[0]["id"], id);
    let accounts = request(&netlify, "GET", "/accounts?minimal=true", &Value::Null).await;
    assert_eq!(accounts.json()[0]["slug"], "local");
    let none = request(&netlify, "GET", "/sites/other", &Value::Null).await;
    assert_eq!(none.status, 404);
    assert!(netlify.create_site("shop").is_err() && netlify.create_site("Sh op").is_err());
}

#[tokio::test]
async fn variable_is_created_changed_and_removed() {
    let netlify = start().await;
    let body = json!([{"key": "STAGE", "scopes": ["functions"], "values": [
        {"context": "production", "value": "production"},
        {"context": "branch", "context_parameter": "staging", "value": "stag"},
    ]}]);
    let made = request(&netlify, "POST", ENV, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(request(&netlify, "POST", ENV, &body).await.status, 409);

    let key = "/accounts/local/env/STAGE?site_id=shop";
    let value = json!({"context": "branch", "context_parameter": "staging", "value": "staging"});
    assert_eq!(request(&netlify, "PATCH", key, &value).await.status, 201);
    let staging = Context::Branch("staging".to_owned());
    let seen = |context, scope| netlify.environment("shop", context, scope).expect("a site");
    assert_eq!(seen(&staging, EnvScope::Functions)["STAGE"], "staging");
    assert!(seen(&staging, EnvScope::Builds).is_empty());
    assert!(seen(&Context::DeployPreview, EnvScope::Functions).is_empty());

    let read = request(&netlify, "GET", key, &Value::Null).await.json();
    assert_eq!(read["values"][1]["context_parameter"], "staging");
    let id = read["values"][1]["id"].as_str().expect("an id");
    let path = format!("/accounts/local/env/STAGE/value/{id}?site_id=shop");
    assert_eq!(
        request(&netlify, "DELETE", &path, &Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        request(&netlify, "DELETE", &path, &Value::Null)
            .await
            .status,
        404
    );
    assert!(seen(&staging, EnvScope::Functions).is_empty());

    let whole = json!({"key": "STAGE", "values": [{"context": "all", "value": "none"}]});
    let replaced = request(&netlify, "PUT", key, &whole).await.json();
    assert_eq!(replaced["scopes"], json!(["functions"]));
    assert_eq!(
        seen(&Context::Production, EnvScope::Functions)["STAGE"],
        "none"
    );
    assert_eq!(
        request(&netlify, "DELETE", key, &Value::Null).await.status,
        204
    );
    assert_eq!(
        request(&netlify, "GET", key, &Value::Null).await.status,
        404
    );
    let list = request(&netlify, "GET", ENV, &Value::Null).await;
    assert_eq!(list.json(), json!([]));
}

#[tokio::test]
async fn secret_is_masked_in_every_response_and_reaches_functions() {
    let netlify = start().await;
    let body = json!([{"key": "TOKEN", "is_secret": true,
        "values": [{"context": "production", "value": "canary"}]}]);
    let made = request(&netlify, "POST", ENV, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let key = "/accounts/local/env/TOKEN?site_id=shop";
    let value = json!({"context": "deploy-preview", "value": "canary too"});
    let patched = request(&netlify, "PATCH", key, &value).await;
    for response in [
        made,
        patched,
        request(&netlify, "GET", ENV, &Value::Null).await,
        request(&netlify, "GET", key, &Value::Null).await,
        request(&netlify, "GET", "/api/v1/sites/shop/env", &Value::Null).await,
    ] {
        assert!(response.body.contains("TOKEN"), "{}", response.body);
        assert!(!response.body.contains("canary"), "{}", response.body);
    }
    let seen = netlify.environment("shop", &Context::Production, EnvScope::Functions);
    assert_eq!(seen.expect("a site")["TOKEN"], "canary");
    let all = json!({"context": "all", "value": "canary"});
    let refused = request(&netlify, "PATCH", key, &all).await;
    assert_eq!(
        (refused.status, refused.body.contains("canary")),
        (422, false)
    );
}

#[tokio::test]
async fn plan_without_scopes_accepts_only_variables_with_all_scopes() {
    let netlify = start().await;
    netlify.set_scopes(false);
    let with = |scopes: Value| json!([{"key": "A", "scopes": scopes, "values": []}]);
    let few = request(&netlify, "POST", ENV, &with(json!(["functions"]))).await;
    assert_eq!(few.status, 422);
    let all = ["builds", "functions", "runtime", "post_processing"];
    assert_eq!(
        request(&netlify, "POST", ENV, &with(json!(all)))
            .await
            .status,
        201
    );
    let own = EnvVar::new("B").scopes([EnvScope::Functions]);
    assert!(netlify.set_variable("shop", own).is_err());
}

#[tokio::test]
async fn site_variable_overrides_account_variable() {
    let netlify = start().await;
    let body = |value: &str| json!([{"key": "A", "values": [{"context": "all", "value": value}]}]);
    let account = "/accounts/local/env";
    assert_eq!(
        request(&netlify, "POST", account, &body("team"))
            .await
            .status,
        201
    );
    let seen = || {
        let context = Context::Production;
        let seen = netlify.environment("shop", &context, EnvScope::Functions);
        seen.expect("a site")["A"].clone()
    };
    assert_eq!(seen(), "team");
    assert_eq!(
        request(&netlify, "POST", ENV, &body("site")).await.status,
        201
    );
    assert_eq!(seen(), "site");
    let filtered = format!("{ENV}&context_name=production&scope=functions");
    let filtered = request(&netlify, "GET", &filtered, &Value::Null)
        .await
        .json();
    assert_eq!(filtered[0]["values"][0]["value"], "site");
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let netlify = start().await;
    let value = |value: Value| json!([{"key": "A", "values": [value]}]);
    for (method, path, body, status) in [
        ("POST", ENV, json!({"key": "A"}), 400),
        (
            "POST",
            ENV,
            value(json!({"context": "branch", "value": "x"})),
            422,
        ),
        (
            "POST",
            ENV,
            value(json!({"context": "prod", "value": "x"})),
            422,
        ),
        ("POST", ENV, value(json!({"context": "all"})), 422),
        (
            "POST",
            ENV,
            json!([{"key": "A", "scopes": ["function"]}]),
            422,
        ),
        (
            "PATCH",
            "/accounts/local/env/A?site_id=shop",
            json!({"context": "all", "value": ""}),
            404,
        ),
        ("GET", "/accounts/other/env", Value::Null, 404),
        ("GET", "/accounts/local/env?site_id=other", Value::Null, 404),
        ("GET", "/hooks", Value::Null, 501),
        ("POST", "/sites", Value::Null, 501),
    ] {
        let response = request(&netlify, method, path, &body).await;
        assert_eq!(
            response.status, status,
            "{method} {path} {body}: {}",
            response.body
        );
        assert_eq!(response.json()["code"], status);
    }
    let other = netlify.create_token();
    assert!(netlify.revoke_token(&other));
    for token in ["", "x", &other] {
        let response = request_as(&netlify, token, "GET", ENV, &Value::Null).await;
        assert_eq!(response.status, 401);
    }
}

#[tokio::test]
async fn faults_are_injected_and_requests_recorded() {
    let netlify = start().await;
    let failure = Failure::Status {
        status: 503,
        retry_after: None,
    };
    netlify.control().inject(Fault::new(failure).times(1));
    assert_eq!(
        request(&netlify, "GET", ENV, &Value::Null).await.status,
        503
    );
    assert_eq!(
        request(&netlify, "GET", ENV, &Value::Null).await.status,
        200
    );
    let requests = netlify.control().requests();
    let statuses: Vec<_> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(503), Some(200)]);
    netlify.stop().await;
}
