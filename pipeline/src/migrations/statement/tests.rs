//! Tests of the split of a file into statements.

use super::*;
use crate::migrations::class::{TargetFacts, judge_statement};

fn texts(sql: &str) -> Vec<String> {
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let joined: String = statements
        .iter()
        .map(|one| &sql[one.range.clone()])
        .collect();
    if !statements.is_empty() {
        assert_eq!(joined, sql, "the pieces are the file");
    }
    statements
        .into_iter()
        .map(|statement| statement.text)
        .collect()
}

#[test]
fn file_is_split_where_postgres_splits_it() {
    for (sql, expected) in [
        ("", &[][..]),
        (" ; -- a\n ;", &[]),
        ("select 1", &["select 1"]),
        (
            " select 1 ; ; -- x;\n select 2;\n-- y",
            &["select 1", "select 2"],
        ),
        (
            "select ';', E'\\';', \";\", $a$;$$;$a$ /* /*;*/ ; */; b",
            &["select ';', E'\\';', \";\", $a$;$$;$a$", "b"],
        ),
        ("\u{feff}select 1; select 2", &["select 1", "select 2"]),
        (
            "create function f() returns int begin atomic select case when true then 1 end; end; a",
            &[
                "create function f() returns int begin atomic select case when true then 1 end; end",
                "a",
            ],
        ),
        (
            "create or replace procedure p() begin atomic end; a",
            &["create or replace procedure p() begin atomic end", "a"],
        ),
        (
            "create function f() returns int begin atomic select 1 as end; end; a",
            &[
                "create function f() returns int begin atomic select 1 as end; end",
                "a",
            ],
        ),
        (
            "create rule r as on insert to t do also (select 1; select 2); a",
            &[
                "create rule r as on insert to t do also (select 1; select 2)",
                "a",
            ],
        ),
        // A parenthesis without an end does not take the rest of the file with it.
        (
            "create table t (a int; drop table u",
            &["create table t (a int", "drop table u"],
        ),
        // Words of a body elsewhere are columns.
        (
            "select begin, atomic from t; a",
            &["select begin, atomic from t", "a"],
        ),
    ] {
        assert_eq!(texts(sql), expected, "{sql}");
    }
}

#[test]
fn statement_has_the_line_of_its_first_token() {
    let sql = "-- one\n\nselect 1; select\n2;\n/* a\nb */ select\n  3 form t";
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{error}"));
    let lines: Vec<usize> = statements.iter().map(|statement| statement.line).collect();
    assert_eq!(lines, [3, 3, 6]);
    assert_eq!(statements[2].line_of_position(8), 7);
    assert_eq!(statements[2].line_of_position(1), 6);
    let comments: Vec<usize> = statements[2]
        .comments
        .iter()
        .map(|(line, _)| *line)
        .collect();
    assert_eq!(comments, [5]);
}

#[test]
fn syntax_error_is_the_statements_own_and_has_its_line() {
    let sql = "create table t (a int);\nalter table t\n  add colum x text;\nselect 1";
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{error}"));
    let lines = |index: usize| -> Vec<usize> {
        let errors = statements[index].syntax_errors.iter();
        errors.map(|error| error.line).collect()
    };
    assert_eq!(lines(0), [0_usize; 0]);
    assert_eq!(lines(1), [3]);
    assert_eq!(lines(2), [0_usize; 0]);
    assert_eq!(statements.len(), 3);
}

#[test]
fn file_that_no_server_runs_is_refused_with_its_line() {
    for (sql, line, problem) in [
        (
            "select 1;\n\\copy t from 'x'",
            2,
            SplitProblem::MetaCommand("\\copy".to_owned()),
        ),
        (
            "\\restrict abc\nselect 1",
            1,
            SplitProblem::MetaCommand("\\restrict".to_owned()),
        ),
        (
            "select 1 \\gset",
            1,
            SplitProblem::MetaCommand("\\gset".to_owned()),
        ),
        (
            "copy t (a) from stdin;\n1\n\\.\n",
            1,
            SplitProblem::CopyWithClient,
        ),
        (
            "\ncopy t (a) from stdin with (format csv)",
            2,
            SplitProblem::CopyWithClient,
        ),
        ("copy t to stdout", 1, SplitProblem::CopyWithClient),
        (
            "select 1;\nselect 'a;\n;",
            2,
            SplitProblem::Unterminated("string"),
        ),
        ("select 1;\n/* a", 2, SplitProblem::Unterminated("comment")),
        ("select 1;\0", 1, SplitProblem::NulByte),
    ] {
        match split_statements(sql) {
            Ok(statements) => panic!("{sql}: {statements:?}"),
            Err(error) => assert_eq!((error.line, &error.problem), (line, &problem), "{sql}"),
        }
    }
}

/// A statement that is nested in a way, a number of times.
fn nested(times: usize, (before, inner, after): (&str, &str, &str)) -> String {
    let (before, after) = (before.repeat(times), after.repeat(times));
    format!("SELECT {before}{inner}{after}")
}

const WAYS: [(&str, &str, &str); 12] = [
    ("(", "1", ")"),
    ("(SELECT ", "1", ")"),
    ("ARRAY[", "1", "]"),
    ("f(", "1", ")"),
    ("NOT ", "true", ""),
    ("- ", "1", ""),
    ("", "1", " + 1"),
    ("", "true", " AND true"),
    ("", "1", "::int"),
    ("", "1", " UNION SELECT 1"),
    ("", "1 FROM a", " JOIN b ON true"),
    ("CASE WHEN true THEN ", "1", " END"),
];

#[test]
fn deeply_nested_statement_does_not_reach_the_parser() {
    for way in WAYS {
        let sql = format!("SELECT 1;\n{}", nested(20_000, way));
        let statements = split_statements(&sql).expect("statements");
        let errors = &statements[1].syntax_errors;
        assert_eq!(errors.len(), 1, "{way:?}");
        assert_eq!(errors[0].message, "nested more than 400 levels deep");
        assert_eq!(errors[0].line, 2);
    }
}

/// The stack of a test is that of a thread of the command, which is the smallest.
#[test]
fn statement_below_the_greatest_depth_is_parsed_and_judged() {
    for way in WAYS {
        let deepest = (1..1000).map(|times| nested(times, way));
        let deepest = deepest.take_while(|sql| !is_nested_too_deeply(sql)).last();
        let sql = deepest.expect("a statement");
        let statements = split_statements(&sql).expect("statements");
        assert_eq!(statements[0].syntax_errors, [], "{way:?}");
        judge_statement(&statements[0], &TargetFacts::default());
    }
}

#[test]
fn long_statement_is_not_taken_for_a_deep_one() {
    let row = "(1, -2.5, 'a' || 'b', now() - interval '1 day')";
    let rows = vec![row; 5000].join(", ");
    let columns: Vec<_> = (0..1500)
        .map(|n| format!("c{n} int CHECK (c{n} > 0)"))
        .collect();
    let condition = vec!["a.b = 1"; 150].join(" OR ");
    for sql in [
        format!("INSERT INTO a VALUES {rows}"),
        format!("CREATE TABLE a ({})", columns.join(", ")),
        format!("DELETE FROM a WHERE {condition}"),
    ] {
        let statements = split_statements(&sql).expect("statements");
        assert_eq!(statements[0].syntax_errors, []);
    }
}
