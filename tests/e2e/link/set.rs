//! Variables that the command sets, and variables that it leaves alone.

use std::collections::BTreeMap;

use stagelink::{Database, Settings, Stage, StageMark};
use stagelink_local::heroku::Stage as HerokuStage;
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar};
use stagelink_tests::{Auth, Identity, OwnServer, database};

use super::{Site, contexts, mark, staging};

#[tokio::test]
async fn each_context_gets_its_stages_database_and_functions_reach_it() {
    let site = Site::new().await;
    mark(&site.production, "production").await;
    let linked = site.link_successfully(&["--yes"]).await;
    for words in ["production", "branch:staging", "(a secret)", "its own"] {
        assert!(linked.output.contains(words), "{words}\n{}", linked.output);
    }
    assert!(linked.output.contains("stagelink mark set --stage staging"));
    for (context, stage, own) in [
        (Context::Production, Stage::PRODUCTION, &site.production),
        (staging(), Stage::STAGING, &site.staging),
    ] {
        let link = Database::new(Settings::from_vars(site.functions_in(&context)));
        let found = link.inspect().await.expect("a database");
        assert_eq!(found.stage, stage);
        assert_eq!(found.database, own.name());
        let required = site
            .functions_in(&context)
            .contains_key("STAGELINK_REQUIRE_MARK");
        assert_eq!(required, found.mark == StageMark::Of(stage), "{stage}");
    }
    for context in [Context::DeployPreview, Context::BranchDeploy] {
        let variables = site.functions_in(&context);
        let [(name, stage)] = variables.iter().collect::<Vec<_>>()[..] else {
            panic!("{context} has more than its stage");
        };
        assert_eq!(
            (name.as_str(), stage.as_str()),
            ("STAGELINK_STAGE", "review")
        );
    }
    assert!(site.functions_in(&Context::Dev).is_empty());
    for context in contexts() {
        assert!(site.environment(&context, EnvScope::Builds).is_empty());
    }
    for variable in site.netlify.variables("shop-site").expect("the site") {
        let holds_one = variable.key() == "STAGELINK_CREDENTIALS";
        assert_eq!(variable.is_secret(), holds_one, "{}", variable.key());
    }
}

#[tokio::test]
async fn direct_tls_is_set_for_the_stages_whose_server_supports_it() {
    let site = Site::new().await;
    let newer = "npm:17".parse().expect("a source");
    let identity = Identity::self_signed();
    for server in [
        OwnServer::start(&identity).await,
        OwnServer::from_source(newer, &identity).await,
    ] {
        let url = server.database(Auth::Scram).await.url();
        site.heroku
            .set_config_var("shop-staging", "DATABASE_URL", &url)
            .expect("a config var");
        site.link_successfully(&["--yes"]).await;
        let variables = site.functions_in(&staging());
        let set = variables.get("STAGELINK_DIRECT_TLS").map(String::as_str);
        let major = server.major();
        assert_eq!(set, (major >= 17).then_some("true"), "Postgres {major}");
    }
}

#[tokio::test]
async fn token_of_a_stage_lets_its_functions_outlive_a_rotation() {
    let mut site = Site::new().await;
    let token = site.token("STAGING_TOKEN", &["shop-staging"]);
    site.link_successfully(&["--yes", "--token-for", "staging=STAGING_TOKEN"])
        .await;
    let mut variables = site.functions_in(&staging());
    assert_eq!(variables["HEROKU_API_KEY"], token);
    assert_eq!(variables["STAGELINK_HEROKU_PIPELINE"], "shop");
    // The URL in the deploy-time credentials is stale.
    let (url, _) = variables["STAGELINK_CREDENTIALS"]
        .split_once("#scram=")
        .expect("what SCRAM makes of the password is sealed with it");
    let stale = url.replace("c4n4ry", "old-c4n4ry");
    variables.insert("STAGELINK_CREDENTIALS".to_owned(), stale);
    let link = Database::new(Settings::from_vars(variables));
    link.client().await.expect("the new URL");
    let secret = site.netlify.variables("shop-site").expect("the site");
    let key = secret.iter().find(|of| of.key() == "HEROKU_API_KEY");
    assert!(key.is_some_and(EnvVar::is_secret));
}

