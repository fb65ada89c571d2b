//! Code of the database's own: a statement that runs it on a real server is never *before*.
//!
//! Each function of the schema draws a number from a sequence that no rollback gives back. So the server
//! says what a statement runs, and not the judge's own reading of it.

use stagelink_local_postgres::{Database, Server};
use stagelink_pipeline::{Class, TargetFacts, judge_files, split_statements};
use tokio_postgres::Client;

/// Statements, whether they run code of the database's own, and the class of the last one.
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

/// Statements that go through the rows of tables with such code in an index, a key, statistics or a policy.
/// Code under a lock of an earlier statement of the file is of *stop*.
const MAINTENANCE: &[(&str, bool, Class)] = &[
    ("ANALYZE indexed_rows", true, Class::Ask),
    ("ANALYZE indexed_rows (id)", false, Class::Ask),
    ("ANALYZE", true, Class::Ask),
    ("ANALYZE items", false, Class::Before),
    ("ANALYZE triggered", false, Class::Before),
    ("ANALYZE counted", true, Class::Ask),
    ("ANALYZE spans", true, Class::Ask),
    ("ANALYZE tree", true, Class::Ask),
    ("REINDEX TABLE indexed_rows", true, Class::Ask),
    ("REINDEX INDEX indexed_rows_note", true, Class::Ask),
    ("REINDEX INDEX indexed_rows_id", false, Class::Before),
    ("REINDEX TABLE triggered", false, Class::Before),
    (
        "CLUSTER indexed_rows USING indexed_rows_id",
        true,
        Class::Ask,
    ),
    (
        "CLUSTER triggered USING triggered_pkey",
        false,
        Class::Before,
    ),
    ("ALTER TABLE indexed_rows SET UNLOGGED", true, Class::Ask),
    (
        "ALTER TABLE indexed_rows ADD COLUMN c uuid DEFAULT gen_random_uuid()",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE indexed_rows ADD COLUMN c int DEFAULT 5",
        false,
        Class::Before,
    ),
    (
        "ALTER TABLE indexed_rows ALTER COLUMN b TYPE text",
        false,
        Class::Before,
    ),
    (
        "CREATE INDEX i ON items (note(id)); ANALYZE items",
        true,
        Class::Stop,
    ),
    (
        "CREATE STATISTICS st ON (note(id)), id FROM items; ANALYZE items",
        true,
        Class::Ask,
    ),
    ("INSERT INTO keyed_1 (id) VALUES (5)", true, Class::Ask),
    ("INSERT INTO deep_1_1 (id) VALUES (5)", true, Class::Ask),
    (
        "ALTER TABLE by_other ATTACH PARTITION loose FOR VALUES IN (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n PARTITION OF with_default FOR VALUES IN (1)",
        true,
        Class::Stop,
    ),
    (
        "ALTER TABLE tree ATTACH PARTITION filled FOR VALUES IN (2)",
        true,
        Class::Ask,
    ),
    ("SELECT '{[1,5]}'::spanned", true, Class::Ask),
    ("SELECT '[1,5]'::span", true, Class::Ask),
    ("SELECT '{[1,5]}'::int4multirange", false, Class::Before),
    ("INSERT INTO multi VALUES ('{[1,5]}')", true, Class::Ask),
    (
        "CREATE TYPE s AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = apart); SELECT '{[1,5]}'::s_multirange",
        false,
        Class::Ask,
    ),
    (
        "CREATE TYPE s AS RANGE (SUBTYPE = noted); SELECT '{[1,5]}'::s_multirange",
        true,
        Class::Ask,
    ),
    (
        "CREATE TYPE s AS RANGE (SUBTYPE = noted, MULTIRANGE_TYPE_NAME = \"M\"); SELECT '{[1,5]}'::\"M\"",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM policed", false, Class::Before),
    (
        "ALTER TABLE policed ENABLE ROW LEVEL SECURITY; ALTER TABLE policed FORCE ROW LEVEL SECURITY; SELECT * FROM policed",
        true,
        Class::Stop,
    ),
    (
        "ALTER TABLE policed FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY; UPDATE policed SET id = 2 WHERE id = 1",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM forced", false, Class::Before),
    (
        "ALTER TABLE forced ENABLE ROW LEVEL SECURITY; SELECT * FROM forced",
        true,
        Class::Stop,
    ),
    (
        "ALTER TABLE deeply_policed ENABLE ROW LEVEL SECURITY; SELECT * FROM deeply_policed",
        true,
        Class::Stop,
    ),
    (
        "CREATE TABLE n (id int); CREATE POLICY p ON n USING (note(id) > 0); ALTER TABLE n FORCE ROW LEVEL SECURITY; ALTER TABLE n ENABLE ROW LEVEL SECURITY; INSERT INTO n SELECT 1; SELECT * FROM n",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int); CREATE POLICY p ON n USING (note(id) > 0); ALTER TABLE n ENABLE ROW LEVEL SECURITY; SELECT * FROM n",
        false,
        Class::Before,
    ),
    ("SELECT * FROM noted_rows", false, Class::Before),
    ("SELECT * FROM on_noted_rows", false, Class::Before),
    ("CREATE TABLE n AS TABLE noted_rows", false, Class::Before),
    ("REFRESH MATERIALIZED VIEW noted_rows", true, Class::Stop),
    ("REFRESH MATERIALIZED VIEW plain_rows", false, Class::Before),
    ("REFRESH MATERIALIZED VIEW indexed_view", true, Class::Ask),
    (
        "REFRESH MATERIALIZED VIEW over_noted_rows",
        false,
        Class::Before,
    ),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT note(id) AS n FROM items WITH NO DATA",
        false,
        Class::Before,
    ),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT note(id) AS n FROM items WITH NO DATA; REFRESH MATERIALIZED VIEW v",
        true,
        Class::Ask,
    ),
    (
        "ALTER DOMAIN plain_domain ADD CHECK (note(VALUE) > 0)",
        true,
        Class::Ask,
    ),
    (
        "ALTER DOMAIN later_domain VALIDATE CONSTRAINT k",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM note(1)", true, Class::Ask),
    (
        "SELECT * FROM XMLTABLE('/a' PASSING ('<a>5</a>'::xml) COLUMNS n noted PATH '.')",
        true,
        Class::Ask,
    ),
    ("SELECT id FROM items ORDER BY note(id)", true, Class::Ask),
];

