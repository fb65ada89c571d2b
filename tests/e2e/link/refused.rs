//! Refusals, each of which says what to do, before any variable is set.

use std::time::Duration;

use stagelink_local::heroku::{Failure, Fault, Stage};
use stagelink_local::netlify_api::{Context, EnvVar};

use super::{Site, mark};

impl Site {
    /// Sets the config var `DATABASE_URL` of staging's app.
    fn set_staging_url(&self, url: &str) {
        self.heroku
            .set_config_var("shop-staging", "DATABASE_URL", url)
            .expect("a config var");
    }

    /// Checks that a further run of `stagelink link` would create no variable.
    async fn assert_complete(&self) {
        let again = self.link_successfully(&["--dry-run", "--json"]).await;
        let again = again.json();
        let rows = again["variables"].as_array().expect("variables");
        assert!(rows.iter().all(|row| row["change"] != "new"));
    }

    /// Checks that the command is refused with these messages while Netlify's API fails.
    async fn assert_refused_by_netlify(&self, failure: Failure, reasons: &[&str]) {
        self.netlify.control().inject(Fault::new(failure));
        self.assert_refused(&["--yes"], reasons).await;
        self.netlify.control().clear_faults();
    }
}

fn status(status: u16, retry_after: Option<u64>) -> Failure {
    Failure::Status {
        status,
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// The request that creates variables.
const CREATE: (&str, &str) = ("POST", "/api/v1/accounts/local/env");

#[tokio::test]
async fn database_of_another_stage_is_refused() {
    let site = Site::new().await;
    mark(&site.staging, "production").await;
    let reasons = [
        "could not link stage staging",
        "is marked as stage production's",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
}

#[tokio::test]
async fn two_stages_with_one_database_are_refused() {
    let site = Site::new().await;
    site.set_staging_url(&site.production.url());
    site.assert_refused(&["--yes"], &["have one database", "heroku addons:create"])
        .await;
}

#[tokio::test]
async fn stage_without_a_usable_database_is_refused() {
    let site = Site::new().await;
    let url = site.staging.url();
    let (server, _) = url.rsplit_once('/').expect("a database");
    site.set_staging_url(&format!("{server}/none-such"));
    site.assert_refused(&["--yes"], &["could not link stage staging"])
        .await;
    site.heroku
        .unset_config_var("shop-staging", "DATABASE_URL")
        .expect("a config var");
    site.assert_refused(&["--yes"], &["has no config var DATABASE_URL"])
        .await;
    site.heroku.uncouple("shop-staging").expect("a coupling");
    site.assert_refused(&["--yes"], &["stage staging has no app"])
        .await;
}

#[tokio::test]
async fn token_without_access_is_refused() {
    let mut site = Site::new().await;
    let token = site.token("STAGING_TOKEN", &[]);
    let words = ["--yes", "--token-for", "staging=STAGING_TOKEN"];
    site.assert_refused(&words, &["does not find its database"])
        .await;
    // An invalid token does not prove that it cannot read production's config vars.
    assert!(site.heroku.revoke_token(&token));
    site.assert_refused(&words, &["could not prove", "expired or revoked"])
        .await;
    site.variables.remove("STAGING_TOKEN");
    site.assert_refused(&words, &["STAGING_TOKEN is not set"])
        .await;
}

#[tokio::test]
async fn failing_heroku_does_not_verify_a_token() {
    let mut site = Site::new().await;
    site.token("STAGING_TOKEN", &["shop-staging"]);
    let words = ["--yes", "--token-for", "staging=STAGING_TOKEN"];
    let couplings = site.link(&["--dry-run"]).await;
    assert!(couplings.succeeded, "{}", couplings.errors);
    let requests = site.heroku.requests();
    let production = requests
        .iter()
        .rfind(|r| r.path.ends_with("/pipeline-couplings"))
        .expect("a request");
    site.heroku
        .inject(Fault::new(status(503, None)).on("GET", &production.path));
    site.assert_refused(&words, &["503"]).await;
}

#[tokio::test]
async fn each_netlify_error_says_what_to_do() {
    let site = Site::new().await;
    for (code, reasons) in [
        (
            401,
            ["could not find the site shop-site", "expired or revoked"],
        ),
        (403, ["could not find the site shop-site", "needs access"]),
        (404, ["could not find the site shop-site", "check the name"]),
        (
            422,
            ["could not find the site shop-site", "refused it (422"],
        ),
        // Longer than the command waits for.
        (429, ["rate limit is used up", "try again in 61 s"]),
        (
            500,
            ["could not find the site shop-site", "try again in 61 s"],
        ),
    ] {
        site.assert_refused_by_netlify(status(code, Some(61)), &reasons)
            .await;
    }
    for failure in [
        Failure::Disconnect,
        Failure::InvalidJson,
        Failure::EmptyBody,
    ] {
        site.assert_refused_by_netlify(failure, &[]).await;
    }
}

#[tokio::test]
async fn missing_or_wrong_settings_are_named() {
    for (name, value, reason) in [
        ("NETLIFY_SITE_ID", "none-such", "could not find the site"),
        ("NETLIFY_AUTH_TOKEN", "", "NETLIFY_AUTH_TOKEN is not set"),
        (
            "NETLIFY_API_URL",
            "http://api.netlify.com",
            "not an https URL",
        ),
        ("HEROKU_API_KEY", "", "HEROKU_API_KEY is not set"),
        ("STAGELINK_HEROKU_PIPELINE", "", "PIPELINE is not set"),
    ] {
        let mut site = Site::new().await;
        site.set(name, value);
        site.assert_refused(&["--yes"], &[reason]).await;
    }
    let mut site = Site::new().await;
    site.set("NETLIFY_API_URL", "http://127.0.0.1:1");
    site.assert_refused(&["--yes"], &["could not reach Netlify's API"])
        .await;
}

#[tokio::test]
async fn interrupted_run_reports_its_progress_and_the_next_run_completes_it() {
    let site = Site::new().await;
    site.link_successfully(&["--dry-run"]).await;
    let fault = Fault::new(status(503, None)).on(CREATE.0, CREATE.1);
    site.netlify.control().inject(fault);
    let linked = site.link(&["--yes"]).await;
    assert!(!linked.succeeded);
    for words in [
        "0 of ",
        "changes were made before this (none), and these were not: ",
        "STAGELINK_CREDENTIALS for production and branch:staging",
        "(503: Service Unavailable, 4 times)",
    ] {
        assert!(linked.errors.contains(words), "{words}: {}", linked.errors);
    }
    site.netlify.control().clear_faults();
    site.link_successfully(&["--yes"]).await;
    site.assert_complete().await;
}

#[tokio::test]
async fn rate_limit_and_failure_that_pass_are_waited_for() {
    let site = Site::new().await;
    for code in [429, 503, 500] {
        let failure = status(code, Some(1));
        site.heroku.inject(Fault::new(failure).times(1));
        site.netlify.control().inject(Fault::new(failure).times(1));
        let created = Fault::new(failure).on(CREATE.0, CREATE.1).times(1);
        site.netlify.control().inject(created);
    }
    site.link_successfully(&["--yes"]).await;
    site.assert_complete().await;
}

#[tokio::test]
async fn variable_that_was_created_although_netlify_failed_is_not_created_again() {
    let site = Site::new().await;
    // The request has its effect, and the answer is that of a proxy without the API's status.
    let failed = Failure::FailedAfterwards { status: 502 };
    let fault = Fault::new(failed).on(CREATE.0, CREATE.1).times(2);
    site.netlify.control().inject(fault);
    site.link_successfully(&["--yes"]).await;
    site.assert_complete().await;
}

#[tokio::test]
async fn refusal_of_the_account_says_what_it_is() {
    let site = Site::new().await;
    for (status, id, reason) in [
        (422, "verification_required", "it is not verified"),
        (403, "two_factor", "second factor"),
        (402, "delinquent", "owes a payment"),
    ] {
        let fault = Fault::new(Failure::HerokuError { status, id });
        site.heroku.inject(fault);
        site.assert_refused(&["--yes"], &[reason]).await;
        site.heroku.clear_faults();
    }
    site.assert_refused_by_netlify(status(402, None), &["owes a payment"])
        .await;
}

#[tokio::test]
async fn stage_with_two_apps_is_told_the_commands_own_option() {
    let site = Site::new().await;
    site.heroku.create_app("shop-second").expect("an app");
    site.heroku
        .couple("shop", "shop-second", Stage::Staging)
        .expect("a coupling");
    let reasons = ["has 2 apps", "--app staging=APP"];
    site.assert_refused(&["--yes"], &reasons).await;
}

#[tokio::test]
async fn app_is_named_and_not_its_id() {
    let site = Site::new().await;
    site.set_staging_url(&site.production.url());
    let reasons = ["DATABASE_URL of app shop-staging on Heroku"];
    site.assert_refused(&["--yes"], &reasons).await;
}

#[tokio::test]
async fn unknown_variables_of_the_operator_and_of_the_site_are_noted() {
    let mut site = Site::new().await;
    site.set("STAGELINK_PIPELINE", "shop");
    site.set_variable(EnvVar::new("STAGELINK_TIMEOUT").value(Context::All, "5"));
    site.set_variable(EnvVar::new("STAGELINK_REQUIRE_MARKS").value(Context::All, "true"));
    let linked = site.link_successfully(&["--dry-run"]).await;
    let noted = "does not know are ignored: STAGELINK_PIPELINE (the nearest";
    assert!(linked.errors.contains(noted), "{}", linked.errors);
    for words in [
        "functions of the site do not start: misspelled variables would be ignored \
         (STAGELINK_REQUIRE_MARKS is not",
        "functions of the site ignore variables that this version of stagelink does not know: \
         STAGELINK_TIMEOUT (the nearest",
    ] {
        assert!(linked.output.contains(words), "{words}\n{}", linked.output);
    }
}

#[tokio::test]
async fn misspelled_variable_of_safety_is_refused() {
    let mut site = Site::new().await;
    site.set("STAGELINK_CONFIG_VARS", "SHOP_URL");
    let reasons = [
        "misspelled variables would be ignored",
        "STAGELINK_CONFIG_VARS is not STAGELINK_CONFIG_VAR",
    ];
    for words in [&["--yes"][..], &["--print"]] {
        site.assert_refused(words, &reasons).await;
    }
}
