//! The code and the expressions that see the rows of tables, asked of the database: one answer by which new columns and new defaults are judged.

use std::collections::BTreeSet;

use stagelink::tokio_postgres::{Client, Error, Row};

use super::facts::TargetFacts;
use super::seen_by::{RoutineEffects, RoutineFacts, RowType, SequenceFacts, TriggerFacts};
use crate::migrations::statement::ObjectName;

/// Asks for the expressions that look at columns or whole rows, the triggers, the bodies of functions, the
/// sequences, and the roles that write.
pub(super) async fn ask(client: &Client, facts: &mut TargetFacts) -> Result<(), Error> {
    for row in client.query_typed(ROUTINES, &[]).await? {
        let types: Vec<String> = row.get("types");
        let routine = RoutineFacts {
            name: name_in(&row),
            language: row.get("language"),
            body: row.get("body"),
            types: types.into_iter().collect(),
            rows: Vec::new(),
            definition: row.get("definition"),
            effects: RoutineEffects::Unknown,
        };
        facts.bodies.insert(row.get("key"), routine);
    }
    for row in client.query_typed(ROW_TYPES, &[]).await? {
        let number: i32 = row.get("number");
        let argument = u32::try_from(number).ok().filter(|number| *number > 0);
        let row_type = RowType {
            relation: name_in(&row),
            is_out: number < 0,
            argument: argument.map(|number| (number, row.get("argument"))),
        };
        if let Some(routine) = facts.bodies.get_mut(&row.get("key")) {
            routine.rows.push(row_type);
        }
    }
    for row in client.query_typed(TRIGGERS, &[]).await? {
        let trigger = TriggerFacts {
            name: row.get("trigger"),
            function: row.get("key"),
            function_name: row.get("function"),
            is_provided: row.get("is_provided"),
            definition: row.get("definition"),
        };
        if let Some(relation) = facts.relations.get_mut(&name_in(&row)) {
            relation.seen_by.triggers.push(trigger);
        }
    }
    for row in client.query_typed(EXPRESSIONS, &[]).await? {
        let Some(relation) = facts.relations.get_mut(&name_in(&row)) else {
            continue;
        };
        let seen = &mut relation.seen_by;
        let column: Option<String> = row.get("column");
        let words: String = row.get("words");
        match (row.get::<_, &str>("kind"), column) {
            ("key", Some(column)) => seen.key.push(column),
            ("writer", _) => drop(seen.writers.insert(words)),
            ("view", Some(column)) => {
                if let Some((schema, name)) = words.split_once('\n') {
                    let views = seen.views.entry(column).or_default();
                    views.push(ObjectName::in_schema(schema, name));
                }
            }
            (_, Some(column)) => drop(seen.columns.entry(column).or_insert(words)),
            ("shape", None) => seen.shape = seen.shape.take().or(Some(words)),
            (_, None) => seen.whole = seen.whole.take().or(Some(words)),
        }
    }
    for row in client.query_typed(SEQUENCES, &[]).await? {
        let users: Vec<String> = row.get("users");
        let sequence = SequenceFacts {
            min: row.get("min"),
            max: row.get("max"),
            increment: row.get("increment"),
            users: users.into_iter().collect::<BTreeSet<_>>(),
        };
        facts.sequences.insert(name_in(&row), sequence);
    }
    let enums = client.query_typed(ENUMS, &[]).await?;
    facts.enums = enums.iter().map(name_in).collect();
    let comparable = client.query_typed(COMPARABLE, &[]).await?;
    facts.comparable_types = comparable.iter().map(name_in).collect();
    Ok(())
}

fn name_in(row: &Row) -> ObjectName {
    ObjectName::in_schema(row.get::<_, String>("schema"), row.get::<_, String>("name"))
}

/// The routines that are neither Postgres's nor an extension's. A body that the catalog has bound has no text.
const ROUTINES: &str = "\
SELECT p.oid AS key, n.nspname::pg_catalog.text AS schema, p.proname::pg_catalog.text AS name,
    l.lanname::pg_catalog.text AS language, NULLIF(p.prosrc, '') AS body,
    CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END AS definition,
    ARRAY(SELECT DISTINCT pg_catalog.format_type(t.type, NULL)
        FROM pg_catalog.unnest(COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) || p.prorettype)
            AS t (type)) AS types
FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')";

/// The row types in signatures, also as the elements of arrays. Number 0 is the result, and -1 an `OUT` argument.
const ROW_TYPES: &str = "\
SELECT p.oid AS key, n.nspname::pg_catalog.text AS schema, r.relname::pg_catalog.text AS name,
    CASE WHEN COALESCE(p.proargmodes[a.number], 'i') IN ('o', 't') THEN -1 ELSE a.number END AS number,
    COALESCE(p.proargnames[a.number], '') AS argument