/// Statements of forms that Postgres has since a version.
const NEWER: &[(u32, &str, bool, Class)] = &[
    (
        17,
        "SELECT * FROM JSON_TABLE('{\"n\": 5}'::jsonb, '$' COLUMNS (n noted PATH '$.n'))",
        true,
        Class::Ask,
    ),
    (
        17,
        "SELECT JSON_VALUE('{\"n\": 5}'::jsonb, '$.n' RETURNING noted)",
        true,
        Class::Ask,
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
    let major = facts.server_major.expect("the version");
    let newer = NEWER.iter().filter(|(since, ..)| *since <= major);
    let newer = newer.map(|(_, sql, runs, class)| (sql, runs, class));
    let cases = CASES.iter().chain(MAINTENANCE);
    let cases = cases.map(|(sql, runs, class)| (sql, runs, class));
    for (sql, runs, class) in cases.chain(newer) {
        let judged = class_of(sql, &facts);
        match has_run(&client, sql).await {
            Ok(ran) if (judged, ran) == (*class, *runs) => {}
            Ok(ran) => wrong.push(format!("{sql}: is {judged}, and ran own code: {ran}")),
            Err(error) => wrong.push(format!("{sql}: {error:?}")),
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

/// Returns the class of the last statement, after those before it.
fn class_of(sql: &str, facts: &TargetFacts) -> Class {
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut file = judge_files(&[&statements], facts).remove(0);
    file.statements.pop().expect("a statement").class
}

/// Runs a statement, takes it back, and returns whether a function of the schema has run.
async fn has_run(client: &Client, sql: &str) -> Result<bool, tokio_postgres::Error> {
    let before = drawn(client).await;
    client.batch_execute("BEGIN").await.expect("a transaction");
    let done = client.batch_execute(sql).await;
    let end = client.batch_execute("ROLLBACK").await;
    end.expect("the end");
    done?;
    Ok(drawn(client).await != before)
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
CREATE TABLE indexed_rows (id int, b varchar(10));
INSERT INTO indexed_rows VALUES (1, 'x'), (2, 'y');
CREATE INDEX indexed_rows_note ON indexed_rows (note(id));
CREATE INDEX indexed_rows_id ON indexed_rows (id);
CREATE TABLE counted (id int, a int);
INSERT INTO counted VALUES (1, 1), (2, 2);
CREATE STATISTICS counted_note ON (note(id)), a FROM counted;
CREATE FUNCTION apart(a int, b int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN a - b; END $$;
CREATE TYPE gap AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = apart);
CREATE TABLE spans (a gap);
INSERT INTO spans VALUES ('[1,5]'), ('[2,3]'), ('[4,9]');
CREATE TYPE span AS RANGE (SUBTYPE = noted, MULTIRANGE_TYPE_NAME = spanned);
CREATE TABLE multi (a spanned);
CREATE TABLE tree (id int) PARTITION BY LIST (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
INSERT INTO tree VALUES (1);
CREATE INDEX tree_note ON tree (note(id));
CREATE TABLE filled (id int);
INSERT INTO filled VALUES (2);
CREATE TABLE deep (id int) PARTITION BY LIST (note(id));
CREATE TABLE deep_1 PARTITION OF deep FOR VALUES IN (1) PARTITION BY LIST (id);
CREATE TABLE deep_1_1 PARTITION OF deep_1 FOR VALUES IN (5);
CREATE TABLE loose (id int);
INSERT INTO loose VALUES (1);
CREATE FUNCTION other(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM nextval('public.drawn'); RETURN a; END $$;
CREATE TABLE by_other (id int) PARTITION BY LIST (other(id));
CREATE TABLE with_default (id int) PARTITION BY LIST (other(id));
CREATE TABLE with_default_rest PARTITION OF with_default DEFAULT;
INSERT INTO with_default VALUES (5);
CREATE TABLE policed (id int PRIMARY KEY);
INSERT INTO policed VALUES (1);
CREATE POLICY p ON policed USING (note(id) > 0);
CREATE TABLE forced (id int);
INSERT INTO forced VALUES (1);
CREATE POLICY p ON forced USING (note(id) > 0);
ALTER TABLE forced FORCE ROW LEVEL SECURITY;
CREATE TABLE deeply_policed (id int);
INSERT INTO deeply_policed VALUES (1);
CREATE POLICY p ON deeply_policed USING (EXISTS (SELECT FROM computed c WHERE c.n = id));
ALTER TABLE deeply_policed FORCE ROW LEVEL SECURITY;
CREATE VIEW on_noted_rows AS SELECT id, n FROM noted_rows;
CREATE MATERIALIZED VIEW over_noted_rows AS SELECT id, n FROM noted_rows;
CREATE MATERIALIZED VIEW plain_rows AS SELECT id FROM items;
CREATE MATERIALIZED VIEW indexed_view AS SELECT id FROM items;
CREATE INDEX indexed_view_note ON indexed_view (note(id));
CREATE DOMAIN plain_domain AS int;
CREATE TABLE with_domain (id plain_domain);
INSERT INTO with_domain VALUES (1);
CREATE DOMAIN later_domain AS int;
CREATE TABLE with_later (id later_domain);
INSERT INTO with_later VALUES (1);
ALTER DOMAIN later_domain ADD CONSTRAINT k CHECK (note(VALUE) > 0) NOT VALID;
ANALYZE;
";
