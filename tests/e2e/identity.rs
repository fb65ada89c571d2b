//! The stage mark of a database.

use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use stagelink::{Client, Database, Error, ErrorKind, Settings, StageMark};
use stagelink_local_postgres::Database as OwnDatabase;
use stagelink_tests::{
    Auth, FunctionHarness, HerokuFixture, Identity, NETWORK_DELAY, OwnServer, PATIENT,
    as_superuser, database, expect_count, pooled, proxy, server, stagelink_command, through,
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

/// A way to begin a session with another `application_name` than the database's own.
#[derive(Clone, Copy, Debug)]
struct Disguise {
    /// Statements that set it for the role; `NAME` stands for the name.
    statements: &'static str,
    /// Parameters of the URL that set it.
    query: &'static str,
}

const DISGUISES: [Disguise; 6] = [
    Disguise {
        statements: "",
        query: "?application_name=NAME",
    },
    Disguise {
        statements: "",
        query: "?options=-c%20application_name%3DNAME",
    },
    Disguise {
        statements: "",
        query: "?options=--application_name%3DNAME",
    },
    Disguise {
        statements: "ALTER ROLE ROLE SET application_name = 'NAME'",
        query: "",
    },
    Disguise {
        statements: "ALTER ROLE ROLE IN DATABASE DATABASE SET application_name = 'NAME'",
        query: "",
    },
    Disguise {
        statements: "ALTER ROLE ALL SET application_name = 'NAME'",
        query: "",
    },
];

impl Disguise {
    /// Lets sessions of this database's role begin with a name, and takes other names from them.
    /// Returns the URL to use.
    async fn put_on(self, server: &OwnServer, database: &OwnDatabase, name: &str) -> String {
        let (own, role) = (database.name(), database.role());
        server
            .run(&format!(
                "ALTER ROLE ALL RESET application_name; \
                 ALTER ROLE {role} RESET application_name; \
                 ALTER ROLE {role} IN DATABASE {own} RESET application_name"
            ))
            .await;
        let fill = |text: &str| {
            let text = text.replace("ROLE ROLE", &format!("ROLE {role}"));
            let text = text.replace("DATABASE DATABASE", &format!("DATABASE {own}"));
            text.replace("NAME", name)
        };
        if !self.statements.is_empty() {
            server.run(&fill(self.statements)).await;
        }
        format!("{}{}", database.url(), fill(self.query))
    }
}

/// Opens a database as a function of stage staging, with these variables, whose marks are
/// required.
async fn open(url: &str, variables: &[(&str, &str)]) -> Result<Client, Error> {
    let needed = [
        ("STAGELINK_STAGE", "staging"),
        ("DATABASE_URL", url),
        ("STAGELINK_REQUIRE_MARK", "true"),
        ("STAGELINK_DANGER_UNAUTHENTICATED", "true"),
    ];
    let variables = needed.iter().chain(&PATIENT).chain(variables).copied();
    Database::new(Settings::from_vars(variables)).client().await
}

#[tokio::test]
async fn name_of_a_session_is_no_mark_and_hides_none() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let wrong = Some(ErrorKind::WrongDatabase);
    for auth in [Auth::Scram, Auth::Md5, Auth::Cleartext, Auth::Trust] {
        let database = server.database(auth).await;
        for (mark, name, expected) in [
            ("stagelink:production", "stagelink:staging", wrong),
            ("psql", "stagelink:staging", wrong),
            ("", "stagelink:staging", wrong),
            ("stagelink:staging", "stagelink:production", None),
            ("stagelink:staging", "shop", None),
        ] {
            let own = database.name();
            let statement = format!("ALTER DATABASE {own} SET application_name = '{mark}'");
            server.run(&statement).await;
            for disguise in DISGUISES {
                let url = disguise.put_on(&server, &database, name).await;
                for variables in [
                    &[][..],
                    &[("STAGELINK_EARLY_SCRAM", "false")],
                    &[("STAGELINK_POOLER", "never")],
                    &[("STAGELINK_POOLER", "always")],
                ] {
                    let refused = open(&url, variables).await.err();
                    let place =
                        format!("{auth:?}: {mark:?} as {name:?}, {disguise:?}, {variables:?}");
                    assert_eq!(refused.map(|error| error.kind()), expected, "{place}");
                }
            }
        }
    }
}

#[tokio::test]
async fn function_refuses_a_database_whose_mark_its_url_or_role_overrides() {
    for (query, is_of_role) in [
        (
            "?options=-c%20application_name%3Dstagelink%3Astaging",
            false,
        ),
        ("", true),
    ] {
        let fixture = HerokuFixture::new().await;
        mark(&fixture, "stagelink:production").await;
        fixture.set_url(&format!("{}{query}", fixture.database.url()));
        if is_of_role {
            let role = fixture.database.role();
            let own = "SET application_name = 'stagelink:staging'";
            as_superuser(&format!("ALTER ROLE {role} {own}")).await;
        }
        assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
        let reason = "is marked as stage production's, and this function serves stage staging";
        assert!(fixture.log().contains(reason), "{}", fixture.log());
        let shown = command(&fixture, &["show"]).await;
        let shown = text(&shown.stdout);
        assert!(
            shown.contains("functions of stage staging refuse it"),
            "{shown}"
        );
        let set = command(&fixture, &["set"]).await;
        assert!(!set.status.success() && text(&set.stderr).contains("--replace"));
    }
}

