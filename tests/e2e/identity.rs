//! The stage mark of a database.

use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use stagelink::{Database, Error, ErrorKind, Settings, StageMark};
use stagelink_tests::{
    Auth, FunctionHarness, HerokuFixture, Identity, OwnServer, as_superuser, database, pooled,
    proxy, stagelink_command, through,
};
use tokio::process::Command;

/// Sets the mark of a fixture's own database.
async fn mark(fixture: &HerokuFixture, name: &str) {
    as_superuser(&format!(
        "ALTER DATABASE {} SET application_name = '{name}'",
        fixture.database.name()
    ))
    .await;
}

fn link(harness: &FunctionHarness) -> Database {
    Database::new(Settings::from_vars(&harness.variables))
}

/// Returns the kind of the error that refuses a connection; `None` if it is accepted.
async fn refusal(harness: &FunctionHarness) -> Option<ErrorKind> {
    let error = link(harness).client().await.err()?;
    println!("{}", error.report());
    Some(error.kind())
}

#[tokio::test]
async fn url_of_another_stage_is_refused_both_ways() {
    for (own, other) in [("staging", "production"), ("production", "staging")] {
        let mut fixture = HerokuFixture::new().await;
        let url = fixture.database.url();
        fixture.set("DATABASE_URL", &url);
        fixture.set("STAGELINK_PROVIDER", "url");
        fixture.set("STAGELINK_STAGE", own);
        mark(&fixture, &format!("stagelink:{other}")).await;
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 500, "{}", fixture.log());
        let reason = format!("is marked as stage {other}'s, and this function serves stage {own}");
        assert!(fixture.log().contains(&reason), "{}", fixture.log());
        mark(&fixture, &format!("stagelink:{own}")).await;
        assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    }
}

#[tokio::test]
async fn unmarked_database_is_accepted_with_one_warning_per_process() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_POOL_SIZE", "1");
    let function = fixture.function("health").await;
    for _ in 0..3 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        as_superuser(&stagelink_tests::end_sessions(fixture.database.role())).await;
    }
    function.shutdown().await;
    let log = fixture.log();
    assert_eq!(log.matches("has no stage mark").count(), 1, "{log}");
}

#[tokio::test]
async fn unmarked_database_is_refused_where_a_mark_is_required() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_REQUIRE_MARK", "true");
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    assert!(fixture.log().contains("stagelink mark set --stage staging"));
    // An application name is no mark.
    mark(&fixture, "psql").await;
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    mark(&fixture, "stagelink:staging").await;
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
}

#[tokio::test]
async fn changed_mark_applies_to_the_next_connection() {
    let fixture = HerokuFixture::new().await;
    for (name, expected) in [
        ("stagelink:staging", None),
        ("stagelink:review", Some(ErrorKind::WrongDatabase)),
        ("stagelink:staging", None),
    ] {
        mark(&fixture, name).await;
        assert_eq!(refusal(&fixture).await, expected, "{name}");
    }
}

#[tokio::test]
async fn mark_is_read_through_a_pooler_despite_its_clients_names() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    for (own, expected) in [
        ("staging", None),
        ("production", Some(ErrorKind::WrongDatabase)),
    ] {
        let name = database.name();
        let mark = format!("ALTER DATABASE {name} SET application_name = 'stagelink:{own}'");
        server.run(&mark).await;
        // A pooler reports the values that it found when it was started.
        let bouncer = server.bouncer(&[&database], server.identity()).await;
        let url = pooled(&bouncer, &database);
        let link = |url: &str| {
            Database::new(Settings::from_vars([
                ("STAGELINK_STAGE", "staging"),
                ("DATABASE_URL", url),
                ("STAGELINK_REQUIRE_MARK", "true"),
                ("STAGELINK_SERVER_PIN", &server.identity().pin()),
            ]))
        };
        // This client leaves its name on the connection that all clients share.
        if let Ok(db) = link(&format!("{url}?application_name=psql")).client().await {
            db.query_typed("SELECT 1", &[]).await.expect("an answer");
        }
        for _ in 0..2 {
            let refused = link(&url).client().await.err();
            assert_eq!(refused.map(|error| error.kind()), expected, "{own}");
        }
        bouncer.stop().await.expect("it stops");
    }
}

#[tokio::test]
async fn mark_check_costs_no_round_trip_unless_another_setting_hides_the_mark() {
    let mut costs = Vec::new();
    for (name, query) in [
        ("", ""),
        ("stagelink:staging", ""),
        ("stagelink:staging", "?application_name=shop"),
        ("stagelink:staging", "?options=-c%20application_name%3Dshop"),
    ] {
        let proxy = proxy().await;
        let fixture = HerokuFixture::new().await;
        mark(&fixture, name).await;
        let url = format!("{}{query}", through(&proxy, &fixture.database.url()));
        fixture.set_url(&url);
        let db = link(&fixture).client().await.expect("a connection");
        db.query_typed("SELECT 1", &[]).await.expect("an answer");
        costs.push(proxy.round_trips());
    }
    let [unmarked, marked, named, hidden] = costs[..] else {
        unreachable!("there are four");
    };
    assert_eq!([unmarked, named, hidden], [marked, marked, marked + 1]);
}

