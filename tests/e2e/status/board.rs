//! `stagelink status`: what it shows of a pipeline that answers.

use std::collections::BTreeSet;

use stagelink_local::netlify_api::{Context, EnvScope, EnvVar};
use stagelink_tests::CANARY;

use super::{Project, branch, mark};

const FIRST: &str = "1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SECOND: &str = "2222222bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A project whose staging is ahead of production by a commit and a migration.
async fn project() -> Project {
    let project = Project::new().await;
    project.mark().await;
    project.write("migrations/V1__a.sql", "CREATE TABLE a ()");
    for stage in ["staging", "production"] {
        let run = project.run(&["migrate", stage, "--yes"]).await;
        assert_eq!(run.code, Some(0), "{}", run.errors);
    }
    project.write("migrations/V2__b.sql", "CREATE TABLE b ()");
    let run = project.run(&["migrate", "staging", "--yes"]).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    project.build(branch("staging"), "staging", SECOND);
    project.build(Context::Production, "main", FIRST);
    // Newer than both deploys.
    let secret = EnvVar::new("STAGELINK_CREDENTIALS")
        .value(
            Context::Production,
            format!("production=postgres://u:{CANARY}@h/d"),
        )
        .value(
            branch("staging"),
            format!("staging=postgres://u:{CANARY}@h/d"),
        )
        .scopes([EnvScope::Functions])
        .secret();
    let set = project.netlify.set_variable("shop-site", secret);
    set.expect("a variable");
    let key = EnvVar::new("HEROKU_API_KEY")
        .value(Context::Production, CANARY)
        .value(branch("staging"), CANARY)
        .scopes([EnvScope::Functions])
        .secret();
    let set = project.netlify.set_variable("shop-site", key);
    set.expect("a variable");
    let pipeline = EnvVar::new("STAGELINK_HEROKU_PIPELINE").value(Context::All, "shop");
    let set = project.netlify.set_account_variable(pipeline);
    set.expect("a variable");
    project.heroku.clear_requests();
    project
}

#[tokio::test]
async fn board_shows_code_database_migrations_credentials_and_differences() {
    let project = project().await;
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}\n{}", run.output, run.errors);
    let board = run.json();
    assert_eq!(board["version"], 1);
    assert_eq!(board["site"]["value"], "shop-site");
    let [staging, production] = ["staging", "production"].map(|name| {
        let stages = board["stages"].as_array().expect("the stages");
        let found = stages.iter().find(|stage| stage["stage"] == name);
        found.unwrap_or_else(|| panic!("{name}: {board}")).clone()
    });
    let code = &production["code"]["value"];
    assert_eq!(code["commit"], FIRST);
    assert_eq!(code["branch"], "main");
    assert_eq!(code["title"], "Work on main");
    assert_eq!(code["method"], "git");
    assert_eq!(code["is_locked"], false);
    assert_eq!(staging["code"]["value"]["commit"], SECOND);
    for (stage, database) in [
        (&staging, &project.staging),
        (&production, &project.production),
    ] {
        assert_eq!(stage["plan"]["value"], "heroku-postgresql:essential-0");
        let found = &stage["database"]["value"];
        assert_eq!(found["database"], database.name());
        assert_eq!(found["host_kind"], "this machine");
        assert_eq!(found["mark"], stage["stage"]);
        assert_eq!(found["is_of_another_stage"], false);
        assert_eq!(stage["login"]["value"]["works"], true);
        let credentials = &stage["function_credentials"]["value"];
        assert_eq!(credentials["source"], "deploy-time");
        assert_eq!(credentials["renewed_by"], "heroku");
        // The value of the other stage's context may be the one that was changed.
        assert_eq!(credentials["is_newer_than_deploy"], serde_json::Value::Null);
        assert_eq!(credentials["has_other_contexts"], true);
    }
    let pending = &production["migrations"]["value"]["pending"]["value"];
    assert_eq!(pending, &serde_json::json!(["V2__b"]));
    let applied = &staging["migrations"]["value"]["applied"];
    assert_eq!(applied, &serde_json::json!(["V1__a", "V2__b"]));
    let differences = board["differences"].as_array().expect("the differences");
    let texts: Vec<_> = differences.iter().map(|it| it["text"].clone()).collect();
    assert_eq!(
        texts,
        [
            "staging runs commit 2222222, and production runs 1111111",
            "V2__b is applied in staging and pending in production",
        ]
    );
}

