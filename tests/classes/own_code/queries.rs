//! Queries with code of the database's own: by a call, an operator, a cast, a view.

use stagelink_pipeline::Class;

/// Statements, whether they run code of the database's own, and the class of the last one.
pub(super) const CASES: &[(&str, bool, Class)] = &[
    ("SELECT note(1)", true, Class::Ask),
    ("SELECT items.label FROM items", true, Class::Ask),
    ("SELECT i.label FROM items i", true, Class::Ask),
    ("SELECT (i).label FROM items i", true, Class::Ask),
    (
        "SELECT i.label FROM (SELECT * FROM items) i",
        true,
        Class::Ask,
    ),
    ("SELECT l.label FROM labelled l", false, Class::Before),
    ("SELECT 1 <+> 2", true, Class::Ask),
    ("SELECT 1 OPERATOR(public.<+>) 2", true, Class::Ask),
    ("SELECT 1 + 2", false, Class::Before),
    ("SELECT 5::noted", true, Class::Ask),
    ("SELECT CAST(5 AS noted)", true, Class::Ask),
    ("SELECT noted '5'", true, Class::Ask),
    ("SELECT '{5}'::noted[]", true, Class::Ask),
    ("SELECT 5::positive", false, Class::Before),
    ("SELECT mood::text FROM moody", true, Class::Ask),
    ("SELECT * FROM computed", true, Class::Ask),
    ("SELECT * FROM deeper", true, Class::Ask),
    ("SELECT * FROM plain", false, Class::Before),
    ("EXPLAIN SELECT note(1)", true, Class::Ask),
    ("TABLE computed", true, Class::Ask),
    ("SELECT * FROM casting", true, Class::Ask),
    (
        "WITH computed AS (SELECT * FROM computed) SELECT * FROM computed",
        true,
        Class::Ask,
    ),
];

/// Statements of forms that Postgres has since a version.
pub(super) const NEWER: &[(u32, &str, bool, Class)] = &[
    (
        17,
        "SELECT * FROM JSON_TABLE('{\"n\": 5}'::jsonb, '$' COLUMNS (n noted PATH '$.n'))",
        true,
        Class::Ask,
    ),
    (
        17,
        "SELECT JSON_VALUE('{\"n\": 5}'::jsonb, '$.n' RETURNING noted)",
        true,
        Class::Ask,
    ),
];
