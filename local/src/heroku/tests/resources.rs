//! Tests of the responses of the routes and of the effects of changes.

use serde_json::json;

use super::super::{Access, Heroku, Stage};
use super::{CONFIG_VARS, URL, get, guestbook, send};
use crate::ErrorKind;

/// Checks the fields of each resource in the published schema (heroku/platform-api, 2026-02-19)
/// that clients read.
#[tokio::test]
async fn resources_have_the_fields_of_the_schema() {
    let heroku = guestbook().await;
    let pipeline = get(&heroku, "/pipelines/guestbook").await.json()["id"].clone();
    let pipeline = pipeline.as_str().expect("an id");
    let addon = get(&heroku, "/addons").await.json()[0]["name"].clone();
    let addon = addon.as_str().expect("a name");
    let account = "created_at email federated id name suspended_at two_factor_authentication \
                   updated_at verified";
    let app = "archived_at build_stack created_at generation git_url id maintenance name owner \
               region released_at space stack team updated_at web_url";
    let pipelines = "created_at generation id name owner updated_at";
    let coupling = "app created_at id pipeline stage updated_at";
    let release = "addon_plan_names app artifacts created_at current description \
                   eligible_for_rollback id output_stream_url slug status updated_at user version";
    let addons = "actions addon_service app billed_price billing_entity config_vars created_at id \
                  name plan provider_id state updated_at web_url";
    let attachment = "addon app created_at id log_input_url name namespace updated_at web_url";
    let credential = "credentials database host name port state uuid";
    for (path, fields) in [
        ("/account".to_owned(), account),
        ("/users/~".to_owned(), account),
        ("/account/rate-limits".to_owned(), "remaining"),
        ("/apps".to_owned(), app),
        ("/users/~/apps".to_owned(), app),
        ("/apps/guestbook-staging".to_owned(), app),
        ("/pipelines".to_owned(), pipelines),
        ("/pipelines?eq[name]=guestbook".to_owned(), pipelines),
        (format!("/pipelines/{pipeline}"), pipelines),
        (
            format!("/pipelines/{pipeline}/pipeline-couplings"),
            coupling,
        ),
        (
            "/apps/guestbook-staging/pipeline-couplings".to_owned(),
            coupling,
        ),
        ("/apps/guestbook-staging/releases".to_owned(), release),
        ("/apps/guestbook-staging/releases/1".to_owned(), release),
        ("/apps/guestbook-staging/addons".to_owned(), addons),
        ("/addons".to_owned(), addons),
        (format!("/addons/{addon}"), addons),
        ("/addon-attachments".to_owned(), attachment),
        (
            "/apps/guestbook-staging/addon-attachments".to_owned(),
            attachment,
        ),
        (format!("/addons/{addon}/addon-attachments"), attachment),
        (
            "/apps/guestbook-staging/collaborators".to_owned(),
            "app id role user",
        ),
        (
            format!("/postgres/v0/databases/{addon}/credentials"),
            credential,
        ),
        (
            format!("/postgres/v0/databases/{addon}/credentials/default"),
            credential,
        ),
        (
            format!("/client/v11/databases/{addon}"),
            "addon_id info resource_url waiting?",
        ),
        (
            format!("/client/v11/databases/{addon}/wait_status"),
            "message waiting?",
        ),
    ] {
        let response = get(&heroku, &path).await;
        assert_eq!(response.status, 200, "{path}");
        let json = response.json();
        let object = if json.is_array() { &json[0] } else { &json };
        for field in fields.split_whitespace() {
            assert!(
                object.get(field).is_some(),
                "{path} has no {field}: {object}"
            );
        }
    }
    for path in [
        "/teams",
        "/apps/guestbook-staging/dynos",
        "/pipelines?eq[name]=other",
    ] {
        assert_eq!(get(&heroku, path).await.json(), json!([]), "{path}");
    }
}

