//! Two ways to one database, and databases that look the same.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use stagelink::{Database, Error, ErrorKind, Settings};
use stagelink_local_postgres::{PgBouncerOptions, Server, ServerOptions, ServerSource};
use stagelink_pipeline::{ReadOnlyProof, RemoteDatabase};
use stagelink_tests::{
    Auth, CANARY, Identity, OwnServer, as_superuser, at, database, pooled, proxy, through,
};

/// A database by its URL and further variables.
fn open(url: &str, variables: &[(&str, &str)]) -> Database {
    let own = of_url(url);
    Database::new(Settings::from_vars(own.iter().chain(variables).copied()))
}

fn of_url(url: &str) -> [(&'static str, &str); 3] {
    [
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_PROVIDER", "url"),
        ("DATABASE_URL", url),
    ]
}

/// Compares two databases both ways, which has to give the same answer.
async fn is_same(one: &Database, other: &Database) -> Result<bool, Error> {
    let forth = one.is_same_database_as(other).await;
    let back = other.is_same_database_as(one).await;
    match (&forth, &back) {
        (Ok(forth), Ok(back)) => assert_eq!(forth, back),
        (Err(_), Err(_)) => {}
        other => panic!("{other:?}"),
    }
    forth
}

#[tokio::test]
async fn every_name_port_and_role_of_a_database_leads_to_it() {
    let own = database().await;
    let role = format!("{}_reader", own.name());
    as_superuser(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{CANARY}-reader';
         GRANT CONNECT ON DATABASE {} TO {role}",
        own.name()
    ))
    .await;
    let proxy = proxy().await;
    let url = own.url();
    let (before, rest) = url.split_once('@').expect("a role");
    let (server, _) = rest.split_once('/').expect("a database");
    let (_, port) = server.rsplit_once(':').expect("a port");
    let named = |host: &str| format!("{before}@{host}:{port}/{}", own.name());
    for way in [
        url.clone(),
        named("localhost"),
        named("LOCALHOST"),
        through(&proxy, &url),
        format!("postgres://{role}:{CANARY}-reader@{rest}"),
        format!("{url}?application_name=stagelink%3Aproduction"),
    ] {
        let same = is_same(&open(&url, &[]), &open(&way, &[])).await;
        assert!(same.expect("an answer"), "a way");
    }
    let other = database().await;
    let same = is_same(&open(&url, &[]), &open(&other.url(), &[])).await;
    assert!(!same.expect("an answer"), "another database of the server");
}

#[tokio::test]
async fn pooler_leads_to_its_database() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let own = server.database(Auth::Scram).await;
    let other = server.database(Auth::Md5).await;
    let identity = server.identity();
    let bouncer = server.bouncer(&[&own, &other], identity).await;
    let pin = identity.pin();
    let open = |url: &str| open(url, &[("STAGELINK_SERVER_PIN", &pin)]);
    let pooler = open(&pooled(&bouncer, &own));
    for (way, expected) in [
        (open(&own.url()), true),
        (open(&pooled(&bouncer, &own)), true),
        (open(&other.url()), false),
        (open(&pooled(&bouncer, &other)), false),
    ] {
        let same = is_same(&pooler, &way).await.expect("an answer");
        assert_eq!(same, expected);
    }
    // The transaction that holds the lock has the only connection, and the answer would come after
    // it. That is no answer.
    let options = PgBouncerOptions::new().default_pool_size(1);
    let narrow = server.bouncer_with(options, &[&own], identity).await;
    let error = is_same(&open(&pooled(&narrow, &own)), &open(&pooled(&narrow, &own))).await;
    let kind = error.expect_err("no answer").kind();
    assert!(matches!(kind, ErrorKind::Timeout(_)), "{kind:?}");
}

#[tokio::test]
async fn physical_copy_and_follower_are_other_databases() {
    let folder = tempfile::tempdir().expect("a folder");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody).expect("a folder");
    let (source, copy) = (folder.path().join("source"), folder.path().join("copy"));
    let start = async |data: &Path| {
        // A copy of files, so a server in a container would not do.
        let binaries = ServerSource::Binaries { dir: None };
        let options = ServerOptions::new().source(binaries).data_directory(data);
        Server::start(options).await.expect("Postgres starts")
    };
    let mut original = start(&source).await;
    let password = format!("{CANARY}-shop");
    let shop = original.create_database("shop", &password).await;
    let shop = shop.expect("a database");
    let admin = original.connect_as_superuser().await.expect("a superuser");
    let mark = "ALTER DATABASE shop SET application_name = 'stagelink:staging'";
    admin.batch_execute(mark).await.expect("a mark");
    drop(admin);
    let url = shop.url();
    original.shut_down().await.expect("it stops");
    let copied = Command::new("cp").arg("-a").args([&source, &copy]).status();
    assert!(copied.expect("cp runs").success());
    original.start_again().await.expect("it starts");

    let mut fork = start(&copy).await;
    let fork_url = at(&url, fork.port());
    let identifier = "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = 'shop') \
        FROM pg_control_system()";
    let identity = async |server: &Server| {
        let admin = server.connect_as_superuser().await.expect("a superuser");
        let row = admin.query_one(identifier, &[]).await.expect("a row");
        (row.get::<_, i64>(0), row.get::<_, u32>(1))
    };
    assert_eq!(identity(&original).await, identity(&fork).await);
    let same = is_same(&open(&url, &[]), &open(&fork_url, &[])).await;
    assert!(!same.expect("an answer"), "a physical copy");

    fork.shut_down().await.expect("it stops");
    std::fs::write(copy.join("cluster/standby.signal"), "").expect("a file");
    fork.start_again().await.expect("it starts");
    let follower = open(&fork_url, &[]);
    assert!(follower.inspect().await.expect("a follower").is_read_only);
    let same = is_same(&open(&url, &[]), &follower).await;
    assert!(!same.expect("an answer"), "a follower");
    let same = is_same(&open(&fork_url, &[]), &follower).await;
    assert!(same.expect("an answer"), "the follower itself");
    // To the functions of `stagelink dev --remote` a follower is one that cannot be written, by the leader's owner
    // as well.
    let access = async |url: &str| {
        let settings = Settings::from_vars(of_url(url)).expect("settings");
        RemoteDatabase::new(settings, false).look_up().await
    };
    let proved = access(&fork_url).await.expect("a follower").proof;
    assert_eq!(proved, Some(ReadOnlyProof::Follower));
    let error = access(&url).await.expect_err("the leader");
    assert!(error.to_string().contains("may write"), "{error}");
    for server in [original, fork] {
        server.stop().await.expect("it stops");
    }
}

#[tokio::test]
async fn comparison_with_a_database_that_cannot_be_reached_is_its_error() {
    let own = open(&database().await.url(), &[]);
    let gone = open(&at("postgres://u:c4n4ry-gone@h/d", 1), &[]);
    let error = is_same(&own, &gone).await.expect_err("no server");
    assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
}
