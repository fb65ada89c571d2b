//! The database's own code that runs as rows are read or written, asked of the database.

use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error};

use super::effects;
use super::facts::{CodeFacts, RelationFacts, TargetFacts};
use super::scope::Scope;
use super::seen_by::{EventTriggerFacts, RoutineEffects, RoutineFacts};
use crate::migrations::statement::ObjectName;

/// Asks for the operators, types, tables and views that run functions of the database's own, and for its
/// event triggers. The bodies of the functions are known.
pub(super) async fn ask(client: &Client, facts: &mut TargetFacts) -> Result<(), Error> {
    ask_without(client, facts, &[]).await?;
    read_bodies(facts);
    // A function that only computes is no such code.
    let computes = |routine: &RoutineFacts| routine.effects == RoutineEffects::Computes;
    let computing = facts.bodies.iter().filter(|(_, routine)| computes(routine));
    let computing: Vec<u32> = computing.map(|(key, _)| *key).collect();
    if !computing.is_empty() {
        forget(facts);
        ask_without(client, facts, &computing).await?;
    }
    Ok(())
}

/// Functions that call one another, and triggers that write to one another's tables, are understood up to this number.
const DEPTH: usize = 4;

/// Reads the bodies of functions for what they do, by what the facts until now say of operators and types.
fn read_bodies(facts: &mut TargetFacts) {
    for _ in 0..DEPTH {
        let scope = Scope::new(facts);
        let bodies = facts.bodies.iter();
        let read = bodies.map(|(key, routine)| (*key, effects::of(&scope, routine)));
        let read: Vec<(u32, RoutineEffects)> = read.collect();
        let mut has_changed = false;
        for (key, effects) in read {
            if let Some(routine) = facts.bodies.get_mut(&key) {
                has_changed |= routine.effects != effects;
                routine.effects = effects;
            }
        }
        if !has_changed {
            break;
        }
    }
}

/// Removes what an earlier answer said.
fn forget(facts: &mut TargetFacts) {
    facts.operators.clear();
    facts.operator_classes.clear();
    facts.event_triggers.clear();
    facts.types_with_code.clear();
    for relation in facts.relations.values_mut() {
        relation.code = CodeFacts::default();
        for index in &mut relation.indexes {
            index.code = None;
        }
    }
}

/// Asks for the same, where functions of these keys are no code of the database's own.
async fn ask_without(
    client: &Client,
    facts: &mut TargetFacts,
    computing: &[u32],
) -> Result<(), Error> {
    let rows = client
        .query_typed(CODE, &[(&computing, Type::OID_ARRAY)])
        .await?;
    for row in rows {
        let schema = || row.get::<_, Option<String>>("schema").unwrap_or_default();
        let name: String = row.get("name");
        let words = row.get::<_, Option<String>>("words");
        match row.get::<_, &str>("kind") {
            "operator" => {
                facts.operators.insert(name);
            }
            "operator class" => {
                facts.operator_classes.insert(name);
            }
            "event trigger" => {
                let function = schema().parse().unwrap_or_default();
                facts
                    .event_triggers
                    .push(EventTriggerFacts { name, function });
            }
            "type" => {
                let name = ObjectName::in_schema(schema(), name);
                facts.types_with_code.insert(name);
            }
            kind => {
                let name = ObjectName::in_schema(schema(), name);
                if let Some(relation) = facts.relations.get_mut(&name) {
                    add(relation, kind, words);
                }
            }
        }
    }
    Ok(())
}

/// Adds the code of a relation. `words` name the code, and the index for one.
fn add(relation: &mut RelationFacts, kind: &str, words: Option<String>) {
    let code = &mut relation.code;
    match kind {
        "reads" => code.reads = words,
        "writes" => code.writes = words,
        "refresh" => code.refresh = words,
        "analysis" => code.analysis = words,
        "key" => code.key = words,
        "policies" => code.policies = words,
        "row security" => code.has_row_security = true,
        "forced row security" => code.forces_row_security = true,
        index => {
            let mut indexes = relation.indexes.iter_mut();
            let name = index.strip_prefix(OF_INDEX).unwrap_or_default();
            if let Some(index) = indexes.find(|one| one.name == name) {
                index.code = words;
            }
        }
    }
}

/// The kind of a row about an index, before its name.
const OF_INDEX: &str = "index ";

/// An object of an extension counts as one of Postgres.
const CODE: &str = "\
WITH RECURSIVE
catalogs (proc, operator, opclass, type, class, rewrite, constr, attrdef, policy) AS (SELECT
    'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
    'pg_catalog.pg_opclass'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass,
    'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_rewrite'::pg_catalog.regclass,
    'pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_attrdef'::pg_catalog.regclass,
    'pg_catalog.pg_policy'::pg_catalog.regclass),
