//! The facts, asked of a database.

use std::collections::BTreeMap;

use stagelink::tokio_postgres::{Client, Error, Row};

use super::facts::{
    ColumnFacts, ConstraintFacts, ConstraintKind, DomainFacts, IndexFacts, RelationFacts,
    RelationKind, TargetFacts,
};
use super::{target_code, target_rows};
use crate::migrations::statement::{ObjectName, fold_name};

impl TargetFacts {
    /// Asks a database. Nothing is changed; each query takes the weakest lock.
    ///
    /// A table that another session has locked, or waits to lock, against readers counts as large:
    /// its size cannot be asked without a wait. One that is locked at that very moment is waited
    /// for, as long as the session's `lock_timeout` allows.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub async fn ask(client: &Client) -> Result<Self, Error> {
        let session = client.query_typed(SESSION, &[]).await?;
        let mut facts = Self::default();
        if let Some(row) = session.first() {
            facts.server_major = u32::try_from(row.get::<_, i32>("version") / 10_000).ok();
            facts.search_path = row.get("search_path");
            facts.role = row.get("role");
            facts.listed_schemas = listed_schemas(row.get("setting"), &facts.role);
        }
        for row in client.query_typed(RELATIONS, &[]).await? {
            let relation = RelationFacts {
                kind: relation_kind(row.get("kind")),
                rows: row
                    .get::<_, Option<i64>>("rows")
                    .and_then(|rows| u64::try_from(rows).ok()),
                bytes: u64::try_from(row.get::<_, i64>("bytes")).unwrap_or_default(),
                has_default_partition: row.get("has_default_partition"),
                is_partitioned: row.get("is_partitioned"),
                has_triggers: row.get("has_triggers"),
                ..RelationFacts::default()
            };
            facts.relations.insert(name_in(&row), relation);
        }
        add(
            &mut facts.relations,
            &client.query_typed(COLUMNS, &[]).await?,
            |relation, row| {
                let column = ColumnFacts {
                    type_name: row.get("type_name"),
                    is_not_null: row.get("is_not_null"),
                    has_default: row.get("has_default"),
                    is_numbered: row.get("is_numbered"),
                };
                relation.columns.insert(row.get("column"), column);
            },
        );
        add(
            &mut facts.relations,
            &client.query_typed(SOURCES, &[]).await?,
            |relation, row| {
                let bytes: Option<i64> = row.get("bytes");
                relation.source_bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
            },
        );
        add(
            &mut facts.relations,
            &client.query_typed(CONSTRAINTS, &[]).await?,
            |relation, row| {
                let references = row
                    .get::<_, Option<String>>("other")
                    .map(|name| ObjectName::in_schema(row.get::<_, String>("other_schema"), name));
                relation.constraints.push(ConstraintFacts {
                    name: row.get("constraint"),
                    kind: kind(row.get("kind")),
                    columns: row.get("columns"),
                    is_validated: row.get("is_validated"),
                    definition: row.get("definition"),
                    references,
                    referenced_columns: row.get("other_columns"),
                });
            },
        );
        add(
            &mut facts.relations,
            &client.query_typed(INDEXES, &[]).await?,
            |relation, row| {
                relation.indexes.push(IndexFacts {
                    name: row.get("index"),
                    is_unique: row.get("is_unique"),
                    is_valid: row.get("is_valid"),
                    columns: row.get("columns"),
                    computed_from: row.get("computed_from"),
                    definition: row.get("definition"),
                    code: None,
                });
            },
        );
        add(
            &mut facts.relations,
            &client.query_typed(CHILDREN, &[]).await?,
            |relation, row| {
                let schema: String = row.get("child_schema");
                let child = ObjectName::in_schema(schema, row.get::<_, String>("child"));
                relation.children.push(child);
            },
        );
        add(
            &mut facts.relations,
            &client.query_typed(VIEWS, &[]).await?,
            |relation, row| relation.view_query = row.get("query"),
        );
        let routines = client.query_typed(ROUTINES, &[]).await?;
        for row in &routines {
            let set = match row.get("is_own") {
                true => &mut facts.routines,
                false => &mut facts.provided_routines,
            };
            set.insert(name_in(row));
        }
        let types = client.query_typed(TYPES, &[]).await?;
        facts.types = types.iter().map(name_in).collect();
        for row in client.query_typed(DOMAINS, &[]).await? {
            let domain = facts.domains.entry(name_in(&row)).or_insert(DomainFacts {
                has_constraints: row.get("has_constraints"),
                has_default: row.get("has_default"),
                tables: Vec::new(),
            });
            if let Some(table) = row.get::<_, Option<String>>("table") {
                let schema: String = row.get("table_schema");
                domain.tables.push(ObjectName::in_schema(schema, table));
            }
        }
        target_rows::ask(client, &mut facts).await?;
        target_code::ask(client, &mut facts).await?;
        Ok(facts)
    }
}

