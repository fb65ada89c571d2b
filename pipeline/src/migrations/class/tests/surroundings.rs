//! Statements whose class depends on what the database or the run has besides the table.

use super::*;

/// A shop with what surrounds its tables: triggers, views, domains, partitions, a second schema.
fn market() -> TargetFacts {
    let mut facts = shop();
    facts.search_path = vec!["app".to_owned(), "public".to_owned()];
    facts.role = "app".to_owned();
    let large = || RelationFacts {
        bytes: 80_000_000,
        ..RelationFacts::default()
    };
    let app = |name: &str| ObjectName::in_schema("app", name);
    let unique = |column: &str| IndexFacts {
        name: format!("{column}_key"),
        is_unique: true,
        is_valid: true,
        columns: vec![column.to_owned()],
        computed_from: Vec::new(),
        definition: None,
        code: None,
    };
    // A small table that a large one references.
    let mut referencing = constraint("fk", ConstraintKind::ForeignKey, "country", "FOREIGN KEY …");
    referencing.references = Some(public("countries"));
    let orders = RelationFacts {
        constraints: vec![referencing],
        ..large()
    };
    let countries = RelationFacts {
        indexes: vec![unique("id")],
        ..RelationFacts::default()
    };
    let watched = RelationFacts {
        has_triggers: true,
        ..RelationFacts::default()
    };
    let parted = RelationFacts {
        is_partitioned: true,
        ..large()
    };
    let parent = RelationFacts {
        children: vec![public("child")],
        ..RelationFacts::default()
    };
    let of_large = RelationFacts {
        source_bytes: Some(80_000_000),
        ..RelationFacts::default()
    };
    let of_small = RelationFacts {
        source_bytes: Some(8_000),
        ..RelationFacts::default()
    };
    for (name, relation) in [
        (public("orders"), orders),
        (public("countries"), countries),
        (public("watched"), watched),
        (public("parted"), parted),
        (public("parent"), parent),
        (public("child"), large()),
        (public("of_large"), of_large),
        (public("of_small"), of_small),
        (public("of_code"), RelationFacts::default()),
        (app("own"), large()),
    ] {
        facts.relations.insert(name, relation);
    }
    let mail = DomainFacts {
        has_constraints: true,
        has_default: false,
        ..DomainFacts::default()
    };
    facts.domains.insert(app("mail"), mail);
    facts
}

