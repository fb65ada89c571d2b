//! *Stop*: a rewrite, or a strong lock while many rows are read; or it fails, or loses rows.

use stagelink_pipeline::Class;

use crate::evidence::{foretold, look, look_before, of_ddl};
use crate::shop::{ROWS, Shop};

/// The harm of a statement.
#[derive(Clone, Copy, PartialEq)]
enum Harm {
    /// Readers or writers wait while rows are read or written.
    Lasts,
    /// The statement fails on a table with rows.
    Fails,
    /// A strong lock that no statement needs.
    Locks,
    /// Rows are locked, all of them, or gone.
    Rows,
}

const CASES: [(&str, Harm, u32); 54] = [
    // The rows of other tables.
    (
        "ALTER TABLE coins ALTER COLUMN id TYPE bigint",
        Harm::Lasts,
        15,
    ),
    ("ALTER DOMAIN wide SET NOT NULL", Harm::Lasts, 15),
    (
        "ALTER DOMAIN wide ADD CONSTRAINT ten CHECK (VALUE > 0)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER DOMAIN wide VALIDATE CONSTRAINT above",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE spent ALTER CONSTRAINT loose ENFORCED",
        Harm::Lasts,
        18,
    ),
    (
        "ALTER TABLE shelves DETACH PARTITION shelves_2",
        Harm::Lasts,
        15,
    ),
    (
        "CREATE TABLE filled AS SELECT id FROM big; ALTER TABLE filled ADD FOREIGN KEY (id) REFERENCES big (id)",
        Harm::Lasts,
        15,
    ),
    ("UPDATE v0 SET a = 'x'", Harm::Rows, 15),
    (
        "CREATE TABLE archive AS WITH d AS (DELETE FROM keyless RETURNING *) SELECT * FROM d",
        Harm::Rows,
        15,
    ),
    ("REFRESH MATERIALIZED VIEW counted", Harm::Lasts, 15),
    (
        "ALTER TABLE big ADD COLUMN c other_schema.deep DEFAULT 1",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN a SET NOT NULL, DROP CONSTRAINT a_not_null",
        Harm::Lasts,
        15,
    ),
    ("ALTER TABLE parent ADD COLUMN c serial", Harm::Lasts, 15),
    (
        "ALTER TABLE big ADD COLUMN c bigint GENERATED ALWAYS AS (id * 2) VIRTUAL NOT NULL",
        Harm::Lasts,
        18,
    ),
    (
        "ALTER TABLE big ADD COLUMN c uuid DEFAULT gen_random_uuid()",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c uuid[] DEFAULT ARRAY[gen_random_uuid()]",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c bigint GENERATED ALWAYS AS (id * 2) STORED",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS IDENTITY",
        Harm::Lasts,
        15,
    ),
    ("ALTER TABLE big ADD COLUMN c serial", Harm::Lasts, 15),
    (
        "ALTER TABLE big ADD COLUMN c positive DEFAULT 1",
        Harm::Lasts,
        15,
    ),
    ("ALTER TABLE big ADD COLUMN c int UNIQUE", Harm::Lasts, 15),
    (
        "ALTER TABLE big ADD COLUMN c int CHECK (c > 0)",
        Harm::Lasts,
        15,
    ),
    ("ALTER TABLE big ADD COLUMN c int NOT NULL", Harm::Fails, 15),
    (
        "ALTER TABLE big ADD COLUMN c int NOT NULL DEFAULT NULL",
        Harm::Fails,
        15,
    ),
    ("CREATE INDEX big_a ON big (a)", Harm::Lasts, 15),
    ("CREATE UNIQUE INDEX big_u ON big (id, a)", Harm::Lasts, 15),
    ("REINDEX TABLE big", Harm::Lasts, 15),
    ("REINDEX INDEX big_v", Harm::Lasts, 15),
    (
        "ALTER TABLE big ALTER COLUMN n TYPE numeric(12,3)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN b TYPE bigint",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN v TYPE varchar(50)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN w TYPE varchar(200)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN v TYPE text USING lower(v)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN v TYPE text COLLATE \"C\"",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ALTER COLUMN x TYPE varchar(200)",
        Harm::Lasts,
        15,
    ),
    ("REINDEX (CONCURRENTLY FALSE) TABLE big", Harm::Lasts, 15),
    (
        "ALTER TABLE big ALTER COLUMN b SET NOT NULL",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD CONSTRAINT v_there NOT NULL v",
        Harm::Lasts,
        18,
    ),
    (
        "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (small_id) REFERENCES small (id)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD CONSTRAINT un UNIQUE (id, b)",
        Harm::Lasts,
        15,
    ),
    (
        "ALTER TABLE big ADD EXCLUDE USING btree (id WITH =)",
        Harm::Lasts,
        15,
    ),
    ("ALTER TABLE later ADD PRIMARY KEY (id)", Harm::Lasts, 15),
    ("ALTER TABLE later SET UNLOGGED", Harm::Lasts, 15),
    ("CLUSTER big USING big_v", Harm::Lasts, 15),
    (
        "ALTER TABLE parts ATTACH PARTITION later FOR VALUES IN (9)",
        Harm::Lasts,
        15,
    ),
    ("REFRESH MATERIALIZED VIEW copies", Harm::Lasts, 15),
    (
        "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big VALIDATE CONSTRAINT b_positive",
        Harm::Lasts,
        15,
    ),
    ("LOCK TABLE big IN SHARE MODE", Harm::Locks, 15),
    ("LOCK TABLE big", Harm::Locks, 15),
    ("LOCK TABLE parts", Harm::Locks, 15),
    ("TRUNCATE parts", Harm::Rows, 15),
    ("TRUNCATE other", Harm::Rows, 15),
    ("UPDATE big SET feeling = 'bad'", Harm::Rows, 15),
];

/// Runs the cases. Returns what is wrong.
pub(crate) async fn check(shop: &Shop<'_>) -> Vec<String> {
    let client = shop.client().await;
    let setup = "SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0";
    client.batch_execute(setup).await.expect("the settings");
    let mut wrong = Vec::new();
    for (sql, harm, oldest) in CASES {
        if shop.major < oldest {
            continue;
        }
        let judged = shop.expect(sql, Class::Stop, &mut wrong);
        client.batch_execute("BEGIN").await.expect("a transaction");
        let before = look_before(&client).await;
        let done = client.batch_execute(sql).await;
        if done.is_err() != (harm == Harm::Fails) {
            wrong.push(format!("{sql}: {done:?}"));
        } else if done.is_ok() {
            let evidence = look(&client, &before).await;
            let told = foretold(judged.statements.iter().flat_map(|one| &one.locks));
            let taken = of_ddl(&evidence.locks);
            if taken != told {
                wrong.push(format!("{sql}: takes {taken:?}, not {told:?}"));
            }
            if evidence.is_long_under_a_strong_lock(ROWS / 2) != (harm == Harm::Lasts) {
                wrong.push(format!("{sql}: {evidence:?}"));
            }
            if harm == Harm::Locks && !taken.values().any(|mode| mode.is_strong()) {
                wrong.push(format!("{sql}: takes {taken:?}"));
            }
        }
        client.batch_execute("ROLLBACK").await.expect("the end");
    }
    println!(
        "Postgres {}: {} statements that stop",
        shop.major,
        CASES.len()
    );
    wrong
}
