//! Code of the database's own: a statement that runs it on a real server is never *before*.
//!
//! Each function of the schema draws a number from a sequence that no rollback gives back. So the server
//! says what a statement runs, and not the judge's own reading of it.

use stagelink_local_postgres::{Database, Server};
use stagelink_pipeline::{Class, TargetFacts, judge_files, split_statements};
use tokio_postgres::Client;

/// Statements, whether they run code of the database's own, and their class.
const CASES: &[(&str, bool, Class)] = &[
    ("SELECT note(1)", true, Class::Ask),
    ("SELECT items.label FROM items", true, Class::Ask),
    ("SELECT i.label FROM items i", true, Class::Ask),
    ("SELECT (i).label FROM items i", true, Class::Ask),
    (
        "SELECT i.label FROM (SELECT * FROM items) i",
        true,
        Class::Ask,
    ),
    ("SELECT l.label FROM labelled l", false, Class::Before),
    ("SELECT 1 <+> 2", true, Class::Ask),
    ("SELECT 1 OPERATOR(public.<+>) 2", true, Class::Ask),
    ("SELECT 1 + 2", false, Class::Before),
    ("SELECT 5::noted", true, Class::Ask),
    ("SELECT CAST(5 AS noted)", true, Class::Ask),
    ("SELECT noted '5'", true, Class::Ask),
    ("SELECT '{5}'::noted[]", true, Class::Ask),
    ("SELECT 5::positive", false, Class::Before),
    ("SELECT mood::text FROM moody", true, Class::Ask),
    (
        "INSERT INTO moody (word) SELECT mood FROM moody",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM computed", true, Class::Ask),
    ("SELECT * FROM deeper", true, Class::Ask),
    ("SELECT * FROM plain", false, Class::Before),
    ("EXPLAIN SELECT note(1)", true, Class::Ask),
    ("INSERT INTO items (id) VALUES (100)", false, Class::Before),
    ("INSERT INTO triggered (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO defaulted (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO checked (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO indexed (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO typed (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO ruled (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO parted (id) VALUES (1)", true, Class::Ask),
    ("INSERT INTO onto (id) VALUES (100)", true, Class::Ask),
    ("UPDATE triggered SET id = 7 WHERE id = 1", true, Class::Ask),
    ("DELETE FROM parents WHERE id = 1", true, Class::Ask),
    (
        "CREATE TABLE n AS WITH d AS (INSERT INTO triggered (id) VALUES (9) RETURNING id) SELECT * FROM d",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE items ADD COLUMN c int DEFAULT note(1)",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE items ADD COLUMN c int DEFAULT 1 <+> 2",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE items ADD COLUMN c int DEFAULT 5",
        false,
        Class::Before,
    ),
    (
        "ALTER TABLE items ADD CONSTRAINT k CHECK (note(id) > 0)",
        true,
        Class::Ask,
    ),
    ("ALTER TABLE later VALIDATE CONSTRAINT k", true, Class::Ask),
    ("CREATE INDEX i ON items ((note(id)))", true, Class::After),
    ("CREATE INDEX i ON items ((id <+> 1))", true, Class::After),
    ("CREATE INDEX i ON items ((id::noted))", true, Class::After),
    (
        "CREATE INDEX i ON items ((items.label))",
        true,
        Class::After,
    ),
    ("CREATE INDEX i ON items (id)", false, Class::Before),
    (
        "REFRESH MATERIALIZED VIEW CONCURRENTLY noted_rows",
        true,
        Class::Ask,
    ),
    ("SELECT * INTO n FROM computed", true, Class::Ask),
    ("TABLE computed", true, Class::Ask),
    ("CREATE TABLE n AS TABLE computed", true, Class::Ask),
    ("SELECT * FROM casting", true, Class::Ask),
    (
        "WITH computed AS (SELECT * FROM computed) SELECT * FROM computed",
        true,
        Class::Ask,
    ),
    (
        "CREATE MATERIALIZED VIEW n AS SELECT * FROM deeper",
        true,
        Class::Ask,
    ),
    (
        "INSERT INTO items (id) SELECT n FROM computed",
        true,
        Class::Ask,
    ),
    (
        "INSERT INTO items (id) VALUES ((SELECT max(n) FROM computed))",
        true,
        Class::Ask,
    ),
    (
        "INSERT INTO domain_default (id) VALUES (100)",
        true,
        Class::Ask,
    ),
    (
        "UPDATE conditional SET id = 7 WHERE id = 1",
        true,
        Class::Ask,
    ),
    ("INSERT INTO keyed (id) VALUES (5)", true, Class::Ask),
    (
        "CREATE TABLE n (LIKE defaulted INCLUDING ALL); INSERT INTO n (id) VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (LIKE defaulted INCLUDING DEFAULTS); INSERT INTO n (id) VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int, b int DEFAULT note(1)); INSERT INTO n DEFAULT VALUES",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int, b int DEFAULT note(1)); ALTER TABLE n RENAME TO m; INSERT INTO m DEFAULT VALUES",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int, b int DEFAULT note(1)); SELECT count(*) FROM n",
        false,
        Class::Before,
    ),
    (
        "CREATE TABLE n (id int); CREATE TRIGGER t BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION noted_row(); INSERT INTO n VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int); CREATE RULE r AS ON INSERT TO n DO ALSO SELECT note(1); INSERT INTO n VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT note(1) AS n; CREATE TABLE n AS TABLE v",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT * FROM computed; SELECT * FROM v",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT note(1) AS n; CREATE VIEW w AS TABLE v; SELECT * FROM w",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT note(1) AS n; ALTER VIEW v RENAME TO w; SELECT * FROM w",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT id FROM triggered; INSERT INTO v VALUES (100)",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT id, lower('X') FROM items; SELECT * FROM v",
        false,
        Class::Before,
    ),
    (
        "CREATE TABLE n (id int) PARTITION BY LIST (id); CREATE TABLE n_1 PARTITION OF n FOR VALUES IN (1); CREATE TRIGGER t BEFORE INSERT ON n_1 FOR EACH ROW EXECUTE FUNCTION noted_row(); INSERT INTO n VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n AS SELECT 1 AS id; CREATE INDEX ON n (note(id))",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int); CREATE INDEX ON n (id); INSERT INTO n VALUES (1)",
        false,
        Class::Before,
    ),
    (
        "CREATE SCHEMA s CREATE TABLE n (id int DEFAULT note(1)); INSERT INTO s.n DEFAULT VALUES",
        true,
        Class::Ask,
    ),
    (
        "CREATE SCHEMA s CREATE TABLE n (id int); INSERT INTO s.n VALUES (1)",
        false,
        Class::Before,
    ),
];

