//! Changes of rows, wherever a statement has them.

use super::*;

#[test]
fn change_within_a_statement_of_any_kind_is_judged() {
    check(
        &shop(),
        &[
            (
                "CREATE TABLE n AS WITH d AS (DELETE FROM big RETURNING *) SELECT * FROM d",
                Stop,
                &["backfill"],
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
                &["backfill"],
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
                After,
                &["create-rule"],
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
