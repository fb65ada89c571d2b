//! Code that a file itself ties to tables, views and types, and that its later statements run.

use stagelink_pipeline::Class;

/// Statements, whether they run code of the database's own, and the class of the last one.
pub(super) const CASES: &[(&str, bool, Class)] = &[
    (
        "CREATE TABLE n (LIKE defaulted INCLUDING ALL); INSERT INTO n (id) VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (LIKE defaulted INCLUDING DEFAULTS); INSERT INTO n (id) VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int, b int DEFAULT note(1)); INSERT INTO n DEFAULT VALUES",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int, b int DEFAULT note(1)); ALTER TABLE n RENAME TO m; INSERT INTO m DEFAULT VALUES",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int, b int DEFAULT note(1)); SELECT count(*) FROM n",
        false,
        Class::Before,
    ),
    (
        "CREATE TABLE n (id int); CREATE TRIGGER t BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION noted_row(); INSERT INTO n VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int); CREATE RULE r AS ON INSERT TO n DO ALSO SELECT note(1); INSERT INTO n VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT note(1) AS n; CREATE TABLE n AS TABLE v",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT * FROM computed; SELECT * FROM v",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT note(1) AS n; CREATE VIEW w AS TABLE v; SELECT * FROM w",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT note(1) AS n; ALTER VIEW v RENAME TO w; SELECT * FROM w",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT id FROM triggered; INSERT INTO v VALUES (100)",
        true,
        Class::Ask,
    ),
    (
        "CREATE VIEW v AS SELECT id, lower('X') FROM items; SELECT * FROM v",
        false,
        Class::Before,
    ),
    (
        "CREATE TABLE n (id int) PARTITION BY LIST (id); CREATE TABLE n_1 PARTITION OF n FOR VALUES IN (1); CREATE TRIGGER t BEFORE INSERT ON n_1 FOR EACH ROW EXECUTE FUNCTION noted_row(); INSERT INTO n VALUES (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n AS SELECT 1 AS id; CREATE INDEX ON n (note(id))",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int); CREATE INDEX ON n (id); INSERT INTO n VALUES (1)",
        false,
        Class::Before,
    ),
    (
        "CREATE SCHEMA s CREATE TABLE n (id int DEFAULT note(1)); INSERT INTO s.n DEFAULT VALUES",
        true,
        Class::Ask,
    ),
    (
        "CREATE SCHEMA s CREATE TABLE n (id int); INSERT INTO s.n VALUES (1)",
        false,
        Class::Before,
    ),
];
