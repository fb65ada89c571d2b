//! Several processes that test on one server: killed ones, and many at once.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests may panic, as tests may"
)]

mod own_server;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use stagelink_test::{TestOptions, TestStage};

use self::own_server::{CHILD, MIGRATIONS, OwnServer};

/// The work of a process of the tests below; nothing in a run of all tests.
#[tokio::test]
async fn child() {
    let Ok(what) = std::env::var(CHILD) else {
        return;
    };
    let migrations = std::env::var_os(MIGRATIONS).unwrap();
    let options = TestOptions::new().migrations(PathBuf::from(migrations));
    let stage = TestStage::start(options).await.unwrap();
    let client = stage.database().client().await.unwrap();
    let insert = "INSERT INTO notes (text) VALUES ('from a child')";
    client.execute(insert, &[]).await.unwrap();
    let row = client
        .query_one("SELECT current_database()::text", &[])
        .await;
    println!("\ndatabase {}", row.unwrap().get::<_, &str>(0));
    match &*what {
        "sets" => {
            let set = "ALTER ROLE CURRENT_USER SET search_path = nowhere; \
                       ALTER ROLE CURRENT_USER PASSWORD 'of the test'";
            client.batch_execute(set).await.unwrap();
        }
        "waits" => std::future::pending().await,
        "panics" => panic!("as a test that fails"),
        _ => {}
    }
    let count = client
        .query_one(
            "SELECT count(*) FROM notes WHERE text = 'from a child'",
            &[],
        )
        .await;
    assert_eq!(count.unwrap().get::<_, i64>(0), 1, "a database of its own");
    drop(client);
    stage.finish().await;
}

/// Reads the name of a child's database, which it prints when it uses it.
fn database_of(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut names = lines.map_while(Result::ok);
    let found = names.find_map(|line| line.strip_prefix("database ").map(str::to_owned));
    found.expect("the child has a database")
}

#[tokio::test]
async fn database_of_a_killed_process_is_removed_by_the_next_one() {
    let server = OwnServer::start().await;
    let mut killed = server.child("waits");
    let name = database_of(&mut killed);
    // A live process's database is left alone by others.
    assert!(server.child("").wait().unwrap().success());
    assert_eq!(server.databases_in_use().await, std::slice::from_ref(&name));

    server.kill(&mut killed).await;
    assert!(server.child("").wait().unwrap().success());
    assert_eq!(server.databases_in_use().await, [] as [String; 0]);
    server.server.stop().await.unwrap();
}

/// Returns a folder with one migration of the table that the child uses.
fn migrations(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sql =
        format!("CREATE TABLE notes (id int8 GENERATED ALWAYS AS IDENTITY, text text);\n{more}\n");
    std::fs::write(folder.path().join("V1__notes.sql"), sql).unwrap();
    folder
}

