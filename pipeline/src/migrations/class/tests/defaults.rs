//! Defaults that an `INSERT` of the code of before gets, and that its column's type or `CHECK` may refuse.

use super::*;

/// A shop whose small table has a column `c` of a type, with neither default nor constraint.
fn with_column(type_name: &str) -> TargetFacts {
    let mut facts = shop();
    let small = facts.relations.get_mut(&public("small"));
    let column = ColumnFacts {
        type_name: type_name.to_owned(),
        is_not_null: false,
        has_default: false,
        is_numbered: false,
    };
    let small = small.expect("the table");
    small.columns.insert("c".to_owned(), column);
    facts
}

#[test]
fn default_that_the_type_refuses_is_of_after() {
    for (type_name, default, class) in [
        ("character varying(3)", "'abc'", Before),
        ("character varying(3)", "'abcd'", After),
        ("character varying(3)", "'it'''", Before),
        ("character varying(3)", "E'abc'", After),
        ("character varying(3)", "100", Before),
        ("character varying(3)", "-100", After),
        ("character varying(3)", "true", After),
        ("character varying(3)", "'a'::text", After),
        ("character varying(3)", "'a'::varchar(2)", Before),
        ("character varying(3)", "lower('A')", After),
        ("character varying(36)", "gen_random_uuid()", Before),
        ("character varying(35)", "gen_random_uuid()", After),
        ("character varying(3)[]", "'{abcd}'", After),
        ("character varying", "'abcd'", Before),
        ("character(1)", "'ab'", After),
        ("bit(3)", "'1111'", After),
        ("text", "'abcd'", Before),
        ("text", "5", Before),
        ("text", "current_user", Before),
        ("text[]", "'{}'", Before),
        ("text[]", "'{}'::text[]", Before),
        ("text[]", "ARRAY[]::text[]", Before),
        ("integer", "1/0", After),
        ("integer", "2147483647", Before),
        ("integer", "2147483648", After),
        ("integer", "-1", Before),
        ("integer", "1.5", Before),
        ("integer", "2147483647.5", After),
        ("integer", "1e10", After),
        ("integer", "'5'", Before),
        ("integer", "(random() * 1e12)::int", After),
        ("smallint", "40000", After),
        ("smallint", "'40'", Before),
        ("bigint", "3000000000", Before),
        ("numeric(3,1)", "99.9", Before),
        ("numeric(3,1)", "100", After),
        ("numeric(3,1)", "99.95", After),
        ("numeric(3,1)", "'100'", After),
        ("numeric", "100", Before),
        ("boolean", "false", Before),
        ("jsonb", "'{}'", Before),
        ("jsonb", "'{}'::jsonb", Before),
        ("date", "CURRENT_DATE", Before),
        ("date", "'2026-01-01'", Before),
        ("timestamp(3) with time zone", "now()", Before),
        ("timestamp with time zone", "CURRENT_TIMESTAMP", Before),
        (
            "timestamp with time zone",
            "now() + interval '1 day'",
            Before,
        ),
        ("uuid", "gen_random_uuid()", Before),
        ("geometry(Point,4326)", "'POINT(0 0)'", After),
    ] {
        let sql = format!("ALTER TABLE small ALTER c SET DEFAULT {default}");
        let judged = last(&sql, &with_column(type_name));
        assert_eq!(judged.class, class, "{type_name}: {default}: {judged:?}");
    }
}

#[test]
fn default_of_a_type_of_the_databases_own_is_looked_at_by_its_constraints() {
    let mut facts = with_column("mood");
    facts.types.insert(public("mood"));
    let sql = "ALTER TABLE small ALTER c SET DEFAULT 'sad'";
    assert_eq!(last(sql, &facts).class, Before);
    let mut facts = with_column("short");
    facts.types.insert(public("short"));
    let domain = DomainFacts {
        has_constraints: true,
        has_default: false,
        tables: vec![public("small")],
    };
    facts.domains.insert(public("short"), domain);
    assert_eq!(last(sql, &facts).class, After);
    let facts = with_column("public.short");
    assert_eq!(
        last("ALTER TABLE small ALTER c SET DEFAULT 'x'", &facts).class,
        Before
    );
}

#[test]
fn check_of_a_new_column_accepts_what_the_code_of_before_writes() {
    for (column, class) in [
        ("c int DEFAULT 1 CHECK (c > 0)", Before),
        ("c int DEFAULT 0 CHECK (c > 0)", After),
        ("c int DEFAULT 0 CHECK (c >= 0 AND c < 10)", Before),
        ("c int DEFAULT 20 CHECK (c >= 0 AND c < 10)", After),
        ("c int DEFAULT 20 CHECK (c < 10 OR c = 20)", Before),
        ("c int DEFAULT -1 CHECK (c BETWEEN 0 AND 9)", After),
        ("c int DEFAULT 1 CHECK (c BETWEEN 0 AND 9)", Before),
        ("c int DEFAULT 1 CHECK (c NOT BETWEEN 0 AND 9)", After),
        ("c int DEFAULT 1 CHECK (NOT c = 1)", After),
        ("c int DEFAULT 1 CHECK (0 < c)", Before),
        ("c int DEFAULT 1 CHECK (c IN (1, 2))", Before),
        ("c int DEFAULT 3 CHECK (c IN (1, 2))", After),
        ("c int DEFAULT 3 CHECK (c NOT IN (1, 2))", Before),
        ("c int DEFAULT 1 CHECK (c IS NOT NULL)", Before),
        ("c int DEFAULT 1 CHECK (c IS NULL)", After),
        ("c text DEFAULT 'new' CHECK (c IN ('new', 'old'))", Before),
        ("c text DEFAULT 'x' CHECK (c IN ('new', 'old'))", After),
        ("c text DEFAULT '' CHECK (c <> '')", After),
        ("c text DEFAULT '' CHECK (length(c) < 10)", Before),
        ("c text DEFAULT 'abc' CHECK (char_length(c) > 3)", After),
        ("c text DEFAULT 'abc' CHECK (c > 'abb')", After),
        ("c boolean DEFAULT true CHECK (c)", Before),
        ("c boolean DEFAULT false CHECK (c)", After),
        ("c char(3) DEFAULT 'a' CHECK (c <> 'a ')", After),
        // A form that is not known.
        ("c int DEFAULT 1 CHECK (c % 2 = 1)", After),
        (
            "c timestamptz DEFAULT now() CHECK (c > '2026-01-01')",
            After,
        ),
        // Without a default it is NULL.
        ("c int CHECK (c > 0)", Before),
        ("c text CHECK (length(c) < 10)", Before),
        ("c int CHECK (c IS NOT NULL)", After),
        ("c int DEFAULT NULL CHECK (c IS NOT NULL)", After),
        ("c int CHECK (coalesce(c, 0) > 0)", After),
    ] {
        let sql = format!("ALTER TABLE small ADD COLUMN {column}");
        let judged = last(&sql, &shop());
        assert_eq!(judged.class, class, "{column}: {judged:?}");
        if class == After {
            let rules = rules_of(&judged);
            assert_eq!(rules, ["ban-new-write-restriction"], "{column}");
        }
        // No code writes to the table of the same file.
        let of_file = format!("CREATE TABLE n (id int); ALTER TABLE n ADD COLUMN {column}");
        assert_eq!(last(&of_file, &shop()).class, Before, "{column}");
    }
}
