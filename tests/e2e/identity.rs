//! Whose database it is: the mark of a stage.

use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use stagelink::{Database, Error, ErrorKind, Settings, StageMark};
use stagelink_tests::{
    Auth, Identity, OwnServer, Rig, Scene, as_superuser, database, pooled, proxy,
    stagelink_command, through,
};
use tokio::process::Command;

/// Marks a scene's own database as the test wants.
async fn mark(scene: &Scene, name: &str) {
    as_superuser(&format!(
        "ALTER DATABASE {} SET application_name = '{name}'",
        scene.database.name()
    ))
    .await;
}

fn link(rig: &Rig) -> Database {
    Database::new(Settings::from_vars(&rig.variables))
}

/// The kind of the refusal of a connection; `None` where it is let in.
async fn refusal(rig: &Rig) -> Option<ErrorKind> {
    let error = link(rig).client().await.err()?;
    println!("{}", error.report());
    Some(error.kind())
}

#[tokio::test]
async fn function_with_the_url_of_another_stage_refuses_it_both_ways() {
    for (own, other) in [("staging", "production"), ("production", "staging")] {
        let mut scene = Scene::new().await;
        let url = scene.database.url();
        scene.set("DATABASE_URL", &url);
        scene.set("STAGELINK_PROVIDER", "url");
        scene.set("STAGELINK_STAGE", own);
        mark(&scene, &format!("stagelink:{other}")).await;
        let answer = scene.get("health").await;
        assert_eq!(answer.status, 500, "{}", scene.log());
        let reason = format!("is marked as stage {other}'s, and this function serves stage {own}");
        assert!(scene.log().contains(&reason), "{}", scene.log());
        mark(&scene, &format!("stagelink:{own}")).await;
        assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    }
}

#[tokio::test]
async fn unmarked_database_is_let_in_with_one_warning_per_process() {
    let mut scene = Scene::new().await;
    scene.set("STAGELINK_POOL_SIZE", "1");
    let function = scene.function("health").await;
    for _ in 0..3 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", scene.log());
        as_superuser(&stagelink_tests::end_sessions(scene.database.role())).await;
    }
    function.shutdown().await;
    let log = scene.log();
    assert_eq!(log.matches("has no stage mark").count(), 1, "{log}");
}

#[tokio::test]
async fn unmarked_database_is_refused_where_a_mark_is_required() {
    let mut scene = Scene::new().await;
    scene.set("STAGELINK_REQUIRE_MARK", "true");
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(scene.log().contains("stagelink mark set --stage staging"));
    // The name of a program is no mark.
    mark(&scene, "psql").await;
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    mark(&scene, "stagelink:staging").await;
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
}

#[tokio::test]
async fn mark_that_changes_counts_from_the_next_connection_on() {
    let scene = Scene::new().await;
    for (name, expected) in [
        ("stagelink:staging", None),
        ("stagelink:review", Some(ErrorKind::WrongDatabase)),
        ("stagelink:staging", None),
    ] {
        mark(&scene, name).await;
        assert_eq!(refusal(&scene).await, expected, "{name}");
    }
}

