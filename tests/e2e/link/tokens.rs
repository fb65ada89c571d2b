//! Heroku tokens among a site's values, in contexts that are linked and in those that are not.

use serde_json::Value;
use stagelink_local::netlify_api::{Context, EnvVar};

use super::{Site, staging};

fn token(context: Context, value: &str) -> EnvVar {
    EnvVar::new("HEROKU_API_KEY").value(context, value)
}

fn feature() -> Context {
    Context::Branch("feature".to_owned())
}

/// The kinds of the findings about a variable.
fn kinds(linked: &Value, name: &str) -> Vec<Value> {
    let all = linked["findings"].as_array().expect("findings");
    let of_variable = all.iter().filter(|of| of["variable"] == name);
    of_variable.map(|of| of["kind"].clone()).collect()
}

#[tokio::test]
async fn token_that_reads_another_stage_is_refused_in_a_context_that_is_not_linked() {
    let mut site = Site::new().await;
    let wide = site.token("WIDE_TOKEN", &["shop-staging", "shop-production"]);
    let narrow = site.token("NARROW_TOKEN", &["shop-staging"]);
    let production = &["--yes", "--stage", "production"][..];
    let others = &["--yes", "--skip-branch-deploys"][..];
    for (context, value, stages, words, advice) in [
        (
            feature(),
            &wide,
            "staging and production",
            others,
            "link the stage of these contexts too",
        ),
        (
            feature(),
            &narrow,
            "staging",
            production,
            "link the stage of these contexts too",
        ),
        (
            Context::DevServer,
            &wide,
            "staging and production",
            &["--yes"],
            "removes no value of these contexts: remove HEROKU_API_KEY with `netlify env:unset \
             HEROKU_API_KEY`",
        ),
        (
            staging(),
            &wide,
            "production",
            production,
            "link the stage of these contexts too",
        ),
        (
            Context::DeployPreview,
            &narrow,
            "staging",
            production,
            "link the stage of these contexts too",
        ),
        (
            Context::All,
            &wide,
            "staging and production",
            production,
            "add --remove-leaks",
        ),
    ] {
        let holds = format!(
            "HEROKU_API_KEY of the site for the context {context} holds the database URL or a \
             secret of stage {stages}"
        );
        site.set_variable(token(context, value));
        site.assert_refused(words, &[&holds, advice]).await;
    }
    // A value of all contexts is removed, and production keeps what reads production.
    let words = [production, &["--remove-leaks"]].concat();
    let linked = site.link_successfully(&words).await;
    assert!(linked.output.contains("(as it is)"), "{}", linked.output);
    let of = |context| site.functions_in(&context).remove("HEROKU_API_KEY");
    assert_eq!(of(Context::Production), Some(wide));
    for context in [staging(), feature(), Context::DeployPreview, Context::Dev] {
        assert_eq!(of(context.clone()), None, "{context}");
    }
}

#[tokio::test]
async fn token_that_another_variable_holds_is_found_by_its_form_or_beside_production() {
    let mut site = Site::new().await;
    let own = site.token("PRODUCTION_TOKEN", &["shop-production"]);
    let uuid = own.trim_start_matches("HRKU-").to_owned();
    site.record.forbid(uuid.clone());
    site.set_variable(token(Context::Production, &own));
    let netrc = format!("machine api.heroku.com\n  login a\n  password {own}\n");
    for value in [own.clone(), netrc, own.replace('-', "%2D")] {
        site.set_variable(EnvVar::new("ANY_NAME").value(Context::DeployPreview, &value));
        let holds = "ANY_NAME of the site for the context deploy-preview holds";
        let reasons = [holds, "of stage production", "--remove-leaks"];
        site.assert_refused(&["--yes"], &reasons).await;
    }
    site.set_variable(token(Context::Dev, "none"));
    // Without production's own value beside it the form alone tells.
    site.set_variable(EnvVar::new("ANY_NAME").value(Context::DeployPreview, &own));
    site.assert_refused(&["--yes"], &["ANY_NAME of the site", "of stage production"])
        .await;
    site.link_successfully(&["--yes", "--remove-leaks"]).await;
    assert!(
        !site
            .functions_in(&Context::DeployPreview)
            .contains_key("ANY_NAME")
    );
    // A part of a token is none, and what is not Heroku's is not sent to it.
    let before = site.heroku.requests().len();
    site.link_successfully(&["--dry-run"]).await;
    let usual = site.heroku.requests().len() - before;
    site.set_variable(EnvVar::new("ANY_NAME").value(Context::DeployPreview, &uuid));
    let before = site.heroku.requests().len();
    let linked = site.link_successfully(&["--dry-run", "--json"]).await;
    assert_eq!(site.heroku.requests().len() - before, usual);
    assert!(kinds(&linked.json(), "ANY_NAME").is_empty());
}

