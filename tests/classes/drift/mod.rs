//! Drift between versions of Postgres: migrations make one schema on each of them, and each kind of
//! change is seen there, or left out.

mod cases;
mod page;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stagelink::tokio_postgres::Client;
use stagelink::{Database, Settings};
use stagelink_local_postgres::{Database as OwnDatabase, Server};
use stagelink_pipeline::{SchemaSnapshot, read_schema};
use stagelink_tests::server;

use self::cases::{LEFT_OUT, SEEN};
use crate::from_npm;

/// Objects of each kind.
const SCHEMA: &str = include_str!("schema.sql");

/// Objects that a superuser alone creates.
const OF_SUPERUSER: &str = include_str!("superuser.sql");

fn stage_of(database: &OwnDatabase) -> Database {
    stage_at(&database.url())
}

fn stage_at(url: &str) -> Database {
    let settings = Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_PROVIDER", "url"),
        ("DATABASE_URL", url),
    ]);
    Database::new(settings)
}

async fn database_of(server: &Server, name: &str) -> (OwnDatabase, Client) {
    let name = format!("drift_{name}_{}", std::process::id());
    let database = server.create_database(&name, "canary-drift").await;
    let database = database.expect("a database");
    let client = server.connect_as_superuser_to(&database).await;
    let client = client.expect("a session");
    // Names without a schema are those of `public`, whatever the role's own schema is.
    client
        .batch_execute("SET search_path = public")
        .await
        .expect("a search path");
    (database, client)
}

async fn major_of(client: &Client) -> i32 {
    let row = client.query_one(
        "SELECT current_setting('server_version_num')::int4 / 10000",
        &[],
    );
    row.await.expect("the version").get(0)
}

