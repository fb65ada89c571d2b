//! Drift between versions of Postgres: migrations make one schema on each of them.

use stagelink::{Database, Settings};
use stagelink_local_postgres::{Database as OwnDatabase, Server};
use stagelink_pipeline::{SchemaSnapshot, read_schema};
use stagelink_tests::server;

use crate::from_npm;

/// Objects of each kind, with what versions of Postgres print or keep differently: columns of views,
/// bodies of functions, NOT NULL, partitions.
const SCHEMA: &str = r#"
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('ok', 'bad', 'it''s');
CREATE TYPE pair AS (a int, "B c" text);
CREATE DOMAIN positive AS int NOT NULL DEFAULT 1 CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = numeric);
CREATE SEQUENCE free_numbers INCREMENT 2 CYCLE;
CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old serial,
    name varchar(100) NOT NULL COLLATE "C" CHECK (name <> ''),
    mail text UNIQUE,
    feeling app.mood DEFAULT 'ok',
    age positive,
    lower_mail text GENERATED ALWAYS AS (lower(mail)) STORED,
    at timestamptz DEFAULT now(),
    EXCLUDE USING gist (int8range(id, id + 1) WITH &&)
);
CREATE TABLE app.notes (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    person bigint NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    text text
);
ALTER TABLE app.notes ADD CONSTRAINT short CHECK (length(text) < 1000) NOT VALID;
CREATE INDEX notes_text ON app.notes (lower(text) DESC NULLS LAST) INCLUDE (id) WHERE text IS NOT NULL;
CREATE UNLOGGED TABLE cache (key text PRIMARY KEY);
CREATE TABLE parts (id bigint PRIMARY KEY, person bigint REFERENCES people (id), CHECK (id > 0))
    PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (1000);
CREATE INDEX parts_person ON parts (person);
CREATE TABLE child (extra int) INHERITS (cache);
CREATE VIEW one AS SELECT id, name AS "Full name" FROM people WHERE age > 3 ORDER BY id;
CREATE VIEW two WITH (security_barrier) AS
    SELECT p.id, count(*) AS notes FROM people p JOIN app.notes n ON n.person = p.id
    WHERE EXISTS (SELECT FROM cache WHERE key = p.name) GROUP BY p.id HAVING count(*) > 1;
CREATE VIEW three AS WITH x AS (SELECT 1.5 AS n UNION ALL SELECT 2) SELECT x.n FROM x;
CREATE MATERIALIZED VIEW copies AS SELECT DISTINCT name FROM people;
CREATE UNIQUE INDEX copies_name ON copies (name);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END';
CREATE FUNCTION total(more int DEFAULT 1) RETURNS bigint LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT count(*) + more FROM people; END;
CREATE FUNCTION total(a text) RETURNS int LANGUAGE sql IMMUTABLE STRICT SET search_path = app AS 'SELECT 1';
CREATE PROCEDURE clean() LANGUAGE sql AS 'DELETE FROM app.notes';
CREATE AGGREGATE sum_of (int) (SFUNC = int4pl, STYPE = int);
CREATE TRIGGER touched BEFORE UPDATE OF name ON people FOR EACH ROW
    WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION touch();
ALTER TABLE people DISABLE TRIGGER touched;
CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING;
ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.notes FOR SELECT TO CURRENT_USER
    USING (person IN (SELECT id FROM people WHERE name = current_setting('app.user', true)));
CREATE POLICY all_of_it ON app.notes AS RESTRICTIVE WITH CHECK (text <> '');
"#;

