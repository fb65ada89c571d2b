//! Columns that a run adds, and defaults of columns that exist.

use super::*;

/// A shop whose large table has a default, a `CHECK` and a column that refuses NULL.
fn with_defaults() -> TargetFacts {
    let mut facts = shop();
    let big = facts.relations.get_mut(&public("big")).expect("the table");
    let mut column = |name: &str, is_not_null: bool, has_default: bool| {
        let facts = ColumnFacts {
            type_name: "text".to_owned(),
            is_not_null,
            has_default,
            is_numbered: false,
        };
        big.columns.insert(name.to_owned(), facts);
    };
    column("filled", false, true);
    column("needed", true, true);
    column("given", true, false);
    facts
}

/// Judges the last of several files of one run.
fn last_file(files: &[&str], facts: &TargetFacts) -> Judgement {
    let statements: Vec<_> = files.iter().map(|sql| statements(sql)).collect();
    let statements: Vec<_> = statements.iter().map(Vec::as_slice).collect();
    let mut judged = judge_files(&statements, facts).pop().expect("a file");
    judged.statements.pop().expect("a statement")
}

#[test]
fn default_of_a_column_that_exists_is_met_by_the_code_of_before() {
    check(
        &with_defaults(),
        &[
            (
                "ALTER TABLE big ALTER needed SET DEFAULT NULL",
                After,
                &["ban-drop-default"],
            ),
            (
                "ALTER TABLE big ALTER filled SET DEFAULT 'x'",
                After,
                &["ban-set-default"],
            ),
            (
                "ALTER TABLE big ALTER w SET DEFAULT ''",
                After,
                &["ban-set-default"],
            ),
            (
                "ALTER TABLE big ALTER b SET DEFAULT 7",
                After,
                &["ban-set-default"],
            ),
            (
                "ALTER TABLE big ALTER v SET DEFAULT f()",
                After,
                &["ban-set-default"],
            ),
            ("ALTER TABLE big ALTER v SET DEFAULT 'x'", Before, &[]),
            ("ALTER TABLE big ALTER v SET DEFAULT NULL", Before, &[]),
            ("ALTER TABLE big ALTER given SET DEFAULT 'x'", Before, &[]),
            (
                "ALTER TABLE big ALTER v SET DEFAULT gen_random_uuid()",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int, ALTER c SET DEFAULT f()",
                After,
                &["ban-set-default"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big ALTER c SET DEFAULT 1",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN IF NOT EXISTS filled int, ALTER filled SET DEFAULT 'x'",
                After,
                &["ban-set-default"],
            ),
        ],
    );
    check(
        &TargetFacts::unknown(),
        &[(
            "ALTER TABLE big ALTER v SET DEFAULT 'x'",
            After,
            &["ban-set-default"],
        )],
    );
}

#[test]
fn constraint_of_a_column_that_the_run_adds_refuses_no_row() {
    let restricts: &[&str] = &["ban-new-write-restriction"];
    check(
        &shop(),
        &[
            (
                "ALTER TABLE big ADD COLUMN c int REFERENCES small (id)",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int DEFAULT NULL REFERENCES small (id)",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big ADD CONSTRAINT k FOREIGN KEY (c) \
                 REFERENCES small (id) NOT VALID",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int, ADD CONSTRAINT k CHECK (c > 0 AND c < 9) NOT VALID",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int, ADD CONSTRAINT k CHECK (c IS NOT NULL) NOT VALID",
                After,
                restricts,
            ),
            (
                "ALTER TABLE big ADD COLUMN c int, ADD CONSTRAINT k CHECK (c > b) NOT VALID",
                After,
                restricts,
            ),
            (
                "ALTER TABLE big ADD COLUMN c int DEFAULT 0, ADD CONSTRAINT k CHECK (c > 0) NOT VALID",
                After,
                restricts,
            ),
            (
                "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big ALTER c SET DEFAULT 0; \
                 ALTER TABLE big ADD CONSTRAINT k CHECK (c > 0) NOT VALID",
                After,
                restricts,
            ),
        ],
    );
}

#[test]
fn table_of_an_earlier_file_has_no_writers() {
    let table = "CREATE TABLE n (a int)";
    for sql in [
        "CREATE TRIGGER t BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE n ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE n ADD CONSTRAINT u UNIQUE (a)",
        "CREATE UNIQUE INDEX i ON n (a)",
        "CREATE POLICY p ON n USING (true)",
        "DELETE FROM n",
    ] {
        let judged = last_file(&[table, sql], &shop());
        assert_eq!((judged.class, rules_of(&judged)), (Before, vec![]), "{sql}");
    }
    // Without a database the files may belong to several runs.
    let trigger = "ALTER TABLE n ENABLE ROW LEVEL SECURITY";
    let judged = last_file(&[table, trigger], &TargetFacts::unknown());
    assert_eq!(judged.class, After);
    let set = "ALTER TABLE n ALTER c SET DEFAULT 1";
    let add = "ALTER TABLE n ADD COLUMN c int";
    assert_eq!(last_file(&[add, set], &TargetFacts::unknown()).class, After);
}

#[test]
fn work_on_another_table_is_not_that_of_a_new_one() {
    let copy =
        "CREATE TABLE n AS SELECT id FROM big; ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES big";
    check(
        &shop(),
        &[
            (copy, Stop, &["adding-foreign-key-constraint"]),
            (
                "CREATE TABLE n (id int); INSERT INTO n SELECT id FROM big; \
                 ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES big",
                Stop,
                &["adding-foreign-key-constraint"],
            ),
            (
                "CREATE TABLE n (id int); INSERT INTO n VALUES (1); \
                 ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES big",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (id int) PARTITION BY LIST (id); \
                 ALTER TABLE n ATTACH PARTITION big FOR VALUES IN (1)",
                Stop,
                &["attach-partition"],
            ),
            (
                "CREATE TABLE n (id int) PARTITION BY LIST (id); \
                 ALTER TABLE n ATTACH PARTITION small FOR VALUES IN (1)",
                Before,
                &[],
            ),
        ],
    );
    let files: Vec<&str> = copy.split("; ").collect();
    let judged = last_file(&files, &shop());
    assert_eq!(judged.class, Stop, "{:?}", rules_of(&judged));
}

#[test]
fn object_that_is_not_there_is_dropped_at_any_time() {
    check(
        &shop(),
        &[
            ("DROP FUNCTION IF EXISTS g()", Before, &[]),
            ("DROP FUNCTION IF EXISTS f()", After, &["ban-drop-function"]),
            ("DROP INDEX IF EXISTS nowhere", Before, &[]),
            ("ALTER TABLE big DROP COLUMN IF EXISTS nowhere", Before, &[]),
            (
                "ALTER TABLE big DROP COLUMN IF EXISTS a",
                After,
                &["ban-drop-column"],
            ),
            (
                "ALTER TABLE big DROP CONSTRAINT IF EXISTS nowhere",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big RENAME a TO c; ALTER TABLE big DROP COLUMN IF EXISTS c",
                After,
                &["ban-drop-column"],
            ),
        ],
    );
}
