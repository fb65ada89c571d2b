//! The stage of a test: its database, requests to its functions, and its faults.

use std::error::Error;
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use lambda_http::http::StatusCode;
use lambda_http::{Request, RequestPayloadExt as _};
use serde_json::{Value, json};
use stagelink::{Database, Event, IdempotencyKey, Problem, params};
use stagelink_test::{Platform, TestStage};

async fn handle(request: Request) -> Result<Value, Problem> {
    let database = Database::from_request(&request);
    let stage = database.stage()?.to_string();
    if request.method() == "POST" {
        let text: String = request
            .json()
            .ok()
            .flatten()
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "Send a text as JSON."))?;
        let key = IdempotencyKey::from_request(&request)?;
        let insert = "INSERT INTO notes (text) VALUES ($1)";
        match key {
            Some(key) => {
                database
                    .write_once(&key, async |db| {
                        db.query_typed(insert, &params![text]).await?;
                        Ok::<_, Problem>(())
                    })
                    .await?;
            }
            None => {
                database
                    .write(async |db| {
                        db.query_typed(insert, &params![text]).await?;
                        Ok::<_, Problem>(())
                    })
                    .await?;
            }
        }
    }
    let rows = database
        .read(async |db| {
            let select = "SELECT text FROM notes ORDER BY id";
            Ok::<_, Problem>(db.query_typed(select, &[]).await?)
        })
        .await?;
    let notes: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(json!({"stage": stage, "notes": notes}))
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn note_is_kept_in_a_database_of_the_tests_own(stage: TestStage) {
    let notes = stage.function(handle);
    let response = notes.post("/api/notes").json(&"hello").await;
    assert_eq!(response.status(), 200);
    let kept: Value = notes.get("/api/notes").await.json();
    assert_eq!(kept, json!({"stage": "development", "notes": ["hello"]}));
}