/// Changes of the schema, each with the differences that it makes.
const CHANGES: [(&str, &[&str]); 22] = [
    (
        "ALTER TABLE people ADD COLUMN c int",
        &["column public.people.c is unexpected (integer)"],
    ),
    (
        "ALTER TABLE people ALTER mail SET NOT NULL",
        &["column public.people.mail is text NOT NULL, expected text"],
    ),
    (
        "ALTER TABLE people ALTER old TYPE bigint",
        &["column public.people.old is bigint NOT NULL DEFAULT nextval('public.people_old_seq'"],
    ),
    (
        "ALTER TABLE people ALTER at DROP DEFAULT",
        &["column public.people.at is timestamp with time zone, expected"],
    ),
    (
        "ALTER TYPE app.mood ADD VALUE 'new' BEFORE 'bad'",
        &["type app.mood is ENUM ('ok', 'new', 'bad'"],
    ),
    (
        "ALTER DOMAIN positive DROP NOT NULL",
        &["type public.positive is DOMAIN integer DEFAULT 1, expected"],
    ),
    (
        "ALTER TABLE app.notes VALIDATE CONSTRAINT short",
        &["constraint app.notes.short is CHECK"],
    ),
    (
        "ALTER TABLE people DROP CONSTRAINT people_mail_key",
        &["constraint public.people.people_mail_key is missing (UNIQUE (mail))"],
    ),
    (
        "CREATE INDEX by_hand ON people (at)",
        &["index public.by_hand is unexpected (CREATE INDEX by_hand ON public.people"],
    ),
    (
        "DROP INDEX app.notes_text",
        &["index app.notes_text is missing"],
    ),
    (
        "DROP POLICY own ON app.notes",
        &["policy app.notes.own is missing (PERMISSIVE FOR SELECT TO the owner USING"],
    ),
    (
        "ALTER TABLE app.notes DISABLE ROW LEVEL SECURITY",
        &["table app.notes is plain, expected ROW LEVEL SECURITY"],
    ),
    (
        "CREATE OR REPLACE VIEW one AS SELECT id, name AS \"Full name\" FROM people WHERE age > 4 ORDER BY id",
        &["view public.one is"],
    ),
    (
        "CREATE TABLE app.people (LIKE people); \
         CREATE OR REPLACE VIEW one AS SELECT id, name AS \"Full name\" FROM app.people WHERE age > 3 ORDER BY id",
        &[
            "table app.people is unexpected",
            "view public.one is uses app.people",
        ],
    ),
    (
        "CREATE OR REPLACE FUNCTION total(more int DEFAULT 1) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) - more FROM people; END",
        &["function public.total(more integer) is"],
    ),
    (
        "ALTER FUNCTION touch SECURITY DEFINER",
        &[
            "function public.touch() is () RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER",
        ],
    ),
    (
        "ALTER TABLE people ENABLE TRIGGER touched",
        &["trigger public.people.touched is"],
    ),
    (
        "DROP RULE quiet ON cache",
        &["rule public.cache.quiet is missing"],
    ),
    (
        "ALTER SEQUENCE free_numbers NO CYCLE",
        &["sequence public.free_numbers is"],
    ),
    (
        "ALTER TABLE cache SET LOGGED",
        &["table public.cache is plain, expected UNLOGGED"],
    ),
    (
        "DROP TABLE parts",
        &[
            "table public.parts is missing",
            "table public.parts_1 is missing",
        ],
    ),
    (
        "CREATE TABLE extra (id serial PRIMARY KEY, a text UNIQUE)",
        &["table public.extra is unexpected"],
    ),
];

fn stage_of(database: &OwnDatabase) -> Database {
    let settings = Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_PROVIDER", "url"),
        ("DATABASE_URL", &database.url()),
    ]);
    Database::new(settings)
}

async fn schema_of(server: &Server) -> SchemaSnapshot {
    let name = format!("drift_{}", std::process::id());
    let database = server.create_database(&name, "canary-drift").await;
    let database = database.expect("a database");
    let client = server.connect(&database).await.expect("a session");
    let stage = stage_of(&database);
    let read = async || read_schema(&stage).await.expect("the schema");
    let empty = read().await;
    client.batch_execute(SCHEMA).await.expect("the schema");
    let schema = read().await;
    assert_eq!(read().await.digest(), schema.digest(), "the same again");
    assert_ne!(empty, schema);

    // What is not of the schema makes no difference.
    for same in [
        "INSERT INTO people (name, age) VALUES ('a', 1)",
        "ALTER TABLE people ADD COLUMN c int; ALTER TABLE people DROP COLUMN c",
        "GRANT SELECT ON people TO PUBLIC; COMMENT ON TABLE people IS 'x'; ANALYZE people",
        "SELECT nextval('free_numbers')",
        "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY)",
        "CREATE TEMP TABLE mine (id serial PRIMARY KEY)",
        "REFRESH MATERIALIZED VIEW copies; REINDEX TABLE people",
    ] {
        client.batch_execute(same).await.expect(same);
        assert_eq!(schema.differences(&read().await), [], "{same}");
    }
    let mut wrong = Vec::new();
    for (number, (change, expected)) in CHANGES.into_iter().enumerate() {
        let copy = format!("{name}_{number}");
        let copied = server.create_database(&copy, "canary-drift").await;
        let copied = copied.expect("a database");
        let session = server.connect(&copied).await.expect("a session");
        session.batch_execute(SCHEMA).await.expect("the schema");
        match session.batch_execute(change).await {
            Ok(()) => {
                let changed = read_schema(&stage_of(&copied)).await.expect("the schema");
                let found = schema.differences(&changed);
                let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
                let mut pairs = texts.iter().zip(expected);
                if texts.len() != expected.len()
                    || !pairs.all(|(text, start)| text.starts_with(start))
                {
                    wrong.push(format!("{change}: {texts:#?}"));
                }
            }
            Err(error) => wrong.push(format!("{change}: {error:?}")),
        }
        drop(session);
        server.drop_database(&copy).await.expect("it is dropped");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