#[tokio::test]
async fn unknown_resources_are_404() {
    let heroku = guestbook().await;
    for path in [
        "/apps/nope",
        "/apps/nope/config-vars",
        "/apps/guestbook-staging/releases/99",
        "/pipelines/nope",
        "/pipelines/guestbook/pipeline-couplings",
        "/addons/nope",
        "/teams/nope",
        "/users/other@example.com/apps",
        "/client/v11/databases/nope",
    ] {
        let error = get(&heroku, path).await.error();
        assert_eq!(error, (404, "not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn config_vars_patch_is_merged_and_creates_a_release() {
    let heroku = guestbook().await;
    let body = r#"{"GREETING":null,"COLOR":"blue"}"#;
    let response = send(&heroku, "PATCH", CONFIG_VARS, &[], body)
        .await
        .expect("a response");
    let expected = json!({"COLOR": "blue", "DATABASE_URL": URL});
    assert_eq!((response.status, response.json()), (200, expected.clone()));
    assert_eq!(get(&heroku, CONFIG_VARS).await.json(), expected);

    let newest = [("range", "version ..; order=desc,max=1")];
    let releases = "/apps/guestbook-staging/releases";
    let response = send(&heroku, "GET", releases, &newest, "")
        .await
        .expect("a response");
    let release = &response.json()[0];
    assert_eq!((response.status, &release["version"]), (206, &json!(4)));
    assert_eq!(
        release["description"],
        "Set COLOR config vars; Remove GREETING config vars"
    );
    assert_eq!(release["current"], true);
    let before = format!("{releases}/3/config-vars");
    assert_eq!(get(&heroku, &before).await.json()["GREETING"], "hello");
}

#[tokio::test]
async fn refused_config_vars_patch_changes_nothing() {
    let heroku = guestbook().await;
    let before = get(&heroku, CONFIG_VARS).await.json();
    for (body, error) in [
        (r#"{"A-B":"x","COLOR":"blue"}"#, (422, "invalid_params")),
        (
            r#"{"DATABASE_URL":"x","COLOR":"blue"}"#,
            (422, "invalid_params"),
        ),
        (r#"{"DATABASE_URL":null}"#, (422, "invalid_params")),
        (r#"{"COLOR":7}"#, (422, "invalid_params")),
        ("COLOR=blue", (400, "bad_request")),
    ] {
        let response = send(&heroku, "PATCH", CONFIG_VARS, &[], body)
            .await
            .expect("a response");
        assert_eq!(response.error(), (error.0, error.1.to_owned()), "{body}");
    }
    assert_eq!(get(&heroku, CONFIG_VARS).await.json(), before);
}

#[tokio::test]
async fn new_database_url_changes_config_var_credential_and_release() {
    let heroku = guestbook().await;
    let addon = get(&heroku, "/addons").await.json()[0]["name"].clone();
    let addon = addon.as_str().expect("a name");
    let rotated = "postgres://u2:p%40@127.0.0.1:6543/guestbook";
    heroku.set_database_url(addon, rotated).expect("a new url");
    assert_eq!(
        get(&heroku, CONFIG_VARS).await.json()["DATABASE_URL"],
        rotated
    );
    let path = format!("/postgres/v0/databases/{addon}/credentials/default");
    let credential = get(&heroku, &path).await.json();
    assert_eq!(
        credential["credentials"],
        json!([{"user": "u2", "password": "p@", "state": "active"}])
    );
    let release = get(&heroku, "/apps/guestbook-staging/releases/4")
        .await
        .json();
    assert_eq!(
        release["description"],
        "Update DATABASE by heroku-postgresql"
    );
}

#[tokio::test]
async fn resolved_attachments_have_the_requested_inclusions() {
    let heroku = guestbook().await;
    let path = "/actions/addon-attachments/resolve";
    let include = [("accept-inclusion", "addon:plan,config_vars")];
    for name in ["DATABASE", "DATABASE_URL"] {
        let body = json!({"addon_attachment": name, "app": "guestbook-staging"}).to_string();
        let response = send(&heroku, "POST", path, &include, &body)
            .await
            .expect("a response");
        let found = response.json();
        assert_eq!(found[0]["config_vars"], json!(["DATABASE_URL"]));
        assert_eq!(
            found[0]["addon"]["plan"]["name"],
            "heroku-postgresql:essential-0"
        );
        let bare = send(&heroku, "POST", path, &[], &body)
            .await
            .expect("a response");
        assert_eq!(bare.json()[0].get("config_vars"), None);
    }
    let body = r#"{"addon_attachment":"DATABASE","app":"guestbook-production"}"#;
    let response = send(&heroku, "POST", path, &[], body)
        .await
        .expect("a response");
    assert_eq!(response.error().0, 404);
}

#[tokio::test]
async fn deleting_an_app_deletes_its_coupling_and_add_on() {
    let heroku = guestbook().await;
    heroku.delete_app("guestbook-staging").expect("a deletion");
    assert_eq!(get(&heroku, "/apps/guestbook-staging").await.status, 404);
    assert_eq!(get(&heroku, "/addons").await.json(), json!([]));
    let id = get(&heroku, "/pipelines/guestbook").await.json()["id"].clone();
    let path = format!(
        "/pipelines/{}/pipeline-couplings",
        id.as_str().expect("an id")
    );
    let couplings = get(&heroku, &path).await.json();
    let stages: Vec<_> = couplings
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| &c["stage"])
        .collect();
    assert_eq!(stages, ["production"]);
}

#[tokio::test]
async fn invalid_calls_fail_with_input_errors_without_secrets() {
    let heroku = guestbook().await;
    let app = "guestbook-staging";
    let errors = [
        heroku.create_app("guestbook-staging").err(),
        heroku.create_app("Guestbook").err(),
        heroku.create_pipeline("guestbook").err(),
        heroku.create_pipeline("g").err(),
        heroku.couple("guestbook", app, Stage::Review).err(),
        heroku.couple("nope", app, Stage::Review).err(),
        heroku.uncouple("nope").err(),
        heroku.set_config_var(app, "A-B", "canary").err(),
        heroku.set_config_var(app, "DATABASE_URL", "canary").err(),
        heroku.unset_config_var("nope", "A").err(),
        heroku.attach_postgres("nope", URL).err(),
        heroku.attach_postgres(app, "mysql://u:canary@h/d").err(),
        heroku.set_database_url("nope", URL).err(),
        heroku
            .create_token(&Access::Apps(vec!["nope".to_owned()]))
            .err(),
        "prod".parse::<Stage>().err(),
    ];
    for (number, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("no error in {number}"));
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn second_database_is_attached_under_a_color() {
    let heroku = guestbook().await;
    let second = URL.replace("6543", "6544");
    heroku
        .attach_postgres("guestbook-staging", &second)
        .expect("an add-on");
    let vars = get(&heroku, CONFIG_VARS).await.json();
    assert_eq!(vars["DATABASE_URL"], URL);
    assert_eq!(vars["HEROKU_POSTGRESQL_AMBER_URL"], second.as_str());
}

#[tokio::test]
async fn debug_of_heroku_shows_no_secret() {
    let heroku: Heroku = guestbook().await;
    let debug = format!("{heroku:?}");
    assert!(!debug.contains(heroku.api_key()) && !debug.contains("canary"));
}
