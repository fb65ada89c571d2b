//! Expressions of indexes and of generated columns: which of them fail for no value.

use super::*;

/// A shop whose large table has columns of more types.
fn with_columns() -> TargetFacts {
    let mut facts = shop();
    let big = facts.relations.get_mut(&public("big")).expect("the table");
    for (name, spelled) in [
        ("at", "timestamp with time zone"),
        ("day", "date"),
        ("j", "jsonb"),
        ("l", "integer[]"),
        ("words", "tsvector"),
        ("d", "double precision"),
        ("r", "int4range"),
    ] {
        let column = ColumnFacts {
            type_name: spelled.to_owned(),
            ..ColumnFacts::default()
        };
        big.columns.insert(name.to_owned(), column);
    }
    facts
}

/// Returns the advice for an index with an expression, if it may fail.
fn advice(expression: &str, facts: &TargetFacts) -> Option<String> {
    let sql = format!("CREATE INDEX CONCURRENTLY i ON big ({expression})");
    let judged = last(&sql, facts);
    let found = judged.findings.into_iter().next();
    found.map(|one| one.safe_form)
}

#[test]
fn expression_of_the_closed_list_fails_for_no_value() {
    let facts = with_columns();
    for expression in [
        "lower(a), upper(v), md5(a), left(a, -2), right(a, b), reverse(a), replace(a, 'x', v)",
        "(a || ' ' || v), (a || b), (a || j)",
        "substring(a from 2), substring(a from b), substring(a from 1 for 5), substr(a, b), substr(a, 1, 5)",
        "substring(a from '^[0-9]+'), regexp_replace(a, '[^a-z]', '', 'g'), split_part(a, ',', 2)",
        "trim(both ' ' from a), position('x' in a), length(a), octet_length(a), lpad(a, 20, '0')",
        "coalesce(a, ''), nullif(a, ''), greatest(b, id)",
        "(CASE WHEN b > 5 THEN a WHEN b IS NULL THEN 'x' ELSE v END), (CASE b WHEN 1 THEN 2 END)",
        "(at AT TIME ZONE 'utc'), date(at AT TIME ZONE 'utc'), ((at AT TIME ZONE 'utc')::date)",
        "date_trunc('month', at AT TIME ZONE 'utc'), date_part('year', day), EXTRACT(year FROM day)",
        "timezone('utc', at), timezone('utc'::text, at), date_trunc('day', at, 'utc')",
        "(j ->> 'k'), (j -> 'a' -> 'b'), (j #>> '{a,b}'), jsonb_typeof(j -> 'a'), (j || '{}'::jsonb)",
        "to_tsvector('english', coalesce(a, '')), to_tsvector('english'::regconfig, a)",
        "setweight(to_tsvector('simple', a), 'A'), (words || to_tsvector('simple', a))",
        "(b::bigint), (b::numeric), (b::text), (v::text), (day::timestamp), (n::text), (b = 5)",
        "(b IN (1, 2)), (a LIKE 'x%'), (a NOT ILIKE 'x%'), (a ~ '^[a-z]{3}$'), (a IS DISTINCT FROM v)",
        "(b = ANY (ARRAY[1, 2])), (NOT (b = ANY (ARRAY[1, 2]))), (l[1]), (l && ARRAY[1]), cardinality(l)",
        "(-d), (-n), ((-5)), (a COLLATE \"C\"), lower(r), (big.b BETWEEN 1 AND 5), (a IS NOT NULL)",
    ] {
        assert_eq!(advice(expression, &facts), None, "{expression}");
    }
}

#[test]
fn any_other_expression_may_fail() {
    let facts = with_columns();
    for expression in [
        "(10 / b)",
        "(b + 1)",
        "(-b)",
        "abs(b)",
        "(a::int)",
        "(n::int)",
        "((j ->> 'k')::int)",
        "substring(a from 1 for b)",
        "substr(a, 1, b)",
        "substring(a from 1 for -1)",
        "overlay(a placing 'x' from b)",
        "lpad(a, b)",
        "lpad(a, 2000000000)",
        "split_part(a, ',', b)",
        "split_part(a, ',', 0)",
        "(a LIKE v)",
        "(a ~ v)",
        "(a SIMILAR TO v)",
        "(a LIKE 'x\\')",
        "(a ~ '(')",
        "regexp_replace(a, v, '')",
        "(at AT TIME ZONE a)",
        "timezone(a, at)",
        "date_trunc(a, day)",
        "date_trunc('nothing', day)",
        "EXTRACT(nothing FROM day)",
        "date(a)",
        "setweight(words, a::\"char\")",
        "to_tsvector(a::regconfig, v)",
        "encode(a::bytea, v)",
        "(l || ARRAY[1])",
        "(ARRAY[l, l])",
        "(ROW(a, b) = ROW(v, b))",
        "jsonb_array_length(j)",
        "unknown(a)",
        "lower(substr(a, 1, b))",
        "(CASE WHEN b > 5 THEN 10 / b END)",
        "(b IN (1, 10 / id))",
        "coalesce(a, v, substr(a, 1, b))",
        "tstzrange(at, at)",
    ] {
        assert!(advice(expression, &facts).is_some(), "{expression}");
    }
}

#[test]
fn generated_column_has_to_take_what_its_expression_gives() {
    let facts = with_columns();
    let class = |column: &str| {
        let sql = format!("ALTER TABLE small ADD COLUMN {column} STORED");
        rules_of(&last(&sql, &facts)) == Vec::<&str>::new()
    };
    for column in [
        "c text GENERATED ALWAYS AS (lower(a))",
        "c varchar GENERATED ALWAYS AS (v || a)",
        "c varchar(100) GENERATED ALWAYS AS (v)",
        "c text GENERATED ALWAYS AS (v)",
        "c varchar(5) GENERATED ALWAYS AS ('x')",
        "c boolean GENERATED ALWAYS AS (b > 5)",
        "c int GENERATED ALWAYS AS (length(a))",
        "c bigint GENERATED ALWAYS AS (b)",
        "c numeric GENERATED ALWAYS AS (b)",
        "c numeric(12,2) GENERATED ALWAYS AS (n)",
        "c tsvector GENERATED ALWAYS AS (to_tsvector('simple', a))",
    ] {
        assert!(class(column), "{column}");
    }
    for column in [
        "c varchar(5) GENERATED ALWAYS AS (lower(a))",
        "c varchar(50) GENERATED ALWAYS AS (v)",
        "c varchar(5) GENERATED ALWAYS AS ('longer')",
        "c smallint GENERATED ALWAYS AS (b)",
        "c smallint GENERATED ALWAYS AS (length(a))",
        "c int GENERATED ALWAYS AS (n)",
        "c numeric(5,2) GENERATED ALWAYS AS (b)",
        "c numeric(5,2) GENERATED ALWAYS AS (n)",
        "c int GENERATED ALWAYS AS (b * 2)",
        "c checked GENERATED ALWAYS AS (lower(a))",
        "c char GENERATED ALWAYS AS (a)",
    ] {
        assert!(!class(column), "{column}");
    }
}