FROM pg_catalog.pg_proc p
    CROSS JOIN LATERAL (SELECT 0 AS number, p.prorettype AS type
        UNION ALL SELECT t.number::pg_catalog.int4, t.type
        FROM pg_catalog.unnest(COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]))
            WITH ORDINALITY AS t (type, number)) a
    JOIN pg_catalog.pg_type t ON t.oid = a.type
    JOIN pg_catalog.pg_class r ON r.reltype = COALESCE(NULLIF(t.typelem, 0), t.oid)
    JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

const TRIGGERS: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    t.tgname::pg_catalog.text AS trigger, p.oid AS key, p.proname::pg_catalog.text AS function,
    pg_catalog.pg_get_triggerdef(t.oid) AS definition,
    p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace OR EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
            AND d.deptype = 'e') AS is_provided
FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The expressions that the catalog has bound: by pg_depend for columns, and for whole rows by variables without a column in the
/// stored expressions.
const EXPRESSIONS: &str = "\
WITH RECURSIVE
catalogs (attrdef, proc, policy, trigger, rewrite, class) AS (SELECT
    'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass,
    'pg_catalog.pg_policy'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass,
    'pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass),
own (oid) AS MATERIALIZED (
    SELECT r.oid FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'),
views (rule, view, relation) AS MATERIALIZED (
    SELECT DISTINCT r.oid, r.ev_class, d.refobjid
    FROM own o JOIN pg_catalog.pg_rewrite r ON r.ev_class = o.oid JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.rewrite AND d.objid = r.oid AND d.refclassid = c.class
            AND d.refobjid <> r.ev_class),
above (relation, view) AS (
    SELECT relation, view FROM views
    UNION SELECT a.relation, v.view FROM above a JOIN views v ON v.relation = a.view),
watchers (catalog, oid, relation, own, words, tree) AS (
    SELECT c.attrdef, d.oid, d.adrelid, d.adnum::pg_catalog.int4, 'the generated column ' || a.attname, d.adbin::pg_catalog.text
    FROM catalogs c, pg_catalog.pg_attrdef d
        JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated <> ''
    UNION ALL SELECT c.policy, p.oid, p.polrelid, 0, 'the policy ' || p.polname,
        pg_catalog.concat(p.polqual, p.polwithcheck)
    FROM catalogs c, pg_catalog.pg_policy p
        JOIN pg_catalog.pg_class r ON r.oid = p.polrelid AND r.relrowsecurity
    UNION ALL SELECT c.trigger, t.oid, t.tgrelid, 0, 'the trigger ' || t.tgname, NULL
    FROM catalogs c, pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
    UNION ALL SELECT c.rewrite, r.oid, r.ev_class, 0, 'the rule ' || r.rulename,
        pg_catalog.concat(r.ev_action, r.ev_qual)
    FROM catalogs c, pg_catalog.pg_rewrite r
    WHERE r.ev_type <> '1' AND r.ev_enabled <> 'D' AND r.ev_class IN (TABLE own)),
trees (relation, words, tree) AS (
    SELECT relation, words, tree FROM watchers WHERE tree IS NOT NULL
    UNION ALL SELECT conrelid, 'the constraint ' || conname, conbin::pg_catalog.text
    FROM pg_catalog.pg_constraint WHERE conrelid IN (TABLE own) AND conbin IS NOT NULL
    UNION ALL SELECT i.indrelid, 'the index ' || x.relname, pg_catalog.concat(i.indexprs, i.indpred)
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL),
views_of_rows (relation, words, tree) AS (
    SELECT v.relation, 'the view ' || w.relname, r.ev_action::pg_catalog.text
    FROM views v JOIN pg_catalog.pg_rewrite r ON r.oid = v.rule JOIN pg_catalog.pg_class w ON w.oid = v.view),
row_types (relation, type) AS (
    SELECT o.oid, t.oid FROM own o JOIN pg_catalog.pg_class r ON r.oid = o.oid
        JOIN pg_catalog.pg_type e ON e.oid = r.reltype
        JOIN pg_catalog.pg_type t ON t.oid IN (e.oid, e.typarray)
    UNION SELECT y.relation, t.oid FROM row_types y JOIN pg_catalog.pg_type t ON t.typbasetype = y.type AND t.typtype = 'd'),
found (kind, relation, number, words) AS (
    SELECT 'column', d.refobjid, d.refobjsubid, w.words
    FROM watchers w JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = w.catalog AND d.objid = w.oid AND d.refclassid = c.class
            AND d.refobjsubid NOT IN (0, CASE d.refobjid WHEN w.relation THEN w.own ELSE 0 END)
            AND (d.refobjid = w.relation OR w.catalog IN (c.policy, c.rewrite))
    UNION ALL SELECT 'view', d.refobjid, d.refobjsubid, m.nspname || E'\\n' || w.relname
    FROM views v JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.rewrite AND d.objid = v.rule AND d.refclassid = c.class
            AND d.refobjid = v.relation AND d.refobjsubid <> 0
        JOIN pg_catalog.pg_class w ON w.oid = v.view JOIN pg_catalog.pg_namespace m ON m.oid = w.relnamespace
    UNION ALL SELECT 'column', d.refobjid, d.refobjsubid, 'the function ' || p.proname || '()'
    FROM catalogs c, pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.objid
    WHERE d.classid = c.proc AND d.refclassid = c.class AND d.refobjsubid <> 0
    UNION ALL SELECT 'whole', relation, NULL, words FROM trees WHERE tree ~ ':varattno 0 '
    UNION ALL SELECT 'shape', relation, NULL, words FROM views_of_rows WHERE tree ~ ':varattno 0 '
    UNION ALL SELECT 'shape', y.relation, NULL, 'the column ' || o.relname || '.' || a.attname
    FROM row_types y JOIN pg_catalog.pg_attribute a ON a.atttypid = y.type AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_catalog.pg_class o ON o.oid = a.attrelid
    UNION ALL SELECT 'key', p.partrelid, k.number, ''
    FROM pg_catalog.pg_partitioned_table p CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs) AS k (number)
    WHERE k.number <> 0
    UNION ALL SELECT 'key', p.partrelid, d.objsubid, ''
    FROM pg_catalog.pg_partitioned_table p JOIN catalogs c ON p.partexprs IS NOT NULL
        JOIN pg_catalog.pg_depend d ON d.classid = c.class AND d.objid = p.partrelid AND d.objsubid <> 0
            AND d.refclassid = c.class AND d.refobjid = p.partrelid AND d.refobjsubid = 0
    UNION ALL SELECT 'writer', i.written, NULL, COALESCE(o.rolname, '')
    FROM (SELECT oid, oid FROM own UNION SELECT relation, view FROM above) AS i (written, relation)
        JOIN pg_catalog.pg_class r ON r.oid = i.relation CROSS JOIN LATERAL (
            SELECT g.grantee FROM pg_catalog.aclexplode(COALESCE(r.relacl,
                pg_catalog.acldefault('r', r.relowner))) g WHERE g.privilege_type = 'INSERT'
            UNION SELECT g.grantee FROM pg_catalog.pg_attribute a
                CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) g
                WHERE a.attrelid = r.oid AND a.attacl IS NOT NULL AND g.privilege_type = 'INSERT') g
        LEFT JOIN pg_catalog.pg_roles o ON o.oid = g.grantee
    WHERE r.relkind IN ('r', 'p', 'v') AND o.rolsuper IS NOT TRUE)
