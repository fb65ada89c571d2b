//! Statements that go through the rows of other tables than the one that they name.

use super::*;

/// A shop with a small table that a large one references.
fn referenced() -> TargetFacts {
    let mut facts = shop();
    let mut key = constraint(
        "to_small",
        ConstraintKind::ForeignKey,
        "b",
        "FOREIGN KEY (b) REFERENCES small(id)",
    );
    key.references = Some(public("small"));
    key.referenced_columns = vec!["id".to_owned()];
    let big = facts.relations.get_mut(&public("big")).expect("a table");
    big.constraints.push(key);
    facts
}

fn locks_of(sql: &str, facts: &TargetFacts) -> Vec<String> {
    let locks = last(sql, facts).locks.into_iter();
    locks
        .map(|lock| format!("{} {}", lock.mode, lock.table))
        .collect()
}

#[test]
fn type_of_a_referenced_column_goes_through_the_referencing_table() {
    let facts = referenced();
    check(
        &facts,
        &[
            (
                "ALTER TABLE small ALTER COLUMN id TYPE bigint",
                Stop,
                &["changes-type", "changing-column-type"],
            ),
            // Another column, and one that only references.
            (
                "ALTER TABLE small ALTER COLUMN n TYPE bigint",
                After,
                &["changes-type"],
            ),
            (
                "ALTER TABLE small ALTER COLUMN b TYPE bigint",
                After,
                &["changes-type"],
            ),
            ("ALTER TABLE small ALTER COLUMN v TYPE text", Before, &[]),
        ],
    );
    assert_eq!(
        locks_of("ALTER TABLE small ALTER COLUMN id TYPE bigint", &facts),
        [
            "ACCESS EXCLUSIVE public.big",
            "ACCESS EXCLUSIVE public.small"
        ]
    );
    assert_eq!(
        locks_of("ALTER TABLE small ALTER COLUMN b TYPE bigint", &facts),
        [
            "ACCESS EXCLUSIVE public.big",
            "ACCESS EXCLUSIVE public.small"
        ]
    );
}

#[test]
fn domain_goes_through_the_tables_that_use_it() {
    let mut facts = shop();
    let tables = |names: &[&str]| DomainFacts {
        has_constraints: false,
        has_default: false,
        tables: names.iter().map(|name| public(name)).collect(),
    };
    facts.domains.insert(public("few"), tables(&["small"]));
    facts
        .domains
        .insert(public("many"), tables(&["small", "big"]));
    let stops = &[
        "ban-alter-domain-with-add-constraint",
        "ban-new-write-restriction",
    ];
    let refuses = &["ban-new-write-restriction"];
    check(
        &facts,
        &[
            ("ALTER DOMAIN many SET NOT NULL", Stop, stops),
            (
                "ALTER DOMAIN many ADD CONSTRAINT c CHECK (VALUE > 0)",
                Stop,
                stops,
            ),
            (
                "ALTER DOMAIN many ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
                After,
                refuses,
            ),
            (
                "ALTER DOMAIN many VALIDATE CONSTRAINT c",
                Stop,
                &["ban-alter-domain-with-add-constraint"],
            ),
            ("ALTER DOMAIN few SET NOT NULL", After, refuses),
            ("ALTER DOMAIN few ADD CHECK (VALUE > 0)", After, refuses),
            ("ALTER DOMAIN few VALIDATE CONSTRAINT c", Before, &[]),
            // Columns that the run adds count, too.
            (
                "ALTER TABLE big ADD COLUMN c few; ALTER DOMAIN few ADD CHECK (VALUE > 0)",
                Stop,
                &[
                    "ban-alter-domain-with-add-constraint",
                    "ban-new-write-restriction",
                    "long-work-under-lock",
                ],
            ),
            (
                "CREATE DOMAIN mail AS text; ALTER DOMAIN mail SET NOT NULL",
                Before,
                &[],
            ),
            ("ALTER DOMAIN many DROP NOT NULL", Before, &[]),
            ("ALTER DOMAIN many DROP CONSTRAINT c", Before, &[]),
            (
                "ALTER DOMAIN many SET DEFAULT 1",
                After,
                &["ban-set-default"],
            ),
            (
                "ALTER DOMAIN many RENAME TO lots",
                After,
                &["renaming-object"],
            ),
            ("ALTER DOMAIN many OWNER TO x", After, &["ban-revoke"]),
        ],
    );
    check(
        &TargetFacts::unknown(),
        &[("ALTER DOMAIN few SET NOT NULL", Stop, stops)],
    );
}

#[test]
fn constraint_that_becomes_enforced_goes_through_the_rows() {
    let mut facts = referenced();
    facts.server_major = Some(18);
    check(
        &facts,
        &[
            (
                "ALTER TABLE big ALTER CONSTRAINT to_small ENFORCED",
                Stop,
                &["adding-foreign-key-constraint", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE small ALTER CONSTRAINT fk ENFORCED",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ALTER CONSTRAINT to_small NOT ENFORCED",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ALTER CONSTRAINT to_small DEFERRABLE",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ALTER CONSTRAINT to_small INHERIT",
                Ask,
                &["unknown-statement"],
            ),
        ],
    );
}

#[test]
fn partition_that_goes_is_looked_for_in_the_referencing_tables() {
    let mut facts = shop();
    let mut key = constraint(
        "k",
        ConstraintKind::ForeignKey,
        "b",
        "FOREIGN KEY (b) REFERENCES p(id)",
    );
    key.references = Some(public("p"));
    let small = facts.relations.get_mut(&public("small")).expect("a table");
    small.constraints.push(key.clone());
    let detach = "ALTER TABLE p DETACH PARTITION p1";
    let rules = &[
        "ban-detach-inheritance",
        "require-concurrent-partition-detach",
    ];
    check(&facts, &[(detach, After, rules)]);
    let big = facts.relations.get_mut(&public("big")).expect("a table");
    big.constraints.push(key);
    let rules = &[
        "ban-detach-inheritance",
        "detach-partition",
        "require-concurrent-partition-detach",
    ];
    check(&facts, &[(detach, Stop, rules)]);
}

#[test]
fn table_that_a_query_fills_is_of_unknown_size() {
    let filled = "CREATE TABLE t AS SELECT * FROM big";
    let adds = "ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES small(id)";
    let stops = &["adding-foreign-key-constraint"];
    check(
        &shop(),
        &[
            (&format!("{filled}; {adds}"), Stop, stops),
            (
                &format!("CREATE TABLE t AS SELECT * FROM small; {adds}"),
                Before,
                &[],
            ),
            (&format!("CREATE TABLE t (id int); {adds}"), Before, &[]),
            (
                &format!(
                    "CREATE TABLE t (id int); INSERT INTO t SELECT * FROM generate_series(1, 9); {adds}"
                ),
                Stop,
                stops,
            ),
            (
                &format!("CREATE TABLE t (id int); INSERT INTO t SELECT 1; {adds}"),
                Before,
                &[],
            ),
            (&format!("{filled}; CREATE INDEX ON t (id)"), Before, &[]),
        ],
    );
}
