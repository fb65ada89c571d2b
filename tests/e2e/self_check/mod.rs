//! The self-check of functions as processes, at a real Postgres.

mod direct_invoke;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use openssl::sha::sha256;
use serde_json::{Value, json};
use stagelink::self_check::{
    HEADER, SelfCheckKey, SelfCheckReport, SelfCheckRequest, VARIABLE, nonce, path,
};
use stagelink::{Database, Settings, Stage};
use stagelink_local::heroku::Stage as HerokuStage;
use stagelink_local::lambda::Function;
use stagelink_local_postgres::Database as LocalDatabase;
use stagelink_pipeline::{ListedMigration, MigrationFolder, MigrationList};
use stagelink_tests::{
    Answer, FunctionHarness, HerokuFixture, as_superuser, built_artifacts, database, functions,
    sdk_example,
};

use crate::warm::{ANY, limit, sessions, until_sessions};

/// A fixture whose functions have a key, which no log line and no response may contain.
async fn fixture() -> (HerokuFixture, SelfCheckKey) {
    let mut fixture = HerokuFixture::new().await;
    let text = nonce().expect("it is there") + &nonce().expect("it is there");
    let key = SelfCheckKey::parse(&text).expect("it is there");
    fixture.set(VARIABLE, &text);
    fixture.record.forbid(text);
    (fixture, key)
}

/// Adds an app of production to the pipeline, with a database of its own.
async fn production_beside(fixture: &mut HerokuFixture) -> LocalDatabase {
    fixture.add_app("shop-production", HerokuStage::Production);
    let production = database().await;
    fixture
        .heroku
        .set_config_var("shop-production", "DATABASE_URL", &production.url())
        .expect("a config var");
    production
}

fn in_a_minute() -> SystemTime {
    SystemTime::now() + SelfCheckRequest::LIFETIME
}

fn request(function: &str) -> SelfCheckRequest {
    SelfCheckRequest::new(
        "6748d2f0",
        function,
        &nonce().expect("it is there"),
        in_a_minute(),
    )
}

async fn send(
    harness: &FunctionHarness,
    function: &Function,
    (method, path): (&str, &str),
    header: Option<&str>,
) -> Answer {
    let headers: Vec<_> = header.map(|header| (HEADER, header)).into_iter().collect();
    let target = harness.target(function);
    let answered = target.ask(method, path, &headers, None);
    answered
        .await
        .unwrap_or_else(|why| panic!("{why}\n{}", harness.log()))
}