SELECT f.kind::pg_catalog.text AS kind, n.nspname::pg_catalog.text AS schema, r.relname::pg_catalog.text AS name,
    a.attname::pg_catalog.text AS column, pg_catalog.min(f.words)::pg_catalog.text AS words
FROM found f JOIN pg_catalog.pg_class r ON r.oid = f.relation
    JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = f.number
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
GROUP BY 1, 2, 3, 4, CASE WHEN f.kind IN ('view', 'writer') THEN f.words END";

/// The sequences, with the roles that may take a number. A superuser may.
const SEQUENCES: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, s.seqmin AS min, s.seqmax AS max,
    s.seqincrement AS increment,
    ARRAY(SELECT DISTINCT COALESCE(o.rolname, '')::pg_catalog.text
        FROM pg_catalog.aclexplode(COALESCE(c.relacl, pg_catalog.acldefault('S', c.relowner))) g
            LEFT JOIN pg_catalog.pg_roles o ON o.oid = g.grantee
        WHERE g.privilege_type IN ('USAGE', 'UPDATE')) AS users
FROM pg_catalog.pg_sequence s
    JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

const ENUMS: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The types of extensions and of the database's own with an operator class of which equality is a part.
const COMPARABLE: &str = "\
SELECT DISTINCT n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name
FROM pg_catalog.pg_opclass c
    JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname IN ('btree', 'hash')
    JOIN pg_catalog.pg_type t ON t.oid = c.opcintype
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE c.opcdefault AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
