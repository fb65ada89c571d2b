//! Files of any text: the split and the judgement end, and lose nothing.

use proptest::prelude::*;

use super::*;

/// Words and signs of which statements consist, and those on which a scanner may stumble.
const PARTS: [&str; 66] = [
    "ALTER",
    "TABLE",
    "big",
    "ADD",
    "COLUMN",
    "c",
    "int",
    "DROP",
    "CREATE",
    "INDEX",
    "UNIQUE",
    "ON",
    "(",
    ")",
    ",",
    ";",
    "CONCURRENTLY",
    "CONSTRAINT",
    "CHECK",
    "NOT",
    "NULL",
    "VALID",
    "DEFAULT",
    "'x'",
    "1",
    "FOREIGN",
    "KEY",
    "REFERENCES",
    "small",
    "TYPE",
    "varchar",
    "USING",
    "::",
    "SET",
    "SELECT",
    "FROM",
    "WHERE",
    "UPDATE",
    "DELETE",
    "INSERT",
    "INTO",
    "VALUES",
    "BEGIN",
    "ATOMIC",
    "END",
    "CASE",
    "FUNCTION",
    "TRIGGER",
    "VIEW",
    "AS",
    "$$",
    "$a$",
    "'",
    "\"",
    "E'\\'",
    "--",
    "\n",
    "/*",
    "*/",
    ".",
    "=",
    "ä",
    "\u{feff}",
    "@",
    "REINDEX",
    "COMMENT",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_sequence_of_words_is_judged(words in prop::collection::vec(0..PARTS.len(), 0..40)) {
        let words: Vec<&str> = words.into_iter().map(|index| PARTS[index]).collect();
        judge_text(&words.join(" "));
    }

    #[test]
    fn any_text_is_judged(text in ".{0,80}") {
        judge_text(&text);
    }

    #[test]
    fn any_damaged_statement_is_judged(
        statement in 0..STATEMENTS.len(),
        from in 0..80_usize,
        count in 0..20_usize,
        with in ".{0,3}",
    ) {
        let statement: Vec<char> = STATEMENTS[statement].chars().collect();
        let from = from.min(statement.len());
        let to = (from + count).min(statement.len());
        let head: String = statement[..from].iter().collect();
        let tail: String = statement[to..].iter().collect();
        judge_text(&format!("{head}{with}{tail}"));
    }
}

const STATEMENTS: [&str; 12] = [
    "ALTER TABLE big ADD COLUMN c uuid NOT NULL DEFAULT gen_random_uuid() REFERENCES small (id)",
    "ALTER TABLE big ALTER COLUMN v TYPE numeric(12, 2) USING v::numeric(12, 2), DROP COLUMN a",
    "ALTER TABLE big ADD CONSTRAINT ck CHECK (b IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT ck",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON public.big USING btree (a) WHERE a <> ''",
    "CREATE TABLE n (id bigint PRIMARY KEY, b int REFERENCES big (id), LIKE small INCLUDING ALL)",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END",
    "WITH x AS (DELETE FROM big WHERE b = 1 RETURNING *) INSERT INTO small SELECT * FROM x",
    "CREATE TRIGGER t BEFORE UPDATE ON big FOR EACH ROW EXECUTE FUNCTION f()",
    "ALTER TABLE p ATTACH PARTITION q FOR VALUES FROM (1) TO (2)",
    "SET search_path TO a, \"B\", 'c'; COMMENT ON COLUMN public.big.a IS E'it\\'s'",
    "DROP TABLE IF EXISTS a, b.c CASCADE; REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "LOCK TABLE big IN SHARE ROW EXCLUSIVE MODE; TRUNCATE big RESTART IDENTITY; VACUUM (FULL) big",
];

fn judge_text(sql: &str) {
    let Ok(statements) = split_statements(sql) else {
        return;
    };
    let joined: String = statements
        .iter()
        .map(|one| &sql[one.range.clone()])
        .collect();
    assert!(statements.is_empty() || joined == sql, "{joined}");
    let judged = judge_files(&[&statements], &shop()).remove(0);
    assert_eq!(judged.statements.len(), statements.len());
    for (statement, judgement) in statements.iter().zip(&judged.statements) {
        let lines = statement.line..=statement.line + statement.text.matches('\n').count();
        for finding in &judgement.findings {
            assert!(lines.contains(&finding.line), "{finding:?}");
        }
        // No rule holds for a statement of *before*, and each other class has one.
        assert_eq!(judgement.class == Before, judgement.findings.is_empty());
    }
}
