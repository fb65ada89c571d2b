//! Safe forms, which are judged again: each of their files has to be accepted.

use super::*;

fn partitioned() -> TargetFacts {
    let mut facts = shop();
    let child = facts.relations[&public("big")].clone();
    let parts = RelationFacts {
        is_partitioned: true,
        children: vec![public("parts_1"), public("parts_2")],
        bytes: 80_000_000,
        ..child.clone()
    };
    facts.relations.insert(public("parts"), parts);
    facts.relations.insert(public("parts_1"), child.clone());
    facts.relations.insert(public("parts_2"), child);
    facts
}

/// Returns the files of the safe form of the statement's first finding that has one, with their
/// classes, and what is wrong with them.
fn again(sql: &str, facts: &TargetFacts) -> (Vec<String>, Vec<String>) {
    let judged = last(sql, facts);
    let files = judged
        .findings
        .iter()
        .find(|one| !one.safe_files.is_empty());
    let files = files.map(|one| one.safe_files.clone()).unwrap_or_default();
    let files: Vec<Vec<Statement>> = files
        .iter()
        .map(|file| statements(&file.join(";\n")))
        .collect();
    let slices: Vec<&[Statement]> = files.iter().map(Vec::as_slice).collect();
    let mut written = Vec::new();
    let mut wrong = Vec::new();
    for (file, judged) in files.iter().zip(judge_files(&slices, facts)) {
        let texts: Vec<&str> = file.iter().map(|one| one.text.as_str()).collect();
        let text = format!("{}: {}", judged.class, texts.join("; "));
        if judged.class > After || !judged.refusals.is_empty() {
            let rules = judged
                .statements
                .iter()
                .flat_map(rules_of)
                .collect::<Vec<_>>();
            wrong.push(format!(
                "{sql}\n    {text}: {rules:?} {:?}",
                judged.refusals
            ));
        }
        written.push(text);
    }
    (written, wrong)
}

