//! `CHECK` constraints of columns that the run adds.

use super::*;

#[test]
fn check_that_is_not_known_to_accept_null_is_of_after() {
    for (condition, class) in [
        ("c > 0", Before),
        ("(c > 0 AND c < 9) OR c = 20", Before),
        ("c BETWEEN 1 AND 9", Before),
        ("c IN (1, 2)", Before),
        ("c NOT IN (1, -2)", Before),
        ("NOT c = 5", Before),
        ("c + 1 > 0", Before),
        ("d LIKE 'a%'", Before),
        ("d ~ '^a'", Before),
        ("c IN ((1), (2))", Before),
        // A row, an array and a JSON value with a NULL are none.
        ("ROW(c, 1) = ROW(1, 2)", After),
        ("(c, 1) = (1, 2)", After),
        ("(c, 1) IN ((1, 2))", After),
        ("ARRAY[c] = ARRAY[1]", After),
        ("c = ANY('{}')", After),
        ("ARRAY[1] || c = ARRAY[1]", After),
        ("coalesce(c, 0) > 0", After),
        ("c IS NOT NULL", After),
        ("(c > 0) IS TRUE", After),
        ("c IS DISTINCT FROM NULL", After),
        ("CASE WHEN c > 0 THEN true ELSE false END", After),
        ("c > 0 AND false", After),
        // It fails.
        ("c = 1 / 0", After),
        ("c IN (1, 1 / 0)", After),
        ("c BETWEEN 1 AND 1 / 0", After),
        ("c = 'x'::text::int", After),
    ] {
        let sql = format!(
            "ALTER TABLE big ADD COLUMN c int, ADD COLUMN d text; \
             ALTER TABLE big ADD CONSTRAINT k CHECK ({condition}) NOT VALID"
        );
        assert_eq!(last(&sql, &shop()).class, class, "{condition}");
    }
}

#[test]
fn default_that_is_not_known_to_be_taken_is_of_after() {
    for (before, default, class) in [
        ("ADD COLUMN c int", "5", Before),
        ("ADD COLUMN c int", "-5", Before),
        ("ADD COLUMN c smallint", "40000", After),
        ("ADD COLUMN c int DEFAULT 3", "NULL", After),
        ("ADD COLUMN c text", "'x'", Before),
        ("ADD COLUMN c bigint", "nextval('s')", Before),
        ("ADD COLUMN c uuid", "gen_random_uuid()", Before),
        ("ADD COLUMN c timestamptz", "now()", Before),
        ("ADD COLUMN c int NOT NULL DEFAULT 5", "NULL", After),
        ("ADD COLUMN c varchar(2)", "'unknown'", After),
        ("ADD COLUMN c int", "1/0", After),
        ("ADD COLUMN c int, ADD CHECK (c > 0) NOT VALID", "0", After),
        (
            "ADD COLUMN c int, ADD FOREIGN KEY (c) REFERENCES small (id) NOT VALID",
            "0",
            After,
        ),
        ("ADD COLUMN c int REFERENCES small (id)", "0", After),
    ] {
        for between in ["; ALTER TABLE big ", ", "] {
            let sql = format!("ALTER TABLE big {before}{between}ALTER c SET DEFAULT {default}");
            let judged = last(&sql, &shop());
            let is_known = class == Before || default == "NULL";
            assert!(is_known || judged.class == class, "{sql}: {}", judged.class);
            assert!(
                class == After || judged.class == Before,
                "{sql}: {:?}",
                rules_of(&judged)
            );
        }
    }
    let files = [
        "ALTER TABLE big ADD COLUMN c int",
        "CREATE INDEX CONCURRENTLY i ON big ((10 / c))",
        "ALTER TABLE big ALTER c SET DEFAULT 0",
    ];
    let files = files.map(statements);
    let judged = judge_files(&[&files[0], &files[1], &files[2]], &shop());
    assert_eq!(judged[1].class, Before);
    assert_eq!(judged[2].class, After);
    let judged = judge_files(&[&files[0], &files[2], &files[1]], &shop());
    assert_eq!(judged[2].class, After);
}
