//! Isolation of production: no other deploy context gets production's secrets.

use serde_json::Value;
use stagelink_local::netlify_api::{Context, EnvVar};

use super::{Site, contexts, staging};

/// Checks all requests to Netlify and all variables on it: production's secrets are in the
/// production context only, and the command's own token is nowhere. Returns the number of secrets
/// found in the production context.
fn check_secrets(site: &Site, secrets: &[String]) -> usize {
    let mut found = 0;
    for request in site.http_capture.requests() {
        assert!(!request.path.contains("c4n4ry"), "{}", request.path);
        check_json(&request.body, None, secrets, &mut found);
        let body = request.body.to_string();
        assert!(!body.contains(site.heroku.api_key()), "the own token");
    }
    for context in contexts().iter().filter(|of| **of != Context::Production) {
        for (name, value) in site.functions_in(context) {
            let holds_one = secrets.iter().any(|secret| value.contains(secret));
            assert!(!holds_one, "{name} in {context}");
        }
    }
    found
}

/// `context` is that of the nearest enclosing object with such a member.
fn check_json(json: &Value, context: Option<&str>, secrets: &[String], found: &mut usize) {
    match json {
        Value::Object(members) => {
            let context = members.get("context").and_then(Value::as_str).or(context);
            for member in members.values() {
                check_json(member, context, secrets, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                check_json(item, context, secrets, found);
            }
        }
        Value::String(text) if secrets.iter().any(|secret| text.contains(secret)) => {
            assert_eq!(context, Some("production"), "a secret of production's");
            *found += 1;
        }
        _ => {}
    }
}

/// Returns the secrets of production: its password, which no other database has, and its token.
fn secrets(site: &Site, token: String) -> Vec<String> {
    let url = site.production.url();
    let password = url.split([':', '@']).nth(2).expect("a password");
    vec![password.to_owned(), token]
}

#[tokio::test]
async fn production_secrets_are_sent_to_production_only() {
    let mut site = Site::new().await;
    let token = site.token("PRODUCTION_TOKEN", &["shop-production"]);
    site.token("STAGING_TOKEN", &["shop-staging"]);
    site.token("REVIEW_TOKEN", &[]);
    let words = [
        "--yes",
        "--token-for",
        "production=PRODUCTION_TOKEN",
        "--token-for",
        "staging=STAGING_TOKEN",
        "--token-for",
        "review=REVIEW_TOKEN",
    ];
    let secrets = secrets(&site, token);
    site.link_successfully(&words).await;
    assert_eq!(check_secrets(&site, &secrets), 2, "the URL and the token");
    // And once more, when everything is set already.
    site.link_successfully(&words).await;
    assert_eq!(check_secrets(&site, &secrets), 4);
}

#[tokio::test]
async fn token_that_reads_production_is_refused_before_anything_is_set() {
    for stage in ["staging", "review"] {
        let mut site = Site::new().await;
        site.token("WIDE_TOKEN", &["shop-staging", "shop-production"]);
        let given = format!("{stage}=WIDE_TOKEN");
        let reason = format!("the token of stage {stage} reads production's config vars");
        site.assert_refused(&["--yes", "--token-for", &given], &[&reason])
            .await;
        // The command's own token is one of these.
        let given = format!("{stage}=HEROKU_API_KEY");
        site.assert_refused(&["--yes", "--token-for", &given], &[&reason])
            .await;
    }
}

#[tokio::test]
async fn token_of_previews_that_reads_staging_is_refused_before_anything_is_set() {
    let mut site = Site::new().await;
    site.token("STAGING_TOKEN", &["shop-staging"]);
    let reason = "the token of stage review reads staging's config vars";
    let words = ["--yes", "--token-for", "review=STAGING_TOKEN"];
    site.assert_refused(&words, &[reason]).await;
    let words = [
        "--yes",
        "--token-for",
        "staging=STAGING_TOKEN",
        words[1],
        words[2],
    ];
    site.assert_refused(&words, &[reason]).await;
}

#[tokio::test]
async fn token_that_the_site_has_already_is_checked_too() {
    let mut site = Site::new().await;
    let wide = site.token("WIDE_TOKEN", &["shop-staging", "shop-production"]);
    let narrow = site.token("NARROW_TOKEN", &["shop-staging"]);
    let key = |context, token: &str| EnvVar::new("HEROKU_API_KEY").value(context, token);
    for context in [Context::All, Context::BranchDeploy, staging()] {
        site.netlify
            .set_variable("shop-site", key(context, &wide))
            .expect("the site");
        let reason = "reads production's config vars";
        site.assert_refused(&["--yes"], &[reason]).await;
    }
    site.netlify
        .set_variable("shop-site", key(staging(), &narrow).secret())
        .expect("the site");
    site.assert_refused(&["--yes"], &["nothing proves"]).await;
    site.link_successfully(&["--yes", "--token-for", "staging=NARROW_TOKEN"])
        .await;
    assert_eq!(site.functions_in(&staging())["HEROKU_API_KEY"], narrow);
}

#[tokio::test]
async fn credentials_set_for_all_contexts_are_removed() {
    let site = Site::new().await;
    let url = format!("production={}", site.production.url());
    let credentials = EnvVar::new("STAGELINK_CREDENTIALS")
        .value(Context::All, &url)
        .value(Context::DeployPreview, &url);
    site.netlify
        .set_variable("shop-site", credentials)
        .expect("the site");
    site.link_successfully(&["--yes"]).await;
    let secrets = secrets(&site, url);
    assert_eq!(check_secrets(&site, &secrets[..1]), 1);
    for context in [Context::DeployPreview, Context::Dev, Context::All] {
        let variables = site.functions_in(&context);
        assert!(
            !variables.contains_key("STAGELINK_CREDENTIALS"),
            "{context}"
        );
    }
}