#[test]
fn small_table_with_large_surroundings_is_not_small() {
    check(
        &market(),
        &[
            ("REFRESH MATERIALIZED VIEW of_small", Before, &[]),
            (
                "REFRESH MATERIALIZED VIEW of_large",
                Stop,
                &["refresh-materialized-view"],
            ),
            (
                "REFRESH MATERIALIZED VIEW of_code",
                Stop,
                &["refresh-materialized-view"],
            ),
            (
                "DELETE FROM countries WHERE id = 1",
                Ask,
                &["data-change", "deletes-rows"],
            ),
            ("DELETE FROM countries", Stop, &["backfill", "deletes-rows"]),
            (
                "UPDATE countries SET id = 2 WHERE id = 1",
                Ask,
                &["data-change"],
            ),
            ("UPDATE countries SET name = 'x'", Before, &[]),
            (
                "MERGE INTO countries c USING small s ON c.id = s.id WHEN MATCHED THEN DELETE",
                Ask,
                &["data-change", "deletes-rows"],
            ),
            ("UPDATE watched SET a = 1", Stop, &["backfill"]),
            (
                "UPDATE watched SET a = 1 WHERE a = 2",
                Ask,
                &["data-change"],
            ),
            ("INSERT INTO watched VALUES (1)", Before, &[]),
            (
                "ALTER TABLE parent ADD COLUMN c serial",
                Stop,
                &["serial-column"],
            ),
            (
                "CREATE INDEX i ON parent (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
        ],
    );
}

#[test]
fn rows_of_a_query_that_change_others_are_not_known() {
    check(
        &market(),
        &[
            (
                "INSERT INTO big (id) SELECT id FROM orders ON CONFLICT (id) DO UPDATE SET a = 'x'",
                Ask,
                &["data-change"],
            ),
            (
                "INSERT INTO big (id) VALUES (1), (2) ON CONFLICT (id) DO UPDATE SET a = 'x'",
                Before,
                &[],
            ),
            (
                "INSERT INTO big (id) SELECT id FROM orders ON CONFLICT DO NOTHING",
                Before,
                &[],
            ),
            (
                "INSERT INTO small (id) SELECT id FROM orders ON CONFLICT (id) DO UPDATE SET b = 1",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn table_of_which_nothing_is_known_asks() {
    check(
        &market(),
        &[
            (
                "ALTER TABLE nowhere ADD COLUMN c int",
                Ask,
                &["unknown-table"],
            ),
            (
                "UPDATE nowhere SET a = 1",
                Stop,
                &["backfill", "unknown-table"],
            ),
            ("INSERT INTO nowhere VALUES (1)", Ask, &["unknown-table"]),
            (
                "ALTER TABLE other.big DROP COLUMN c",
                Ask,
                &["ban-drop-column", "unknown-table"],
            ),
            ("ALTER TABLE IF EXISTS nowhere DROP COLUMN c", Before, &[]),
            ("DROP TABLE IF EXISTS nowhere", Before, &[]),
            ("SELECT relname FROM pg_class", Before, &[]),
            // The path leads elsewhere, or back.
            (
                "SET search_path = other; UPDATE big SET a = 'x'",
                Stop,
                &["backfill", "unknown-table"],
            ),
            (
                "SET search_path = other; RESET search_path; CREATE INDEX i ON own (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
            (
                "SET search_path = other; SET search_path TO DEFAULT; CREATE INDEX i ON own (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
            (
                "SET search_path = \"$user\", public; CREATE INDEX i ON own (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
        ],
    );
}

#[test]
fn name_that_the_file_creates_elsewhere_is_not_the_table() {
    check(
        &market(),
        &[
            (
                "CREATE TEMPORARY TABLE big (a int); DROP TABLE public.big",
                After,
                &["ban-drop-table"],
            ),
            ("CREATE TEMP TABLE big (a int); DROP TABLE big", Before, &[]),
            (
                "CREATE TEMP TABLE big (a int); DROP TABLE big; DROP TABLE big",
                After,
                &["ban-drop-table"],
            ),
            ("CREATE TABLE big (a int); DROP TABLE app.big", Before, &[]),
            (
                "CREATE TABLE big (a int); DROP TABLE public.big",
                After,
                &["ban-drop-table"],
            ),
            (
                "CREATE TABLE IF NOT EXISTS big (a int); ALTER TABLE public.big DROP COLUMN a",
                After,
                &["ban-drop-column"],
            ),
            (
                "CREATE FUNCTION big() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP TABLE big",
                After,
                &["ban-drop-table"],
            ),
            (
                "CREATE INDEX big ON public.small (a); DROP TABLE app.big",
                Ask,
                &["ban-drop-table", "unknown-table"],
            ),
            (
                "CREATE INDEX big ON own (a); DROP TABLE public.big",
                After,
                &["ban-drop-table"],
            ),
            (
                "SET search_path = public; CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS \
                 'SELECT 1'; DROP FUNCTION f(text)",
                After,
                &["ban-drop-function"],
            ),
            (
                "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION g()",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn domain_of_any_origin_is_one_with_constraints() {
    check(
        &market(),
        &[
            (
                "ALTER TABLE big ADD COLUMN c mail",
                Stop,
                &["ban-new-write-restriction", "domain-column"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c app.mail",
                Stop,
                &["ban-new-write-restriction", "domain-column"],
            ),
            (
                "CREATE DOMAIN age AS int CHECK (VALUE > 0); ALTER TABLE big ADD COLUMN c age",
                Stop,
                &["ban-new-write-restriction", "domain-column"],
            ),
            (
                "CREATE DOMAIN other.age AS int; ALTER DOMAIN other.age SET NOT NULL; \
                 ALTER TABLE big ADD COLUMN c other.age",
                Stop,
                &["ban-new-write-restriction", "domain-column"],
            ),
        ],
    );
}

#[test]
fn proof_that_is_gone_or_wrong_proves_nothing() {
    let set = "ALTER TABLE big ALTER a SET NOT NULL";
    let stops: &[&str] = &["adding-not-nullable-field", "ban-new-write-restriction"];
    let validated = |check: &str| {
        format!(
            "ALTER TABLE big ADD CONSTRAINT nn CHECK ({check}) NOT VALID; ALTER TABLE big VALIDATE \
             CONSTRAINT nn; ALTER TABLE big ALTER b SET NOT NULL"
        )
    };
    let table = [
        (set.to_owned(), Before, &[][..]),
        (
            format!("ALTER TABLE big DROP CONSTRAINT ck_a; {set}"),
            Stop,
            stops,
        ),
        (
            format!("ALTER TABLE big RENAME COLUMN b TO c; {set}"),
            Stop,
            stops,
        ),
        (format!("{set}, DROP CONSTRAINT ck_a"), Stop, stops),
        (validated("b IS NOT NULL"), Before, &[]),
        (validated("b  is\n not null"), Before, &[]),
        (validated("b > 0 OR a IS NOT NULL"), Stop, stops),
        (validated("b > 0 AND a IS NOT NULL"), Stop, stops),
        (validated("b IS NULL OR a IS NOT NULL"), Stop, stops),
        (validated("abs(b) IS NOT NULL"), Stop, stops),
        (validated("(b = 1) IS NOT NULL"), Stop, stops),
    ];
    for (sql, class, rules) in &table {
        let judged = last(sql, &shop());
        let found: Vec<_> = rules_of(&judged)
            .into_iter()
            .filter(|rule| *rule != "long-work-under-lock")
            .collect();
        assert_eq!((judged.class, found), (*class, rules.to_vec()), "{sql}");
    }
}

#[test]
fn virtual_column_that_refuses_null_reads_all_rows() {
    let facts = TargetFacts {
        server_major: Some(18),
        ..market()
    };
    check(
        &facts,
        &[
            (
                "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS (b * 2) VIRTUAL NOT NULL",
                Stop,
                &["add-column-with-constraint", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS (b * 2) VIRTUAL",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn safe_form_of_an_index_can_be_run() {
    for (sql, form) in [
        (
            "CREATE INDEX ON big (a, lower(v))",
            "CREATE INDEX CONCURRENTLY big_a_lower_idx ON big (a, lower(v)); -- alone in its file",
        ),
        (
            "CREATE INDEX ON parted (a)",
            "CREATE INDEX parted_a_idx ON ONLY parted (a); -- then, each alone in its file, CREATE INDEX \
             CONCURRENTLY … ON each partition; in later files: ALTER INDEX parted_a_idx ATTACH \
             PARTITION … for each of them",
        ),
    ] {
        let judged = last(sql, &market());
        assert_eq!(judged.findings[0].safe_form, form, "{sql}");
    }
}

#[test]
fn table_of_an_earlier_file_has_no_user_and_one_that_it_dropped_is_gone() {
    let files = [
        "CREATE TABLE n (a int)",
        "CREATE INDEX i ON n (a); UPDATE n SET a = 1",
        "DROP TABLE public.big",
        "ALTER TABLE public.big ADD COLUMN c int",
        "ALTER TABLE public.small RENAME TO little",
        "ALTER TABLE public.little ADD COLUMN c int",
    ];
    let statements: Vec<_> = files.iter().map(|sql| statements(sql)).collect();
    let statements: Vec<_> = statements.iter().map(Vec::as_slice).collect();
    let judged = judge_files(&statements, &market());
    let classes: Vec<_> = judged.iter().map(|one| one.class).collect();
    assert_eq!(classes, [Before, Before, After, Ask, After, Before]);
}

#[test]
fn function_of_ones_own_with_a_known_name_runs_code() {
    let mut facts = market();
    facts.routines.insert(public("lower"));
    check(
        &facts,
        &[
            (
                "CREATE TABLE n AS SELECT lower(a) FROM small",
                Ask,
                &["runs-code"],
            ),
            (
                "CREATE TABLE n AS SELECT pg_catalog.lower(a) FROM small",
                Before,
                &[],
            ),
            ("CREATE TABLE n AS SELECT upper(a) FROM small", Before, &[]),
            (
                "CREATE FUNCTION upper(int) RETURNS int LANGUAGE sql AS $$ SELECT nextval('s') $$; \
                 CREATE TABLE n AS SELECT upper(1)",
                Ask,
                &["runs-code"],
            ),
        ],
    );
}