/// Returns the schemas that a setting of `search_path` lists.
fn listed_schemas(setting: &str, role: &str) -> Vec<String> {
    let names = setting.split(',').map(|name| fold_name(name.trim()));
    let names = names.filter(|name| !name.is_empty());
    names
        .map(|name| match &*name {
            "$user" => role.to_owned(),
            _ => name,
        })
        .collect()
}

fn name_in(row: &Row) -> ObjectName {
    ObjectName::in_schema(row.get::<_, String>("schema"), row.get::<_, String>("name"))
}

/// Adds each row to its relation. One that was created since is left out.
fn add(
    relations: &mut BTreeMap<ObjectName, RelationFacts>,
    rows: &[Row],
    each: impl Fn(&mut RelationFacts, &Row),
) {
    for row in rows {
        if let Some(relation) = relations.get_mut(&name_in(row)) {
            each(relation, row);
        }
    }
}

fn relation_kind(letter: &str) -> RelationKind {
    match letter {
        "r" | "p" => RelationKind::Table,
        "v" => RelationKind::View,
        _ => RelationKind::Other,
    }
}

fn kind(letter: &str) -> ConstraintKind {
    match letter {
        "c" => ConstraintKind::Check,
        "f" => ConstraintKind::ForeignKey,
        "n" => ConstraintKind::NotNull,
        "p" => ConstraintKind::PrimaryKey,
        "u" => ConstraintKind::Unique,
        _ => ConstraintKind::Other,
    }
}

const SESSION: &str = "\
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
    pg_catalog.current_schemas(false)::pg_catalog.text[] AS search_path,
    current_user::pg_catalog.text AS role,
    pg_catalog.current_setting('search_path') AS setting";

const RELATIONS: &str = "\
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_catalog.pg_locks
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND database = (
        SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    CASE WHEN c.reltuples >= 0 THEN c.reltuples::pg_catalog.int8 END AS rows,
    COALESCE(CASE
        WHEN c.relkind = 'p' THEN (SELECT pg_catalog.sum(CASE WHEN part.relid IN (TABLE locked)
                THEN 1000000000000 ELSE pg_catalog.pg_table_size(part.relid) END)
            FROM pg_catalog.pg_partition_tree(c.oid) part)::pg_catalog.int8
        WHEN c.relkind IN ('v', 'f') THEN 1000000000000
        WHEN c.relkind NOT IN ('r', 'm') THEN 0
        WHEN c.oid IN (TABLE locked) THEN 1000000000000
        ELSE pg_catalog.pg_table_size(c.oid)
    END, 0) AS bytes,
    EXISTS (SELECT FROM pg_catalog.pg_partitioned_table p
        WHERE p.partrelid = c.oid AND p.partdefid <> 0) AS has_default_partition,
    c.relkind = 'p' AS is_partitioned, c.relkind::pg_catalog.text AS kind,
    EXISTS (SELECT FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS has_triggers
FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The sizes of what materialized views read, through other views.
const SOURCES: &str = "\
WITH RECURSIVE locked AS MATERIALIZED (
    SELECT relation FROM pg_catalog.pg_locks
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND database = (
        SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())),
uses (view, catalog, used) AS (
    SELECT r.ev_class, d.refclassid, d.refobjid
    FROM pg_catalog.pg_rewrite r
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
            AND d.objid = r.oid AND d.refobjid <> r.ev_class
    WHERE d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
        'pg_catalog.pg_proc'::pg_catalog.regclass)),
reached (view, catalog, used) AS (
    SELECT u.view, u.catalog, u.used
    FROM uses u JOIN pg_catalog.pg_class c ON c.oid = u.view AND c.relkind = 'm'
    UNION SELECT r.view, u.catalog, u.used FROM reached r JOIN uses u
        ON u.view = r.used AND r.catalog = 'pg_catalog.pg_class'::pg_catalog.regclass
        JOIN pg_catalog.pg_class o ON o.oid = r.used AND o.relkind <> 'm')
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    CASE WHEN EXISTS (SELECT FROM reached r WHERE r.view = c.oid AND (
        r.catalog = 'pg_catalog.pg_proc'::pg_catalog.regclass
        OR r.used IN (SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'f'))) THEN NULL
    ELSE COALESCE((SELECT pg_catalog.sum(CASE WHEN part.oid IN (TABLE locked)
            THEN 1000000000000 ELSE pg_catalog.pg_table_size(part.oid) END)
        FROM (SELECT DISTINCT s.oid FROM reached r JOIN pg_catalog.pg_class o ON o.oid = r.used
                LEFT JOIN LATERAL pg_catalog.pg_partition_tree(o.oid) p ON o.relkind = 'p'
                JOIN pg_catalog.pg_class s ON s.oid = COALESCE(p.relid, o.oid)
            WHERE r.view = c.oid AND s.relkind IN ('r', 'm')) part), 0)::pg_catalog.int8
    END AS bytes
FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND n.nspname !~ '^pg_'";

const COLUMNS: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    a.attname::pg_catalog.text AS column,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name, a.attnotnull AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid
            AND k.contype = 'n' AND k.conkey[1] = a.attnum AND NOT k.convalidated) AS is_not_null,
    a.atthasdef OR a.attidentity <> '' AS has_default,
    a.attidentity <> '' OR EXISTS (SELECT FROM pg_catalog.pg_attrdef f
        WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum
            AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\\(') AS is_numbered
FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

const CONSTRAINTS: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    k.conname::pg_catalog.text AS constraint, k.contype::pg_catalog.text AS kind,
    k.convalidated AS is_validated, pg_catalog.pg_get_constraintdef(k.oid) AS definition,
    ARRAY(SELECT a.attname::pg_catalog.text
        FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS key (number, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = key.number
        ORDER BY key.position) AS columns,
    ARRAY(SELECT a.attname::pg_catalog.text
        FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS key (number, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.number
        ORDER BY key.position) AS other_columns,
    o.relname::pg_catalog.text AS other, m.nspname::pg_catalog.text AS other_schema
FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class o ON o.oid = k.confrelid AND k.contype = 'f'
    LEFT JOIN pg_catalog.pg_namespace m ON m.oid = o.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

const INDEXES: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    x.relname::pg_catalog.text AS index, i.indisunique AS is_unique, i.indisvalid AS is_valid,
    CASE WHEN i.indexprs IS NULL THEN ARRAY(SELECT a.attname::pg_catalog.text
        FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS key (number, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = key.number
        WHERE key.position <= i.indnkeyatts
        ORDER BY key.position) ELSE '{}' END AS columns,
    CASE WHEN i.indexprs IS NULL AND i.indpred IS NULL THEN '{}' ELSE ARRAY(
        SELECT DISTINCT a.attname::pg_catalog.text
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = x.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.refobjid = c.oid AND d.refobjsubid > 0) END AS computed_from,
    CASE WHEN i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
        THEN pg_catalog.pg_get_indexdef(x.oid) END AS definition
FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

const CHILDREN: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    m.nspname::pg_catalog.text AS child_schema, o.relname::pg_catalog.text AS child
FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class o ON o.oid = i.inhrelid
    JOIN pg_catalog.pg_namespace m ON m.oid = o.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The queries of views without options. To print one takes a lock on what it reads, so that none is while another
/// session has locked anything against readers.
const VIEWS: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    pg_catalog.pg_get_viewdef(c.oid) AS query
FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.reloptions IS NULL AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks
        WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND database = (
            SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))";

/// Functions of the database's own, and those of Postgres and of extensions.
const ROUTINES: &str = "\
SELECT DISTINCT n.nspname::pg_catalog.text AS schema, p.proname::pg_catalog.text AS name,
    n.nspname <> 'pg_catalog' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            AND d.objid = p.oid AND d.deptype = 'e') AS is_own
FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pg_catalog' OR (n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')";

/// Types that are neither a table's nor an array's.
const TYPES: &str = "\
SELECT n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name
FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE t.typcategory <> 'A' AND (c.oid IS NULL OR c.relkind = 'c')
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// Domains, each with the tables that use it, or that use a domain that is made of it.
const DOMAINS: &str = "\
WITH RECURSIVE constrained (oid) AS (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd' AND (t.typnotnull
        OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid))
    UNION SELECT t.oid FROM pg_catalog.pg_type t JOIN constrained c ON t.typbasetype = c.oid
        WHERE t.typtype = 'd'),
with_default (oid) AS (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd' AND t.typdefault IS NOT NULL
    UNION SELECT t.oid FROM pg_catalog.pg_type t JOIN with_default d ON t.typbasetype = d.oid
        WHERE t.typtype = 'd'),
made_of (base, oid) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
    UNION SELECT m.base, t.oid FROM pg_catalog.pg_type t JOIN made_of m ON t.typbasetype = m.oid
        WHERE t.typtype = 'd')
SELECT DISTINCT n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name,
    t.oid IN (TABLE constrained) AS has_constraints, t.oid IN (TABLE with_default) AS has_default,
    s.nspname::pg_catalog.text AS table_schema,
    c.relname::pg_catalog.text AS table
FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    JOIN made_of m ON m.base = t.oid
    LEFT JOIN (pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm')
        JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace)
        ON a.atttypid = m.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE t.typtype = 'd' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
