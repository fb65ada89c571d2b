//! The table of statements with their classes and rules.

mod after;
mod anything;
mod ask;
mod before;
mod columns;
mod created;
mod data;
mod defaults;
mod everyday;
mod failing;
mod failing_writes;
mod file;
mod hidden;
mod null_check;
mod objects;
mod one_row;
mod other_tables;
mod own_code;
mod remarks;
mod row_users;
mod safe_form;
mod stop;
mod surroundings;

use super::facts::{
    ColumnFacts, ConstraintFacts, ConstraintKind, IndexFacts, RelationFacts, RelationKind,
};
use super::*;
use crate::migrations::statement::{ObjectName, Statement, split_statements};

fn public(name: &str) -> ObjectName {
    ObjectName::in_schema("public", name)
}

fn constraint(name: &str, kind: ConstraintKind, column: &str, definition: &str) -> ConstraintFacts {
    ConstraintFacts {
        name: name.to_owned(),
        kind,
        columns: vec![column.to_owned()],
        is_validated: true,
        definition: definition.to_owned(),
        references: None,
        referenced_columns: Vec::new(),
    }
}

/// A database with a large table, a small one that references it, a view and a function.
fn shop() -> TargetFacts {
    let mut facts = TargetFacts {
        server_major: Some(17),
        ..TargetFacts::unknown()
    };
    let column = |type_name: &str| ColumnFacts {
        type_name: type_name.to_owned(),
        is_not_null: false,
        has_default: false,
        is_numbered: false,
    };
    let columns = [
        ("id", "integer"),
        ("a", "text"),
        ("b", "integer"),
        ("v", "character varying(100)"),
        ("w", "character varying(100)"),
        ("n", "numeric(10,2)"),
    ];
    let mut big = RelationFacts {
        rows: Some(1_000_000),
        bytes: 80_000_000,
        columns: columns
            .map(|(name, spelled)| (name.to_owned(), column(spelled)))
            .into(),
        ..RelationFacts::default()
    };
    big.constraints = vec![
        constraint(
            "ck_a",
            ConstraintKind::Check,
            "a",
            "CHECK ((a IS NOT NULL))",
        ),
        constraint(
            "ck_w",
            ConstraintKind::Check,
            "w",
            "CHECK (((w)::text <> ''::text))",
        ),
        constraint("u_b", ConstraintKind::Unique, "b", "UNIQUE (b)"),
    ];
    big.indexes = vec![
        IndexFacts {
            name: "big_b".to_owned(),
            is_unique: false,
            is_valid: true,
            columns: vec!["b".to_owned()],
            computed_from: Vec::new(),
            definition: None,
            code: None,
        },
        IndexFacts {
            name: "big_nn".to_owned(),
            is_unique: true,
            is_valid: true,
            columns: vec!["nn".to_owned()],
            computed_from: Vec::new(),
            definition: None,
            code: None,
        },
        IndexFacts {
            name: "big_broken".to_owned(),
            is_unique: false,
            is_valid: false,
            columns: vec!["b".to_owned()],
            computed_from: Vec::new(),
            definition: None,
            code: None,
        },
    ];
    let mut small = RelationFacts {
        bytes: 8192,
        columns: big.columns.clone(),
        ..RelationFacts::default()
    };
    let mut key = constraint(
        "fk",
        ConstraintKind::ForeignKey,
        "b",
        "FOREIGN KEY (b) REFERENCES big(id)",
    );
    key.references = Some(public("big"));
    key.referenced_columns = vec!["id".to_owned()];
    small.constraints = vec![key];
    facts.relations.insert(public("big"), big);
    facts.relations.insert(public("small"), small);
    for name in ["v", "mv", "p", "p1"] {
        facts
            .relations
            .insert(public(name), RelationFacts::default());
    }
    let columns_of_big = facts.relations[&public("big")].columns.clone();
    for (name, kind) in [("v", RelationKind::View), ("mv", RelationKind::Other)] {
        let relation = facts.relations.get_mut(&public(name)).expect("a relation");
        relation.kind = kind;
        relation.columns.clone_from(&columns_of_big);
    }
    facts.routines.insert(public("f"));
    let positive = DomainFacts {
        has_constraints: true,
        has_default: false,
        tables: vec![public("big")],
    };
    facts.domains.insert(public("positive"), positive);
    facts.types.insert(public("mood"));
    facts.types.insert(public("positive"));
    let numbers = SequenceFacts {
        min: 1,
        max: i64::MAX,
        increment: 1,
        ..SequenceFacts::default()
    };
    facts.sequences.insert(public("s"), numbers);
    facts.listed_schemas = vec!["public".to_owned()];
    facts
}

fn statements(sql: &str) -> Vec<Statement> {
    split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Judges the last statement of a file.
fn last(sql: &str, facts: &TargetFacts) -> Judgement {
    let statements = statements(sql);
    let mut judged = judge_files(&[&statements], facts).remove(0);
    judged.statements.pop().expect("a statement")
}

fn rules_of(judgement: &Judgement) -> Vec<&'static str> {
    let mut rules: Vec<&str> = judgement.findings.iter().map(|one| one.rule.name).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn check(facts: &TargetFacts, table: &[(&str, Class, &[&str])]) {
    let mut wrong = Vec::new();
    for (sql, class, rules) in table {
        let judged = last(sql, facts);
        let found = rules_of(&judged);
        if judged.class != *class || found != *rules {
            wrong.push(format!(
                "{sql}\n    is {} by {found:?}, not {class} by {rules:?}",
                judged.class
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

use Class::{After, Ask, Before, Stop};

#[test]
fn table_that_is_new_or_small_locks_nobody_out() {
    check(
        &shop(),
        &[
            (
                "CREATE TABLE n (a int); CREATE INDEX n_a ON n (a)",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (a int); ALTER TABLE n ADD CONSTRAINT u UNIQUE (a)",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (a int); ALTER TABLE public.n DROP COLUMN a",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (a int); ALTER TABLE n RENAME TO m; DROP TABLE m",
                Before,
                &[],
            ),
            ("CREATE TABLE n (a int); UPDATE n SET a = 1", Before, &[]),
            (
                "CREATE TABLE n (a int); CREATE TRIGGER t BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION f()",
                Before,
                &[],
            ),
            ("CREATE INDEX i ON small (a)", Before, &[]),
            ("ALTER TABLE small ADD COLUMN c serial", Before, &[]),
            ("UPDATE small SET b = 1", Before, &[]),
            (
                "CREATE TABLE IF NOT EXISTS big (a int); ALTER TABLE big DROP COLUMN a",
                After,
                &["ban-drop-column"],
            ),
            // By another name it is the same table.
            (
                "ALTER TABLE big RENAME TO b2; CREATE INDEX i ON b2 (a)",
                Stop,
                &["long-work-under-lock", "require-concurrent-index-creation"],
            ),
            (
                "SET search_path TO other; CREATE TABLE n (a int); CREATE INDEX i ON other.n (a)",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn without_a_database_every_table_may_be_large() {
    check(
        &TargetFacts::unknown(),
        &[
            (
                "CREATE INDEX i ON small (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
            (
                "ALTER TABLE t ALTER v TYPE text",
                Stop,
                &["changing-column-type"],
            ),
            (
                "CREATE OR REPLACE VIEW v2 AS SELECT 1 AS a",
                Ask,
                &["ban-replace-view-function"],
            ),
            (
                "ALTER TABLE t DROP CONSTRAINT c",
                After,
                &["ban-drop-constraint"],
            ),
            ("UPDATE t SET a = 1", Stop, &["backfill"]),
        ],
    );
}
