//! Objects that count as created by the same file, and those that do not.

use super::*;

/// A shop with two schemas, both of which have a large table.
fn two_schemas() -> TargetFacts {
    let mut facts = shop();
    let big = facts.relations[&public("big")].clone();
    facts
        .relations
        .insert(ObjectName::in_schema("temp", "big"), big.clone());
    facts
        .relations
        .insert(ObjectName::in_schema("app2", "big"), big);
    facts
}

#[test]
fn object_that_exists_is_not_created() {
    let drops = &["ban-drop-index", "require-concurrent-index-deletion"];
    check(
        &two_schemas(),
        &[
            // A schema of the name "temp" makes no temporary table.
            (
                "CREATE TABLE IF NOT EXISTS temp.big (id int); ALTER TABLE big DROP COLUMN a",
                After,
                &["ban-drop-column"],
            ),
            (
                "CREATE TABLE temp.n (temp int); DROP TABLE public.big",
                After,
                &["ban-drop-table"],
            ),
            (
                "SELECT 1 AS temp INTO n; DROP TABLE big",
                After,
                &["ban-drop-table"],
            ),
            (
                "SELECT 1 AS a INTO TEMP big FROM small; DROP TABLE big",
                Before,
                &[],
            ),
            (
                "CREATE LOCAL TEMP TABLE big (a int); DROP TABLE big",
                Before,
                &[],
            ),
            // An index.
            (
                "CREATE INDEX IF NOT EXISTS big_b ON big (b); DROP INDEX big_b",
                After,
                drops,
            ),
            (
                "CREATE INDEX IF NOT EXISTS small_b ON small (b); DROP INDEX small_b",
                Before,
                &[],
            ),
            // A view.
            (
                "CREATE OR REPLACE VIEW v AS SELECT 1 AS a; DROP VIEW v",
                After,
                &["ban-drop-view"],
            ),
            (
                "CREATE OR REPLACE VIEW v2 AS SELECT 1 AS a; DROP VIEW v2",
                Before,
                &[],
            ),
            (
                "CREATE SEQUENCE IF NOT EXISTS p; DROP SEQUENCE p",
                After,
                &["ban-drop-sequence"],
            ),
        ],
    );
    check(
        &TargetFacts::unknown(),
        &[(
            "CREATE OR REPLACE VIEW v AS SELECT 1 AS a; DROP VIEW v",
            After,
            &["ban-drop-view"],
        )],
    );
}

#[test]
fn search_path_is_followed_or_names_are_not_known() {
    check(
        &two_schemas(),
        &[
            (
                "CREATE TABLE n (a int); SET SCHEMA 'app2'; DROP TABLE n",
                Ask,
                &["ban-drop-table", "unknown-table"],
            ),
            (
                "SET SCHEMA 'app2'; CREATE TABLE n (a int); DROP TABLE app2.n",
                Before,
                &[],
            ),
            (
                "SET SCHEMA 'app2'; CREATE TABLE big2 (a int); DROP TABLE public.big2",
                Ask,
                &["ban-drop-table", "unknown-table"],
            ),
            (
                "SET search_path = E'app2'; ALTER TABLE big ADD COLUMN c int",
                Ask,
                &["unknown-table"],
            ),
            (
                "SET search_path = E'app2'; DROP TABLE IF EXISTS big",
                Ask,
                &["ban-drop-table", "unknown-table"],
            ),
            (
                "SET search_path = E'app2'; ALTER TABLE IF EXISTS big DROP COLUMN a",
                Ask,
                &["ban-drop-column", "unknown-table"],
            ),
            (
                "SET search_path = E'app2'; CREATE TABLE IF NOT EXISTS big (a int); DROP TABLE big",
                Ask,
                &["ban-drop-table", "unknown-table"],
            ),
            (
                "SET search_path = E'app2'; ALTER TABLE public.big ADD COLUMN c int",
                Before,
                &[],
            ),
            (
                "SELECT set_config('search_path', 'app2', false); ALTER TABLE big ADD COLUMN c int",
                Ask,
                &["unknown-table"],
            ),
            (
                "SET search_path = E'app2'; RESET search_path; ALTER TABLE big ADD COLUMN c int",
                Before,
                &[],
            ),
        ],
    );
}
