//! Stages that share a database under two names, and stages that cannot be compared.

use serde_json::Value;
use stagelink_local::heroku::{Failure, Fault};
use stagelink_local::netlify_api::{Context, EnvVar};
use stagelink_tests::{as_superuser, at, proxy, through};

use super::{Site, mark, staging};

impl Site {
    fn set_url(&self, app: &str, url: &str) {
        let set = self.heroku.set_config_var(app, "DATABASE_URL", url);
        set.expect("a config var");
    }
}

#[tokio::test]
async fn one_database_under_two_names_is_refused_whatever_is_linked() {
    let site = Site::new().await;
    let (url, proxy) = (site.production.url(), proxy().await);
    let name = site.production.name();
    let role = format!("{name}_staging");
    as_superuser(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'c4n4ry-{role}';
         GRANT CONNECT ON DATABASE {name} TO {role}"
    ))
    .await;
    let (_, server) = url.split_once('@').expect("a role");
    for second in [
        url.clone(),
        url.replace("127.0.0.1", "localhost"),
        through(&proxy, &url),
        format!("postgres://{role}:c4n4ry-{role}@{server}"),
    ] {
        site.set_url("shop-staging", &second);
        let way = |url: &str| {
            let (_, server) = url.split_once('@').expect("a role");
            let (server, _) = server.split_once('/').expect("a database");
            format!("{name} on {server} (DATABASE_URL of app ")
        };
        let (one, other) = (way(&url), way(&second));
        let reasons = [
            "have one database",
            &one,
            &other,
            "are the same",
            "heroku addons:create",
        ];
        site.assert_refused(&["--yes"], &reasons).await;
        for stage in ["staging", "production"] {
            site.assert_refused(&["--yes", "--stage", stage], &reasons)
                .await;
        }
    }
}

#[tokio::test]
async fn stage_is_not_linked_without_a_comparison_with_production() {
    let site = Site::new().await;
    let words = ["--yes", "--stage", "staging"];
    site.set_url("shop-production", &at(&site.production.url(), 1));
    let reasons = [
        "could not compare with stage production",
        "--without-production",
    ];
    site.assert_refused(&words, &reasons).await;
    mark(&site.production, "staging").await;
    site.set_url("shop-production", &site.production.url());
    site.assert_refused(&words, &["is marked as stage staging's"])
        .await;
    site.heroku.uncouple("shop-production").expect("a coupling");
    site.assert_refused(
        &words,
        &["stage production has no app", "--without-production"],
    )
    .await;
    let words = [&words[..], &["--without-production"]].concat();
    let linked = site.link_successfully(&words).await;
    let listed = "stage production was not compared";
    assert!(linked.output.contains(listed), "{}", linked.output);
    assert_eq!(site.functions_in(&staging())["STAGELINK_STAGE"], "staging");
}

#[tokio::test]
async fn production_is_linked_without_a_staging_that_cannot_be_found() {
    let site = Site::new().await;
    site.heroku.uncouple("shop-staging").expect("a coupling");
    let linked = site
        .link_successfully(&["--yes", "--stage", "production"])
        .await;
    let listed = "stage staging was not compared";
    assert!(linked.output.contains(listed), "{}", linked.output);
}

#[tokio::test]
async fn variable_that_an_earlier_run_set_is_removed_where_this_one_does_not_set_it() {
    let mut site = Site::new().await;
    mark(&site.production, "production").await;
    site.set("STAGELINK_POOLER", "never");
    site.link_successfully(&["--yes", "--pin"]).await;
    let shared = EnvVar::new("STAGELINK_ROOT_CERTIFICATES").value(Context::All, "of all");
    site.netlify
        .set_variable("shop-site", shared)
        .expect("the site");
    let stale = [
        "STAGELINK_SERVER_PIN",
        "STAGELINK_REQUIRE_MARK",
        "STAGELINK_POOLER",
    ];
    let before = site.functions_in(&Context::Production);
    assert!(stale.iter().all(|name| before.contains_key(*name)));

    as_superuser(&format!(
        "ALTER DATABASE {} RESET application_name",
        site.production.name()
    ))
    .await;
    site.variables.remove("STAGELINK_POOLER");
    let linked = site.link_successfully(&["--yes", "--json"]).await.json();
    let rows = linked["variables"].as_array().expect("variables");
    for name in stale {
        let is_removed = |row: &&Value| {
            row["variable"] == name && row["context"] == "production" && row["change"] == "removed"
        };
        assert!(rows.iter().any(|row| is_removed(&row)), "{name}: {linked}");
        for context in [Context::Production, staging()] {
            let variables = site.functions_in(&context);
            assert!(!variables.contains_key(name), "{name} in {context}");
        }
    }
    let production = site.functions_in(&Context::Production);
    assert_eq!(production["STAGELINK_ROOT_CERTIFICATES"], "of all");
}

#[tokio::test]
async fn plan_is_shown_before_anything_is_set() {
    let site = Site::new().await;
    for words in [&["--yes"][..], &["--yes", "--json"]] {
        site.netlify.control().inject(fault());
        let linked = site.link(words).await;
        site.netlify.control().clear_faults();
        assert!(!linked.succeeded);
        let shown = format!("{}{}", linked.output, linked.errors);
        assert!(shown.contains("(a secret)"), "{words:?}\n{shown}");
    }
    // Without a terminal nothing can be asked, and the plan is shown all the same.
    let refused = site.link(&["--json"]).await;
    assert!(refused.errors.contains("(a secret)"), "{}", refused.errors);
    assert!(refused.errors.contains("add --yes"), "{}", refused.errors);
    // No plan, but the error.
    let output: Value = serde_json::from_str(&refused.output).expect("JSON");
    assert!(
        output["error"].is_string() && output.get("changes").is_none(),
        "{output}"
    );
}

/// The failure of Netlify to create a variable.
fn fault() -> Fault {
    let down = Failure::Status {
        status: 503,
        retry_after: None,
    };
    Fault::new(down).on("POST", "/api/v1/accounts/local/env")
}
