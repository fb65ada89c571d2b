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
                &["data-change", "deletes-rows"],
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
            (
                "REVOKE staging FROM production",
                Ask,
                &["ban-revoke", "shared-object"],
            ),
            ("GRANT staging TO production", Ask, &["shared-object"]),
            (
                "GRANT pg_read_all_data TO x WITH ADMIN OPTION",
                Ask,
                &["shared-object"],
            ),
            (
                "GRANT ALL ON DATABASE shop TO PUBLIC",
                Ask,
                &["shared-object"],
            ),
            (
                "GRANT CREATE ON TABLESPACE fast TO x",
                Ask,
                &["shared-object"],
            ),
            (
                "GRANT SET ON PARAMETER log_statement TO x",
                Ask,
                &["shared-object"],
            ),
            ("CREATE ROLE x IN ROLE y", Ask, &["shared-object"]),
            ("CREATE USER x", Ask, &["shared-object"]),
            ("GRANT SELECT ON small TO x", Before, &[]),
            ("GRANT USAGE ON SCHEMA public TO x", Before, &[]),
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

#[test]
fn delete_is_of_after_whatever_its_condition_says() {
    for condition in [
        "id = 3",
        "a = 'x'",
        "a IN ('x', 'y')",
        "a IS NULL",
        "a LIKE 'test%'",
        "a > ''",
        "a IS NULL OR a > ''",
        "a > '-infinity'",
        "v < now() - interval '30 days'",
        "v < now() + interval '100 years'",
        "id > 0",
    ] {
        let sql = format!("DELETE FROM small WHERE {condition}");
        check(&shop(), &[(sql.as_str(), After, &["deletes-rows"])]);
    }
}

#[test]
fn table_of_stagelink_is_changed_by_no_file() {
    for sql in [
        "UPDATE refinery_schema_history SET checksum = '1'",
        "DELETE FROM public.refinery_schema_history WHERE version = 3",
        "INSERT INTO \"stagelink_deploys\" (stage) VALUES ('x')",
        "INSERT INTO Stagelink_Leases VALUES ('x')",
        "WITH d AS (DELETE FROM stagelink_migration_records RETURNING *) SELECT * FROM d",
        "SELECT * FROM stagelink_leases FOR UPDATE",
        "ALTER TABLE stagelink_schema_snapshot ADD COLUMN c int",
        "DROP TABLE stagelink_schema_snapshot",
        "CREATE TABLE stagelink_deploys (id int)",
        "CREATE TRIGGER t BEFORE INSERT ON stagelink_deploys EXECUTE FUNCTION f()",
        "CREATE VIEW deploys AS SELECT * FROM stagelink_deploys",
        "GRANT ALL ON refinery_schema_history TO PUBLIC",
        "SELECT setval('public.stagelink_deploys_id_seq', 1)",
        "SELECT setval('public.\"stagelink_deploys_id_seq\"', 1)",
        "SELECT setval(' stagelink_deploys_id_seq', 1)",
        "SELECT setval(E'\\x73tagelink_deploys_id_seq', 1)",
        "SELECT setval(U&'\\0073tagelink_deploys_id_seq', 1)",
        "SELECT setval($$stagelink_deploys_id_seq$$, 1)",
        "SELECT setval('stagelink_' \n 'deploys_id_seq', 1)",
        "DELETE FROM U&\"stagelink\\005fdeploys\"",
        "DROP TABLE u&\"\\+000073tagelink_schema_snapshot\"",
        "ALTER TABLE public.U&\"refinery_schema_histor\\0079\" ADD COLUMN c int",
    ] {
        for facts in [shop(), TargetFacts::unknown()] {
            let judged = last(sql, &facts);
            assert!(judged.class >= Ask, "{sql}");
            assert!(rules_of(&judged).contains(&"own-table"), "{sql}");
        }
    }
    // Another character than the backslash begins the escapes.
    let other = "DELETE FROM U&\"stagelink!005fdeploys\" UESCAPE '!'";
    let judged = last(other, &shop());
    assert!(judged.class >= Ask, "{judged:?}");
    assert!(
        rules_of(&judged).contains(&"unknown-statement"),
        "{judged:?}"
    );
    let reads = "SELECT version FROM refinery_schema_history";
    let judged = last(reads, &TargetFacts::unknown());
    assert_eq!(judged.class, Before);
    let text = "INSERT INTO small (a) VALUES ('about stagelink_leases')";
    assert_eq!(last(text, &shop()).class, Before);
}