#[tokio::test]
async fn preview_with_a_token_asks_for_its_pull_request_and_has_no_deploy_time_credentials() {
    let mut site = Site::new().await;
    let shared = database().await;
    site.heroku.create_app("shop-shared").expect("an app");
    site.heroku
        .couple("shop", "shop-shared", HerokuStage::Review)
        .expect("a coupling");
    site.heroku
        .set_config_var("shop-shared", "DATABASE_URL", &shared.url())
        .expect("a config var");
    site.token("REVIEW_TOKEN", &["shop-shared"]);
    let words = ["--yes", "--app", "review=shop-shared"];
    site.link_successfully(&words).await;
    let credentials = site.functions_in(&Context::DeployPreview);
    assert!(credentials["STAGELINK_CREDENTIALS"].starts_with("review="));

    let with_token = [&words[..], &["--token-for", "review=REVIEW_TOKEN"]].concat();
    let linked = site.link_successfully(&with_token).await;
    assert!(linked.output.contains("removed"), "{}", linked.output);
    let variables = site.functions_in(&Context::DeployPreview);
    assert!(!variables.contains_key("STAGELINK_CREDENTIALS"));
    assert_eq!(variables["STAGELINK_HEROKU_APP"], "shop-shared");
    let found = Database::new(Settings::from_vars(variables))
        .inspect()
        .await;
    assert_eq!(found.expect("a database").database, shared.name());
    assert_eq!(site.functions_in(&Context::BranchDeploy).len(), 1);
}

#[tokio::test]
async fn second_run_changes_only_the_differences() {
    let site = Site::new().await;
    let foreign = EnvVar::new("GREETING").value(Context::All, "hello");
    let own = EnvVar::new("STAGELINK_STAGE")
        .value(Context::Production, "staging")
        .value(Context::Dev, "development")
        .value(Context::Branch("feature".to_owned()), "development");
    for variable in [foreign, own] {
        site.netlify
            .set_variable("shop-site", variable)
            .expect("the site");
    }
    site.link_successfully(&["--yes"]).await;
    let before = site.all();
    let dev = site.functions_in(&Context::Dev);
    assert_eq!(dev["STAGELINK_STAGE"], "development");
    assert_eq!(dev["GREETING"], "hello");
    let feature = site.functions_in(&Context::Branch("feature".to_owned()));
    assert_eq!(feature["STAGELINK_STAGE"], "development");

    let again = site.link_successfully(&["--yes", "--json"]).await.json();
    assert!(site.all() == before, "something is different");
    for row in again["variables"].as_array().expect("variables") {
        let expected = match row["variable"].as_str() {
            Some("STAGELINK_CREDENTIALS") => "set again",
            _ => "unchanged",
        };
        assert_eq!(row["change"], expected, "{row}");
    }

    let moved = database().await;
    site.heroku
        .set_config_var("shop-staging", "DATABASE_URL", &moved.url())
        .expect("a config var");
    site.link_successfully(&["--yes"]).await;
    let credentials = &site.functions_in(&staging())["STAGELINK_CREDENTIALS"];
    let begins = format!("staging={}#", moved.url());
    assert!(credentials.starts_with(&begins), "the old one");
}