#[tokio::test]
async fn mark_check_costs_no_round_trip() {
    expect_count("all cost the same", true, async || {
        let mut costs = Vec::new();
        for (name, query) in [
            ("", ""),
            ("stagelink:staging", ""),
            ("stagelink:staging", "?application_name=shop"),
            ("stagelink:staging", "?options=-c%20application_name%3Dshop"),
        ] {
            let proxy = proxy().await;
            proxy.delay(NETWORK_DELAY);
            let fixture = HerokuFixture::new().await;
            mark(&fixture, name).await;
            let url = format!("{}{query}", through(&proxy, &fixture.database.url()));
            fixture.set_url(&url);
            let db = link(&fixture).client().await.expect("a connection");
            db.query_typed("SELECT 1", &[]).await.expect("an answer");
            costs.push(proxy.round_trips());
        }
        println!("round trips: {costs:?}");
        costs == [costs[0]; 4]
    })
    .await;
}

#[tokio::test]
async fn functions_and_operators_of_the_database_cannot_stand_in_for_the_catalog() {
    let fixture = HerokuFixture::new().await;
    mark(&fixture, "stagelink:production").await;
    let admin = server().await.connect_as_superuser_to(&fixture.database);
    admin
        .await
        .expect("a superuser")
        .batch_execute(
            "CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO PUBLIC; \
             CREATE FUNCTION fake.array_to_string(text[], text) RETURNS text \
             LANGUAGE sql AS $$ SELECT 'application_name=stagelink:staging' $$; \
             CREATE FUNCTION fake.current_database() RETURNS name \
             LANGUAGE sql AS $$ SELECT 'postgres'::name $$; \
             CREATE FUNCTION fake.always(oid, int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$; \
             CREATE OPERATOR fake.= (LEFTARG = oid, RIGHTARG = int, FUNCTION = fake.always); \
             CREATE TABLE fake.pg_database AS SELECT 1::oid AS oid, current_database() AS datname; \
             CREATE TABLE fake.pg_db_role_setting AS SELECT 1::oid AS setdatabase, 0::oid AS setrole, \
             ARRAY['application_name=stagelink:staging'] AS setconfig; \
             GRANT SELECT ON ALL TABLES IN SCHEMA fake TO PUBLIC",
        )
        .await
        .expect("a schema");
    let path = "?options=-c%20search_path%3Dfake%2Cpg_catalog";
    fixture.set_url(&format!("{}{path}", fixture.database.url()));
    assert_eq!(refusal(&fixture).await, Some(ErrorKind::WrongDatabase));
    let found = link(&fixture).inspect().await.expect("an answer");
    assert_eq!(found.mark, StageMark::Of(stagelink::Stage::PRODUCTION));
    mark(&fixture, "stagelink:staging").await;
    assert_eq!(refusal(&fixture).await, None);
}

#[tokio::test]
async fn mark_that_the_role_may_not_read_is_an_error_and_not_a_missing_mark() {
    let fixture = HerokuFixture::new().await;
    mark(&fixture, "stagelink:production").await;
    let admin = server().await.connect_as_superuser_to(&fixture.database);
    let admin = admin.await.expect("a superuser");
    let catalog = "pg_catalog.pg_db_role_setting";
    let role = fixture.database.role();
    let revoke = format!("REVOKE SELECT ON {catalog} FROM PUBLIC");
    admin.batch_execute(&revoke).await.expect("it is revoked");
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    let log = fixture.log();
    let advice = format!("give role {role} the right to SELECT from {catalog}");
    for words in [
        "could not read the stage mark of database",
        &advice,
        "permission denied",
    ] {
        assert!(log.contains(words), "{words:?} is not in the log:\n{log}");
    }
    let grant = format!("GRANT SELECT ON {catalog} TO {role}");
    admin.batch_execute(&grant).await.expect("it is granted");
    assert_eq!(refusal(&fixture).await, Some(ErrorKind::WrongDatabase));
    mark(&fixture, "stagelink:staging").await;
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
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
    let kept = command(&fixture, &["remove"]).await;
    assert!(!kept.status.success(), "another stage's mark stays");
    assert!(text(&kept.stderr).contains("--replace"));
    let replaced = command(&fixture, &["set", "--replace"]).await;
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let found = link(&fixture).inspect().await.expect("an answer");
    assert_eq!(found.mark, StageMark::Of(stagelink::Stage::STAGING));

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
