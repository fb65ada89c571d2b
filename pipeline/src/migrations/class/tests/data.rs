//! Changes of rows, wherever a statement has them.

use super::*;
use crate::migrations::enforcement::reaches_outside;

#[test]
fn change_within_a_statement_of_any_kind_is_judged() {
    check(
        &shop(),
        &[
            (
                "CREATE TABLE n AS WITH d AS (DELETE FROM big RETURNING *) SELECT * FROM d",
                Stop,
                &["backfill", "deletes-rows"],
            ),
            (
                "WITH d AS (DELETE FROM big WHERE b = 1 RETURNING *) SELECT * INTO n FROM d",
                Ask,
                &["data-change"],
            ),
            (
                "CREATE TABLE n AS SELECT * FROM big FOR UPDATE",
                Ask,
                &["data-change"],
            ),
            (
                "PREPARE p AS WITH d AS (DELETE FROM big RETURNING *) SELECT * FROM d",
                Stop,
                &["backfill", "deletes-rows"],
            ),
            ("CREATE TABLE n AS EXECUTE p", Ask, &["runs-code"]),
            (
                "WITH d AS (UPDATE small SET b = 1 RETURNING *) UPDATE big SET b = 1",
                Stop,
                &["backfill"],
            ),
            (
                "WITH d AS (UPDATE big SET b = 1 RETURNING *) UPDATE small SET b = 1",
                Stop,
                &["backfill"],
            ),
            ("SELECT 1 FROM big, small FOR UPDATE", Ask, &["data-change"]),
            (
                "CREATE TABLE n AS WITH d AS (INSERT INTO small (b) VALUES (1) RETURNING *) \
                 SELECT * FROM d",
                Before,
                &[],
            ),
            // What runs later is no change now.
            (
                "CREATE FUNCTION g() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM big; END",
                Before,
                &[],
            ),
            (
                "CREATE RULE r AS ON INSERT TO big DO ALSO DELETE FROM big",
                Stop,
                &["backfill", "create-rule", "deletes-rows"],
            ),
            ("EXPLAIN DELETE FROM big", Before, &[]),
        ],
    );
    let judged = last(
        "CREATE TABLE n AS WITH d AS (DELETE FROM small RETURNING *) SELECT * FROM d",
        &shop(),
    );
    assert_eq!(judged.locks[0].mode, LockMode::RowExclusive);
}

#[test]
fn rows_of_a_small_table_are_needed_too() {
    check(
        &shop(),
        &[
            ("DELETE FROM small", After, &["deletes-rows"]),
            (
                "MERGE INTO small s USING big b ON s.id = b.id WHEN MATCHED THEN DELETE",
                After,
                &["deletes-rows"],
            ),
            (
                "MERGE INTO small s USING big b ON s.id = b.id WHEN MATCHED THEN UPDATE SET b = 1",
                Before,
                &[],
            ),
            ("DELETE FROM small WHERE b = 1", Before, &[]),
            ("CREATE TABLE n (a int); DELETE FROM n", Before, &[]),
        ],
    );
}

#[test]
fn object_that_databases_share_is_not_of_one_of_them() {
    check(
        &shop(),
        &[
            ("DROP ROLE x", Ask, &["ban-revoke", "shared-object"]),
            (
                "DROP USER IF EXISTS x",
                Ask,
                &["ban-revoke", "shared-object"],
            ),
            ("DROP OWNED BY x", Stop, &["ban-revoke", "drop-owned"]),
            (
                "REVOKE CONNECT ON DATABASE shop FROM x",
                Ask,
                &["ban-revoke", "shared-object"],
            ),
        ],
    );
    let judged = last("DROP OWNED BY x CASCADE", &TargetFacts::unknown());
    assert!(judged.findings.iter().any(reaches_outside));
}

#[test]
fn statement_that_changes_rows_is_known() {
    for (sql, expected) in [
        ("UPDATE a SET b = 1", true),
        ("WITH c AS (SELECT 1) DELETE FROM a", true),
        (
            "CREATE TABLE n AS WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d",
            true,
        ),
        ("EXPLAIN ANALYZE DELETE FROM a", true),
        ("PREPARE p AS DELETE FROM a", true),
        ("EXPLAIN DELETE FROM a", false),
        ("CREATE TABLE n AS SELECT 1", false),
        (
            "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c ON DELETE CASCADE",
            false,
        ),
        ("SELECT * FROM a FOR UPDATE", false),
        ("GRANT INSERT, UPDATE ON a TO b", false),
    ] {
        assert_eq!(changes_rows(&statements(sql)[0]), expected, "{sql}");
    }
}