/// The writes of the code that runs now that a statement on a small table breaks, though each row that is
/// there passes. The statement is then of *after*.
const LATER_WRITES: &[(&str, &str)] = &[
    (
        "ALTER TABLE words ADD COLUMN c int GENERATED ALWAYS AS (a::int) STORED",
        "INSERT INTO words (a) VALUES ('x')",
    ),
    (
        "ALTER TABLE words ADD COLUMN c int DEFAULT 5 CHECK (c > length(a))",
        "INSERT INTO words (a) VALUES ('longer')",
    ),
    (
        "ALTER TABLE words ADD COLUMN c int DEFAULT 5 UNIQUE",
        "INSERT INTO words (a) VALUES ('2')",
    ),
    (
        "ALTER TABLE empty ADD COLUMN c needed",
        "INSERT INTO empty (a) VALUES ('2')",
    ),
    (
        "ALTER TABLE words ADD COLUMN c int DEFAULT 5 REFERENCES parents (id)",
        "DELETE FROM parents WHERE id = 5",
    ),
];

pub(crate) async fn check(server: &Server) {
    let name = format!("own_code_{}", std::process::id());
    let database = server.create_database(&name, "canary-shop").await;
    let database = database.expect("a database");
    let client = server.connect(&database).await.expect("a session");
    client.batch_execute(SCHEMA).await.expect("the schema");
    let facts = TargetFacts::ask(&client).await.expect("the facts");
    let mut wrong = Vec::new();
    for (sql, runs, class) in CASES {
        let judged = class_of(sql, &facts);
        let ran = has_run(&client, sql).await;
        if (judged, ran) != (*class, *runs) {
            wrong.push(format!("{sql}: is {judged}, and ran own code: {ran}"));
        }
    }
    for (sql, write) in LATER_WRITES {
        let breaks = breaks(server, &database, sql, write).await;
        let judged = class_of(sql, &facts);
        if !breaks || judged != Class::After {
            wrong.push(format!("{sql}: is {judged}, and breaks a write: {breaks}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn class_of(sql: &str, facts: &TargetFacts) -> Class {
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    judge_files(&[&statements], facts).remove(0).class
}

/// Runs a statement, takes it back, and returns whether a function of the schema has run.
async fn has_run(client: &Client, sql: &str) -> bool {
    let before = drawn(client).await;
    client.batch_execute("BEGIN").await.expect("a transaction");
    let done = client.batch_execute(sql).await;
    let end = client.batch_execute("ROLLBACK").await;
    done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    end.expect("the end");
    drawn(client).await != before
}

async fn drawn(client: &Client) -> i64 {
    let row = client.query_one("SELECT last_value FROM drawn", &[]).await;
    row.expect("a number").get(0)
}

/// Returns whether a write succeeds before a statement, and fails after it.
async fn breaks(server: &Server, database: &Database, sql: &str, write: &str) -> bool {
    let client = server.connect(database).await.expect("a session");
    let in_transaction = async |statements: &[&str]| {
        client.batch_execute("BEGIN").await.expect("a transaction");
        let mut last = Ok(());
        for statement in statements {
            assert!(last.is_ok(), "{sql}: {last:?}");
            last = client.batch_execute(statement).await;
        }
        client.batch_execute("ROLLBACK").await.expect("the end");
        last.is_ok()
    };
    in_transaction(&[write]).await
        && in_transaction(&[sql]).await
        && !in_transaction(&[sql, write]).await
}

const SCHEMA: &str = "
CREATE SEQUENCE drawn;
CREATE FUNCTION note(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN 1; END $$;
CREATE FUNCTION note(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN 1; END $$;
CREATE OPERATOR <+> (FUNCTION = note, LEFTARG = int, RIGHTARG = int);
CREATE DOMAIN noted AS int CHECK (note(VALUE) > 0);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN needed AS int NOT NULL;
CREATE TABLE items (id int);
INSERT INTO items VALUES (1), (2);
CREATE FUNCTION label(i items) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN 1; END $$;
CREATE TABLE labelled (id int, label text);
INSERT INTO labelled VALUES (1, 'x');
CREATE TYPE mood AS (word text);
CREATE FUNCTION words(m mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN 'x'; END $$;
CREATE CAST (mood AS text) WITH FUNCTION words(mood) AS ASSIGNMENT;
CREATE TABLE moody (mood mood, word text);
INSERT INTO moody VALUES (ROW('x'), 'x');
CREATE VIEW computed AS SELECT note(id) AS n FROM items;
CREATE VIEW deeper AS SELECT n FROM computed;
CREATE VIEW plain AS SELECT id FROM items;
CREATE FUNCTION noted_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN COALESCE(NEW, OLD); END $$;
CREATE TABLE triggered (id int PRIMARY KEY);
INSERT INTO triggered VALUES (1);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION noted_row();
CREATE TABLE defaulted (id int, n int DEFAULT note(1));
CREATE TABLE checked (id int CHECK (note(id) > 0));
CREATE TABLE indexed (id int);
CREATE INDEX indexed_note ON indexed (note(id));
CREATE TABLE typed (id noted);
CREATE TABLE ruled (id int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT note(1);
CREATE TABLE parted (id int) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TRIGGER t BEFORE INSERT ON parted_1 FOR EACH ROW EXECUTE FUNCTION noted_row();
CREATE VIEW onto AS SELECT id FROM triggered;
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents VALUES (1), (5);
CREATE TABLE children (id int REFERENCES parents ON DELETE CASCADE);
INSERT INTO children VALUES (1);
CREATE TRIGGER t BEFORE DELETE ON children FOR EACH ROW EXECUTE FUNCTION noted_row();
CREATE TABLE later (id int);
INSERT INTO later VALUES (1);
ALTER TABLE later ADD CONSTRAINT k CHECK (note(id) > 0) NOT VALID;
CREATE MATERIALIZED VIEW noted_rows AS SELECT id, note(id) AS n FROM items;
CREATE UNIQUE INDEX noted_rows_id ON noted_rows (id);
CREATE TABLE words (a text);
INSERT INTO words VALUES ('1');
CREATE TABLE empty (a text);
CREATE VIEW casting AS SELECT id::noted AS n FROM items;
CREATE DOMAIN defaulted_type AS int DEFAULT note(1);
CREATE TABLE domain_default (id int, n defaulted_type);
CREATE TABLE conditional (id int PRIMARY KEY);
INSERT INTO conditional VALUES (1);
CREATE TRIGGER t BEFORE UPDATE ON conditional FOR EACH ROW WHEN (note(NEW.id) = 1)
    EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TABLE keyed (id int) PARTITION BY LIST (note(id));
CREATE TABLE keyed_1 PARTITION OF keyed FOR VALUES IN (1);
ANALYZE;
";
