//! *After*: no strong lock while many rows are read, and something that the code that runs now does, or
//! may do, breaks.

use stagelink_pipeline::Class;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::evidence::{foretold, look, look_before, of_ddl};
use crate::shop::{ROWS, Shop};

/// The statements, a query that breaks, and the oldest major version that knows them.
const CASES: [(&str, &str, u32); 54] = [
    (
        "ALTER TABLE big ALTER COLUMN n SET DEFAULT 100000000",
        "INSERT INTO big (a, b, v, nn) VALUES ('x', 7000001, 'v', 'new')",
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN small_id SET DEFAULT 1 / 0",
        "INSERT INTO big (a, b, v, nn) VALUES ('x', 7000001, 'v', 'new')",
        15,
    ),
    (
        "ALTER TABLE coins ALTER COLUMN note SET DEFAULT 'abcd'",
        "INSERT INTO coins (id, code) VALUES (1000, 'new')",
        15,
    ),
    (
        "ALTER TABLE other ADD COLUMN c int DEFAULT 0 CHECK (c > 0)",
        "INSERT INTO other (id) VALUES (1)",
        15,
    ),
    (
        "ALTER TABLE other ADD COLUMN c int CHECK (c IS NOT NULL)",
        "INSERT INTO other (id) VALUES (1)",
        15,
    ),
    (
        "CREATE TABLE ahead.tiny (name text)",
        "SELECT count(*) FROM tiny",
        15,
    ),
    (
        "CREATE FUNCTION one(a int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT a'",
        "SELECT one()",
        15,
    ),
    (
        "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT 3'",
        "SELECT twice(1)",
        15,
    ),
    (
        "CREATE FUNCTION lower(a varchar) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
        "SELECT lower(v) FROM big WHERE id = 1",
        15,
    ),
    (
        "DELETE FROM tiny WHERE true",
        "SELECT count(*) FROM tiny",
        15,
    ),
    (
        "DELETE FROM tiny WHERE name = 'name 1'",
        "SELECT count(*) FROM tiny",
        15,
    ),
    (
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2)",
        "SELECT count(*) FROM parts",
        15,
    ),
    (
        "DELETE FROM tiny WHERE name IS NOT NULL",
        "SELECT count(*) FROM tiny",
        15,
    ),
    (
        "ALTER DOMAIN narrow ADD CONSTRAINT ten CHECK (VALUE < 10)",
        "SELECT 11::narrow",
        15,
    ),
    (
        "ALTER TABLE big DROP COLUMN n",
        "SELECT n FROM big WHERE id = 1",
        15,
    ),
    (
        "ALTER TABLE big RENAME COLUMN v TO v2",
        "SELECT v FROM big WHERE id = 1",
        15,
    ),
    (
        "ALTER TABLE other RENAME TO other2",
        "SELECT x FROM other",
        15,
    ),
    (
        "ALTER TABLE big RENAME CONSTRAINT b_unique TO b_one",
        "INSERT INTO big (a, b, nn) VALUES ('x', 5, 'y') ON CONFLICT ON CONSTRAINT b_unique DO NOTHING",
        15,
    ),
    ("DROP TABLE other", "SELECT x FROM other", 15),
    (
        "ALTER TABLE parts DROP COLUMN id",
        "SELECT id FROM parts LIMIT 1",
        15,
    ),
    ("DROP TABLE parts", "SELECT count(*) FROM parts", 15),
    ("DROP VIEW v0", "SELECT a FROM v0 WHERE id = 1", 15),
    (
        "DROP MATERIALIZED VIEW copies",
        "SELECT a FROM copies WHERE id = 1",
        15,
    ),
    ("DROP FUNCTION one", "SELECT one()", 15),
    (
        "DROP SEQUENCE free_numbers",
        "SELECT nextval('free_numbers')",
        15,
    ),
    (
        "DROP INDEX big_v",
        "EXPLAIN (COSTS OFF) SELECT id FROM big WHERE v = 'none'",
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN b DROP DEFAULT",
        "INSERT INTO big (a, nn) VALUES ('x', 'y') RETURNING b",
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN b SET DEFAULT 1",
        "INSERT INTO big (a, nn) VALUES ('x', 'y') RETURNING b",
        15,
    ),
    ("DELETE FROM tiny", "SELECT count(*) FROM tiny", 15),
    (
        "ALTER TABLE big ADD CONSTRAINT ck CHECK (b < 1000000) NOT VALID",
        "INSERT INTO big (a, b, nn) VALUES ('x', 2000000, 'y')",
        15,
    ),
    (
        "ALTER TABLE other ADD CONSTRAINT fk FOREIGN KEY (x) REFERENCES small (id) NOT VALID",
        "INSERT INTO other (id, x) VALUES (1, 99999)",
        15,
    ),
    (
        "ALTER TABLE big ADD CONSTRAINT v_there NOT NULL v NOT VALID",
        "INSERT INTO big (a, b, v, nn) VALUES ('x', 2000000, NULL, 'y')",
        18,
    ),
    (
        "CREATE UNIQUE INDEX small_name ON small (name)",
        "INSERT INTO small (id, name) VALUES (2000, 'name 1')",
        15,
    ),
    (
        "ALTER TABLE small ADD CONSTRAINT name_one UNIQUE (name)",
        "INSERT INTO small (id, name) VALUES (2000, 'name 1')",
        15,
    ),
    (
        "ALTER TABLE big DROP CONSTRAINT b_unique",
        "INSERT INTO big (a, b, nn) VALUES ('x', 5, 'y') ON CONFLICT (b) DO NOTHING",
        15,
    ),
    (
        "CREATE TRIGGER tg BEFORE UPDATE ON big FOR EACH ROW EXECUTE FUNCTION touch()",
        "UPDATE big SET a = 'mine' WHERE id = 5 RETURNING a",
        15,
    ),
    (
        "DROP TRIGGER watch ON watched",
        "UPDATE watched SET a = 'mine' RETURNING a",
        15,
    ),
    (
        "ALTER TABLE watched DISABLE TRIGGER watch",
        "UPDATE watched SET a = 'mine' RETURNING a",
        15,
    ),
    (
        "CREATE RULE r AS ON DELETE TO big DO INSTEAD NOTHING",
        "WITH d AS (SELECT 1) DELETE FROM big WHERE id = 9",
        15,
    ),
    (
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "SELECT id FROM guarded",
        15,
    ),
    (
        "REVOKE SELECT ON guarded FROM CURRENT_USER",
        "SELECT id FROM guarded",
        15,
    ),
    (
        "ALTER TABLE parts DETACH PARTITION parts_1",
        "SELECT count(*) FROM parts",
        15,
    ),
    (
        "ALTER TABLE child INHERIT parent",
        "SELECT count(*) FROM parent",
        15,
    ),
    (
        "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
        "SELECT feeling FROM big WHERE feeling = 'ok' LIMIT 1",
        15,
    ),
    ("ALTER TYPE mood RENAME TO humor", "SELECT 'ok'::mood", 15),
    (
        "ALTER DOMAIN positive ADD CONSTRAINT ten CHECK (VALUE < 10) NOT VALID",
        "SELECT 11::positive",
        15,
    ),
    (
        "ALTER TABLE small ALTER COLUMN name TYPE varchar(50)",
        "SELECT pg_typeof(name) FROM small WHERE id = 1",
        15,
    ),
    (
        "ALTER TABLE small ALTER COLUMN parent TYPE int",
        "SELECT pg_typeof(parent) FROM small WHERE id = 1",
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN id SET GENERATED ALWAYS",
        "INSERT INTO big (id, a, b, nn) VALUES (3000000, 'x', 3000000, 'y')",
        15,
    ),
    (
        "ALTER TABLE other SET SCHEMA information",
        "SELECT x FROM other",
        15,
    ),
    (
        "ALTER INDEX big_v RENAME TO big_v2",
        "SELECT 'big_v'::regclass",
        15,
    ),
    (
        "ALTER TABLE big ALTER CONSTRAINT big_small DEFERRABLE INITIALLY DEFERRED",
        "SELECT condeferrable FROM pg_constraint WHERE conname = 'big_small'",
        15,
    ),
    (
        "DROP VIEW v0; CREATE VIEW v0 AS SELECT id FROM big",
        "SELECT a FROM v0 WHERE id = 1",
        15,
    ),
    (
        "ALTER SCHEMA information RENAME TO inform",
        "SELECT 'information'::regnamespace",
        15,
    ),
];

