//! The safe forms, taken at their word: each is written as the files that it proposes, which are judged
//! and applied one after the other, and do what the refused statement does.

use stagelink_local_postgres::Server;
use stagelink_pipeline::{
    Class, FileJudgement, Statement, TargetFacts, judge_files, split_statements,
};
use tokio_postgres::Client;

/// The likeness of the schema after a safe form to that after the statement.
#[derive(Clone, Copy, PartialEq)]
enum Likeness {
    /// Equal columns, constraints and indexes.
    Same,
    /// Old rows have no value in the new column, which they get by a script.
    Unfilled,
    /// A domain's constraint that old rows are not held against.
    Unchecked,
    /// Another name of the constraint.
    Renamed,
}

use Likeness::{Renamed, Same, Unchecked, Unfilled};

/// The statements, with the oldest major version that knows them.
const CASES: [(&str, Likeness, u32); 38] = [
    ("CREATE INDEX ON big (a)", Same, 15),
    ("CREATE INDEX named ON big (a)", Same, 15),
    (
        "CREATE INDEX ON big (lower(v) text_pattern_ops DESC NULLS LAST, b) WHERE b > 5",
        Same,
        15,
    ),
    (
        "CREATE INDEX ON big ((a || 'x'), (a || 'y'), coalesce(a, v))",
        Same,
        15,
    ),
    (
        "CREATE INDEX ON big USING brin (b) WITH (pages_per_range = 16)",
        Same,
        15,
    ),
    ("CREATE INDEX ON big (taken)", Same, 15),
    (
        "CREATE UNIQUE INDEX ON big (b) INCLUDE (a) WITH (fillfactor = 50)",
        Same,
        15,
    ),
    (
        "CREATE UNIQUE INDEX ON big (v, b) NULLS NOT DISTINCT TABLESPACE pg_default",
        Same,
        15,
    ),
    ("CREATE INDEX IF NOT EXISTS named ON ONLY big (a)", Same, 15),
    (
        "CREATE INDEX ON a_table_with_a_name_that_is_longer_than_all_the_others (a_column_with_a_long_name)",
        Same,
        15,
    ),
    ("CREATE INDEX ON \"order\" (\"user\")", Same, 15),
    ("CREATE INDEX ON parts (note) WHERE id > 1", Same, 15),
    ("CREATE INDEX parts_of_note ON parts (note)", Same, 15),
    (
        "ALTER TABLE big ADD CONSTRAINT u UNIQUE (b) INCLUDE (a)",
        Same,
        15,
    ),
    ("ALTER TABLE big ADD UNIQUE (b)", Same, 15),
    (
        "ALTER TABLE big ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (b, v) WITH (fillfactor = 50)",
        Same,
        15,
    ),
    (
        "ALTER TABLE big ADD UNIQUE (b) DEFERRABLE INITIALLY DEFERRED",
        Same,
        15,
    ),
    ("ALTER TABLE \"order\" ADD UNIQUE (\"user\")", Same, 15),
    ("ALTER TABLE big ADD PRIMARY KEY (b)", Same, 15),
    (
        "ALTER TABLE big ADD CONSTRAINT k PRIMARY KEY (b, v) INCLUDE (a)",
        Same,
        15,
    ),
    (
        "ALTER TABLE big ADD FOREIGN KEY (small_id) REFERENCES small (id) ON DELETE CASCADE",
        Same,
        15,
    ),
    (
        "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (small_id) REFERENCES small DEFERRABLE INITIALLY DEFERRED",
        Same,
        15,
    ),
    ("ALTER TABLE ONLY big ADD CHECK (b > 0)", Same, 15),
    (
        "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0 AND a <> '') NO INHERIT",
        Same,
        15,
    ),
    ("ALTER TABLE parts ADD CHECK (id > 0)", Same, 15),
    ("ALTER TABLE big ALTER COLUMN b SET NOT NULL", Same, 15),
    (
        "ALTER TABLE \"order\" ALTER COLUMN \"user\" SET NOT NULL",
        Same,
        15,
    ),
    ("ALTER TABLE big ADD CONSTRAINT there NOT NULL b", Same, 18),
    (
        "ALTER TABLE big ADD COLUMN c uuid DEFAULT gen_random_uuid()",
        Unfilled,
        15,
    ),
    ("ALTER TABLE big ADD COLUMN c bigserial", Unfilled, 15),
    ("ALTER TABLE big ADD COLUMN c int UNIQUE", Same, 15),
    (
        "ALTER TABLE big ADD COLUMN c int CONSTRAINT above CHECK (c > 0) REFERENCES small (id)",
        Same,
        15,
    ),
    (
        "ALTER TABLE big ADD COLUMN c int DEFAULT 5 REFERENCES small (id)",
        Same,
        15,
    ),
    ("ALTER DOMAIN amount SET NOT NULL", Unchecked, 15),
    (
        "ALTER DOMAIN amount ADD CONSTRAINT above CHECK (VALUE > 0)",
        Unchecked,
        15,
    ),
    (
        "ALTER TABLE big ALTER CONSTRAINT loose ENFORCED",
        Renamed,
        18,
    ),
    ("REINDEX INDEX big_taken_idx", Same, 15),
    ("REFRESH MATERIALIZED VIEW copies", Same, 15),
];

