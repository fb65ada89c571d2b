//! The objects of two files, which may change places only without one in common.

use super::*;

/// Returns what the files of a run have in common; `None` where one of them does not name all.
fn shared(first: &str, second: &str) -> Option<Vec<String>> {
    let files = [statements(first), statements(second)];
    let files: Vec<_> = files.iter().map(Vec::as_slice).collect();
    let judged = judge_files(&files, &shop());
    let (first, second) = (judged[0].objects()?, judged[1].objects()?);
    let both = first.intersection(&second);
    Some(both.map(ToString::to_string).collect())
}

#[test]
fn statement_that_reaches_more_than_it_names_has_all_in_common() {
    for sql in [
        "DROP SCHEMA rep CASCADE",
        "DROP SCHEMA rep",
        "ALTER SCHEMA app2 RENAME TO app3",
        "DROP EXTENSION citext",
        "DROP EXTENSION citext CASCADE",
        "DROP OWNED BY app CASCADE",
        "REASSIGN OWNED BY a TO b",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM x",
        "REVOKE USAGE ON SCHEMA public FROM x",
        "REVOKE readers FROM x",
        "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM x",
        "DROP FUNCTION f CASCADE",
        "DROP TABLE small CASCADE",
        "DROP TYPE mood CASCADE",
        "ALTER TABLE small DROP COLUMN a CASCADE",
        "TRUNCATE small CASCADE",
        "DROP ROLE x",
        "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT b FROM'",
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS E'SELECT b FROM small'",
        "CREATE FUNCTION g() RETURNS void LANGUAGE sql AS 'DROP TABLE small CASCADE'",
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET search_path = x AS 'SELECT b FROM small'",
        "CREATE FUNCTION g() RETURNS int LANGUAGE c AS 'lib', 'g'",
        "CREATE EXTENSION pg_trgm",
        "CREATE SCHEMA rep CREATE TABLE monthly (id int)",
        "SELECT set_config('search_path', 'rep', false)",
        "SET search_path = E'rep'; DROP TABLE small",
        "CHECKPOINT",
    ] {
        assert_eq!(shared(sql, "CREATE TABLE n (id int)"), None, "{sql}");
    }
}

#[test]
fn objects_in_common_are_of_every_kind() {
    for (first, second, expected) in [
        ("DROP TABLE small", "CREATE VIEW v2 AS SELECT 1", &[][..]),
        (
            "DROP TABLE small",
            "ALTER TABLE small ADD COLUMN c int",
            &["public.small"],
        ),
        (
            "ALTER TYPE mood RENAME TO humor",
            "ALTER TABLE big ADD COLUMN c humor",
            &["humor"],
        ),
        (
            "ALTER TYPE mood RENAME TO humor",
            "ALTER TABLE big ADD COLUMN c mood[]",
            &["mood"],
        ),
        (
            "DROP TYPE other.mood",
            "CREATE TABLE n (a text, b other.mood)",
            &["mood"],
        ),
        (
            "DROP DOMAIN positive",
            "CREATE VIEW w AS SELECT 1::positive AS a",
            &["positive"],
        ),
        (
            "ALTER TABLE small ADD COLUMN c int",
            "ALTER TABLE big ADD COLUMN c int DEFAULT 1",
            &[],
        ),
        (
            "DROP TABLE small",
            "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT id FROM p'",
            &[],
        ),
        (
            "DROP TABLE small",
            "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $x$ SELECT 1; SELECT b FROM public.small $x$",
            &["public.small"],
        ),
        (
            "DROP TABLE small",
            "CREATE FUNCTION g() RETURNS int RETURN (SELECT b FROM small)",
            &["public.small"],
        ),
        (
            "DROP TABLE small",
            "CREATE PROCEDURE g() LANGUAGE sql BEGIN ATOMIC DELETE FROM big; DELETE FROM small; END",
            &["public.big", "public.small"],
        ),
        (
            "DROP TABLE small",
            "CREATE FUNCTION g() RETURNS SETOF small LANGUAGE sql AS 'SELECT NULL'",
            &["public.small"],
        ),
        (
            "DROP FUNCTION f",
            "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT f()'",
            &["f"],
        ),
        (
            "DROP FUNCTION f",
            "CREATE VIEW w AS SELECT f() AS a",
            &["f"],
        ),
        (
            "DROP FUNCTION f()",
            "ALTER TABLE big ADD CONSTRAINT c CHECK (public.f() > b) NOT VALID",
            &["f"],
        ),
        (
            "DROP SEQUENCE s",
            "ALTER TABLE big ALTER b SET DEFAULT nextval('public.s')",
            &["public.s"],
        ),
        (
            "ALTER TABLE small ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES p ON DELETE CASCADE NOT VALID",
            "CREATE TABLE n (id int)",
            &[],
        ),
        (
            "COMMENT ON COLUMN small.a IS 'x'",
            "ALTER TABLE small DROP COLUMN a",
            &["public.small"],
        ),
    ] {
        let shared = shared(first, second).unwrap_or_else(|| panic!("{first} / {second}"));
        assert_eq!(shared, expected, "{first} / {second}");
    }
}
