//! New objects with the name of another one.

use super::*;

/// A database whose search path has a schema before `public`, and one that does not exist.
fn two_schemas() -> TargetFacts {
    let mut facts = shop();
    facts.search_path = vec!["app".to_owned(), "public".to_owned()];
    facts.listed_schemas = ["role", "app", "public"].map(str::to_owned).to_vec();
    facts.types.insert(public("mood"));
    let lower = ObjectName::in_schema("pg_catalog", "lower");
    facts.provided_routines.insert(lower);
    facts
}

#[test]
fn object_before_another_of_its_name_is_after() {
    let hides: &[&str] = &["hides-object"];
    check(
        &two_schemas(),
        &[
            ("CREATE TABLE big (id int)", After, hides),
            ("CREATE TABLE app.big (id int)", After, hides),
            ("CREATE VIEW app.small AS SELECT 1 AS id", After, hides),
            (
                "CREATE MATERIALIZED VIEW small AS SELECT 1 AS id",
                After,
                hides,
            ),
            ("CREATE SEQUENCE small", After, hides),
            ("CREATE TABLE small AS SELECT 1 AS id", After, hides),
            ("CREATE TYPE mood AS ENUM ('ok')", After, hides),
            ("CREATE DOMAIN mood AS text", After, hides),
            (
                "CREATE SCHEMA role; CREATE TABLE role.big (id int)",
                After,
                hides,
            ),
            // The new schema of the role comes first in the path.
            (
                "CREATE SCHEMA role; CREATE TABLE big (id int)",
                After,
                hides,
            ),
            ("CREATE TABLE big2 (id int)", Before, &[]),
            ("CREATE TABLE elsewhere.big (id int)", Before, &[]),
            ("CREATE TEMPORARY TABLE big (id int)", Before, &[]),
            ("CREATE TYPE humor AS ENUM ('ok')", Before, &[]),
        ],
    );
    check(&shop(), &[("CREATE TABLE app.big (id int)", Before, &[])]);
}

#[test]
fn function_that_takes_calls_of_another_is_after() {
    let hides: &[&str] = &["hides-object"];
    check(
        &two_schemas(),
        &[
            (
                "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                After,
                hides,
            ),
            (
                "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                After,
                hides,
            ),
            (
                "CREATE OR REPLACE FUNCTION lower(a varchar) RETURNS text LANGUAGE sql AS 'SELECT 1'",
                After,
                hides,
            ),
            (
                "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Ask,
                &["ban-replace-view-function"],
            ),
            (
                "CREATE FUNCTION lower(a varchar) RETURNS text LANGUAGE sql AS 'SELECT 1'",
                After,
                hides,
            ),
            (
                "CREATE PROCEDURE f(a int) LANGUAGE sql AS 'SELECT 1'",
                After,
                hides,
            ),
            (
                "CREATE AGGREGATE f (int) (SFUNC = int4pl, STYPE = int)",
                After,
                hides,
            ),
            (
                "CREATE FUNCTION elsewhere.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Before,
                &[],
            ),
            (
                "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Before,
                &[],
            ),
            (
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
                Before,
                &[],
            ),
            (
                "DROP FUNCTION f(int); CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                After,
                &["recreate"],
            ),
        ],
    );
}
