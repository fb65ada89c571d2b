//! The mark by which a database says which stage it is of.

use stagelink::{Client, Error, Link, Settings};
use stagelink_local::postgres::Database;
use stagelink_tests::{
    Auth, Identity, OwnServer, Scene, as_superuser, database, end_sessions, pooled,
};

const REQUIRED: (&str, &str) = ("STAGELINK_REQUIRE_MARK", "true");

/// Marks a database, as its owner may.
fn marking(database: &Database, mark: &str) -> String {
    let name = database.name();
    format!("ALTER DATABASE {name} SET application_name = '{mark}'")
}

/// What comes of a URL for the stage staging.
async fn open(url: &str, variables: &[(&str, &str)]) -> Result<Client, Error> {
    let needed = [("STAGELINK_STAGE", "staging"), ("DATABASE_URL", url)];
    let variables = needed.iter().chain(variables).copied();
    Link::new(Settings::from_vars(variables)).client().await
}

/// The warnings about marks that functions logged.
fn warnings(scene: &Scene) -> usize {
    let log = scene.log();
    log.lines()
        .filter(|line| line.contains("WARN") && line.contains("mark"))
        .count()
}

#[tokio::test]
async fn database_of_another_stage_is_refused() {
    let mut scene = Scene::new().await;
    as_superuser(&marking(&scene.database, "stagelink:production")).await;
    for required in ["", "true", "false"] {
        scene.set(REQUIRED.0, required);
        let answer = scene.get("health").await;
        assert_eq!(answer.status, 500, "{required}: {}", scene.log());
        assert!(!answer.text().contains("stagelink:"), "{}", answer.text());
    }
    assert!(
        scene.log().contains("stagelink:production"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn database_of_the_functions_stage_is_let_in_without_a_word() {
    let mut scene = Scene::new().await;
    as_superuser(&marking(&scene.database, "stagelink:staging")).await;
    for required in ["", "true"] {
        scene.set(REQUIRED.0, required);
        assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    }
    assert_eq!(warnings(&scene), 0, "{}", scene.log());
}

#[tokio::test]
async fn database_without_a_mark_is_let_in_with_one_warning_per_process() {
    let scene = Scene::new().await;
    let function = scene.function("health").await;
    for _ in 0..2 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", scene.log());
        as_superuser(&end_sessions(scene.database.role())).await;
    }
    function.shutdown().await;
    assert_eq!(warnings(&scene), 1, "{}", scene.log());
}

#[tokio::test]
async fn database_without_a_mark_is_refused_where_one_is_required() {
    let mut scene = Scene::new().await;
    scene.set(REQUIRED.0, REQUIRED.1);
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    // The name of a program is no mark.
    as_superuser(&marking(&scene.database, "psql")).await;
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
}

#[tokio::test]
async fn mark_that_changes_counts_from_the_next_connection_on() {
    let database = database().await;
    for (mark, is_let_in) in [
        ("stagelink:staging", true),
        ("stagelink:review", false),
        ("stagelink:staging", true),
    ] {
        as_superuser(&marking(&database, mark)).await;
        let opened = open(&database.url(), &[REQUIRED]).await;
        assert_eq!(opened.is_ok(), is_let_in, "{mark}");
        if let Err(error) = opened {
            assert!(!error.is_retryable(), "{}", error.report());
            assert!(error.to_string().contains(mark), "{}", error.report());
        }
    }
}

#[tokio::test]
async fn mark_is_seen_through_a_pooler_whatever_its_clients_call_themselves() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let pin = server.identity().pin();
    let variables = [REQUIRED, ("STAGELINK_SERVER_PIN", pin.as_str())];
    for (mark, is_let_in) in [("stagelink:staging", true), ("stagelink:production", false)] {
        server.run(&marking(&database, mark)).await;
        // What a pooler reports is what it found when it was started.
        let bouncer = server.bouncer(&[&database], server.identity()).await;
        let url = pooled(&bouncer, &database);
        // This one leaves its name to the connection that both will share.
        drop(open(&format!("{url}?application_name=psql"), &variables).await);
        for _ in 0..2 {
            let opened = open(&url, &variables).await;
            assert_eq!(opened.is_ok(), is_let_in, "{mark}");
        }
        bouncer.stop().await.expect("it stops");
    }
}