#[tokio::test]
async fn hidden_mark_is_found() {
    let fixture = HerokuFixture::new().await;
    let hiding = "?options=-c%20application_name%3Dshop";
    fixture.set_url(&format!("{}{hiding}", fixture.database.url()));
    mark(&fixture, "stagelink:production").await;
    assert_eq!(refusal(&fixture).await, Some(ErrorKind::WrongDatabase));
    mark(&fixture, "stagelink:staging").await;
    assert_eq!(refusal(&fixture).await, None);
    // A setting of the role overrides the database's.
    fixture.set_url(&fixture.database.url());
    let role = fixture.database.role();
    as_superuser(&format!("ALTER ROLE {role} SET application_name = 'shop'")).await;
    assert_eq!(refusal(&fixture).await, None);
    mark(&fixture, "stagelink:production").await;
    assert_eq!(refusal(&fixture).await, Some(ErrorKind::WrongDatabase));
}

#[tokio::test]
async fn session_has_its_application_name_from_the_first_statement() {
    for (query, name) in [("", "guestbook"), ("?application_name=it%27s", "it's")] {
        let mut fixture = HerokuFixture::new().await;
        mark(&fixture, "stagelink:staging").await;
        fixture.set("AWS_LAMBDA_FUNCTION_NAME", "guestbook");
        fixture.set_url(&format!("{}{query}", fixture.database.url()));
        let db = link(&fixture).client().await.expect("a connection");
        let row = db
            .query_typed_one("SELECT current_setting('application_name')", &[])
            .await;
        assert_eq!(row.expect("a name").get::<_, &str>(0), name);
    }
}

#[tokio::test]
async fn write_skips_a_server_that_reports_read_only() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    let old = database().await;
    as_superuser(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        old.name()
    ))
    .await;
    let credentials = format!("staging={}", through(&proxy, &old.url()));
    fixture.set("STAGELINK_CREDENTIALS", &credentials);
    let link = link(&fixture);
    let tries = &AtomicUsize::new(0);
    let written = link
        .write(|db| async move {
            tries.fetch_add(1, Ordering::SeqCst);
            let row = db.query_typed_one("SELECT current_database()", &[]).await?;
            Ok::<String, Error>(row.get(0))
        })
        .await;
    assert_eq!(written.expect("a write"), fixture.database.name());
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

/// Runs the command `stagelink mark` with these arguments on the fixture's database.
async fn command(fixture: &HerokuFixture, words: &[&str]) -> Output {
    Command::new(stagelink_command().await)
        .arg("mark")
        .args(words)
        .env_clear()
        .envs(&fixture.variables)
        .output()
        .await
        .expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    assert!(!text.contains(stagelink_tests::CANARY), "{text}");
    text
}

#[tokio::test]
async fn command_shows_sets_replaces_and_removes_the_mark() {
    let fixture = HerokuFixture::new().await;
    let shown = command(&fixture, &["show"]).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("none"));

    let set = command(&fixture, &["set", "--stage", "staging", "--json"]).await;
    assert!(set.status.success(), "{}", text(&set.stderr));
    let found: serde_json::Value = serde_json::from_slice(&set.stdout).expect("JSON");
    assert_eq!(found["mark"], "staging");
    assert_eq!(found["proved_by"], "SCRAM channel binding");
    assert!(
        found["pin"]
            .as_str()
            .expect("a pin")
            .starts_with("sha256//")
    );
    assert_eq!(refusal(&fixture).await, None);

    mark(&fixture, "stagelink:production").await;
    let refused = command(&fixture, &["set"]).await;
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("--replace"));
    let shown = command(&fixture, &["show"]).await;
    assert!(text(&shown.stdout).contains("functions of stage staging refuse it"));
    let replaced = command(&fixture, &["set", "--replace"]).await;
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let found = link(&fixture).inspect().await.expect("an answer");
    assert_eq!(found.mark, StageMark::Of(stagelink::Stage::Staging));

    assert!(command(&fixture, &["remove"]).await.status.success());
    let found = link(&fixture).inspect().await.expect("an answer");
    assert_eq!(found.mark, StageMark::None);
}

#[tokio::test]
async fn role_that_does_not_own_the_database_cannot_mark_it() {
    let fixture = HerokuFixture::new().await;
    let (name, role) = (fixture.database.name(), fixture.database.role());
    as_superuser(&format!("ALTER DATABASE {name} OWNER TO postgres")).await;
    as_superuser(&format!("GRANT CONNECT ON DATABASE {name} TO {role}")).await;
    let error = link(&fixture)
        .set_stage_mark()
        .await
        .expect_err("it is not its own");
    assert!(error.to_string().contains("takes its owner"), "{error}");
}
