//! Files that no one would write on purpose: each is applied as it is judged, or refused with its reason.

use std::fs;

use super::Project;
use super::enforcement::{run, succeeds};

/// The end of a file's run: applied, waiting, or an error that contains this text.
enum End {
    Applied,
    Waits,
    Refused(&'static str),
}

use End::{Applied, Refused, Waits};

/// Tables and an index whose names are hostile, as a file finds them.
const NAMES: &str = "CREATE TABLE t (b int); CREATE TABLE \"t\"\"'\n\u{1b}[31m\" (\"a;b\" int); \
                     CREATE INDEX \"x;\"\"\n\" ON t (b)";

#[tokio::test]
async fn files_with_odd_content_are_applied_as_they_are_judged_or_refused() {
    let deep = |part: &str, count| format!("SELECT {}1;", part.repeat(count)).into_bytes();
    let parens = format!("SELECT {}1{};", "(".repeat(50_000), ")".repeat(50_000));
    let comments = format!("{}{} SELECT 1;", "/*".repeat(50_000), "*/".repeat(50_000));
    let long = format!("CREATE TABLE a AS SELECT '{}' AS b;", "x".repeat(5 << 20));
    let name = "x".repeat(300);
    let cases: Vec<(&str, Vec<u8>, End)> = vec![
        ("empty", b"".to_vec(), Refused("V1__x.sql has no statement")),
        ("semicolons", b";;;".to_vec(), Refused("V1__x.sql has no statement")),
        ("byte order mark", "\u{feff}SELECT 1".into(), Refused("begins with a byte order mark")),
        ("UTF-16", vec![0xff, 0xfe, b'S', 0], Refused("save it as UTF-8")),
        ("NUL", b"SELECT '\0'".to_vec(), Refused("contains a byte 0")),
        ("no UTF-8", b"SELECT '\xff'".to_vec(), Refused("is not in UTF-8")),
        ("CRLF", b"CREATE TABLE a (\r\n b int -- c\r\n);\r\n".to_vec(), Applied),
        ("CR alone", b"CREATE TABLE a (b int); -- c\rCREATE TABLE b ();\r".to_vec(), Applied),
        ("no end of the line", b"CREATE TABLE a () -- c".to_vec(), Applied),
        ("a long string", long.into_bytes(), Applied),
        ("parentheses", parens.into_bytes(), Refused("syntax-error")),
        ("operators", deep("1 + ", 50_000), Refused("syntax-error")),
        ("signs", deep("- ", 50_000), Refused("syntax-error")),
        ("NOT", deep("NOT ", 50_000), Refused("syntax-error")),
        ("casts", format!("SELECT 1{};", "::int".repeat(50_000)).into(), Refused("syntax-error")),
        ("nested comments", comments.into_bytes(), Applied),
        ("open comment", b"SELECT 1; /* /* */".to_vec(), Refused("unterminated comment")),
        ("open dollar", b"SELECT 1; $x$ ".to_vec(), Refused("unterminated dollar-quoted string")),
        ("open name", b"CREATE TABLE \"a ();".to_vec(), Refused("unterminated quoted name")),
        ("COPY", b"COPY t FROM STDIN;\n1\n\\.\n".to_vec(), Refused("need a client with the data")),
        ("psql", b"\\d t".to_vec(), Refused("is a command of psql")),
        ("pg_dump", b"\\restrict abc\nSELECT 1;".to_vec(), Refused("is a command of psql")),
        ("gexec", b"SELECT 'x' \\gexec\n".to_vec(), Refused("is a command of psql")),
        (
            "dollar quotes",
            b"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $a$ SELECT $b$ ; $a b$ $b$ $a$; \
              CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$ SELECT ';'::text $$;"
                .to_vec(),
            Applied,
        ),
        (
            "names",
            "CREATE SCHEMA \"--help\"; CREATE TABLE \"--help\".\"a\"\"'; DROP TABLE t; --\n\u{1b}[31m\" \
             (\"select\" int, \"$1\" int, \"%s\" int, \"\u{202e}\" int); CREATE INDEX \"i\"\"\n\" ON \
             \"--help\".\"a\"\"'; DROP TABLE t; --\n\u{1b}[31m\" (\"select\");"
                .into(),
            Applied,
        ),
        ("a long name", format!("CREATE TABLE {name} ();").into(), Applied),
        (
            "an index of hostile names",
            "CREATE INDEX CONCURRENTLY \"i\"\"\n--\" ON \"t\"\"'\n\u{1b}[31m\" (\"a;b\");".into(),
            Applied,
        ),
        (
            "an index of a long name",
            format!("CREATE INDEX CONCURRENTLY {name} ON t (b);").into(),
            Applied,
        ),
        (
            "a drop of hostile names",
            b"DROP INDEX CONCURRENTLY \"x;\"\"\n\"".to_vec(),
            Waits,
        ),
        ("BEGIN", b"BEGIN; SELECT 1; COMMIT;".to_vec(), Refused("does not belong into a migration")),
        ("DISCARD", b"DISCARD ALL;".to_vec(), Refused("does not belong into a migration")),
        (
            "its own end",
            b"SELECT pg_terminate_backend(pg_backend_pid());".to_vec(),
            Refused("runs-code"),
        ),
        (
            "strings that end elsewhere",
            b"SET standard_conforming_strings = off; SELECT 'a\\' || ' ; DROP TABLE t; --';".to_vec(),
            Refused("line 1: a file is judged and run with standard_conforming_strings"),
        ),
        (
            "strings that a function lets end elsewhere",
            b"SELECT set_config('standard_conforming_strings', 'off', false);\n\
              CREATE TABLE a AS SELECT 'a\\' || ' ; DROP TABLE t; --' AS b;"
                .to_vec(),
            Refused("runs-code"),
        ),
        (
            "quotes after a backslash",
            b"SET backslash_quote = off; SELECT E'\\'; DROP TABLE t; --';".to_vec(),
            Refused("unsafe use"),
        ),
    ];
    for (what, content, end) in cases {
        let project = Project::new().await;
        project.run(NAMES).await;
        fs::write(project.root().join("migrations/V1__x.sql"), content).expect("a file");
        let output = run(&project, &["staging", "--yes"]).await;
        let (out, error) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let (code, applied) = match end {
            Applied => (0, 1),
            Waits => (0, 0),
            Refused(part) => {
                assert!(error.contains(part), "{what}: {error}");
                (1, 0)
            }
        };
        assert_eq!(output.status.code(), Some(code), "{what}: {error}");
        assert_eq!(project.history().await.len(), applied, "{what}: {error}");
        assert!(project.tables().await.contains(&"t".to_owned()), "{what}");
        for text in [out, error] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{what}: {text}");
        }
    }
}