#[test]
fn safe_form_keeps_each_clause_and_is_accepted() {
    let facts = partitioned();
    let mut wrong = Vec::new();
    for (sql, expected) in [
        (
            "CREATE UNIQUE INDEX ON big (lower(a) text_pattern_ops DESC, b) INCLUDE (n) NULLS NOT \
             DISTINCT WITH (fillfactor = 50) TABLESPACE x WHERE b > 0",
            &[
                "after: CREATE UNIQUE INDEX CONCURRENTLY big_lower_b_n_idx ON big (lower(a) \
                 text_pattern_ops DESC, b) INCLUDE (n) NULLS NOT DISTINCT WITH (fillfactor = 50) \
                 TABLESPACE x WHERE b > 0",
            ][..],
        ),
        (
            "CREATE /* INDEX */ INDEX ON public.big USING gin (to_tsvector('simple', a), (a || 'x'), (a || 'y'))",
            &[
                "before: CREATE             INDEX CONCURRENTLY big_to_tsvector_expr_expr1_idx ON \
                 public.big USING gin (to_tsvector('simple', a), (a || 'x'), (a || 'y'))",
            ],
        ),
        // A name that is taken.
        (
            "CREATE INDEX ON big (v)",
            &["before: CREATE INDEX CONCURRENTLY big_v_idx1 ON big (v)"],
        ),
        (
            "CREATE INDEX IF NOT EXISTS i ON big (a)",
            &["before: CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON big (a)"],
        ),
        (
            "CREATE INDEX ON parts (a) WHERE b > 0",
            &[
                "before: CREATE INDEX parts_a_idx ON ONLY parts (a) WHERE b > 0",
                "before: CREATE INDEX CONCURRENTLY parts_1_a_idx ON public.parts_1 (a) WHERE b > 0",
                "before: CREATE INDEX CONCURRENTLY parts_2_a_idx ON public.parts_2 (a) WHERE b > 0",
                "before: ALTER INDEX parts_a_idx ATTACH PARTITION public.parts_1_a_idx",
                "before: ALTER INDEX parts_a_idx ATTACH PARTITION public.parts_2_a_idx",
            ],
        ),
        (
            "ALTER TABLE ONLY big ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a, b) INCLUDE (n) WITH \
             (fillfactor = 50) USING INDEX TABLESPACE x DEFERRABLE INITIALLY DEFERRED",
            &[
                "after: CREATE UNIQUE INDEX CONCURRENTLY u ON big (a, b) INCLUDE (n) NULLS NOT \
                 DISTINCT WITH (fillfactor = 50) TABLESPACE x",
                "after: ALTER TABLE ONLY big ADD CONSTRAINT u UNIQUE USING INDEX u DEFERRABLE \
                 INITIALLY DEFERRED",
            ],
        ),
        (
            "ALTER TABLE big ADD UNIQUE (\"order\")",
            &[
                "after: CREATE UNIQUE INDEX CONCURRENTLY big_order_key ON big (\"order\")",
                "after: ALTER TABLE big ADD CONSTRAINT big_order_key UNIQUE USING INDEX big_order_key",
            ],
        ),
        (
            "ALTER TABLE big ADD UNIQUE (a, during WITHOUT OVERLAPS)",
            &[],
        ),
        ("ALTER TABLE parts ADD UNIQUE (id)", &[]),
        (
            "ALTER TABLE big ADD PRIMARY KEY (a, b) INCLUDE (n)",
            &[
                "after: CREATE UNIQUE INDEX CONCURRENTLY big_pkey ON big (a, b) INCLUDE (n)",
                "after: ALTER TABLE big ADD CONSTRAINT big_b_not_null CHECK (b IS NOT NULL) NOT VALID",
                "after: ALTER TABLE big VALIDATE CONSTRAINT big_b_not_null; ALTER TABLE big ALTER \
                 COLUMN b SET NOT NULL",
                "after: ALTER TABLE big DROP CONSTRAINT big_b_not_null",
                "after: ALTER TABLE big ADD CONSTRAINT big_pkey PRIMARY KEY USING INDEX big_pkey",
            ],
        ),
        (
            "ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES small(id) ON DELETE CASCADE DEFERRABLE",
            &[
                "after: ALTER TABLE big ADD CONSTRAINT big_b_fkey FOREIGN KEY (b) REFERENCES \
                 small(id) ON DELETE CASCADE DEFERRABLE NOT VALID",
                "after: ALTER TABLE big VALIDATE CONSTRAINT big_b_fkey",
            ],
        ),
        (
            "ALTER TABLE ONLY big ADD CHECK (b > 0 AND b < 9) NO INHERIT",
            &[
                "after: ALTER TABLE ONLY big ADD CONSTRAINT big_b_check CHECK (b > 0 AND b < 9) NO \
                 INHERIT NOT VALID",
                "after: ALTER TABLE ONLY big VALIDATE CONSTRAINT big_b_check",
            ],
        ),
        (
            "ALTER TABLE big ALTER COLUMN b SET NOT NULL",
            &[
                "after: ALTER TABLE big ADD CONSTRAINT big_b_not_null CHECK (b IS NOT NULL) NOT VALID",
                "after: ALTER TABLE big VALIDATE CONSTRAINT big_b_not_null; ALTER TABLE big ALTER \
                 COLUMN b SET NOT NULL",
                "after: ALTER TABLE big DROP CONSTRAINT big_b_not_null",
            ],
        ),
        (
            "ALTER TABLE big ADD CONSTRAINT there NOT NULL b",
            &[
                "after: ALTER TABLE big ADD CONSTRAINT there NOT NULL b NOT VALID",
                "after: ALTER TABLE big VALIDATE CONSTRAINT there",
            ],
        ),
        (
            "ALTER TABLE big ADD COLUMN c uuid NOT NULL DEFAULT gen_random_uuid()",
            &[
                "before: ALTER TABLE big ADD COLUMN c uuid; ALTER TABLE big ALTER COLUMN c SET DEFAULT \
                 gen_random_uuid()",
            ],
        ),
        (
            "ALTER TABLE big ADD COLUMN c bigserial",
            &[
                "before: ALTER TABLE big ADD COLUMN c bigint; CREATE SEQUENCE big_c_seq AS bigint OWNED \
                 BY big.c; ALTER TABLE big ALTER COLUMN c SET DEFAULT nextval('big_c_seq')",
            ],
        ),
        (
            "ALTER TABLE big ADD COLUMN c int UNIQUE CHECK (c > 0)",
            &[
                "before: ALTER TABLE big ADD COLUMN c int",
                "after: CREATE UNIQUE INDEX CONCURRENTLY big_c_key ON big (c)",
                "after: ALTER TABLE big ADD CONSTRAINT big_c_key UNIQUE USING INDEX big_c_key",
                "before: ALTER TABLE big ADD CONSTRAINT big_c_check CHECK (c > 0) NOT VALID",
                "after: ALTER TABLE big VALIDATE CONSTRAINT big_c_check",
            ],
        ),
        (
            "ALTER DOMAIN positive SET NOT NULL",
            &[
                "after: ALTER DOMAIN positive ADD CONSTRAINT positive_not_null CHECK (VALUE IS NOT \
                 NULL) NOT VALID",
            ],
        ),
        (
            "REINDEX TABLE big",
            &["before: REINDEX TABLE CONCURRENTLY big"],
        ),
        ("REFRESH MATERIALIZED VIEW mv", &[]),
        (
            "DROP INDEX IF EXISTS big_b, big_nn",
            &[
                "after: DROP INDEX CONCURRENTLY IF EXISTS big_b",
                "after: DROP INDEX CONCURRENTLY IF EXISTS big_nn",
            ],
        ),
    ] {
        let mut facts = facts.clone();
        let taken = facts.relations[&public("small")].clone();
        facts.relations.insert(public("big_v_idx"), taken);
        let (written, refused) = again(sql, &facts);
        wrong.extend(refused);
        if written != expected {
            wrong.push(format!("{sql}\n    {written:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn not_null_of_postgres_18_is_a_constraint_of_two_files() {
    let mut facts = shop();
    facts.server_major = Some(18);
    let (written, wrong) = again("ALTER TABLE big ALTER COLUMN b SET NOT NULL", &facts);
    assert_eq!(
        written,
        [
            "after: ALTER TABLE big ADD CONSTRAINT big_b_not_null NOT NULL b NOT VALID",
            "after: ALTER TABLE big VALIDATE CONSTRAINT big_b_not_null",
        ]
    );
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn statement_for_any_time_waits_with_the_file_that_it_follows() {
    let classes = |files: &[&str]| -> Vec<Class> {
        let files: Vec<Vec<Statement>> = files.iter().map(|file| statements(file)).collect();
        let files: Vec<&[Statement]> = files.iter().map(Vec::as_slice).collect();
        let judged = judge_files(&files, &shop());
        judged.iter().map(|one| one.class).collect()
    };
    let adds = "ALTER TABLE big ADD CONSTRAINT c CHECK (b > 0) NOT VALID";
    let validates = "ALTER TABLE big VALIDATE CONSTRAINT c";
    assert_eq!(classes(&[adds, validates]), [After, After]);
    assert_eq!(classes(&[adds, "ANALYZE small"]), [After, Before]);
    assert_eq!(
        classes(&[adds, "ALTER TABLE big ADD COLUMN c int"]),
        [After, Before]
    );
    assert_eq!(
        classes(&["ALTER TABLE big ADD COLUMN c int", validates]),
        [Before, Before]
    );
}