/// Asks a function for a self-check, and returns the report that its response proves.
async fn check(
    harness: &FunctionHarness,
    function: &Function,
    key: &SelfCheckKey,
) -> SelfCheckReport {
    let name = &function.config().name;
    let request = request(name);
    let header = request.header(key);
    let answer = send(harness, function, ("GET", &path(name)), Some(&header)).await;
    assert_eq!(answer.status, 200, "{}", harness.log());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    SelfCheckReport::verify(&answer.body, Some(answer.header(HEADER)), key, &request)
        .unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

async fn mark(database: &str, stage: &str) {
    let sql = format!("ALTER DATABASE {database} SET application_name = 'stagelink:{stage}'");
    as_superuser(&sql).await;
}

fn digest_of(program: &Path) -> String {
    let digest = sha256(&fs::read(program).expect("it is there"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn server_version(variables: &BTreeMap<String, String>) -> u32 {
    let database = Database::new(Settings::from_vars(variables));
    let client = database.client().await.expect("a connection");
    let row = client.query_one("SHOW server_version_num", &[]).await;
    row.expect("a row")
        .get::<_, String>(0)
        .parse()
        .expect("it is there")
}

#[tokio::test]
async fn report_is_right_for_staging_and_for_production() {
    let (mut fixture, key) = fixture().await;
    let production = production_beside(&mut fixture).await;
    let staging = fixture.database.name().to_owned();
    for (stage, database) in [
        ("staging", staging.as_str()),
        ("production", production.name()),
    ] {
        fixture.set("STAGELINK_STAGE", stage);
        mark(database, stage).await;
        let function = fixture.function("guestbook").await;
        let report = check(&fixture, &function, &key).await;
        let stage: Stage = stage.parse().expect("it is there");
        assert_eq!((report.stage, report.mark), (Some(stage), Some(stage)));
        assert_eq!(report.database, "ok");
        let program = digest_of(&function.config().executable);
        assert_eq!(report.program, Some(program));
        let version = server_version(&fixture.variables).await;
        assert_eq!(report.server_version, Some(version));
        // `stagelink dev` and these tests build without a list.
        assert_eq!(report.migrations, None);
        // The program is read once, and each method is answered.
        for method in ["GET", "HEAD", "POST"] {
            let header = request("guestbook").header(&key);
            let path = path("guestbook");
            let answer = send(&fixture, &function, (method, &path), Some(&header)).await;
            assert_eq!(answer.status, 200, "{method}");
            assert_eq!(answer.json()["program"], json!(report.program));
        }
        function.shutdown().await;
    }
}

/// The handler of the example `echo` tells the request that it got.
#[tokio::test]
async fn request_that_is_no_valid_self_check_is_the_handlers_and_unchanged() {
    let (fixture, key) = fixture().await;
    let function = fixture.start("echo", &sdk_example("echo").await);
    let valid = request("echo").header(&key);
    let parts: Vec<&str> = valid.split('.').collect();
    let path = path("echo");
    let mut invalid: Vec<(String, String)> = Vec::new();
    // Each field of the header by itself.
    for (index, part) in parts.iter().enumerate() {
        let last = part.chars().next_back().expect("it is there");
        let other = if last == '0' { '1' } else { '0' };
        let mut parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        parts[index].pop();
        parts[index].push(other);
        invalid.push((path.clone(), parts.join(".")));
    }
    let at = |expiry| SelfCheckRequest::new("6748d2f0", "echo", "n0nce", expiry).header(&key);
    let now = SystemTime::now();
    for expiry in [
        now - Duration::from_secs(10),
        now + Duration::from_secs(120),
    ] {
        invalid.push((path.clone(), at(expiry)));
    }
    let other_key = SelfCheckKey::generate().expect("it is there");
    invalid.push((path.clone(), request("echo").header(&other_key)));
    // Another function's request, and this one's at other paths.
    invalid.push((path.clone(), request("guestbook").header(&key)));
    for path in [
        "/",
        "/api/echo",
        "/.netlify/functions/echo/x",
        "/.netlify/functions/echo/",
        "/.netlify/functions/guestbook",
        "/.netlify/functions/Echo",
        "/.netlify/functions/%65cho",
        "/.netlify/functions/x/../echo",
        "//.netlify/functions/echo",
    ] {
        invalid.push((path.to_owned(), valid.clone()));
    }
    // Longer than a header that is looked at, and signed.
    let long = "n".repeat(3000);
    let long = SelfCheckRequest::new("6748d2f0", "echo", &long, in_a_minute());
    invalid.push((path.clone(), long.header(&key)));
    // The parts of a valid one in another order, or in other letters, and two of them.
    let (signed, signature) = valid.rsplit_once('.').expect("a signature");
    for odd in [
        format!("{signature}.{signed}"),
        format!("V1{}", &valid[2..]),
        format!("{valid}.{signature}"),
        format!("{valid}, {valid}"),
        format!("{signed}."),
        signed.to_owned(),
    ] {
        invalid.push((path.clone(), odd));
    }
    invalid.push((path.clone(), String::new()));
    let before = fixture.log().lines().count();
    for (path, header) in &invalid {
        let answer = send(&fixture, &function, ("GET", path), Some(header)).await;
        assert_eq!(answer.json()["path"], **path);
        assert_eq!(answer.json()["headers"][HEADER], json!([header]));
        assert!(answer.headers.get(HEADER).is_none());
    }
    let answer = send(&fixture, &function, ("PUT", &path), Some(&valid)).await;
    assert_eq!(answer.json()["method"], "PUT");
    // Two lines for each response, and the one that begins the process: nothing was logged.
    let log = fixture.log();
    let logged = log.lines().count() - before;
    let unmarked = log.matches("has no stage mark").count();
    assert_eq!(logged, 2 * (invalid.len() + 1) + unmarked, "{log}");
    let report = check(&fixture, &function, &key).await;
    assert_eq!(report.function, "echo");
    function.shutdown().await;
}

#[tokio::test]
async fn deploy_without_a_key_or_with_a_malformed_one_answers_no_self_check() {
    let (mut fixture, key) = fixture().await;
    let header = request("echo").header(&key);
    let whole = fixture.variables.remove(VARIABLE).expect("it is there");
    for text in [None, Some(&whole[1..]), Some("-")] {
        match text {
            Some(text) => fixture.set(VARIABLE, text),
            None => drop(fixture.variables.remove(VARIABLE)),
        }
        let function = fixture.start("echo", &sdk_example("echo").await);
        let answer = send(&fixture, &function, ("GET", &path("echo")), Some(&header)).await;
        assert_eq!(answer.json()["headers"][HEADER], json!([header]));
        function.shutdown().await;
    }
    let log = fixture.log();
    let reason = "STAGELINK_SELF_CHECK_KEY is not a key of 64 hexadecimal digits";
    assert!(log.contains(reason), "{log}");
}

#[tokio::test]
async fn database_that_is_marked_as_another_stages_is_never_ok() {
    let (fixture, key) = fixture().await;
    mark(fixture.database.name(), "production").await;
    let function = fixture.function("guestbook").await;
    let report = check(&fixture, &function, &key).await;
    assert_eq!(report.stage, Some(Stage::STAGING));
    assert_eq!((&*report.database, report.mark), ("wrong-database", None));
    assert_eq!(report.server_version, None);
    // The right mark, and then another one under an open connection, which is not asked.
    mark(fixture.database.name(), "staging").await;
    let report = check(&fixture, &function, &key).await;
    assert_eq!(
        (&*report.database, report.mark),
        ("ok", Some(Stage::STAGING))
    );
    send(&fixture, &function, ("GET", "/api/guestbook"), None).await;
    mark(fixture.database.name(), "production").await;
    let report = check(&fixture, &function, &key).await;
    assert_eq!((&*report.database, report.mark), ("wrong-database", None));
    function.shutdown().await;
}

/// A deploy that is tested may get no request for long, and Heroku's smallest plan has 20 connections.
#[tokio::test]
async fn self_check_leaves_no_connection_open() {
    let (fixture, key) = fixture().await;
    let role = fixture.database.role();
    limit(role, 1).await;
    let mut functions = Vec::new();
    for name in ["guestbook", "health", "guestbook"] {
        let function = fixture.function(name).await;
        let report = check(&fixture, &function, &key).await;
        assert_eq!(report.database, "ok", "{}", fixture.log());
        until_sessions(role, &ANY, 0).await;
        functions.push(function);
    }
    // Nor where a request has opened one.
    limit(role, 20).await;
    let answer = send(&fixture, &functions[1], ("GET", "/api/health"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(sessions(role, &ANY).await, 1);
    check(&fixture, &functions[1], &key).await;
    until_sessions(role, &ANY, 0).await;
    for function in functions {
        function.shutdown().await;
    }
}

/// A warm instance has what its process got since its start. The next one has not.
#[tokio::test]
async fn credentials_that_only_a_warm_instance_has_are_not_ok() {
    let (fixture, key) = fixture().await;
    let function = fixture.function("health").await;
    let answer = fixture.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    assert!(
        fixture
            .heroku
            .revoke_token(&fixture.variables["HEROKU_API_KEY"])
    );
    let report = check(&fixture, &function, &key).await;
    assert_eq!(report.database, "provider-refused", "{}", fixture.log());
    assert!(!report.is_retryable);
    // Its requests go on.
    let answer = fixture.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    function.shutdown().await;
}

#[tokio::test]
async fn database_without_a_mark_or_out_of_reach_is_reported_as_such() {
    let (mut fixture, key) = fixture().await;
    let function = fixture.function("guestbook").await;
    let report = check(&fixture, &function, &key).await;
    assert_eq!((&*report.database, report.mark), ("ok", None));
    function.shutdown().await;

    fixture.set("STAGELINK_REQUIRE_MARK", "true");
    let function = fixture.function("guestbook").await;
    let report = check(&fixture, &function, &key).await;
    assert_eq!((&*report.database, report.mark), ("wrong-database", None));
    function.shutdown().await;

    fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "1");
    fixture.set_url("postgres://u:c4n4ry@127.0.0.1:1/d?sslmode=require");
    let function = fixture.function("guestbook").await;
    let report = check(&fixture, &function, &key).await;
    let found = (&*report.database, report.mark);
    assert_eq!(found, ("database-unreachable", None), "{}", fixture.log());
    assert!(report.program.is_some());
    function.shutdown().await;

    fixture.set("STAGELINK_STAGE", "prod");
    let function = fixture.function("guestbook").await;
    let report = check(&fixture, &function, &key).await;
    assert_eq!((&*report.database, report.stage), ("stage", None));
    function.shutdown().await;
}

/// The section that `stagelink build` adds is read by the SDK's own reader.
#[tokio::test]
async fn list_of_migrations_is_that_of_the_program() {
    let (fixture, key) = fixture().await;
    let folder = tempfile::tempdir().expect("it is there");
    let migrations = folder.path().join("migrations");
    fs::create_dir(&migrations).expect("it is there");
    let create = "CREATE TABLE \"é\" (id int8 PRIMARY KEY, a int);";
    fs::write(migrations.join("V1__create_é.sql"), create).expect("it is there");
    let drop = "ALTER TABLE \"é\" DROP COLUMN a;";
    fs::write(migrations.join("V20261127090416__drop_a.sql"), drop).expect("it is there");
    let list = MigrationList::of(&MigrationFolder::read(&migrations).expect("it is there"));
    let program = fs::read(&functions().await["guestbook"]).expect("it is there");
    for list in [list, MigrationList::default()] {
        let path = folder
            .path()
            .join(format!("program-{}", list.migrations().len()));
        fs::write(&path, list.write_into(&program).expect("it is there")).expect("it is there");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is there");
        let function = fixture.start("guestbook", &path);
        // The file is another one by then: what runs is reported.
        let digest = digest_of(&path);
        let _ = fixture.ask(&function, "GET", "/api/guestbook", None).await;
        fs::remove_file(&path).expect("it is there");
        let report = check(&fixture, &function, &key).await;
        assert_eq!(report.program, Some(digest));
        let reported: Vec<ListedMigration> =
            serde_json::from_value(report.migrations.expect("a list")).expect("it is there");
        assert_eq!(reported, list.migrations());
        function.shutdown().await;
    }
}

/// Stripped, and with the migrations of this repository, as it is deployed.
#[tokio::test]
async fn artifact_reports_its_digest_and_the_migrations_that_it_was_built_with() {
    let (fixture, key) = fixture().await;
    let artifact = &built_artifacts().await["guestbook"];
    let function = fixture.start_artifact(artifact);
    let report = check(&fixture, &function, &key).await;
    assert_eq!(report.program, Some(digest_of(&artifact.program)));
    assert_eq!(report.database, "ok", "{}", fixture.log());
    let migrations = report.migrations.expect("a list");
    let migrations = migrations.as_array().expect("an array").iter();
    let names: Vec<_> = migrations.map(|one| one["name"].as_str()).collect();
    assert_eq!(names, [Some("guestbook"), Some("idempotency")]);
    function.shutdown().await;
}

/// A function whose responses are streamed, by the events of function URLs.
#[tokio::test]
async fn function_with_streamed_responses_answers_a_self_check() {
    let (fixture, key) = fixture().await;
    let function = fixture.start("streaming", &sdk_example("streaming").await);
    let request = request("streaming");
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path("streaming"),
        "rawQueryString": "", "headers": {HEADER: request.header(&key)},
        "isBase64Encoded": false,
        "requestContext": {"http": {"method": "GET", "path": path("streaming")}},
    });
    let answer = function.invoke(Bytes::from(event.to_string())).await;
    let answer: Value = serde_json::from_slice(&answer.expect("an answer")).expect("it is there");
    fixture.record.add(answer.to_string());
    assert_eq!(answer["statusCode"], 200);
    let body = answer["body"].as_str().expect("a body");
    let header = answer["multiValueHeaders"][HEADER][0].as_str();
    let report = SelfCheckReport::verify(body.as_bytes(), header, &key, &request);
    assert!(report.expect("a report").is_database_ok(), "{body}");
    function.shutdown().await;
}
