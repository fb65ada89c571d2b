//! *Before*: no strong lock while many rows are read, and the code that runs now goes on.

use stagelink_pipeline::Class;

use crate::evidence::{foretold, look, look_before, of_ddl};
use crate::shop::{CODE_OF_BEFORE, ROWS, Shop};

/// The statements, with the oldest major version that knows them.
const CASES: [(&str, u32); 67] = [
    ("ALTER TABLE big ALTER COLUMN n SET DEFAULT 99999999.99", 15),
    ("ALTER TABLE big ALTER COLUMN x SET DEFAULT 'x'", 15),
    // A view that shows the column is none that looks at it.
    ("ALTER TABLE big ALTER COLUMN a SET DEFAULT 'x'", 15),
    ("ALTER TABLE coins ALTER COLUMN note SET DEFAULT 'abc'", 15),
    (
        "ALTER TABLE other ADD COLUMN c int DEFAULT 1 CHECK (c IN (1, 2) AND c < 9)",
        15,
    ),
    // The foreign keys of the column are made anew, and no row is read.
    ("ALTER TABLE coins ALTER COLUMN code TYPE varchar(200)", 15),
    ("ALTER TABLE spent ALTER COLUMN code TYPE text", 15),
    ("ALTER DOMAIN narrow VALIDATE CONSTRAINT above", 15),
    ("ALTER DOMAIN wide DROP NOT NULL", 15),
    ("ALTER DOMAIN wide DROP CONSTRAINT above", 15),
    (
        "ALTER TABLE spent ALTER CONSTRAINT spent_coin_fkey NOT ENFORCED",
        18,
    ),
    ("CREATE INDEX shelves_note ON ONLY shelves (note)", 15),
    (
        "ALTER INDEX shelves_kind ATTACH PARTITION shelves_1_kind",
        15,
    ),
    (
        "CREATE FUNCTION touch_again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        15,
    ),
    ("REFRESH MATERIALIZED VIEW names", 15),
    ("CREATE TEMPORARY TABLE big (a int); DROP TABLE big", 15),
    (
        "CREATE TABLE t2 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text NOT NULL)",
        15,
    ),
    (
        "CREATE TABLE t3 (id bigint PRIMARY KEY, big_id bigint REFERENCES big (id))",
        15,
    ),
    ("CREATE TABLE t4 (LIKE big INCLUDING ALL)", 15),
    ("CREATE TABLE t5 (x int) INHERITS (parent)", 15),
    ("CREATE TABLE t6 AS SELECT * FROM big", 15),
    (
        "CREATE TABLE parts_3 PARTITION OF parts FOR VALUES IN (3)",
        15,
    ),
    (
        "CREATE TABLE t7 (a int); CREATE INDEX t7_a ON t7 (a); ALTER TABLE t7 ADD UNIQUE (a)",
        15,
    ),
    ("ALTER TABLE big ADD COLUMN c1 text", 15),
    (
        "ALTER TABLE big ADD COLUMN c9 bigint REFERENCES small (id)",
        15,
    ),
    ("ALTER TABLE big ADD COLUMN c2 int DEFAULT 5", 15),
    ("ALTER TABLE big ADD COLUMN c2 int DEFAULT -5", 15),
    ("ALTER TABLE big ADD COLUMN c3 int NOT NULL DEFAULT 5", 15),
    (
        "ALTER TABLE big ADD COLUMN c4 timestamptz DEFAULT now()",
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c4 date NOT NULL DEFAULT CURRENT_DATE",
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c5 int[] DEFAULT ARRAY[1, 2]",
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c6 bigint GENERATED ALWAYS AS (id * 2) VIRTUAL",
        18,
    ),
    ("ALTER TABLE big ADD COLUMN c7 int, ADD COLUMN c8 int", 15),
    ("ALTER TABLE big ALTER COLUMN v TYPE varchar(200)", 15),
    ("ALTER TABLE big ALTER COLUMN v TYPE varchar", 15),
    ("ALTER TABLE big ALTER COLUMN v TYPE text USING v::text", 15),
    ("ALTER TABLE big ALTER COLUMN n TYPE numeric(12,2)", 15),
    ("ALTER TABLE big ALTER COLUMN nn DROP NOT NULL", 15),
    ("ALTER TABLE big ALTER COLUMN a SET STATISTICS 500", 15),
    ("ALTER TABLE big ALTER COLUMN a SET STORAGE EXTERNAL", 15),
    ("ALTER TABLE big DROP CONSTRAINT a_not_null", 15),
    ("ALTER TABLE big DROP CONSTRAINT big_small", 15),
    ("ALTER TABLE big VALIDATE CONSTRAINT b_positive", 15),
    ("ALTER TABLE big VALIDATE CONSTRAINT big_small", 15),
    ("ALTER TABLE big SET (fillfactor = 90)", 15),
    ("ALTER TABLE big RESET (fillfactor)", 15),
    ("ALTER TABLE big CLUSTER ON big_v", 15),
    ("ALTER TYPE mood ADD VALUE 'meh'", 15),
    ("CREATE VIEW v1 AS SELECT id FROM big", 15),
    (
        "CREATE OR REPLACE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        15,
    ),
    ("COMMENT ON COLUMN public.big.a IS 'x'", 15),
    ("COMMENT ON TABLE big IS 'x'", 15),
    ("CREATE STATISTICS st ON a, b FROM big", 15),
    ("GRANT SELECT ON big TO PUBLIC", 15),
    ("ANALYZE big", 15),
    (
        "INSERT INTO small (id, name) VALUES (500, 'x') ON CONFLICT DO NOTHING",
        15,
    ),
    (
        "INSERT INTO other (id, big_id) SELECT id, id FROM big WHERE id BETWEEN 50 AND 99",
        15,
    ),
    ("SELECT count(*) FROM big", 15),
    ("ALTER TABLE parts ADD COLUMN note text", 15),
    ("CREATE INDEX parts_id ON parts (id)", 15),
    // What a validated CHECK, or a unique index, demands already.
    ("ALTER TABLE big ALTER COLUMN a SET NOT NULL", 15),
    (
        "ALTER TABLE big ADD CONSTRAINT nn_one UNIQUE USING INDEX big_nn",
        15,
    ),
    (
        "ALTER TABLE keyless ADD PRIMARY KEY USING INDEX keyless_id",
        15,
    ),
    // Small tables: the same work takes no time.
    ("CREATE INDEX small_name ON small (name)", 15),
    ("UPDATE small SET parent = 1", 15),
    ("ALTER TABLE small ADD COLUMN number serial", 15),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY copies", 15),
];

/// Runs the cases. Returns what is wrong.
pub(crate) async fn check(shop: &Shop<'_>) -> Vec<String> {
    let client = shop.client().await;
    let setup = "SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0";
    client.batch_execute(setup).await.expect("the settings");
    let mut wrong = Vec::new();
    for (sql, oldest) in CASES {
        if shop.major < oldest {
            continue;
        }
        let judged = shop.expect(sql, Class::Before, &mut wrong);
        client.batch_execute("BEGIN").await.expect("a transaction");
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
                for code in CODE_OF_BEFORE {
                    if let Err(error) = client.query(code, &[]).await {
                        wrong.push(format!("{sql}: then {code}: {error:?}"));
                        break;
                    }
                }
            }
            Err(error) => wrong.push(format!("{sql}: {error:?}")),
        }
        client.batch_execute("ROLLBACK").await.expect("the end");
    }
    println!(
        "Postgres {}: {} statements of before",
        shop.major,
        CASES.len()
    );
    wrong
}