/// Runs the cases on a server. Returns what is wrong.
pub(crate) async fn check(server: &Server) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut done = 0;
    let plain = fresh(server, "plain").await;
    let facts = TargetFacts::ask(&plain).await.expect("the facts");
    for (number, (sql, result, oldest)) in CASES.into_iter().enumerate() {
        if facts.server_major < Some(oldest) {
            continue;
        }
        done += 1;
        let (_, judged) = judge(sql, &facts);
        if judged.class < Class::Stop {
            wrong.push(format!("{sql}: is {}, not refused", judged.class));
        }
        let findings = judged.statements.iter().flat_map(|one| &one.findings);
        let mut forms = findings.map(|one| &one.safe_files);
        let Some(files) = forms.find(|files| !files.is_empty()) else {
            wrong.push(format!("{sql}: has no safe form in files"));
            continue;
        };
        wrong.extend(refused(files, &facts, sql));
        let safe = fresh(server, &format!("safe_{number}")).await;
        if let Err(error) = apply(&safe, files).await {
            wrong.push(format!("{sql}: {error}"));
            continue;
        }
        let direct = plain.batch_execute(&format!("BEGIN; {sql}")).await;
        direct.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let (is, should_be) = (schema(&safe, result).await, schema(&plain, result).await);
        plain.batch_execute("ROLLBACK").await.expect("the end");
        if is != should_be {
            let more: Vec<_> = is.iter().filter(|one| !should_be.contains(one)).collect();
            let less: Vec<_> = should_be.iter().filter(|one| !is.contains(one)).collect();
            wrong.push(format!("{sql}: has {more:?}, and not {less:?}"));
        }
    }
    println!("{done} safe forms");
    wrong
}

async fn fresh(server: &Server, name: &str) -> Client {
    let name = format!("{name}_{}", std::process::id());
    let database = server.create_database(&name, "canary-safe-forms").await;
    let client = server.connect(&database.expect("a database")).await;
    let client = client.expect("a session");
    client.batch_execute(SCHEMA).await.expect("the schema");
    client
}

fn judge(sql: &str, facts: &TargetFacts) -> (Vec<Statement>, FileJudgement) {
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let judged = judge_files(&[&statements], facts).remove(0);
    (statements, judged)
}

/// Judges the files as those of one run.
fn refused(files: &[Vec<String>], facts: &TargetFacts, sql: &str) -> Vec<String> {
    let files: Vec<Vec<Statement>> = files
        .iter()
        .map(|file| split_statements(&file.join(";\n")).expect("statements"))
        .collect();
    let slices: Vec<&[Statement]> = files.iter().map(Vec::as_slice).collect();
    let judged = judge_files(&slices, facts);
    let is_refused = |file: &&FileJudgement| file.class > Class::After || !file.refusals.is_empty();
    let refused = judged.iter().filter(is_refused);
    refused
        .map(|file| format!("{sql}: in one run: {}", in_short(file)))
        .collect()
}