#[tokio::test]
async fn variable_of_the_former_name_is_shown_and_removed() {
    let site = Site::new().await;
    let former = EnvVar::new("STAGELINK_SEALED")
        .value(Context::Production, "production=postgres://u:c4n4ry@h/d")
        .value(staging(), "staging=postgres://u:c4n4ry@h/d")
        .secret();
    site.netlify
        .set_variable("shop-site", former)
        .expect("the site");
    let removed = async |words: &[&str]| {
        let linked = site.link_successfully(words).await.json();
        let rows = linked["variables"].as_array().expect("variables").clone();
        let of_former = rows
            .into_iter()
            .filter(|row| row["variable"] == "STAGELINK_SEALED");
        of_former
            .map(|row| {
                assert_eq!(row["change"], "removed");
                row["context"].as_str().expect("a context").to_owned()
            })
            .collect::<Vec<_>>()
    };
    let both = ["production", "branch:staging"];
    assert_eq!(removed(&["--dry-run", "--json"]).await, both);
    let has_former = |context| site.functions_in(&context).contains_key("STAGELINK_SEALED");
    assert!(has_former(Context::Production) && has_former(staging()));

    let one = ["--yes", "--json", "--stage", "staging"];
    assert_eq!(removed(&one).await, both[1..]);
    assert!(has_former(Context::Production) && !has_former(staging()));
    assert_eq!(removed(&["--yes", "--json"]).await, both[..1]);
    assert!(!has_former(Context::Production));
    let link = Database::new(Settings::from_vars(site.functions_in(&staging())));
    link.inspect().await.expect("functions start");
}

#[tokio::test]
async fn single_stage_leaves_the_others_unchanged() {
    let site = Site::new().await;
    let words = ["--yes", "--stage", "staging", "--staging-branch", "next"];
    site.link_successfully(&words).await;
    let next = Context::Branch("next".to_owned());
    assert_eq!(site.functions_in(&next)["STAGELINK_STAGE"], "staging");
    for context in contexts() {
        assert!(site.functions_in(&context).is_empty(), "{context}");
    }
}

#[tokio::test]
async fn dry_run_and_missing_consent_set_nothing() {
    let site = Site::new().await;
    let linked = site.link_successfully(&["--dry-run"]).await;
    assert!(linked.output.contains("nothing was set"));
    let linked = site
        .link_successfully(&["--dry-run", "--json"])
        .await
        .json();
    assert_eq!(linked["is_set"], false);
    assert_eq!(linked["site"], "shop-site");
    site.assert_refused(&[], &["add --yes"]).await;
}

#[tokio::test]
async fn lines_for_the_netlify_command_line_hold_no_secret_and_set_nothing() {
    let mut site = Site::new().await;
    site.token("STAGING_TOKEN", &["shop-staging"]);
    let words = ["--print", "--token-for", "staging=STAGING_TOKEN"];
    let linked = site.link_successfully(&words).await;
    for line in [
        "variable \"$site\" STAGELINK_CREDENTIALS functions secret set production \
         \"$STAGELINK_CREDENTIALS_PRODUCTION\" set branch:staging \"$STAGELINK_CREDENTIALS_STAGING\"",
        "HEROKU_API_KEY functions secret set branch:staging \"$STAGING_TOKEN\"",
        "STAGELINK_STAGE functions set production production set branch:staging staging",
    ] {
        assert!(linked.output.contains(line), "{line}\n{}", linked.output);
    }
    assert!(site.writes().is_empty());
    site.variables.remove("NETLIFY_AUTH_TOKEN");
    let without = site.link_successfully(&words).await;
    for line in [
        "netlify_link unmoved \"$site\" production branch:staging deploy-preview",
        "STAGELINK_CREDENTIALS functions secret remove deploy-preview remove branch-deploy remove all \
         set production",
        "STAGELINK_SERVER_PIN remove production remove branch:staging remove deploy-preview",
        "STAGELINK_SEALED remove production remove 'branch:*'",
    ] {
        assert!(without.output.contains(line), "{line}\n{}", without.output);
    }
}

#[tokio::test]
async fn netlify_plan_without_scopes_is_reported_and_can_be_accepted() {
    let site = Site::new().await;
    site.netlify.set_scopes(false);
    let linked = site.link(&["--yes"]).await;
    assert!(!linked.succeeded);
    assert!(
        linked.errors.contains("--without-scopes"),
        "{}",
        linked.errors
    );
    assert!(site.all().iter().all(BTreeMap::is_empty));
    let linked = site.link_successfully(&["--yes", "--without-scopes"]).await;
    assert!(linked.output.contains("builds too"), "{}", linked.output);
    let built = site.environment(&staging(), EnvScope::Builds);
    assert!(built["STAGELINK_CREDENTIALS"].starts_with("staging="));
}
