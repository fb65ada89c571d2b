//! Code of the database's own that a statement runs, by a call or without one.

use super::*;

/// The shop, with operators, a domain, a trigger and a view that run functions of its own.
fn workshop() -> TargetFacts {
    let mut facts = shop();
    facts.routines.insert(public("total"));
    facts.operators.insert("===".to_owned());
    facts.types_with_code.insert(public("checked"));
    facts.types.insert(public("checked"));
    facts.operator_classes.insert("own_ops".to_owned());
    let small = facts.relations[&public("small")].clone();
    let mut add = |name: &str, change: &dyn Fn(&mut RelationFacts)| {
        let mut relation = RelationFacts {
            columns: small.columns.clone(),
            bytes: 8192,
            ..RelationFacts::default()
        };
        change(&mut relation);
        facts.relations.insert(public(name), relation);
    };
    add("watched", &|one| {
        one.code.writes = Some("the trigger t".to_owned());
    });
    add("computed", &|one| {
        one.code.reads = Some("the function f()".to_owned());
    });
    add("totals", &|one| {
        let total = one.columns["b"].clone();
        one.columns.insert("total".to_owned(), total);
    });
    facts
}

#[test]
fn code_of_an_expression_is_asked_for_in_each_notation() {
    let asks: &[&str] = &["runs-code"];
    check(
        &workshop(),
        &[
            ("SELECT small.total FROM small", Ask, asks),
            ("SELECT s.total FROM small s", Ask, asks),
            ("SELECT (s).total FROM totals s", Ask, asks),
            ("SELECT totals.total FROM totals", Before, &[]),
            ("SELECT s.total FROM totals s", Before, &[]),
            (
                "SELECT s.total FROM totals s (a, b, c, d, e, f, g)",
                Ask,
                asks,
            ),
            ("SELECT s.total FROM (SELECT b FROM small) s", Ask, asks),
            (
                "WITH totals AS (SELECT 1) SELECT totals.total FROM totals",
                Ask,
                asks,
            ),
            ("SELECT (5.0).pg_sleep", Ask, asks),
            ("SELECT ('x'::text).upper", Before, &[]),
            ("SELECT s.b, s.a FROM small s", Before, &[]),
            ("SELECT 1 === 2", Ask, asks),
            ("SELECT 1 OPERATOR(public.===) 2", Ask, asks),
            ("SELECT b FROM small ORDER BY b USING ===", Ask, asks),
            (
                "SELECT 1 + 2, 'a' || 'b', '{}'::jsonb -> 'a' @> '1'",
                Before,
                &[],
            ),
            ("SELECT 1::checked", Ask, asks),
            ("SELECT CAST('{1}' AS public.checked)", Ask, asks),
            ("SELECT checked '1'", Ask, asks),
            ("SELECT 1::text, 'ok'::mood", Before, &[]),
            ("EXPLAIN SELECT f(1)", Ask, asks),
            ("SELECT * FROM computed", Ask, asks),
            ("INSERT INTO watched (b) VALUES (1)", Ask, asks),
            (
                "WITH i AS (INSERT INTO watched (b) VALUES (1) RETURNING b) SELECT * FROM i",
                Ask,
                asks,
            ),
            ("CREATE TABLE copy AS SELECT * FROM computed", Ask, asks),
            (
                "ALTER TABLE small ADD COLUMN c int DEFAULT f(1)",
                Ask,
                &["ban-new-write-restriction", "runs-code"],
            ),
            (
                "ALTER TABLE small ADD COLUMN c bool DEFAULT 1 === 2",
                Ask,
                &["ban-new-write-restriction", "runs-code"],
            ),
            (
                "ALTER TABLE small ADD COLUMN c bool, ADD CHECK (c === true) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX ON small (a own_ops)",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX ON small ((b === 1))",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX ON small ((a::checked))",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX ON small ((small.total))",
                After,
                &["ban-new-write-restriction"],
            ),
            ("CREATE INDEX ON small ((a || v))", Before, &[]),
            (
                "CREATE INDEX ON small ((a LIKE v))",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX ON small ((a ~ v))",
                After,
                &["ban-new-write-restriction"],
            ),
            ("CREATE INDEX ON small ((a LIKE 'x%'))", Before, &[]),
            ("CREATE INDEX ON small ((a ~ '^x' AND v = a))", Before, &[]),
            (
                "ALTER TABLE small ALTER COLUMN a SET STORAGE PLAIN",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE small ALTER COLUMN a SET STORAGE EXTERNAL",
                Before,
                &[],
            ),
            ("CREATE EXTENSION intarray", Ask, asks),
            ("CREATE EXTENSION pg_trgm", Before, &[]),
            ("CREATE EXTENSION unheard_of", Ask, asks),
            (
                "CREATE CAST (text AS mood) WITH FUNCTION f(text)",
                Ask,
                &["unknown-statement"],
            ),
            (
                "CREATE OPERATOR ~~~ (FUNCTION = f, LEFTARG = int, RIGHTARG = int)",
                Ask,
                &["unknown-statement"],
            ),
        ],
    );
}