own_schemas (oid) AS (SELECT oid FROM pg_catalog.pg_namespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema')),
code (catalog, oid, words) AS MATERIALIZED (
    SELECT o.catalog, o.oid, o.words FROM (
        SELECT c.proc AS catalog, p.oid, 'the function ' || p.proname || '()' AS words, p.pronamespace AS schema
        FROM catalogs c, pg_catalog.pg_proc p WHERE p.oid <> ALL ($1)
        UNION ALL SELECT c.operator, o.oid, 'the operator ' || o.oprname, o.oprnamespace
        FROM catalogs c, pg_catalog.pg_operator o
        UNION ALL SELECT c.opclass, o.oid, 'the operator class ' || o.opcname, o.opcnamespace
        FROM catalogs c, pg_catalog.pg_opclass o) o
    WHERE o.schema IN (TABLE own_schemas) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = o.catalog AND d.objid = o.oid AND d.deptype = 'e')),
cast_types (oid) AS (
    SELECT t.oid FROM pg_catalog.pg_cast k JOIN catalogs c ON true
        JOIN code f ON f.catalog = c.proc AND f.oid = k.castfunc
        JOIN pg_catalog.pg_type t ON t.oid IN (k.castsource, k.casttarget)
    WHERE t.typnamespace IN (TABLE own_schemas)),