#[tokio::test]
async fn token_that_reads_nothing_here_stays_and_what_is_not_known_is_listed() {
    let mut site = Site::new().await;
    site.heroku.create_app("other-app").expect("an app");
    let other = site.token("OTHER_TOKEN", &["other-app"]);
    let revoked = site.token("OLD_TOKEN", &["shop-production"]);
    assert!(site.heroku.revoke_token(&revoked));
    let finding = async |variable: EnvVar| {
        site.set_variable(variable);
        let words = ["--yes", "--json", "--skip-branch-deploys"];
        let linked = site.link_successfully(&words).await;
        kinds(&linked.json(), "HEROKU_API_KEY")
    };
    assert!(finding(token(feature(), &other)).await.is_empty());
    let [kind] = &finding(token(feature(), &revoked)).await[..] else {
        panic!("one finding");
    };
    let reason = kind["unknown_token"].as_str().expect("a reason");
    assert!(reason.contains("expired or revoked"), "{reason}");
    let [kind] = &finding(token(feature(), "no\ntoken")).await[..] else {
        panic!("one finding");
    };
    let reason = kind["unknown_token"].as_str().expect("a reason");
    assert!(reason.contains("its form"), "{reason}");
    let secret = token(feature(), &other).secret();
    assert_eq!(finding(secret).await, ["not_checked"]);
    // A developer's machine serves no stage.
    let wide = site.heroku.api_key().to_owned();
    assert!(finding(token(Context::Dev, &wide)).await.is_empty());
}

#[tokio::test]
async fn advice_fits_the_place_of_the_value() {
    let mut site = Site::new().await;
    let wide = site.token("WIDE_TOKEN", &["shop-staging", "shop-production"]);
    site.token("STAGING_TOKEN", &["shop-staging"]);
    // A token of the account's, which `netlify env:unset` does not remove.
    for (variable, words) in [
        (token(Context::All, &wide), ["--yes", "--stage=staging"]),
        (token(Context::All, &wide), ["--yes", "--stage=production"]),
        (
            token(staging(), &wide).secret(),
            ["--yes", "--stage=staging"],
        ),
    ] {
        site.set_account_variable(variable);
        let linked = site.link(&words).await;
        assert!(!linked.succeeded, "{}", linked.output);
        let place = "HEROKU_API_KEY of the account for the context ";
        assert!(linked.errors.contains(place), "{}", linked.errors);
        assert!(!linked.errors.contains("env:unset"), "{}", linked.errors);
    }
    site.set_account_variable(token(Context::All, "none"));
    // A secret that is not the variable's only value.
    let mut of_site = token(staging(), &wide).value(Context::Production, &wide);
    site.set_variable(of_site.clone().secret());
    let advice = "`netlify env:unset HEROKU_API_KEY --context branch:staging`";
    let words = ["--yes", "--stage=staging"];
    site.assert_refused(&words, &["nothing proves", advice])
        .await;
    // A value for which the variable is sent again, with the scope of functions alone.
    of_site = token(Context::Dev, &wide).value(Context::Production, &wide);
    site.set_variable(of_site);
    let words = [
        "--yes",
        "--stage=staging",
        "--token-for",
        "staging=STAGING_TOKEN",
    ];
    let reasons = [
        "HEROKU_API_KEY of the site for the context dev holds a secret of production's",
        "remove that value with `netlify env:unset HEROKU_API_KEY --context dev`",
    ];
    site.assert_refused(&words, &reasons).await;
    let linked = site.link(&words).await;
    assert!(!linked.errors.contains("--app"), "{}", linked.errors);
}

#[tokio::test]
async fn leak_of_a_variable_that_is_sent_again_is_removed() {
    let mut site = Site::new().await;
    let wide = site.token("WIDE_TOKEN", &["shop-staging", "shop-production"]);
    let narrow = site.token("STAGING_TOKEN", &["shop-staging"]);
    // It has all scopes, so `link` sends all of its values again.
    site.set_variable(token(feature(), &wide).value(Context::Production, &wide));
    let words = &["--yes", "--token-for", "staging=STAGING_TOKEN"][..];
    let reasons = ["the context branch:feature holds", "add --remove-leaks"];
    site.assert_refused(words, &reasons).await;
    let words = [words, &["--remove-leaks"]].concat();
    site.link_successfully(&words).await;
    let of = |context| site.functions_in(&context).remove("HEROKU_API_KEY");
    assert_eq!(of(Context::Production), Some(wide));
    assert_eq!(of(staging()), Some(narrow));
    assert_eq!(of(feature()), None);
}