#[test]
fn code_that_the_run_creates_is_asked_for_too() {
    let asks: &[&str] = &["runs-code"];
    let table = "CREATE TABLE t (a int)";
    let function =
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'";
    let cases = [
        (
            format!("{table}; INSERT INTO t VALUES (1)"),
            Before,
            &[][..],
        ),
        (
            format!(
                "{table}; {function}; CREATE TRIGGER r BEFORE INSERT ON t EXECUTE FUNCTION g(); INSERT INTO t VALUES (1)"
            ),
            Ask,
            asks,
        ),
        (
            "CREATE TABLE t (a int DEFAULT f()); INSERT INTO t VALUES (1)".to_owned(),
            Ask,
            asks,
        ),
        (
            "CREATE TABLE t (a int CHECK (f(a))); INSERT INTO t VALUES (1)".to_owned(),
            Ask,
            asks,
        ),
        (
            "CREATE VIEW w AS SELECT f(1); SELECT * FROM w".to_owned(),
            Ask,
            asks,
        ),
        (
            "CREATE DOMAIN d AS int CHECK (f(VALUE)); SELECT 1::d".to_owned(),
            Ask,
            asks,
        ),
        (
            "CREATE DOMAIN d AS int CHECK (VALUE > 0); SELECT 1::d".to_owned(),
            Before,
            &[],
        ),
        (
            format!("{table}; INSERT INTO t VALUES (1); ALTER TABLE t ADD b int DEFAULT f()"),
            Ask,
            asks,
        ),
    ];
    let mut wrong = Vec::new();
    for (sql, class, rules) in &cases {
        let judged = last(sql, &shop());
        let found = rules_of(&judged);
        if judged.class != *class || !rules.iter().all(|rule| found.contains(rule)) {
            wrong.push(format!("{sql}: {} by {found:?}", judged.class));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn event_trigger_runs_with_each_change_of_the_schema() {
    let facts = TargetFacts {
        event_triggers: vec![EventTriggerFacts {
            name: "audit".to_owned(),
            function: 1,
        }],
        ..shop()
    };
    check(
        &facts,
        &[
            ("CREATE TABLE t (a int)", Ask, &["runs-code"]),
            ("ALTER TABLE small ADD COLUMN c int", Ask, &["runs-code"]),
            ("COMMENT ON TABLE small IS 'x'", Ask, &["runs-code"]),
            ("INSERT INTO small (b) VALUES (1)", Before, &[]),
            ("SET work_mem = '1MB'", Before, &[]),
        ],
    );
}

/// A small table passes today, and its later rows are those of the code that runs now.
#[test]
fn new_column_that_may_refuse_a_later_row_is_of_after() {
    let restricts: &[&str] = &["ban-new-write-restriction"];
    check(
        &shop(),
        &[
            (
                "ALTER TABLE small ADD COLUMN c int GENERATED ALWAYS AS (a::int) STORED",
                After,
                restricts,
            ),
            (
                "ALTER TABLE small ADD COLUMN c text GENERATED ALWAYS AS (lower(a)) STORED",
                Before,
                &[],
            ),
            (
                "ALTER TABLE small ADD COLUMN c int CHECK (c > 0)",
                Before,
                &[],
            ),
            (
                "ALTER TABLE small ADD COLUMN c int DEFAULT 5 CHECK (c > b)",
                After,
                restricts,
            ),
            ("ALTER TABLE small ADD COLUMN c int UNIQUE", Before, &[]),
            (
                "ALTER TABLE small ADD COLUMN c int DEFAULT 5 UNIQUE",
                After,
                restricts,
            ),
            (
                "ALTER TABLE small ADD COLUMN c bigserial UNIQUE",
                Before,
                &[],
            ),
            (
                "ALTER TABLE small ADD COLUMN c positive DEFAULT 5",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn index_on_values_without_a_limit_is_remarked_and_stays_before() {
    let remarks = |sql: &str| {
        let mut facts = shop();
        let big = facts.relations.get_mut(&public("big")).unwrap();
        let limited = constraint(
            "short",
            ConstraintKind::Check,
            "w",
            "CHECK ((length(w) < 9))",
        );
        big.constraints.push(limited);
        let text = big.columns["a"].clone();
        big.columns.insert("w".to_owned(), text);
        let judged = last(sql, &facts);
        assert_eq!(judged.class, Before, "{sql}");
        judged.remarks.join(" ")
    };
    for (sql, expected) in [
        ("CREATE INDEX CONCURRENTLY i ON big (a)", "2704"),
        ("CREATE INDEX CONCURRENTLY i ON big (lower(a))", "2704"),
        ("CREATE INDEX CONCURRENTLY i ON big (b) INCLUDE (a)", "2704"),
        ("CREATE INDEX CONCURRENTLY i ON big USING gist (a)", "8152"),
        ("CREATE INDEX CONCURRENTLY i ON big USING hash (a)", ""),
        ("CREATE INDEX CONCURRENTLY i ON big (md5(a))", ""),
        ("CREATE INDEX CONCURRENTLY i ON big (v)", ""),
        ("CREATE INDEX CONCURRENTLY i ON big (b)", ""),
        ("CREATE INDEX CONCURRENTLY i ON big (w)", ""),
    ] {
        let found = remarks(sql);
        assert!(
            found.contains(expected) && found.is_empty() == expected.is_empty(),
            "{sql}: {found}"
        );
    }
}

/// Relations that the file itself makes lead to code as those do that are there.
#[test]
fn relation_of_the_file_that_leads_to_code_is_asked_for() {
    let table = "CREATE TABLE t (a int)";
    let parted = "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t FOR VALUES IN (1)";
    let trigger = |on: &str| format!("CREATE TRIGGER r BEFORE INSERT ON {on} EXECUTE FUNCTION g()");
    let view = "CREATE VIEW w AS SELECT f(1) AS a";
    let cases = [
        ("TABLE computed".to_owned(), Ask),
        ("CREATE TABLE t AS TABLE computed".to_owned(), Ask),
        (
            "WITH computed AS (SELECT * FROM computed) SELECT * FROM computed".to_owned(),
            Ask,
        ),
        (
            "CREATE TABLE t (LIKE watched INCLUDING ALL); INSERT INTO t (b) VALUES (1)".to_owned(),
            Ask,
        ),
        (format!("{view}; CREATE TABLE t AS TABLE w"), Ask),
        (format!("{view}; CREATE VIEW x AS TABLE w; SELECT * FROM x"), Ask),
        (format!("{view}; ALTER VIEW w RENAME TO x; SELECT * FROM x"), Ask),
        (
            "CREATE VIEW w AS SELECT * FROM computed; SELECT * FROM w".to_owned(),
            Ask,
        ),
        (
            "CREATE VIEW w AS SELECT b FROM watched; INSERT INTO w VALUES (1)".to_owned(),
            Ask,
        ),
        (
            "CREATE VIEW w AS SELECT b FROM watched; SELECT * FROM w".to_owned(),
            Before,
        ),
        (
            "CREATE TABLE t (a int DEFAULT f()); ALTER TABLE t RENAME TO u; INSERT INTO u DEFAULT VALUES".to_owned(),
            Ask,
        ),
        (
            "CREATE TABLE t (a int DEFAULT f()); SELECT count(*) FROM t".to_owned(),
            Before,
        ),
        (
            format!("CREATE TABLE t (a int DEFAULT f()); DROP TABLE t; {table}; INSERT INTO t VALUES (1)"),
            Before,
        ),
        (
            format!("{parted}; {}; INSERT INTO t VALUES (1)", trigger("p")),
            Ask,
        ),
        (format!("{parted}; INSERT INTO t VALUES (1)"), Before),
        (
            format!("{table}; CREATE RULE r AS ON INSERT TO t DO ALSO UPDATE big SET b = 1; INSERT INTO t VALUES (1)"),
            Ask,
        ),
        (
            "CREATE TABLE t AS SELECT 1 AS a; CREATE INDEX ON t (f(a))".to_owned(),
            Ask,
        ),
        (format!("{table}; CREATE INDEX ON t (f(a))"), Before),
    ];
    let mut wrong = Vec::new();
    for (sql, class) in &cases {
        let judged = last(sql, &workshop());
        if judged.class != *class {
            wrong.push(format!(
                "{sql}: {} by {:?}",
                judged.class,
                rules_of(&judged)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn actions_of_a_rule_are_judged_as_the_statements_they_are() {
    let table = "CREATE TABLE t (a int)";
    for (action, class) in [
        ("DO INSTEAD NOTHING", Before),
        ("DO ALSO INSERT INTO small (b) VALUES (1)", Before),
        ("DO INSTEAD DELETE FROM big", Stop),
        ("DO ALSO (NOTIFY x; UPDATE big SET b = 1)", Stop),
        ("DO ALSO SELECT f(1)", Ask),
        ("DO ALSO INSERT INTO watched (b) VALUES (1)", Ask),
    ] {
        let sql = format!("{table}; CREATE RULE r AS ON INSERT TO t {action}");
        let judged = last(&sql, &workshop());
        assert_eq!(judged.class, class, "{sql}: {:?}", rules_of(&judged));
    }
}

#[test]
fn statement_in_create_schema_is_judged_with_the_new_schema() {
    let mut facts = workshop();
    facts.role = "staging".to_owned();
    facts.listed_schemas = vec!["staging".to_owned(), "public".to_owned()];
    for (sql, class, rule) in [
        ("CREATE SCHEMA staging", Before, None),
        (
            "CREATE SCHEMA staging; CREATE TABLE staging.big (id int)",
            After,
            Some("hides-object"),
        ),
        (
            "CREATE SCHEMA staging CREATE TABLE big (id int)",
            After,
            Some("hides-object"),
        ),
        (
            "CREATE SCHEMA AUTHORIZATION staging CREATE TABLE big (id int)",
            After,
            Some("hides-object"),
        ),
        (
            "CREATE SCHEMA AUTHORIZATION current_user CREATE VIEW big AS SELECT 1",
            After,
            Some("hides-object"),
        ),
        (
            "CREATE SCHEMA staging CREATE TABLE unheard (id int) CREATE VIEW seen AS SELECT 1",
            Before,
            None,
        ),
        (
            "CREATE SCHEMA other CREATE TABLE big (id int)",
            Before,
            None,
        ),
        (
            "CREATE SCHEMA other CREATE TABLE t (a int DEFAULT f()); INSERT INTO other.t DEFAULT VALUES",
            Ask,
            Some("runs-code"),
        ),
        (
            "CREATE SCHEMA other CREATE TABLE t (a int); INSERT INTO other.t VALUES (1)",
            Before,
            None,
        ),
    ] {
        let judged = last(sql, &facts);
        let found = rules_of(&judged);
        assert_eq!(judged.class, class, "{sql}: {found:?}");
        assert!(
            rule.is_none_or(|rule| found.contains(&rule)),
            "{sql}: {found:?}"
        );
    }
}