#[test]
fn rows_of_a_child_are_found_by_the_parent() {
    let after: &[&str] = &["inherit"];
    check(
        &shop(),
        &[
            (
                "CREATE TABLE n (LIKE big); INSERT INTO n VALUES (1); ALTER TABLE n INHERIT big",
                After,
                after,
            ),
            (
                "CREATE TABLE n (LIKE small); INSERT INTO n SELECT * FROM small; \
                 ALTER TABLE n INHERIT small",
                After,
                after,
            ),
            (
                "CREATE TABLE n () INHERITS (big); INSERT INTO n VALUES (1)",
                After,
                after,
            ),
            (
                "CREATE TABLE n (LIKE big); ALTER TABLE n INHERIT big; INSERT INTO n VALUES (1)",
                After,
                after,
            ),
            (
                "CREATE TABLE n () INHERITS (big); CREATE TABLE m () INHERITS (n); INSERT INTO m VALUES (1)",
                After,
                after,
            ),
            (
                "CREATE TABLE n AS SELECT 1 AS id; ALTER TABLE p ATTACH PARTITION n FOR VALUES IN (1)",
                After,
                after,
            ),
            (
                "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)",
                After,
                after,
            ),
            ("CREATE TABLE n () INHERITS (big)", Before, &[]),
            (
                "CREATE TABLE n (LIKE big); ALTER TABLE n INHERIT big",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (LIKE p); ALTER TABLE p ATTACH PARTITION n FOR VALUES IN (1)",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (a int); CREATE TABLE m () INHERITS (n); INSERT INTO m VALUES (1)",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn work_that_may_last_is_stopped_behind_a_strong_lock() {
    for (sql, class) in [
        ("SELECT count(*) FROM generate_series(1, 10000000000)", Stop),
        ("SELECT generate_series(1, 10000000000)", Stop),
        ("SELECT pg_sleep(60)", Stop),
        ("SELECT pg_catalog.pg_sleep(60)", Stop),
        ("SELECT repeat('x', 1000000000)", Stop),
        ("SELECT 9.9 ^ 100000", Stop),
        ("SELECT 'aaaa' ~ '(a*)*b'", Stop),
        (
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
            Stop,
        ),
        (
            "SELECT count(*) FROM (VALUES (1), (2)) a, (VALUES (1), (2)) b",
            Stop,
        ),
        ("SELECT * FROM ROWS FROM (unnest('{1,2}'::int[]))", Stop),
        (
            "INSERT INTO small (id) SELECT generate_series(1, 10000000)",
            Stop,
        ),
        (
            "INSERT INTO small (id) VALUES ((SELECT count(*) FROM generate_series(1, 9)))",
            Stop,
        ),
        ("UPDATE small SET b = length(repeat('x', 100000000))", Stop),
        (
            "CREATE TABLE n AS SELECT * FROM generate_series(1, 10000000)",
            Stop,
        ),
        ("SELECT 1", Before),
        ("SELECT now(), gen_random_uuid()", Before),
        ("SELECT * FROM (VALUES (1), (2)) AS t (n)", Before),
        (
            "INSERT INTO small (a) VALUES (lower('X') || 'y'), (md5('a'))",
            Before,
        ),
        ("UPDATE small SET a = 'x' WHERE a IS NULL", Before),
    ] {
        let sql = format!("ALTER TABLE big ADD COLUMN zc int; {sql}");
        let judged = last(&sql, &shop());
        assert_eq!(judged.class, class, "{sql}");
        let lasts = rules_of(&judged).contains(&"long-work-under-lock");
        assert_eq!(lasts, class == Stop, "{sql}");
    }
    // Before the lock, and on a table that the file fills, too.
    let first = "SELECT pg_sleep(60); ALTER TABLE big ADD COLUMN zc int";
    assert_eq!(last(first, &shop()).class, Before);
    for work in [
        "CREATE INDEX ON n (id)",
        "ALTER TABLE n ADD PRIMARY KEY (id)",
        "UPDATE n SET id = 1",
    ] {
        let sql = format!(
            "CREATE TABLE n AS SELECT * FROM big; ALTER TABLE big ADD COLUMN zc int; {work}"
        );
        assert_eq!(
            rules_of(&last(&sql, &shop())),
            ["long-work-under-lock"],
            "{work}"
        );
    }
}