/// Returns the schema of the table's changes, before the first one.
async fn schema_of(server: &Server) -> SchemaSnapshot {
    let (database, client) = database_of(server, "cases").await;
    let stage = stage_of(&database);
    let read = async || read_schema(&stage).await.expect("the schema");
    let empty = read().await;
    client.batch_execute(SCHEMA).await.expect("the schema");
    client
        .batch_execute(OF_SUPERUSER)
        .await
        .expect("the schema");
    let schema = read().await;
    assert_eq!(read().await.digest(), schema.digest(), "the same again");
    assert_ne!(empty, schema);
    let secrets = serde_json::to_string(&schema).expect("JSON");
    assert!(!secrets.contains("canary"), "options of servers are secret");

    let major = major_of(&client).await;
    let mut wrong = Vec::new();
    let mut before = schema.clone();
    for case in SEEN.iter().filter(|case| case.since <= major) {
        let changed = client.batch_execute(case.sql).await;
        let now = read().await;
        let found = before.differences(&now);
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        let mut pairs = texts.iter().zip(case.differences);
        if changed.is_err()
            || texts.len() != case.differences.len()
            || !pairs.all(|(text, start)| text.starts_with(start))
        {
            wrong.push(format!("{}: {changed:?} {texts:#?}", case.sql));
        }
        before = now;
    }
    for change in LEFT_OUT.iter().flat_map(|left_out| left_out.changes) {
        let changed = client.batch_execute(change).await;
        let found = before.differences(&read().await);
        if changed.is_err() || !found.is_empty() {
            wrong.push(format!("{change}: {changed:?} {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "Postgres {major}:\n{}", wrong.join("\n"));
    schema
}

#[tokio::test(flavor = "multi_thread")]
async fn same_files_on_each_version_of_postgres_show_no_drift() {
    let own = schema_of(server().await).await;
    for version in ["npm:17", "npm:18"] {
        let other = schema_of(&from_npm(version).await).await;
        let differences: Vec<_> = own
            .differences(&other)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(differences.is_empty(), "{version}: {differences:#?}");
        assert_eq!(own.digest(), other.digest(), "{version}");
    }
}

/// Owners are left out, and a policy for the owner is one for each role of that name.
#[tokio::test(flavor = "multi_thread")]
async fn role_with_another_name_is_no_drift() {
    let (database, client) = database_of(server().await, "role").await;
    let (stage, role) = (
        stage_of(&database),
        format!("drift_owner_{}", std::process::id()),
    );
    let run = async |sql: &str| client.batch_execute(sql).await.expect(sql);
    run(&format!(
        "CREATE ROLE {role}; CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO {role}; \
         CREATE POLICY own ON owned TO {role}; CREATE VIEW seen AS SELECT id FROM owned; \
         ALTER VIEW seen OWNER TO {role}"
    ))
    .await;
    let before = read_schema(&stage).await.expect("the schema");
    run(&format!("ALTER ROLE {role} RENAME TO {role}_new")).await;
    let after = read_schema(&stage).await.expect("the schema");
    run(&format!("DROP TABLE owned CASCADE; DROP ROLE {role}_new")).await;
    assert_eq!(before.digest(), after.digest());
}

/// The server reads its own text again, and prints some of it in another form.
#[tokio::test(flavor = "multi_thread")]
async fn schema_that_is_dumped_and_restored_shows_no_drift() {
    let server = server().await;
    let (database, admin) = database_of(server, "dumped").await;
    let (copy, _) = database_of(server, "restored").await;
    // A policy is for the role that made it, also in the copy.
    let [old, new] = [database.role(), copy.name()];
    let give = format!("ALTER DATABASE \"{new}\" OWNER TO \"{old}\"");
    admin.batch_execute(&give).await.expect("an owner");
    let owner = server.connect(&database).await.expect("a session");
    owner.batch_execute(SCHEMA).await.expect("the schema");
    let url = database.url();
    let (start, _) = url.rsplit_once('/').expect("a database");
    let restored = format!("{start}/{new}");
    let run = |program: &str, arguments: &[&str], input: &[u8]| {
        let input_file = std::env::temp_dir().join(format!("drift-{}.sql", std::process::id()));
        std::fs::write(&input_file, input).expect("a file");
        let file = std::fs::File::open(&input_file).expect("a file");
        let command = std::process::Command::new(program)
            .args(arguments)
            .stdin(file)
            .output();
        std::fs::remove_file(&input_file).expect("the file is removed");
        let output = command.expect("install the PostgreSQL client: apt install postgresql-client");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {error}");
        output.stdout
    };
    let dump = run("pg_dump", &["--schema-only", "--dbname", &url], b"");
    run(
        "psql",
        &["-Xqv", "ON_ERROR_STOP=1", "--dbname", &restored],
        &dump,
    );
    let before = read_schema(&stage_of(&database)).await.expect("the schema");
    let after = read_schema(&stage_at(&restored)).await.expect("the schema");
    let differences = before.differences(&after);
    let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(before.digest(), after.digest());
    drop((owner, admin));
    for database in [new, database.name()] {
        server.drop_database(database).await.expect("it is dropped");
    }
}

/// The catalog's rows are of one snapshot, and what its functions print is not.
#[tokio::test(flavor = "multi_thread")]
async fn migration_meanwhile_gives_no_mixed_schema() {
    let (database, client) = database_of(server().await, "meanwhile").await;
    let many = "DO $$ BEGIN FOR i IN 1..60 LOOP
        EXECUTE format('CREATE TABLE t%s (state_0 int CONSTRAINT above CHECK (state_0 > 0)); \
            CREATE VIEW v%s AS SELECT state_0 AS a FROM t%s', i, i, i);
    END LOOP; END $$";
    client.batch_execute(many).await.expect("the schema");
    let stage = stage_of(&database);
    // Each transaction changes what rows tell, and what functions print.
    let changes = tokio::spawn(async move {
        for state in 0..60 {
            let next = state + 1;
            let sql = format!(
                "DO $$ BEGIN FOR i IN 1..60 LOOP
                    EXECUTE format('ALTER TABLE t%s RENAME state_{state} TO state_{next}', i);
                END LOOP; END $$"
            );
            client.batch_execute(&sql).await.expect("a change");
            tokio::time::sleep(Duration::from_millis(state % 7 * 25)).await;
        }
    });
    let (mut read, mut refused) = (0, 0);
    while !changes.is_finished() {
        match read_schema(&stage).await {
            Ok(schema) => {
                let states = states_of(&schema);
                assert_eq!(states.len(), 1, "a mixed schema: {states:?}");
                read += 1;
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("changes while it is read"), "{error}");
                refused += 1;
            }
        }
    }
    changes.await.expect("the changes are made");
    println!("{read} schemas, {refused} refusals");
    let schema = read_schema(&stage).await.expect("the schema");
    assert_eq!(states_of(&schema), BTreeSet::from(["60".to_owned()]));
}

/// Returns the numbers after `state_` in names and definitions.
fn states_of(schema: &SchemaSnapshot) -> BTreeSet<String> {
    let text = serde_json::to_string(schema).expect("JSON");
    let parts = text.split("state_").skip(1);
    let digits = parts.map(|part| part.chars().take_while(char::is_ascii_digit).collect());
    digits.collect()
}

/// 2,000 tables of ten columns, with indexes, constraints, views and functions.
#[tokio::test(flavor = "multi_thread")]
async fn large_schema_is_read_in_seconds() {
    let (database, client) = database_of(server().await, "large").await;
    client.batch_execute(LARGE).await.expect("the schema");
    let stage = stage_of(&database);
    let started = Instant::now();
    let schema = read_schema(&stage).await.expect("the schema");
    let took = started.elapsed();
    println!("{} objects in {took:?}", schema.objects().len());
    assert!(schema.objects().len() > 30_000);
    assert!(took.as_secs() < 40, "{took:?}");
}

const LARGE: &str = "DO $$ BEGIN FOR i IN 1..2000 LOOP
    EXECUTE format('CREATE TABLE t%s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
        a text NOT NULL DEFAULT ''x'', b int CHECK (b > 0), c timestamptz DEFAULT now(), \
        d numeric(10,2), e uuid, f jsonb, g varchar(20) UNIQUE, h bool DEFAULT false, k bigint)', i);
    EXECUTE format('CREATE INDEX ON t%s (a, lower(g)) WHERE h', i);
    IF i % 4 = 0 THEN
        EXECUTE format('ALTER TABLE t%s ADD FOREIGN KEY (k) REFERENCES t%s (id)', i, i - 1);
        EXECUTE format('CREATE VIEW v%s AS SELECT x.id, y.a FROM t%s x JOIN t%s y ON y.id = x.k',
            i, i, i - 1);
        EXECUTE format('CREATE FUNCTION f%s(a int) RETURNS int LANGUAGE sql AS ''SELECT 1''', i);
    END IF;
    IF i % 50 = 0 THEN COMMIT; END IF;
END LOOP; END $$";