/// Runs the cases. Returns what is wrong.
pub(crate) async fn check(shop: &Shop<'_>) -> Vec<String> {
    let client = shop.client().await;
    let setup = "CREATE SCHEMA information; SET max_parallel_maintenance_workers = 0; \
                 SET enable_seqscan = off";
    client.batch_execute(setup).await.expect("the settings");
    let mut wrong = Vec::new();
    for (sql, breaks, oldest) in CASES {
        if shop.major < oldest {
            continue;
        }
        let judged = shop.expect(sql, Class::After, &mut wrong);
        client.batch_execute("BEGIN").await.expect("a transaction");
        let then = answer(&client, breaks).await;
        if then.is_err() {
            wrong.push(format!("{breaks}: fails before: {then:?}"));
        }
        client
            .batch_execute("ROLLBACK; BEGIN")
            .await
            .expect("a transaction");
        let before = look_before(&client).await;
        match client.batch_execute(sql).await {
            Ok(()) => {
                let evidence = look(&client, &before).await;
                let told = foretold(judged.statements.iter().flat_map(|one| &one.locks));
                let taken = of_ddl(&evidence.locks);
                if taken != told {
                    wrong.push(format!("{sql}: takes {taken:?}, not {told:?}"));
                }
                if evidence.is_long_under_a_strong_lock(ROWS / 2) {
                    wrong.push(format!("{sql}: {evidence:?}"));
                }
                if then == answer(&client, breaks).await {
                    wrong.push(format!("{sql}: {breaks}: still {then:?}"));
                }
            }
            Err(error) => wrong.push(format!("{sql}: {error:?}")),
        }
        client.batch_execute("ROLLBACK").await.expect("the end");
    }
    println!(
        "Postgres {}: {} statements of after",
        shop.major,
        CASES.len()
    );
    wrong
}

/// Returns the rows and counts of a query as text, or the code of its error.
async fn answer(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    let answer = client.simple_query(sql).await;
    let messages = answer.map_err(|error| format!("{:?}", error.code()))?;
    let texts = messages.iter().map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).unwrap_or("NULL").to_owned(),
        SimpleQueryMessage::CommandComplete(count) => count.to_string(),
        _ => String::new(),
    });
    Ok(texts.collect())
}