#[tokio::test]
async fn template_whose_maker_was_killed_is_removed_by_the_next_one() {
    let server = OwnServer::start().await;
    let slow = migrations("SELECT pg_sleep(600) AS kit_is_slow;");
    let mut killed = server.child_with("", slow.path());
    server.until_statement("%kit_is_slow%", true).await;
    server.kill(&mut killed).await;
    let left = server.leftovers().await;
    // The session that migrates goes on without its client: to remove the database ends it.
    server
        .assert_removed(&left, Path::new("tests/migrations"))
        .await;
    server.until_statement("%kit_is_slow%", false).await;
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn clone_whose_maker_was_killed_is_whole_or_gone() {
    let server = OwnServer::start().await;
    // Its copy takes long enough to be met.
    let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 30000)";
    let large = migrations(&format!("INSERT INTO notes (text) {rows};"));
    let making = "CREATE DATABASE stagelink\\_test\\_c\\_%";
    let mut killed = server.child_with("waits", large.path());
    server.until_statement(making, true).await;
    let left = server.leftovers().await;
    // The server goes on without its client.
    server.kill(&mut killed).await;
    server.until_statement(making, false).await;
    // One whose database was not begun yet counts as left behind after a minute.
    let later = "UPDATE clone SET made_at = made_at - interval '2 minutes' WHERE state = 'making'";
    server.registry().await.batch_execute(later).await.unwrap();
    server.assert_removed(&left, large.path()).await;
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn database_of_a_test_that_panicked_is_removed() {
    let server = OwnServer::start().await;
    let mut failing = server.child("panics");
    let name = database_of(&mut failing);
    assert!(!failing.wait().unwrap().success());
    server.until_sessions_of_registry(0).await;
    assert!(server.child("").wait().unwrap().success());
    assert!(!server.leftovers().await.contains(&name), "{name}");
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn clones_that_the_registry_does_not_know_are_removed_with_their_template() {
    let server = OwnServer::start().await;
    assert!(server.child("").wait().unwrap().success());
    let template = server.template().await;
    let orphan = "stagelink_test_c_0123456789abcdef";
    for statement in [
        format!("CREATE DATABASE {orphan} TEMPLATE {template} OWNER {template}"),
        "DROP DATABASE stagelink_test_1 WITH (FORCE)".to_owned(),
    ] {
        server.admin.batch_execute(&statement).await.unwrap();
    }
    assert!(server.child("").wait().unwrap().success());
    let found = "SELECT FROM pg_database WHERE datname = $1";
    let found = server.admin.query(found, &[&orphan]).await.unwrap();
    assert!(found.is_empty(), "{orphan} is left");
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn fifty_processes_at_once_finish_on_a_server_with_a_hundred_connections() {
    let server = OwnServer::start().await;
    // Of its 200 connections another program has 100.
    let mut others = Vec::new();
    for _ in 0..100 {
        others.push(server.server.connect_as_superuser().await.unwrap());
    }
    let children: Vec<Child> = (0..50).map(|_| server.child("")).collect();
    let mut names = Vec::new();
    for mut child in children {
        names.push(database_of(&mut child));
        assert!(child.wait().unwrap().success());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 50, "each has a database of its own");
    assert_eq!(server.databases_in_use().await, [] as [String; 0]);
    drop(others);
    server.server.stop().await.unwrap();
}

/// Runs so many processes at once, each with a test, and returns the number of those that fail.
fn run_at_once(server: &OwnServer, count: usize) -> usize {
    let children: Vec<Child> = (0..count).map(|_| server.child("")).collect();
    let ends = children.into_iter().map(Child::wait_with_output);
    ends.filter(|end| !end.as_ref().unwrap().status.success())
        .count()
}

#[tokio::test]
async fn thirty_processes_at_once_finish_on_a_server_with_twenty_connections() {
    let server = OwnServer::start_with(20).await;
    // The first round has no template and no clone yet.
    for round in 0..2 {
        assert_eq!(run_at_once(&server, 30), 0, "round {round}");
    }
    assert_eq!(server.databases_in_use().await, [] as [String; 0]);
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn processes_that_wait_for_a_place_have_no_session_and_may_be_killed() {
    let server = OwnServer::start_with(20).await;
    assert!(server.child("").wait().unwrap().success());
    let registry = server.registry().await;
    let take = format!("SELECT pg_advisory_lock({SLOT}, n) FROM generate_series(1, 4) AS n");
    registry.batch_execute(&take).await.unwrap();
    server.until_sessions_of_registry(1).await;
    let mut waiting: Vec<Child> = (0..10).map(|_| server.child("")).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    let looks = |all: &[String]| {
        all.iter()
            .any(|query| query.contains("pg_try_advisory_lock"))
    };
    while !looks(&server.sessions_of_registry().await) {
        assert!(Instant::now() < deadline, "one looks for a place");
    }
    for _ in 0..50 {
        let all = server.sessions_of_registry().await;
        // This test's, and that of the process whose turn it is.
        assert!(all.len() <= 2, "{all:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One of them has the turn, and the others go on without it.
    for child in &mut waiting[..5] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let free = "SELECT pg_advisory_unlock_all()";
    registry.batch_execute(free).await.unwrap();
    for child in &mut waiting[5..] {
        assert!(child.wait().unwrap().success());
    }
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn migration_that_fails_is_named_with_its_line_and_leaves_nothing() {
    let server = OwnServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE TABLE a (b int);\n\nCREATE TABEL c (d int);\n";
    std::fs::write(folder.path().join("V1__a.sql"), sql).unwrap();
    let options = || {
        let source = server.url.parse().unwrap();
        TestOptions::new()
            .migrations(folder.path())
            .postgres(source)
    };
    let error = TestStage::start(options()).await.unwrap_err().to_string();
    assert!(error.contains("V1__a.sql:3: syntax error"), "{error}");
    let left = "SELECT FROM pg_database WHERE datname LIKE 'stagelink\\_test\\_t%'";
    assert!(server.admin.query(left, &[]).await.unwrap().is_empty());
    // The repaired file is another digest, and works.
    std::fs::write(folder.path().join("V1__a.sql"), "CREATE TABLE a (b int)").unwrap();
    TestStage::start(options()).await.unwrap().finish().await;
    server.server.stop().await.unwrap();
}

/// The class of the advisory locks of places.
const SLOT: i32 = 0x5374_6704;

#[tokio::test]
async fn tests_with_two_stages_each_share_the_last_places() {
    let server = OwnServer::start().await;
    assert!(server.child("").wait().unwrap().success());
    // Of the 32 places, all but two are taken.
    let registry = server.registry().await;
    let take = format!("SELECT pg_advisory_lock({SLOT}, n) FROM generate_series(3, 32) AS n");
    registry.batch_execute(&take).await.unwrap();

    let both_have_one = std::sync::Arc::new(std::sync::Barrier::new(2));
    let (done, ends) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let (done, both_have_one) = (done.clone(), both_have_one.clone());
        let source: stagelink_local_postgres::ServerSource = server.url.parse().unwrap();
        std::thread::spawn(move || {
            let options = || {
                TestOptions::new()
                    .migrations("tests/migrations")
                    .postgres(source.clone())
            };
            let flavor = stagelink_test::Flavor::CurrentThread;
            stagelink_test::run(options(), flavor, async |first| {
                both_have_one.wait();
                let second = TestStage::start(options()).await.unwrap();
                let mut names = Vec::new();
                for stage in [&first, &second] {
                    let client = stage.database().client().await.unwrap();
                    let name = "SELECT current_database()::text";
                    let row = client.query_one(name, &[]).await.unwrap();
                    names.push(row.get::<_, String>(0));
                }
                assert_ne!(names[0], names[1], "each stage has a database of its own");
                second.finish().await;
            });
            done.send(()).unwrap();
        });
    }
    for _ in 0..2 {
        let limit = Duration::from_secs(120);
        ends.recv_timeout(limit)
            .expect("the tests do not wait for each other");
    }
    // The places are free again.
    let free = format!("SELECT pg_try_advisory_lock({SLOT}, n) FROM generate_series(1, 2) AS n");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut missing = 2;
    while missing > 0 {
        assert!(Instant::now() < deadline, "{missing} places are not free");
        let rows = registry.query(&free, &[]).await.unwrap();
        missing -= rows
            .iter()
            .filter(|row| row.get::<_, bool>(0))
            .count()
            .min(missing);
    }
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_test_sets_on_its_role_is_undone_and_what_migrations_set_stays() {
    let server = OwnServer::start().await;
    let folder = migrations("ALTER ROLE CURRENT_USER SET application_name = 'of the migrations';");
    for what in ["sets", ""] {
        let mut child = server.child_with(what, folder.path());
        assert!(child.wait().unwrap().success(), "{what}");
    }
    // So is it between two tests of a process.
    for what in ["sets", ""] {
        let options = TestOptions::new()
            .migrations(folder.path())
            .postgres(server.url.parse().unwrap());
        let stage = TestStage::start(options).await.unwrap();
        let client = stage.database().client().await.unwrap();
        let row = client.query_one("SELECT count(*) FROM notes", &[]).await;
        assert_eq!(row.unwrap().get::<_, i64>(0), 0);
        let kept = "SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = 0";
        let kept = server.admin.query_one(kept, &[]).await.unwrap();
        let kept: Vec<String> = kept.get(0);
        assert_eq!(kept, ["application_name=of the migrations"]);
        if what == "sets" {
            let set = "ALTER ROLE CURRENT_USER RESET ALL; \
                       ALTER ROLE CURRENT_USER SET search_path = nowhere; \
                       ALTER ROLE CURRENT_USER PASSWORD 'of the test'";
            client.batch_execute(set).await.unwrap();
        }
        drop(client);
        stage.finish().await;
    }
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn what_migrations_set_for_their_database_is_set_for_that_of_each_test() {
    let server = OwnServer::start().await;
    let folder = migrations(
        "DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET search_path = app, \"$user\", public', current_database());
            EXECUTE format('ALTER DATABASE %I SET application_name = %L', current_database(), 'it''s \\ a, list');
            EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = %L', current_database(), '5MB');
        END $$;
        CREATE SCHEMA app;
        CREATE TABLE app.notes (LIKE public.notes);",
    );
    // The second test changes what it got, and the third one has that of the migrations again.
    for round in 0..3 {
        let options = TestOptions::new()
            .migrations(folder.path())
            .postgres(server.url.parse().unwrap());
        let stage = TestStage::start(options).await.unwrap();
        let client = stage.database().client().await.unwrap();
        let settings = "SELECT setconfig FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
            ORDER BY setrole";
        let rows = client.query(settings, &[]).await.unwrap();
        let found: Vec<Vec<String>> = rows.iter().map(|row| row.get(0)).collect();
        let of_database = [
            "search_path=app, \"$user\", public",
            "application_name=it's \\ a, list",
        ];
        assert_eq!(
            found,
            [&of_database[..], &["work_mem=5MB"]],
            "round {round}"
        );
        let meant = "SELECT 'notes'::regclass = 'app.notes'::regclass, current_setting('work_mem')";
        let row = client.query_one(meant, &[]).await.unwrap();
        assert!(
            row.get::<_, bool>(0),
            "the search path is that of the database"
        );
        assert_eq!(row.get::<_, &str>(1), "5MB");
        if round == 1 {
            let reset = "DO $$ BEGIN
                EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
            END $$";
            client.batch_execute(reset).await.unwrap();
        }
        drop(client);
        stage.finish().await;
    }
    // With its database each setting of it is gone.
    let left = "SELECT FROM pg_db_role_setting WHERE setdatabase <> 0
        AND NOT EXISTS (SELECT FROM pg_database WHERE oid = setdatabase)";
    assert!(server.admin.query(left, &[]).await.unwrap().is_empty());
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn databases_that_a_test_has_dropped_are_made_again() {
    let server = OwnServer::start().await;
    let options = TestOptions::new()
        .migrations("tests/migrations")
        .postgres(server.url.parse().unwrap());
    TestStage::prepare(options, 2).await.unwrap();
    let registry = server.registry().await;
    let ready = "SELECT name FROM clone WHERE state = 'ready'";
    let ready = registry.query(ready, &[]).await.unwrap();
    let ready: Vec<String> = ready.iter().map(|row| row.get(0)).collect();
    assert!(!ready.is_empty(), "none was made ahead");
    let drop_all = async |names: &[String]| {
        for name in names {
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            server.admin.batch_execute(&drop).await.unwrap();
        }
    };
    drop_all(&ready).await;
    assert!(server.child("").wait().unwrap().success());
    let gone = "SELECT name FROM clone WHERE name = ANY ($1)";
    assert!(registry.query(gone, &[&ready]).await.unwrap().is_empty());

    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn template_that_a_test_has_dropped_is_made_again() {
    let server = OwnServer::start().await;
    assert!(server.child("").wait().unwrap().success());
    // It belongs to the role, as its clones do.
    let template = server.template().await;
    for statement in [
        format!("ALTER DATABASE {template} WITH IS_TEMPLATE false"),
        format!("DROP DATABASE {template} WITH (FORCE)"),
    ] {
        server.admin.batch_execute(&statement).await.unwrap();
    }
    assert!(server.child("").wait().unwrap().success());
    server.server.stop().await.unwrap();
}
