//! Statements that go through rows: `ANALYZE`, `REINDEX`, `REFRESH`, partitions, policies.

use stagelink_pipeline::Class;

/// Statements that go through the rows of tables with such code in an index, a key, statistics or a policy.
/// Code under a lock of an earlier statement of the file is of *stop*.
pub(super) const CASES: &[(&str, bool, Class)] = &[
    ("ANALYZE indexed_rows", true, Class::Ask),
    ("ANALYZE indexed_rows (id)", false, Class::Ask),
    ("ANALYZE", true, Class::Ask),
    ("ANALYZE items", false, Class::Before),
    ("ANALYZE triggered", false, Class::Before),
    ("ANALYZE counted", true, Class::Ask),
    ("ANALYZE spans", true, Class::Ask),
    ("ANALYZE tree", true, Class::Ask),
    ("REINDEX TABLE indexed_rows", true, Class::Ask),
    ("REINDEX INDEX indexed_rows_note", true, Class::Ask),
    ("REINDEX INDEX indexed_rows_id", false, Class::Before),
    ("REINDEX TABLE triggered", false, Class::Before),
    (
        "CLUSTER indexed_rows USING indexed_rows_id",
        true,
        Class::Ask,
    ),
    (
        "CLUSTER triggered USING triggered_pkey",
        false,
        Class::Before,
    ),
    ("ALTER TABLE indexed_rows SET UNLOGGED", true, Class::Ask),
    (
        "ALTER TABLE indexed_rows ADD COLUMN c uuid DEFAULT gen_random_uuid()",
        true,
        Class::Ask,
    ),
    (
        "ALTER TABLE indexed_rows ADD COLUMN c int DEFAULT 5",
        false,
        Class::Before,
    ),
    (
        "ALTER TABLE indexed_rows ALTER COLUMN b TYPE text",
        false,
        Class::Before,
    ),
    (
        "CREATE INDEX i ON items (note(id)); ANALYZE items",
        true,
        Class::Stop,
    ),
    (
        "CREATE STATISTICS st ON (note(id)), id FROM items; ANALYZE items",
        true,
        Class::Ask,
    ),
    ("INSERT INTO keyed_1 (id) VALUES (5)", true, Class::Ask),
    ("INSERT INTO deep_1_1 (id) VALUES (5)", true, Class::Ask),
    (
        "ALTER TABLE by_other ATTACH PARTITION loose FOR VALUES IN (1)",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n PARTITION OF with_default FOR VALUES IN (1)",
        true,
        Class::Stop,
    ),
    (
        "ALTER TABLE tree ATTACH PARTITION filled FOR VALUES IN (2)",
        true,
        Class::Ask,
    ),
    ("SELECT '{[1,5]}'::spanned", true, Class::Ask),
    ("SELECT '[1,5]'::span", true, Class::Ask),
    ("SELECT '{[1,5]}'::int4multirange", false, Class::Before),
    ("INSERT INTO multi VALUES ('{[1,5]}')", true, Class::Ask),
    (
        "CREATE TYPE s AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = apart); SELECT '{[1,5]}'::s_multirange",
        false,
        Class::Ask,
    ),
    (
        "CREATE TYPE s AS RANGE (SUBTYPE = noted); SELECT '{[1,5]}'::s_multirange",
        true,
        Class::Ask,
    ),
    (
        "CREATE TYPE s AS RANGE (SUBTYPE = noted, MULTIRANGE_TYPE_NAME = \"M\"); SELECT '{[1,5]}'::\"M\"",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM policed", false, Class::Before),
    (
        "ALTER TABLE policed ENABLE ROW LEVEL SECURITY; ALTER TABLE policed FORCE ROW LEVEL SECURITY; SELECT * FROM policed",
        true,
        Class::Stop,
    ),
    (
        "ALTER TABLE policed FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY; UPDATE policed SET id = 2 WHERE id = 1",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM forced", false, Class::Before),
    (
        "ALTER TABLE forced ENABLE ROW LEVEL SECURITY; SELECT * FROM forced",
        true,
        Class::Stop,
    ),
    (
        "ALTER TABLE deeply_policed ENABLE ROW LEVEL SECURITY; SELECT * FROM deeply_policed",
        true,
        Class::Stop,
    ),
    (
        "CREATE TABLE n (id int); CREATE POLICY p ON n USING (note(id) > 0); ALTER TABLE n FORCE ROW LEVEL SECURITY; ALTER TABLE n ENABLE ROW LEVEL SECURITY; INSERT INTO n SELECT 1; SELECT * FROM n",
        true,
        Class::Ask,
    ),
    (
        "CREATE TABLE n (id int); CREATE POLICY p ON n USING (note(id) > 0); ALTER TABLE n ENABLE ROW LEVEL SECURITY; SELECT * FROM n",
        false,
        Class::Before,
    ),
    ("SELECT * FROM noted_rows", false, Class::Before),
    ("SELECT * FROM on_noted_rows", false, Class::Before),
    ("CREATE TABLE n AS TABLE noted_rows", false, Class::Before),
    ("REFRESH MATERIALIZED VIEW noted_rows", true, Class::Stop),
    ("REFRESH MATERIALIZED VIEW plain_rows", false, Class::Before),
    ("REFRESH MATERIALIZED VIEW indexed_view", true, Class::Ask),
    (
        "REFRESH MATERIALIZED VIEW over_noted_rows",
        false,
        Class::Before,
    ),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT note(id) AS n FROM items WITH NO DATA",
        false,
        Class::Before,
    ),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT note(id) AS n FROM items WITH NO DATA; REFRESH MATERIALIZED VIEW v",
        true,
        Class::Ask,
    ),
    (
        "ALTER DOMAIN plain_domain ADD CHECK (note(VALUE) > 0)",
        true,
        Class::Ask,
    ),
    (
        "ALTER DOMAIN later_domain VALIDATE CONSTRAINT k",
        true,
        Class::Ask,
    ),
    ("SELECT * FROM note(1)", true, Class::Ask),
    (
        "SELECT * FROM XMLTABLE('/a' PASSING ('<a>5</a>'::xml) COLUMNS n noted PATH '.')",
        true,
        Class::Ask,
    ),
    ("SELECT id FROM items ORDER BY note(id)", true, Class::Ask),
];