#[tokio::test]
async fn status_of_two_stages_costs_four_calls_of_netlify_and_six_of_heroku() {
    let project = project().await;
    let run = project.run(&["status"]).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    let netlify: Vec<_> = project.netlify_requests.requests();
    let paths: Vec<_> = netlify.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(netlify.len(), 4, "{paths:?}");
    assert!(netlify.iter().all(|request| request.method == "GET"));
    let heroku = project.heroku.requests();
    assert_eq!(heroku.len(), 6, "{heroku:#?}");
    // None is asked for twice.
    let paths: BTreeSet<_> = heroku.iter().map(|request| &request.path).collect();
    assert_eq!(paths.len(), 6, "{heroku:#?}");
    assert!(heroku.iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn table_fits_its_width_and_has_colors_only_where_they_are_wanted() {
    let mut project = project().await;
    let published = project.build(Context::Production, "main", FIRST);
    assert!(project.netlify.set_lock(&published, true));
    for columns in ["80", "120"] {
        project.set("COLUMNS", columns);
        let run = project.run(&["status"]).await;
        assert_eq!(run.code, Some(0), "{}", run.errors);
        let width: usize = columns.parse().expect("a number");
        for part in [
            "site shop-site",
            "staging",
            "1111111 of main",
            "locked: newer deploys",
            "marked as production's",
            "1 pending: V2__b",
            "! V2__b is applied in staging and pending in production",
        ] {
            assert!(run.output.contains(part), "{part}:\n{}", run.output);
        }
        let table = run.output.lines().filter(|line| line.starts_with('│'));
        for line in table {
            assert!(line.chars().count() <= width, "{line}");
        }
    }
    project.set("COLUMNS", "40");
    let run = project.run(&["status"]).await;
    let mut table = run.output.lines().filter(|line| line.starts_with('│'));
    assert!(
        table.all(|line| line.chars().count() <= 40),
        "{}",
        run.output
    );
}

#[tokio::test]
async fn overridden_rules_are_shown_with_their_reasons() {
    let project = Project::new().await;
    project.mark().await;
    project.write("migrations/V1__a.sql", "CREATE TABLE a (b int, c int)");
    let run = project.run(&["migrate", "staging", "--yes"]).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    project.write("migrations/V2__b.sql", "ALTER TABLE a DROP COLUMN c");
    let words = [
        "migrate",
        "staging",
        "--yes",
        "--override",
        "ban-drop-column",
    ];
    for odd in [
        "a\nFORGED",
        "a\u{1b}[2J",
        "\u{202e}a",
        "\u{200b}",
        &"a".repeat(10_000),
    ] {
        let run = project
            .run(&[&words[..], &["--reason", odd]].concat())
            .await;
        assert_eq!(run.code, Some(2), "{}", run.errors);
        assert!(run.errors.contains("reason"), "{}", run.errors);
    }
    let reason = "it's \"unused\"; DROP TABLE a; --";
    let run = project
        .run(&[&words[..], &["--reason", reason]].concat())
        .await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    let run = project.run(&["status", "staging", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let board = run.json();
    let overridden = &board["stages"][0]["migrations"]["value"]["overridden"][0];
    assert_eq!(overridden["rule"], "ban-drop-column", "{board}");
    assert_eq!(overridden["reason"], reason);
    let history = &board["stages"][0]["migrations"]["value"]["history"];
    let classes = [0, 1].map(|number| history[number]["class"].as_str());
    assert_eq!(classes, [Some("before"), Some("after")], "{history}");
    let run = project.run(&["status", "staging"]).await;
    for words in ["V2__b overrode", "by class: 1 before, 1 after"] {
        assert!(run.output.contains(words), "{words}: {}", run.output);
    }
}

#[tokio::test]
async fn database_of_another_stage_is_told_and_its_migrations_are_not_known() {
    let project = Project::new().await;
    mark(&project.staging, "production").await;
    let run = project.run(&["status"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let words = "✗ marked as production's";
    assert!(run.output.contains(words), "{}", run.output);
    // What was never marked is no failure, and says how it is marked.
    let words = "stagelink mark set --stage";
    assert!(run.output.contains(words), "{}", run.output);
}

#[tokio::test]
async fn stages_are_those_of_the_file_of_the_arguments_or_of_the_environment() {
    let mut project = Project::new().await;
    let stages = |json: serde_json::Value| {
        let stages = json["stages"].as_array().expect("the stages").clone();
        let names = stages
            .iter()
            .map(|it| it["stage"].as_str().map(str::to_owned));
        names.map(|name| name.expect("a name")).collect::<Vec<_>>()
    };
    let run = project.run(&["status", "production", "--json"]).await;
    assert_eq!(stages(run.json()), ["production"]);
    std::fs::remove_file(project.folder.path().join("stagelink.toml")).expect("the file");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
    let error = run.json()["error"].to_string();
    assert!(error.contains("no stage is known"), "{error}");
    project.set("STAGELINK_HEROKU_PIPELINE", "shop");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(stages(run.json()), ["staging", "production"]);
    assert_eq!(run.code, Some(0), "{}", run.output);
    let reason = run.json()["site"]["reason"].to_string();
    assert!(reason.contains("no Netlify site is named"), "{reason}");
    for (name, value) in [
        ("STAGELINK_PROVIDER", "url"),
        ("DATABASE_URL", &project.staging.url()),
    ] {
        project.set(name, value);
    }
    let run = project.run(&["status"]).await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
    let words = "STAGELINK_PROVIDER=url of the environment knows one database";
    assert!(run.errors.contains(words), "{}", run.errors);
}
