//! Changes of rows and of tables that run code of the database's own: triggers, defaults, constraints, indexes.

use stagelink_pipeline::Class;

/// Statements, whether they run code of the database's own, and the class of the last one.
pub(super) const CASES: &[(&str, bool, Class)] = &[
    (
        "INSERT INTO moody (word) SELECT mood FROM moody",
        true,
        Class::Ask,
    ),
    ("INSERT INTO items (id) VALUES (100)", false, Class::Before),
    ("INSERT INTO triggered (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO defaulted (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO checked (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO indexed (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO typed (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO ruled (id) VALUES (100)", true, Class::Ask),
    ("INSERT INTO parted (id) VALUES (1)", true, Class::Ask),
    ("INSERT INTO onto (id) VALUES (100)", true, Class::Ask),
    ("UPDATE triggered SET id = 7 WHERE id = 1", true, Class::Ask),
    ("DELETE FROM parents WHERE id = 1", true, Class::Ask),
    (
        "CREATE TABLE n AS WITH d AS (INSERT INTO triggered (id) VALUES (9) RETURNING id) SELECT * FROM d",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE items ADD COLUMN c int DEFAULT note(1)",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE items ADD COLUMN c int DEFAULT 1 <+> 2",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE items ADD COLUMN c int DEFAULT 5",
        false,
        Class::Before,
    ),
    (
        "ALTER TABLE items ADD CONSTRAINT k CHECK (note(id) > 0)",
        true,
        Class::Ask,
    ),
    ("ALTER TABLE later VALIDATE CONSTRAINT k", true, Class::Ask),
    ("CREATE INDEX i ON items ((note(id)))", true, Class::After),
    ("CREATE INDEX i ON items ((id <+> 1))", true, Class::After),
    ("CREATE INDEX i ON items ((id::noted))", true, Class::After),
    (
        "CREATE INDEX i ON items ((items.label))",
        true,
        Class::After,
    ),
    ("CREATE INDEX i ON items (id)", false, Class::Before),
    (
        "REFRESH MATERIALIZED VIEW CONCURRENTLY noted_rows",
        true,
        Class::Ask,
    ),
    ("SELECT * INTO n FROM computed", true, Class::Ask),
    ("CREATE TABLE n AS TABLE computed", true, Class::Ask),
    (
        "CREATE MATERIALIZED VIEW n AS SELECT * FROM deeper",
        true,
        Class::Ask,
    ),
    (
        "INSERT INTO items (id) SELECT n FROM computed",
        true,
        Class::Ask,
    ),
    (
        "INSERT INTO items (id) VALUES ((SELECT max(n) FROM computed))",
        true,
        Class::Ask,
    ),
    (
        "INSERT INTO domain_default (id) VALUES (100)",
        true,
        Class::Ask,
    ),
    (
        "UPDATE conditional SET id = 7 WHERE id = 1",
        true,
        Class::Ask,
    ),
    ("INSERT INTO keyed (id) VALUES (5)", true, Class::Ask),
];

/// The writes of the code that runs now that a statement on a small table breaks, though each row that is
/// there passes. The statement is then of *after*.
pub(super) const LATER_WRITES: &[(&str, &str)] = &[
    (
        "ALTER TABLE words ADD COLUMN c int GENERATED ALWAYS AS (a::int) STORED",
        "INSERT INTO words (a) VALUES ('x')",
    ),
    (
        "ALTER TABLE words ADD COLUMN c int DEFAULT 5 CHECK (c > length(a))",
        "INSERT INTO words (a) VALUES ('longer')",
    ),
    (
        "ALTER TABLE words ADD COLUMN c int DEFAULT 5 UNIQUE",
        "INSERT INTO words (a) VALUES ('2')",
    ),
    (
        "ALTER TABLE empty ADD COLUMN c needed",
        "INSERT INTO empty (a) VALUES ('2')",
    ),
    (
        "ALTER TABLE words ADD COLUMN c int DEFAULT 5 REFERENCES parents (id)",
        "DELETE FROM parents WHERE id = 5",
    ),
];