#[tokio::test]
async fn strings_of_a_role_that_has_other_ones_end_where_they_were_judged_to_end() {
    let alone = "-- stagelink: no transaction\n";
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b text);"),
        (
            "V2__b.sql",
            "INSERT INTO a SELECT 'a\\' || ' ; DROP TABLE t; --';",
        ),
        (
            "V4__d.sql",
            "SELECT set_config('standard_conforming_strings', 'off', false);",
        ),
        (
            "V5__e.sql",
            &format!(
                "{alone}CREATE TABLE IF NOT EXISTS e AS SELECT 'a\\' || ' ; DROP TABLE t; --' AS b;"
            ),
        ),
        (
            "V3__c.sql",
            &format!(
                "{alone}CREATE TABLE IF NOT EXISTS c AS SELECT 'a\\' || ' ; DROP TABLE t; --' AS b;"
            ),
        ),
    ])
    .await;
    project.run("CREATE TABLE t ()").await;
    let role = project.database.role();
    let set = format!("ALTER ROLE {role} SET standard_conforming_strings = off");
    project.run(&set).await;
    let read = [
        "--override",
        "runs-code@V4",
        "--reason",
        "it sets a setting",
    ];
    succeeds(&project, &[&["staging", "--yes"], &read[..]].concat()).await;
    let rows = project
        .rows("SELECT b FROM a UNION ALL SELECT b FROM c UNION ALL SELECT b FROM e")
        .await;
    assert_eq!(rows, [r"a\ ; DROP TABLE t; --"; 3]);
    assert_eq!(project.tables().await, ["a", "c", "e", "t"]);
}
