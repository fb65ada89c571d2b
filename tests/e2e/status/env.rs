//! `stagelink env`: names, origins and sizes of the variables that functions get.

use serde_json::Value;
use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar};
use stagelink_tests::{CANARY, FailingRelay, RelayFailure};

use super::{Project, SETTINGS, branch};

async fn project() -> Project {
    let project = Project::new().await;
    let secret = format!("staging=postgres://u:{CANARY}@h/d");
    let own = [
        EnvVar::new("STAGELINK_STAGE")
            .value(branch("staging"), "staging")
            .value(Context::Production, "production")
            .scopes([EnvScope::Functions]),
        EnvVar::new("STAGELINK_CREDENTIALS")
            .value(branch("staging"), secret)
            .scopes([EnvScope::Functions])
            .secret(),
        EnvVar::new("BUILD_ONLY")
            .value(Context::All, "x")
            .scopes([EnvScope::Builds]),
        EnvVar::new("OTHER").value(Context::BranchDeploy, format!("{CANARY}-12345")),
        EnvVar::new("ONLY_PRODUCTION").value(Context::Production, "x"),
    ];
    for variable in own {
        let set = project.netlify.set_variable("shop-site", variable);
        set.expect("a variable");
    }
    let account = [
        EnvVar::new("OTHER").value(Context::All, "account's"),
        EnvVar::new("SHARED").value(Context::All, "xyz"),
    ];
    for variable in account {
        let set = project.netlify.set_account_variable(variable);
        set.expect("a variable");
    }
    project
}

#[tokio::test]
async fn variables_have_origin_size_and_no_value_of_a_secret() {
    let project = project().await;
    let run = project.run(&["env", "staging", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    let found = run.json();
    assert_eq!(found["context"], "branch:staging");
    let variables = found["variables"].as_array().expect("the variables");
    let of = |name: &str| -> &Value {
        let found = variables.iter().find(|it| it["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {variables:?}"))
    };
    let names: Vec<_> = variables.iter().map(|it| it["name"].clone()).collect();
    assert_eq!(
        names,
        [
            "OTHER",
            "SHARED",
            "STAGELINK_CREDENTIALS",
            "STAGELINK_STAGE"
        ]
    );
    assert_eq!(of("OTHER")["origin"], "site");
    assert_eq!(of("OTHER")["context"], "branch-deploy");
    assert_eq!(of("OTHER")["value_bytes"], 12);
    assert_eq!(of("OTHER")["value"], Value::Null);
    assert_eq!(of("SHARED")["origin"], "account local");
    assert_eq!(of("STAGELINK_CREDENTIALS")["is_secret"], true);
    assert_eq!(of("STAGELINK_CREDENTIALS")["value_bytes"], Value::Null);
    assert_eq!(of("STAGELINK_STAGE")["value"], "staging");
    let total = "OTHER".len() + 12 + "SHARED".len() + 3 + "STAGELINK_CREDENTIALS".len();
    assert_eq!(found["total_bytes"], total + "STAGELINK_STAGE".len() + 7);
    assert_eq!(found["unreadable_values"], 1);
    assert_eq!(project.netlify_requests.requests().len(), 3);
    let run = project.run(&["env", "staging"]).await;
    for part in [
        "site shop-site, context branch:staging",
        "account local",
        "of 4096 bytes for names and values, and one value that Netlify does not show",
    ] {
        assert!(run.output.contains(part), "{part}:\n{}", run.output);
    }
}

#[tokio::test]
async fn site_without_variables_is_told_with_the_command_that_sets_them() {
    let project = Project::new().await;
    let run = project.run(&["env", "staging"]).await;
    run.succeeds();
    assert!(
        run.output
            .contains("no variables: `stagelink link` sets those"),
        "{}",
        run.output
    );
    assert!(
        run.errors.contains("shop-site, 0 variables"),
        "{}",
        run.errors
    );
    let set = EnvVar::new("ONE").value(Context::All, "x");
    project
        .netlify
        .set_variable("shop-site", set)
        .expect("a variable");
    let run = project.run(&["env", "staging"]).await;
    assert!(
        run.errors.contains("shop-site, 1 variable ("),
        "{}",
        run.errors
    );
}

#[tokio::test]
async fn more_than_the_limit_is_told() {
    let project = project().await;
    let large = EnvVar::new("LARGE").value(Context::Production, "x".repeat(4096));
    let set = project.netlify.set_variable("shop-site", large);
    set.expect("a variable");
    let run = project.run(&["env", "production"]).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    let line = run.output.lines().find(|line| line.starts_with("! 4"));
    assert!(line.is_some(), "{}", run.output);
}

#[tokio::test]
async fn failures_have_their_exit_codes() {
    let mut project = project().await;
    let settings = format!("{SETTINGS}\n[stages.development]\n");
    project.write("stagelink.toml", &settings);
    for (words, code, reason) in [
        (&["env", "prod", "--json"][..], 2, "has no stage"),
        (
            &["env", "development", "--json"],
            2,
            "stage development has no functions on Netlify",
        ),
        (
            &["env", "staging", "--json", "--site", "other-site"],
            1,
            "could not find the site other-site",
        ),
    ] {
        let run = project.run(words).await;
        assert_eq!(run.code, Some(code), "{words:?}: {}", run.errors);
        let error = run.json()["error"].to_string();
        assert!(error.contains(reason), "{error}");
        assert!(run.errors.contains(reason), "{}", run.errors);
    }
    let refused = Failure::Status {
        status: 403,
        retry_after: None,
    };
    // The account's variables: the site's are asked for at the same path.
    let fault = Fault::new(refused)
        .on("GET", "/api/v1/accounts/local/env")
        .times(1);
    project.netlify.control().inject(fault);
    let run = project.run(&["env", "staging", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    project.set("NETLIFY_AUTH_TOKEN", "");
    let run = project.run(&["env", "staging"]).await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
    let words = "NETLIFY_AUTH_TOKEN is not set";
    assert!(run.errors.contains(words), "{}", run.errors);
}

#[tokio::test]
async fn account_that_cannot_be_read_leaves_the_sites_own_list() {
    let mut project = project().await;
    let line = format!(
        "GET /api/v1/accounts/{}/env HTTP/1.1",
        project.netlify.account()
    );
    let url = project.netlify.url();
    let failure = RelayFailure::Status(500);
    let relay = FailingRelay::to(url, failure, move |head| head.starts_with(&line)).await;
    project.set("NETLIFY_API_URL", relay.url());
    let run = project.run(&["env", "staging", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let found = run.json();
    assert_eq!(found["is_account_known"], false);
    let names = found["variables"].as_array().expect("the variables");
    assert!(
        names.iter().any(|it| it["name"] == "STAGELINK_STAGE"),
        "{found}"
    );
    let notes = found["notes"].to_string();
    assert!(
        notes.contains("variables of the account are not known") && notes.contains("500"),
        "{notes}"
    );
}