#[tokio::test]
async fn mark_is_seen_through_a_pooler_whatever_its_clients_call_themselves() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    for (own, expected) in [
        ("staging", None),
        ("production", Some(ErrorKind::WrongDatabase)),
    ] {
        let name = database.name();
        let mark = format!("ALTER DATABASE {name} SET application_name = 'stagelink:{own}'");
        server.run(&mark).await;
        // What a pooler reports is what it found when it was started.
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
        // This one leaves its name to the connection that all will share.
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
async fn look_at_the_mark_costs_no_round_trip_unless_another_name_stands_before_it() {
    let mut costs = Vec::new();
    for (name, query) in [
        ("", ""),
        ("stagelink:staging", ""),
        ("stagelink:staging", "?application_name=shop"),
        ("stagelink:staging", "?options=-c%20application_name%3Dshop"),
    ] {
        let proxy = proxy().await;
        let scene = Scene::new().await;
        mark(&scene, name).await;
        let url = format!("{}{query}", through(&proxy, &scene.database.url()));
        scene.set_url(&url);
        let db = link(&scene).client().await.expect("a connection");
        db.query_typed("SELECT 1", &[]).await.expect("an answer");
        costs.push(proxy.round_trips());
    }
    let [unmarked, marked, named, hidden] = costs[..] else {
        unreachable!("there are four");
    };
    assert_eq!([unmarked, named, hidden], [marked, marked, marked + 1]);
}

#[tokio::test]
async fn mark_that_is_hidden_is_found_all_the_same() {
    let scene = Scene::new().await;
    let hiding = "?options=-c%20application_name%3Dshop";
    scene.set_url(&format!("{}{hiding}", scene.database.url()));
    mark(&scene, "stagelink:production").await;
    assert_eq!(refusal(&scene).await, Some(ErrorKind::WrongDatabase));
    mark(&scene, "stagelink:staging").await;
    assert_eq!(refusal(&scene).await, None);
    // A role's own name comes before the database's.
    scene.set_url(&scene.database.url());
    let role = scene.database.role();
    as_superuser(&format!("ALTER ROLE {role} SET application_name = 'shop'")).await;
    assert_eq!(refusal(&scene).await, None);
    mark(&scene, "stagelink:production").await;
    assert_eq!(refusal(&scene).await, Some(ErrorKind::WrongDatabase));
}

#[tokio::test]
async fn session_has_its_name_from_the_first_statement_on() {
    for (query, name) in [("", "guestbook"), ("?application_name=it%27s", "it's")] {
        let mut scene = Scene::new().await;
        mark(&scene, "stagelink:staging").await;
        scene.set("AWS_LAMBDA_FUNCTION_NAME", "guestbook");
        scene.set_url(&format!("{}{query}", scene.database.url()));
        let db = link(&scene).client().await.expect("a connection");
        let row = db
            .query_typed_one("SELECT current_setting('application_name')", &[])
            .await;
        assert_eq!(row.expect("a name").get::<_, &str>(0), name);
    }
}

#[tokio::test]
async fn write_does_not_try_a_server_that_says_it_takes_none() {
    let proxy = proxy().await;
    let mut scene = Scene::new().await;
    let old = database().await;
    as_superuser(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        old.name()
    ))
    .await;
    let credentials = format!("staging={}", through(&proxy, &old.url()));
    scene.set("STAGELINK_CREDENTIALS", &credentials);
    let link = link(&scene);
    let tries = &AtomicUsize::new(0);
    let written = link
        .write(|db| async move {
            tries.fetch_add(1, Ordering::SeqCst);
            let row = db.query_typed_one("SELECT current_database()", &[]).await?;
            Ok::<String, Error>(row.get(0))
        })
        .await;
    assert_eq!(written.expect("a write"), scene.database.name());
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

/// The command `stagelink mark` with these words, for the scene's database.
async fn command(scene: &Scene, words: &[&str]) -> Output {
    Command::new(stagelink_command().await)
        .arg("mark")
        .args(words)
        .env_clear()
        .envs(&scene.variables)
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
    let scene = Scene::new().await;
    let shown = command(&scene, &["show"]).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("none"));

    let set = command(&scene, &["set", "--stage", "staging", "--json"]).await;
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
    assert_eq!(refusal(&scene).await, None);

    mark(&scene, "stagelink:production").await;
    let refused = command(&scene, &["set"]).await;
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("--replace"));
    let shown = command(&scene, &["show"]).await;
    assert!(text(&shown.stdout).contains("functions of stage staging refuse it"));
    let replaced = command(&scene, &["set", "--replace"]).await;
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let found = link(&scene).inspect().await.expect("an answer");
    assert_eq!(found.mark, StageMark::Of(stagelink::Stage::Staging));

    assert!(command(&scene, &["remove"]).await.status.success());
    let found = link(&scene).inspect().await.expect("an answer");
    assert_eq!(found.mark, StageMark::None);
}

#[tokio::test]
async fn role_that_does_not_own_the_database_cannot_mark_it() {
    let scene = Scene::new().await;
    let (name, role) = (scene.database.name(), scene.database.role());
    as_superuser(&format!("ALTER DATABASE {name} OWNER TO postgres")).await;
    as_superuser(&format!("GRANT CONNECT ON DATABASE {name} TO {role}")).await;
    let error = link(&scene)
        .set_stage_mark()
        .await
        .expect_err("it is not its own");
    assert!(error.to_string().contains("takes its owner"), "{error}");
}
