//! The table of statements with their classes and rules.

mod anything;
mod columns;
mod created;
mod data;
mod defaults;
mod everyday;
mod failing_writes;
mod file;
mod hidden;
mod null_check;
mod objects;
mod one_row;
mod other_tables;
mod own_code;
mod safe_form;
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
            code: None,
        },
        IndexFacts {
            name: "big_nn".to_owned(),
            is_unique: true,
            is_valid: true,
            columns: vec!["nn".to_owned()],
            computed_from: Vec::new(),
            code: None,
        },
        IndexFacts {
            name: "big_broken".to_owned(),
            is_unique: false,
            is_valid: false,
            columns: vec!["b".to_owned()],
            computed_from: Vec::new(),
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
        tables: vec![public("big")],
    };
    facts.domains.insert(public("positive"), positive);
    facts.types.insert(public("mood"));
    facts.types.insert(public("positive"));
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
fn statement_of_before_is_known() {
    check(
        &shop(),
        &[
            (
                "CREATE TABLE t2 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text NOT NULL)",
                Before,
                &[],
            ),
            (
                "CREATE TABLE t3 (id bigint PRIMARY KEY, big_id bigint REFERENCES big(id))",
                Before,
                &[],
            ),
            ("CREATE TABLE t4 (LIKE big INCLUDING ALL)", Before, &[]),
            ("CREATE TABLE t5 AS SELECT * FROM big", Before, &[]),
            ("ALTER TABLE big ADD COLUMN c1 text", Before, &[]),
            ("ALTER TABLE big ADD COLUMN c2 int DEFAULT 5", Before, &[]),
            ("ALTER TABLE big ADD COLUMN c2 int DEFAULT -5", Before, &[]),
            (
                "ALTER TABLE big ADD COLUMN c3 int NOT NULL DEFAULT 5",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c4 timestamptz DEFAULT now()",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c4 date NOT NULL DEFAULT CURRENT_DATE",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c5 text[] DEFAULT '{}'",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c5 int[] DEFAULT ARRAY[1, 2]",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c6 int GENERATED ALWAYS AS (id * 2) VIRTUAL",
                Before,
                &[],
            ),
            ("CREATE INDEX CONCURRENTLY i ON big (a)", Before, &[]),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE varchar(200)",
                Before,
                &[],
            ),
            ("ALTER TABLE big ALTER COLUMN v TYPE text", Before, &[]),
            (
                "ALTER TABLE big ALTER v SET DATA TYPE text USING v::text",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ALTER COLUMN b TYPE int USING b::int",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ALTER COLUMN n TYPE numeric(12,2)",
                Before,
                &[],
            ),
            ("ALTER TABLE big ALTER COLUMN a DROP NOT NULL", Before, &[]),
            (
                "ALTER TABLE big ALTER COLUMN a SET DEFAULT 'x'",
                Before,
                &[],
            ),
            ("ALTER TABLE big DROP CONSTRAINT ck_a", Before, &[]),
            ("ALTER TABLE big ALTER COLUMN a SET NOT NULL", Before, &[]),
            (
                "ALTER TABLE big ADD CONSTRAINT u UNIQUE USING INDEX big_nn",
                Before,
                &[],
            ),
            ("ALTER TABLE small DROP CONSTRAINT fk", Before, &[]),
            ("ALTER TABLE big VALIDATE CONSTRAINT ck_a", Before, &[]),
            ("ALTER TYPE mood ADD VALUE 'meh'", Before, &[]),
            ("CREATE VIEW v2 AS SELECT id FROM big", Before, &[]),
            (
                "CREATE OR REPLACE VIEW v2 AS SELECT id FROM big",
                Before,
                &[],
            ),
            (
                "CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Before,
                &[],
            ),
            ("COMMENT ON COLUMN big.a IS 'x'", Before, &[]),
            ("ALTER TABLE big SET (fillfactor = 90)", Before, &[]),
            ("ALTER TABLE big ALTER a SET STATISTICS 500", Before, &[]),
            ("CREATE STATISTICS st ON a, b FROM big", Before, &[]),
            ("GRANT SELECT ON big TO PUBLIC", Before, &[]),
            ("CREATE EXTENSION IF NOT EXISTS pg_trgm", Before, &[]),
            (
                "INSERT INTO small (a) VALUES ('x') ON CONFLICT DO NOTHING",
                Before,
                &[],
            ),
            ("INSERT INTO small (a) SELECT a FROM big", Before, &[]),
            ("SELECT count(*) FROM big", Before, &[]),
            ("SET search_path TO shop, public", Before, &[]),
            ("VACUUM ANALYZE big", Before, &[]),
            ("REFRESH MATERIALIZED VIEW CONCURRENTLY mv", Before, &[]),
            ("REINDEX INDEX CONCURRENTLY big_b", Before, &[]),
            ("DROP INDEX CONCURRENTLY big_broken", Before, &[]),
            ("DROP TABLE IF EXISTS gone", Before, &[]),
            ("CREATE INDEX IF NOT EXISTS big_b ON big (b)", Before, &[]),
            ("INSERT INTO small (id) VALUES (nextval('s'))", Before, &[]),
            ("SELECT id FROM small FOR UPDATE", Before, &[]),
            (
                "ALTER TABLE big ADD CONSTRAINT c CHECK (b > 0) NOT ENFORCED",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn statement_of_after_is_known() {
    check(
        &shop(),
        &[
            ("ALTER TABLE big DROP COLUMN a", After, &["ban-drop-column"]),
            (
                "ALTER TABLE big RENAME COLUMN a TO a2",
                After,
                &["renaming-column"],
            ),
            ("ALTER TABLE big RENAME TO big2", After, &["renaming-table"]),
            ("DROP TABLE small", After, &["ban-drop-table"]),
            ("DROP VIEW v", After, &["ban-drop-view"]),
            ("DROP TYPE mood", After, &["ban-drop-type"]),
            (
                "DROP INDEX big_b",
                After,
                &["ban-drop-index", "require-concurrent-index-deletion"],
            ),
            ("DROP INDEX CONCURRENTLY big_b", After, &["ban-drop-index"]),
            ("DROP COLLATION c", After, &["drop-object"]),
            (
                "ALTER TABLE big ALTER COLUMN a DROP DEFAULT",
                After,
                &["ban-drop-default"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES small(id) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT nn NOT NULL b NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT u UNIQUE USING INDEX big_uq",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY i ON big (b)",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big DROP CONSTRAINT u_b",
                After,
                &["ban-drop-constraint"],
            ),
            (
                "CREATE TRIGGER tg BEFORE UPDATE ON big FOR EACH ROW EXECUTE FUNCTION f()",
                After,
                &["create-trigger"],
            ),
            ("DROP TRIGGER tg ON big", After, &["ban-drop-trigger"]),
            (
                "CREATE RULE r AS ON INSERT TO big DO ALSO NOTHING",
                After,
                &["create-rule"],
            ),
            (
                "ALTER TABLE big ENABLE ROW LEVEL SECURITY",
                After,
                &["ban-alter-row-level-security"],
            ),
            (
                "CREATE POLICY p ON big USING (true)",
                After,
                &["ban-create-policy"],
            ),
            ("REVOKE SELECT ON big FROM PUBLIC", After, &["ban-revoke"]),
            ("ALTER TABLE big OWNER TO x", After, &["ban-revoke"]),
            (
                "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
                After,
                &["renaming-object"],
            ),
            (
                "ALTER TABLE big DETACH PARTITION p1 CONCURRENTLY",
                After,
                &["ban-detach-inheritance"],
            ),
            (
                "ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "DROP VIEW v; CREATE VIEW v AS SELECT 1 AS one",
                After,
                &["recreate"],
            ),
            // A table that is rewritten in no time still has another type.
            (
                "ALTER TABLE small ALTER COLUMN b TYPE bigint",
                After,
                &["changes-type"],
            ),
            (
                "ALTER TABLE small ADD CONSTRAINT u UNIQUE (b)",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE UNIQUE INDEX i ON small (b)",
                After,
                &["ban-new-write-restriction"],
            ),
        ],
    );
}

#[test]
fn statement_that_stops_is_known() {
    check(
        &shop(),
        &[
            (
                "ALTER TABLE big ADD COLUMN c uuid DEFAULT gen_random_uuid()",
                Stop,
                &["adding-field-with-default"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c uuid[] DEFAULT ARRAY[gen_random_uuid()]",
                Stop,
                &["adding-field-with-default"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int NOT NULL",
                Stop,
                &["adding-required-field"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int NOT NULL DEFAULT NULL",
                Stop,
                &["adding-required-field"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS (id * 2) STORED",
                Stop,
                &["adding-field-with-default", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS IDENTITY",
                Stop,
                &["adding-field-with-default"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c serial",
                Stop,
                &["serial-column"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c positive",
                Stop,
                &["ban-new-write-restriction", "domain-column"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int UNIQUE",
                Stop,
                &["add-column-with-constraint"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int CHECK (c > 0)",
                Stop,
                &["add-column-with-constraint"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int DEFAULT 1 REFERENCES small (id)",
                Stop,
                &["add-column-with-constraint", "ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX big_a ON big (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
            (
                "CREATE UNIQUE INDEX i ON big (a)",
                Stop,
                &[
                    "ban-new-write-restriction",
                    "require-concurrent-index-creation",
                ],
            ),
            (
                "ALTER TABLE big ALTER COLUMN b TYPE bigint",
                Stop,
                &["changes-type", "changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE varchar(50)",
                Stop,
                &["changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE text USING lower(v)",
                Stop,
                &["changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE text COLLATE \"C\"",
                Stop,
                &["changing-column-type"],
            ),
            // Its CHECK is checked again.
            (
                "ALTER TABLE big ALTER COLUMN w TYPE varchar(200)",
                Stop,
                &["changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN b SET NOT NULL",
                Stop,
                &["adding-not-nullable-field", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0)",
                Stop,
                &["ban-new-write-restriction", "constraint-missing-not-valid"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES small(id)",
                Stop,
                &["adding-foreign-key-constraint", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT u UNIQUE (id, b)",
                Stop,
                &["ban-new-write-restriction", "disallowed-unique-constraint"],
            ),
            (
                "ALTER TABLE big ADD PRIMARY KEY (id)",
                Stop,
                &[
                    "adding-serial-primary-key-field",
                    "ban-new-write-restriction",
                ],
            ),
            (
                "ALTER TABLE big ADD PRIMARY KEY USING INDEX big_b",
                Stop,
                &["adding-not-nullable-field", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD EXCLUDE USING btree (id WITH =)",
                Stop,
                &["ban-new-write-restriction", "constraint-missing-not-valid"],
            ),
            ("UPDATE big SET b = b + 1", Stop, &["backfill"]),
            ("DELETE FROM big", Stop, &["backfill", "deletes-rows"]),
            ("TRUNCATE small", Stop, &["truncate"]),
            ("CLUSTER big USING big_b", Stop, &["rewrite-table"]),
            ("VACUUM (FULL) big", Stop, &["rewrite-table"]),
            ("ALTER TABLE big SET UNLOGGED", Stop, &["rewrite-table"]),
            ("REINDEX TABLE big", Stop, &["require-concurrent-reindex"]),
            (
                "REINDEX (CONCURRENTLY FALSE) TABLE big",
                Stop,
                &["require-concurrent-reindex"],
            ),
            ("LOCK TABLE big IN SHARE MODE", Stop, &["lock-table"]),
            ("LOCK big", Stop, &["lock-table"]),
            ("BEGIN", Stop, &["transaction-control"]),
            (
                "ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0)",
                Stop,
                &[
                    "ban-alter-domain-with-add-constraint",
                    "ban-new-write-restriction",
                ],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big VALIDATE CONSTRAINT ck_a",
                Stop,
                &["long-work-under-lock"],
            ),
            (
                "ALTER TABLE p ATTACH PARTITION big FOR VALUES IN (1)",
                Stop,
                &["attach-partition", "inherit"],
            ),
        ],
    );
}

#[test]
fn statement_that_asks_is_known() {
    check(
        &shop(),
        &[
            (
                "DO $$ BEGIN EXECUTE 'ALTER TABLE big DROP COLUMN a'; END $$",
                Ask,
                &["runs-code"],
            ),
            ("CALL p()", Ask, &["runs-code"]),
            ("SELECT f()", Ask, &["runs-code"]),
            (
                "CREATE TABLE n AS SELECT f() AS a FROM big",
                Ask,
                &["runs-code"],
            ),
            ("SELECT id FROM big FOR UPDATE", Ask, &["data-change"]),
            ("SELECT setval('s', 5)", Ask, &["runs-code"]),
            ("alter table big add colum x text", Ask, &["syntax-error"]),
            ("UPDATE big SET b = 1 WHERE id = 5", Ask, &["data-change"]),
            (
                "WITH x AS (DELETE FROM big WHERE b = 1 RETURNING *) INSERT INTO small SELECT * FROM x",
                Ask,
                &["data-change", "deletes-rows"],
            ),
            (
                "CREATE OR REPLACE VIEW v AS SELECT id FROM big",
                Ask,
                &["ban-replace-view-function"],
            ),
            (
                "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Ask,
                &["ban-replace-view-function"],
            ),
            ("SET lock_timeout = 0", Ask, &["runner-setting"]),
            ("SET ROLE x", Ask, &["runner-setting"]),
            ("RESET ALL", Ask, &["runner-setting"]),
            (
                "ALTER SEQUENCE s RESTART WITH 5",
                Ask,
                &["ban-alter-sequence-values"],
            ),
            (
                "CREATE CAST (text AS int) WITH INOUT",
                Ask,
                &["unknown-statement"],
            ),
            (
                "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
                Ask,
                &["unknown-statement"],
            ),
            ("CHECKPOINT", Ask, &["unknown-statement"]),
        ],
    );
}

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