fn in_short(judged: &FileJudgement) -> String {
    let findings = judged.statements.iter().flat_map(|one| &one.findings);
    let rules: Vec<&str> = findings.map(|one| one.rule.name).collect();
    format!("{} by {rules:?}, {:?}", judged.class, judged.refusals)
}

/// Applies the files one by one. Each is judged by what the database has then.
async fn apply(client: &Client, files: &[Vec<String>]) -> Result<(), String> {
    for file in files {
        let text = file.join(";\n");
        let facts = TargetFacts::ask(client).await.expect("the facts");
        let (statements, judged) = judge(&text, &facts);
        if judged.class > Class::After || !judged.refusals.is_empty() {
            return Err(format!("{text}: by itself: {}", in_short(&judged)));
        }
        let is_alone = statements
            .iter()
            .any(|one| one.needs_no_transaction().is_some());
        let sql = match is_alone {
            true => text.clone(),
            false => format!("BEGIN; {text}; COMMIT"),
        };
        let applied = client.batch_execute(&sql).await;
        applied.map_err(|error| format!("{text}: {error:?}"))?;
    }
    Ok(())
}

/// Returns the columns, constraints and indexes.
async fn schema(client: &Client, result: Likeness) -> Vec<String> {
    let rows = client.query(OBJECTS, &[]).await.expect("the schema");
    let texts = rows.iter().map(|row| row.get::<_, String>(0));
    let mut texts: Vec<String> = texts
        .map(|text| match result {
            Same => text,
            Unfilled => text.replace(" NOT NULL", ""),
            Unchecked => text.replace(" NOT VALID", ""),
            Renamed => text.replace("big_small_id_fkey", "loose"),
        })
        .collect();
    if result == Unfilled {
        // Since Postgres 18 NOT NULL is a constraint.
        texts.retain(|text| !text.starts_with("constraint big_c_not_null"));
    }
    if result == Unchecked {
        texts.retain(|text| !text.contains("amount_not_null"));
    }
    texts.sort_unstable();
    texts
}

const OBJECTS: &str = "\
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
    || COALESCE(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'S')
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'constraint ' || k.conname || ' ' || COALESCE(c.relname, k.contypid::regtype::text)
    || ' ' || pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END
FROM pg_constraint k LEFT JOIN pg_class c ON c.oid = k.conrelid
WHERE k.connamespace = 'public'::regnamespace
UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid
    || COALESCE(' part of ' || p.inhparent::regclass, '')
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    LEFT JOIN pg_inherits p ON p.inhrelid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace";

const SCHEMA: &str = "
CREATE TABLE small (id int PRIMARY KEY);
INSERT INTO small SELECT n FROM generate_series(1, 100) n;
CREATE DOMAIN amount AS int;
CREATE TABLE big (a text, b int, v varchar(100), small_id int, taken int, d amount)
    WITH (fillfactor = 10);
INSERT INTO big SELECT 'a ' || n, n, 'v', 1 + n % 100, n, n FROM generate_series(1, 3000) n;
CREATE INDEX big_taken_idx ON big (taken);
CREATE TABLE a_table_with_a_name_that_is_longer_than_all_the_others (a_column_with_a_long_name text)
    WITH (fillfactor = 10);
INSERT INTO a_table_with_a_name_that_is_longer_than_all_the_others SELECT a FROM big, (VALUES (1), (2)) n;
CREATE TABLE \"order\" (\"user\" text) WITH (fillfactor = 10);
INSERT INTO \"order\" SELECT a || n FROM big, (VALUES (1), (2)) v (n);
CREATE TABLE parts (id int, kind int, note text) PARTITION BY LIST (kind);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1) WITH (fillfactor = 10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) WITH (fillfactor = 10);
INSERT INTO parts SELECT b, 1 + b % 2, a FROM big, (VALUES (1), (2)) n;
CREATE MATERIALIZED VIEW copies WITH (fillfactor = 10) AS SELECT a, b FROM big;
CREATE UNIQUE INDEX copies_b ON copies (b);
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'ALTER TABLE big ADD CONSTRAINT loose FOREIGN KEY (small_id) REFERENCES small NOT ENFORCED';
    END IF;
END $$;
ANALYZE;
";