#[stagelink_test::test(migrations = "tests/migrations", stage = "staging/qa")]
async fn stage_is_the_one_that_the_test_names(stage: TestStage, database: Database) {
    assert_eq!(database.stage().unwrap().to_string(), "staging/qa");
    let notes = stage.function(handle).platform(Platform::FunctionUrl);
    let kept: Value = notes.get("/?limit=3").await.json();
    assert_eq!(kept, json!({"stage": "staging/qa", "notes": []}));
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn test_may_fail_by_its_result(database: Database) -> Result<(), Box<dyn Error>> {
    let client = database.client().await?;
    let index = "SELECT FROM pg_indexes WHERE indexname = 'notes_text'";
    assert_eq!(client.query(index, &[]).await?.len(), 1);
    Ok(())
}

#[stagelink_test::test(migrations = false)]
async fn database_without_migrations_is_empty(database: Database) {
    let client = database.client().await.expect("a connection");
    let tables = "SELECT FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(client.query(tables, &[]).await.unwrap().len(), 0);
    // The role is that of a stage: it may create tables, and no databases.
    client
        .batch_execute("CREATE TABLE a (b int)")
        .await
        .unwrap();
    client.batch_execute("CREATE DATABASE c").await.unwrap_err();
}

#[stagelink_test::test(
    migrations = "tests/migrations",
    flavor = "multi_thread",
    worker_threads = 2
)]
async fn several_instances_write_at_once(stage: TestStage) {
    let mut tasks = Vec::new();
    for number in 0..4 {
        let database = stage.new_instance();
        tasks.push(tokio::spawn(async move {
            let client = database.client().await?;
            let insert = "INSERT INTO notes (text) VALUES ($1)";
            client.execute(insert, &[&number.to_string()]).await?;
            Ok::<_, Problem>(())
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let kept: Value = stage.function(handle).get("/").await.json();
    assert_eq!(kept["notes"].as_array().unwrap().len(), 4);
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn router_is_served_as_a_function(stage: TestStage) {
    async fn count(Extension(database): Extension<Database>) -> Result<Json<i64>, StatusCode> {
        let client = database.client().await;
        let client = client.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let row = client.query_one("SELECT count(*) FROM notes", &[]).await;
        Ok(Json(
            row.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.get(0),
        ))
    }
    let router = Router::new().route("/api/count", get(count));
    let function = stage.function(router);
    let response = function.get("/api/count").await;
    assert_eq!(response.json::<i64>(), 0);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(function.get("/api/other").await.status(), 404);
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn event_of_a_schedule_reaches_its_handler(stage: TestStage) {
    async fn on_event(event: Event) -> Result<Value, Problem> {
        let client = event.database().client().await?;
        let insert = "INSERT INTO notes (text) VALUES ('by the clock')";
        client.execute(insert, &[]).await?;
        Ok(json!({"kept": 1}))
    }
    let function = stage.function_with_events(handle, on_event);
    let event = json!({"source": "aws.events", "detail-type": "Scheduled Event"});
    assert_eq!(function.invoke(&event).await.unwrap(), json!({"kept": 1}));
    let kept: Value = function.get("/").await.json();
    assert_eq!(kept["notes"], json!(["by the clock"]));
    // Without such a handler the invocation fails, as in a deployed function.
    let error = stage.function(handle).invoke(&event).await.unwrap_err();
    assert!(error.contains("run_with_events"), "{error}");
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn handler_that_takes_too_long_is_answered_504_and_its_statement_ends(stage: TestStage) {
    async fn slow(request: Request) -> Result<Value, Problem> {
        let client = stagelink::client(&request).await?;
        client.query("SELECT pg_sleep(30)", &[]).await?;
        Ok(Value::Null)
    }
    let function = stage.function(slow).time_limit(Duration::from_millis(800));
    assert_eq!(function.get("/").await.status(), 504);
    let client = stage.new_instance().client().await.unwrap();
    let running = "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND state = 'active' \
                   AND datname = current_database()";
    // It is told to end; it would not do so by itself for half a minute.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !client.query(running, &[]).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the statement goes on");
    }
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn panic_of_a_handler_is_a_response(stage: TestStage) {
    async fn broken(_: Request) -> Result<Value, Problem> {
        panic!("on purpose")
    }
    assert_eq!(stage.function(broken).get("/").await.status(), 500);
}

async fn session(database: &Database) -> i32 {
    let client = database.client().await.expect("a connection");
    let row = client.query_typed_one("SELECT pg_backend_pid()", &[]).await;
    row.expect("a row").get(0)
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn frozen_instance_checks_its_connection_and_later_opens_another(stage: TestStage) {
    let database = stage.database();
    let mut first = session(&database).await;
    assert_eq!(session(&database).await, first, "a warm one is used again");
    for rounds_left in (0..5).rev() {
        stage.freeze(Duration::from_secs(20)).await;
        let next = session(&database).await;
        if next == first {
            break;
        }
        // It may have answered too late: the SDK waits for a quarter of a second and four round trips.
        assert!(rounds_left > 0, "one that answers is used again");
        first = next;
    }
    stage.freeze(Duration::from_secs(600)).await;
    assert_ne!(session(&database).await, first, "the server has ended it");
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn request_survives_a_cut_connection(stage: TestStage) {
    let notes = stage.function(handle);
    assert_eq!(notes.post("/").json(&"one").await.status(), 200);
    stage.cut_connections();
    let kept: Value = notes.get("/").await.json();
    assert_eq!(kept["notes"], json!(["one"]));
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn write_in_doubt_is_reported_and_one_with_a_key_is_kept_once(stage: TestStage) {
    let client = stage.new_instance().client().await.unwrap();
    client
        .batch_execute(stagelink::IDEMPOTENCY_TABLE)
        .await
        .unwrap();
    let notes = stage.function(handle);
    notes.get("/").await;
    stage.cut_before_next_response();
    assert_eq!(notes.post("/").json(&"in doubt").await.status(), 500);
    let kept: Value = notes.get("/").await.json();
    assert_eq!(kept["notes"], json!(["in doubt"]));
    stage.cut_before_next_response();
    let post = notes.post("/").header("idempotency-key", "a").json(&"once");
    assert_eq!(post.await.status(), 200);
    let kept: Value = notes.get("/").await.json();
    assert_eq!(kept["notes"], json!(["in doubt", "once"]));
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn cut_that_is_asked_for_before_the_login_meets_the_statement(stage: TestStage) {
    let notes = stage.function(handle);
    stage.cut_before_next_response();
    assert_eq!(notes.post("/").json(&"in doubt").await.status(), 500);
    let kept: Value = notes.get("/").await.json();
    assert_eq!(kept["notes"], json!(["in doubt"]));
}

#[test]
#[should_panic(expected = "the assertion of the test")]
fn panic_of_a_test_is_its_own() {
    stagelink_test::run(
        stagelink_test::TestOptions::new().without_migrations(),
        stagelink_test::Flavor::CurrentThread,
        async |_stage: TestStage| panic!("the assertion of the test"),
    );
}

/// The plain helper, in a test of another macro.
#[tokio::test]
async fn stage_without_the_macro() -> Result<(), Box<dyn Error>> {
    let options = stagelink_test::TestOptions::new().migrations("tests/migrations");
    let stage = TestStage::start(options).await?;
    let kept: Value = stage.function(handle).get("/").await.json();
    assert_eq!(kept["notes"], json!([]));
    stage.finish().await;
    Ok(())
}

type Part = Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>;

/// Streams the notes, each by itself, and then what the query says: an error, or nothing for ever.
async fn stream_notes(
    request: Request,
) -> Result<Response<StreamBody<BoxStream<'static, Part>>>, Problem> {
    let database = Database::from_request(&request);
    let rows = database
        .read(async |db| {
            let select = "SELECT text FROM notes ORDER BY id";
            Ok::<_, Problem>(db.query_typed(select, &[]).await?)
        })
        .await?;
    let notes: Vec<Part> = rows
        .iter()
        .map(|row| Ok(Frame::data(Bytes::from(row.get::<_, String>(0)))))
        .collect();
    let end = match request.uri().query() {
        Some("fails") => stream::iter([Err("c4n4ry".into())]).boxed(),
        Some("hangs") => stream::pending().boxed(),
        Some(_) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "There is no such end.",
            ));
        }
        None => stream::empty().boxed(),
    };
    let body = StreamBody::new(stream::iter(notes).chain(end).boxed());
    let response = Response::builder().header("x-notes", rows.len());
    Ok(response.body(body).expect("a response"))
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn streamed_response_is_read_part_by_part_or_whole(stage: TestStage) {
    let client = stage.database().client().await.expect("a client");
    let insert = "INSERT INTO notes (text) VALUES ('one'), ('two')";
    client.batch_execute(insert).await.expect("notes");
    drop(client);
    let notes = stage.streaming_function(stream_notes);
    let mut stream = notes.get("/api/notes").stream().await;
    assert_eq!(
        (stream.status().as_u16(), &stream.headers()["x-notes"]),
        (200, &"2".parse().unwrap())
    );
    for part in [Some("one"), Some("two"), None, None] {
        let read = stream.part().await.expect("a body that is whole");
        assert_eq!(read.as_deref(), part.map(str::as_bytes));
    }
    assert_eq!(notes.get("/api/notes").await.text(), "onetwo");
    // An error before the body is an ordinary response.
    let refused = notes.get("/api/notes?other").await;
    assert_eq!(refused.status(), 400);
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn streamed_body_that_fails_or_takes_too_long_is_broken_off(stage: TestStage) {
    let client = stage.database().client().await.expect("a client");
    client
        .batch_execute("INSERT INTO notes (text) VALUES ('one')")
        .await
        .expect("a note");
    drop(client);
    let notes = stage.streaming_function(stream_notes);
    let limited = notes.clone().time_limit(Duration::from_secs(5));
    for (function, path) in [(&notes, "/api/notes?fails"), (&limited, "/api/notes?hangs")] {
        let mut stream = function.get(path).stream().await;
        assert_eq!(
            stream.part().await.expect("a part").as_deref(),
            Some(&b"one"[..])
        );
        let broken = stream.part().await.expect_err("it is broken off");
        assert!(!broken.is_empty() && !broken.contains("c4n4ry"), "{broken}");
        // The invocation is over, and the next one is served.
        assert_eq!(function.get("/api/notes").await.text(), "one");
    }
    // A reader that goes ends the invocation, too: the next one is not kept for a minute.
    let began = Instant::now();
    let mut stream = notes.get("/api/notes?hangs").stream().await;
    assert!(stream.part().await.is_ok());
    drop(stream);
    assert_eq!(notes.get("/api/notes").await.text(), "one");
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[stagelink_test::test(migrations = "tests/migrations")]
async fn whole_response_is_one_part_of_a_stream(stage: TestStage) {
    let notes = stage.function(handle);
    let mut stream = notes.get("/api/notes").stream().await;
    let part = stream.part().await.expect("a part").expect("a body");
    assert!(part.starts_with(b"{"), "{part:?}");
    assert_eq!(stream.part().await, Ok(None));
}
