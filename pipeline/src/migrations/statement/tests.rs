//! Tests of the split of a file into statements.

use super::*;

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
