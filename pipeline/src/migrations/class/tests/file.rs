//! Tests of the judgement of files, and of safe forms.

use super::*;

#[test]
fn validated_check_lets_set_not_null_pass() {
    let first = statements("ALTER TABLE big ADD CONSTRAINT nn CHECK (b IS NOT NULL) NOT VALID");
    let second =
        statements("ALTER TABLE big VALIDATE CONSTRAINT nn; ALTER TABLE big ALTER b SET NOT NULL");
    let facts = shop();
    let judged = judge_files(&[&first, &second], &facts);
    assert_eq!(judged[0].class, After);
    // It waits for the CHECK, which is for the time after the deploy.
    assert_eq!(judged[1].class, After);
    assert_eq!(judged[1].statements[1].class, Before);
    assert_eq!(judged[1].refusals, []);
    // Without the validation it is refused.
    let third = statements("ALTER TABLE big ALTER b SET NOT NULL");
    assert_eq!(judge_files(&[&first, &third], &facts)[1].class, Stop);
}

#[test]
fn safe_form_is_in_the_statements_names() {
    for (sql, form) in [
        (
            "create unique index i on big (a)",
            "create unique index CONCURRENTLY i on big (a); -- alone in its file",
        ),
        (
            "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0)",
            "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0) NOT VALID; -- in a later file: ALTER TABLE \
             big VALIDATE CONSTRAINT ck;",
        ),
        (
            "ALTER TABLE big ALTER b SET NOT NULL",
            "ALTER TABLE big ADD CONSTRAINT big_b_not_null CHECK (b IS NOT NULL) NOT VALID; -- in a later \
             file: ALTER TABLE big VALIDATE CONSTRAINT big_b_not_null; ALTER TABLE big ALTER COLUMN b SET \
             NOT NULL; -- in a later file: ALTER TABLE big DROP CONSTRAINT big_b_not_null;",
        ),
        (
            "ALTER TABLE big ADD CONSTRAINT u UNIQUE (id, b)",
            "CREATE UNIQUE INDEX CONCURRENTLY u ON big (id, b); -- alone in its file; in a later file: ALTER \
             TABLE big ADD CONSTRAINT u UNIQUE USING INDEX u;",
        ),
    ] {
        let judged = last(sql, &shop());
        let stop = judged.findings.iter().find(|one| one.rule.class == Stop);
        assert_eq!(stop.map(|one| one.safe_form.as_str()), Some(form), "{sql}");
    }
}

#[test]
fn finding_has_its_line_and_comments_silence_none() {
    let sql = "-- squawk-ignore-file\nALTER TABLE big\n  ADD COLUMN c int,\n  -- squawk-ignore ban-drop-column\n  DROP COLUMN a";
    let statements = statements(sql);
    let judged = judge_files(&[&statements], &shop()).remove(0);
    assert_eq!(judged.statements[0].findings[0].line, 5);
    let lines: Vec<usize> = judged.ignored.iter().map(|one| one.line).collect();
    assert_eq!(lines, [1, 4]);
    // One statement that mixes is split by its actions.
    assert_eq!(
        judged.refusals,
        [Refusal::Mixed(vec![
            ProposedFile {
                class: Before,
                statements: vec!["ALTER TABLE big\n  ADD COLUMN c int".to_owned()],
            },
            ProposedFile {
                class: After,
                statements: vec!["ALTER TABLE big\n  DROP COLUMN a".to_owned()],
            },
        ])]
    );
}

fn refusals(sql: &str) -> Vec<Refusal> {
    let statements = statements(sql);
    judge_files(&[&statements], &shop()).remove(0).refusals
}

fn proposed(class: Class, statements: &[&str]) -> ProposedFile {
    ProposedFile {
        class,
        statements: statements.iter().map(|one| (*one).to_owned()).collect(),
    }
}

#[test]
fn file_of_one_class_passes() {
    for sql in [
        "CREATE TABLE n (a int REFERENCES big); CREATE INDEX i ON n (a); COMMENT ON TABLE n IS 'x'",
        "ALTER TABLE big DROP COLUMN a; COMMENT ON TABLE big IS 'x'; ALTER TABLE big DROP COLUMN b",
        "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big ADD COLUMN d int",
        "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES small NOT VALID",
        "CREATE INDEX CONCURRENTLY i ON big (a)",
        "DROP VIEW v; CREATE VIEW v AS SELECT 1 AS one",
        "DROP TABLE small; CREATE TABLE small (a int); CREATE INDEX i ON small (a); INSERT INTO small VALUES (1)",
        "",
    ] {
        assert_eq!(refusals(sql), [], "{sql}");
    }
}

#[test]
fn mixed_file_is_refused_with_its_split() {
    let sql = "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big DROP COLUMN a; COMMENT ON TABLE big IS 'x'";
    assert_eq!(
        refusals(sql),
        [Refusal::Mixed(vec![
            proposed(
                Before,
                &[
                    "ALTER TABLE big ADD COLUMN c int",
                    "COMMENT ON TABLE big IS 'x'"
                ]
            ),
            proposed(After, &["ALTER TABLE big DROP COLUMN a"]),
        ])]
    );
}

#[test]
fn file_that_locks_several_tables_is_refused_with_its_split() {
    let sql = "ALTER TABLE big ADD COLUMN c int; CREATE TABLE n (a int); ALTER TABLE small ADD COLUMN c int";
    assert_eq!(
        refusals(sql),
        [Refusal::SeveralTables {
            tables: vec![public("big"), public("small")],
            split: vec![
                proposed(
                    Before,
                    &["ALTER TABLE big ADD COLUMN c int", "CREATE TABLE n (a int)"]
                ),
                proposed(Before, &["ALTER TABLE small ADD COLUMN c int"]),
            ],
        }]
    );
}

#[test]
fn statement_outside_of_transactions_with_others_is_refused() {
    let sql =
        "CREATE TABLE n (a int); CREATE INDEX CONCURRENTLY i ON big (a); CREATE TABLE m (a int)";
    assert_eq!(
        refusals(sql),
        [Refusal::NotAlone {
            command: "CREATE INDEX CONCURRENTLY",
            split: vec![
                proposed(Before, &["CREATE TABLE n (a int)"]),
                proposed(Before, &["CREATE INDEX CONCURRENTLY i ON big (a)"]),
                proposed(Before, &["CREATE TABLE m (a int)"]),
            ],
        }]
    );
}

#[test]
fn refusal_says_which_files_to_make() {
    let sql = "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big DROP COLUMN a";
    let text = refusals(sql).remove(0).to_string();
    assert_eq!(
        text,
        "it has statements of before and of after; make 2 files of it:\n\
         1. before: ALTER TABLE big ADD COLUMN c int;\n\
         2. after: ALTER TABLE big DROP COLUMN a;"
    );
}