parts_of_types (part, whole) AS (
    SELECT typbasetype, oid FROM pg_catalog.pg_type WHERE typtype = 'd'
    UNION ALL SELECT typelem, oid FROM pg_catalog.pg_type WHERE typelem <> 0
    UNION ALL SELECT rngsubtype, rngtypid FROM pg_catalog.pg_range
    UNION ALL SELECT rngtypid, (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid FROM pg_catalog.pg_range r
    UNION ALL SELECT a.atttypid, r.reltype FROM pg_catalog.pg_class r
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE r.reltype <> 0 AND r.relnamespace IN (TABLE own_schemas)),
types (oid) AS (
    SELECT k.contypid FROM pg_catalog.pg_constraint k JOIN catalogs c ON k.contypid <> 0
        JOIN pg_catalog.pg_depend d ON d.classid = c.constr AND d.objid = k.oid
        JOIN code f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION SELECT oid FROM cast_types
    UNION SELECT d.objid FROM pg_catalog.pg_depend d JOIN catalogs c ON d.classid = c.type
        JOIN code f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION SELECT p.whole FROM types t JOIN parts_of_types p ON p.part = t.oid),
runs (catalog, oid, words) AS MATERIALIZED (
    SELECT catalog, oid, words FROM code
    UNION ALL SELECT c.type, t.oid, 'the type ' || t.typname FROM catalogs c, types w
        JOIN pg_catalog.pg_type t ON t.oid = w.oid),
policies (relation, oid) AS (
    SELECT polrelid, oid FROM pg_catalog.pg_policy WHERE pg_catalog.row_security_active(polrelid)),
keys (relation, root) AS (
    SELECT partrelid, partrelid FROM pg_catalog.pg_partitioned_table
    UNION SELECT i.inhrelid, k.root FROM keys k JOIN pg_catalog.pg_inherits i ON i.inhparent = k.relation
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition),
parts (relation, catalog, oid) AS (
    SELECT a.adrelid, c.attrdef, a.oid FROM catalogs c, pg_catalog.pg_attrdef a
    UNION ALL SELECT k.conrelid, c.constr, k.oid FROM catalogs c, pg_catalog.pg_constraint k WHERE k.conrelid <> 0
    UNION ALL SELECT i.indrelid, c.class, i.indexrelid FROM catalogs c, pg_catalog.pg_index i
    UNION ALL SELECT k.relation, c.class, k.root FROM catalogs c, keys k
    UNION ALL SELECT p.relation, c.policy, p.oid FROM catalogs c, policies p),
writes (relation, words) AS (
    SELECT p.relation, f.words FROM parts p
        JOIN pg_catalog.pg_depend d ON d.classid = p.catalog AND d.objid = p.oid
        JOIN runs f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION ALL SELECT t.tgrelid, 'the trigger ' || t.tgname FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND d.objid = t.oid
        JOIN runs f ON f.catalog = d.refclassid AND f.oid = d.refobjid
        WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND f.oid <> t.tgfoid
    UNION ALL SELECT ev_class, 'the rule ' || rulename FROM pg_catalog.pg_rewrite WHERE ev_type <> '1'
    UNION ALL SELECT a.attrelid, 'the type of ' || a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (TABLE types)
    UNION ALL SELECT oid, CASE relkind WHEN 'v' THEN 'the view ' ELSE 'the foreign table ' END || relname
        FROM pg_catalog.pg_class WHERE relkind IN ('v', 'f')),
uses (relation, catalog, used) AS (
    SELECT r.ev_class, d.refclassid, d.refobjid FROM pg_catalog.pg_rewrite r JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.rewrite AND d.objid = r.oid AND d.refobjid <> r.ev_class
        WHERE r.ev_type = '1'
    UNION ALL SELECT p.relation, d.refclassid, d.refobjid FROM policies p JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.policy AND d.objid = p.oid AND d.refobjid <> p.relation),
reached (relation, catalog, used) AS (
    SELECT u.relation, u.catalog::pg_catalog.oid, u.used FROM uses u
    UNION SELECT r.relation, u.catalog::pg_catalog.oid, u.used FROM reached r JOIN catalogs c ON r.catalog = c.class
        JOIN uses u ON u.relation = r.used
        JOIN pg_catalog.pg_class o ON o.oid = r.used AND o.relkind <> 'm'),
reads (kind, relation, words) AS (
    SELECT CASE o.relkind WHEN 'm' THEN 'refresh' ELSE 'reads' END, r.relation, f.words
        FROM reached r JOIN runs f ON f.catalog = r.catalog AND f.oid = r.used
        JOIN pg_catalog.pg_class o ON o.oid = r.relation
    UNION ALL SELECT 'reads', a.attrelid, 'a cast of ' || a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (TABLE cast_types)),
ranges (oid) AS (
    SELECT rngtypid FROM pg_catalog.pg_range
    UNION SELECT (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid FROM pg_catalog.pg_range r
    UNION SELECT t.oid FROM pg_catalog.pg_type t JOIN ranges r ON t.typbasetype = r.oid WHERE t.typtype = 'd'),
tied (kind, relation, words) AS (
    SELECT kind, relation, words FROM reads
    UNION ALL SELECT 'writes', relation, words FROM writes
    UNION ALL SELECT 'index ' || x.relname, i.indrelid, f.words FROM pg_catalog.pg_index i JOIN catalogs c ON true
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_depend d ON d.classid = c.class AND d.objid = i.indexrelid
        JOIN runs f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION ALL SELECT 'analysis', s.stxrelid, f.words FROM pg_catalog.pg_statistic_ext s
        JOIN pg_catalog.pg_depend d ON d.objid = s.oid
            AND d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
        JOIN runs f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION ALL SELECT 'analysis', a.attrelid, 'the type of ' || a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (TABLE types) AND a.atttypid IN (TABLE ranges)
    UNION ALL SELECT 'key', p.partrelid, f.words FROM pg_catalog.pg_partitioned_table p JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.class AND d.objid = p.partrelid
        JOIN runs f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION ALL SELECT 'policies', p.polrelid, f.words FROM pg_catalog.pg_policy p JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.policy AND d.objid = p.oid
        JOIN runs f ON f.catalog = d.refclassid AND f.oid = d.refobjid
    UNION ALL SELECT 'policies', p.polrelid, r.words FROM pg_catalog.pg_policy p JOIN catalogs c ON true
        JOIN pg_catalog.pg_depend d ON d.classid = c.policy AND d.objid = p.oid AND d.refclassid = c.class
        JOIN reads r ON r.relation = d.refobjid AND r.kind = 'reads'
    UNION ALL SELECT 'row security', oid, '' FROM pg_catalog.pg_class WHERE relrowsecurity
    UNION ALL SELECT 'forced row security', oid, '' FROM pg_catalog.pg_class WHERE relforcerowsecurity)
SELECT w.kind::pg_catalog.text AS kind, n.nspname::pg_catalog.text AS schema, r.relname::pg_catalog.text AS name,
    pg_catalog.min(w.words) AS words
FROM tied w JOIN pg_catalog.pg_class r ON r.oid = w.relation
    JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' GROUP BY 1, 2, 3
UNION ALL SELECT 'type', n.nspname::pg_catalog.text, t.typname::pg_catalog.text, NULL
FROM types w JOIN pg_catalog.pg_type t ON t.oid = w.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
UNION ALL SELECT 'operator', NULL, o.oprname::pg_catalog.text, NULL
FROM code f JOIN catalogs c ON f.catalog = c.operator JOIN pg_catalog.pg_operator o ON o.oid = f.oid
UNION ALL SELECT 'operator class', NULL, o.opcname::pg_catalog.text, NULL
FROM code f JOIN catalogs c ON f.catalog = c.opclass JOIN pg_catalog.pg_opclass o ON o.oid = f.oid
UNION ALL SELECT 'event trigger', e.evtfoid::pg_catalog.text, e.evtname::pg_catalog.text, NULL
FROM pg_catalog.pg_event_trigger e JOIN catalogs c ON true
    JOIN code f ON f.catalog = c.proc AND f.oid = e.evtfoid
WHERE e.evtenabled <> 'D' AND e.evtevent <> 'login'
    AND pg_catalog.pg_has_role(current_user, e.evtowner, 'MEMBER')";
