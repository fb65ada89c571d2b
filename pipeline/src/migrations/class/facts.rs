//! The facts about a database by which a statement is judged.

use std::collections::{BTreeMap, BTreeSet};

use super::seen_by::{EventTriggerFacts, RoutineFacts, SeenBy, SequenceFacts};
use crate::migrations::statement::ObjectName;

/// A table of at most this many bytes is small: to scan it, to rewrite it or to index it takes
/// milliseconds (100,000 narrow rows have about 5 MB).
pub const SMALL_TABLE_BYTES: u64 = 1024 * 1024;

/// The facts about a database, as far as a judgement depends on them.
///
/// Names of tables, types and functions have their schema.
#[derive(Clone, Debug, Default)]
pub struct TargetFacts {
    /// The major version of the server; `None` if there is no database to ask.
    pub server_major: Option<u32>,
    /// The schemas in which a name without a schema is looked up.
    pub search_path: Vec<String>,
    /// The tables, views and sequences.
    pub relations: BTreeMap<ObjectName, RelationFacts>,
    /// The schemas of the session's search path, also those that do not exist.
    pub listed_schemas: Vec<String>,
    /// The functions and procedures, without those of extensions.
    pub routines: BTreeSet<ObjectName>,
    /// The functions of Postgres and of extensions.
    pub provided_routines: BTreeSet<ObjectName>,
    /// The types that are neither a table's nor an array's.
    pub types: BTreeSet<ObjectName>,
    /// The types with a list of labels.
    pub enums: BTreeSet<ObjectName>,
    /// The types, without those of `pg_catalog`, whose values can be compared, so that rows with them can.
    pub comparable_types: BTreeSet<ObjectName>,
    /// The functions and procedures, without those of extensions, by a key of their own.
    pub bodies: BTreeMap<u32, RoutineFacts>,
    /// The sequences.
    pub sequences: BTreeMap<ObjectName, SequenceFacts>,
    /// The domains.
    pub domains: BTreeMap<ObjectName, DomainFacts>,
    /// The names of the operators, without those of Postgres and of extensions.
    pub operators: BTreeSet<String>,
    /// The names of the operator classes, without those of Postgres and of extensions.
    pub operator_classes: BTreeSet<String>,
    /// The types whose values are checked or converted by a function of the database's own: domains, and
    /// what has one as a part; types with casts.
    pub types_with_code: BTreeSet<ObjectName>,
    /// The event triggers of the session's role, which run with each change of the schema.
    pub event_triggers: Vec<EventTriggerFacts>,
    /// The name of the session's role, which is `"$user"` in a search path.
    pub role: String,
}

/// A table, or another relation.
#[derive(Clone, Debug, Default)]
pub struct RelationFacts {
    /// The kind: `ALTER TABLE` takes others than tables, too.
    pub kind: RelationKind,
    /// The estimate of the planner; `None` before the table's first `ANALYZE`.
    pub rows: Option<u64>,
    /// The size without indexes, with all partitions.
    pub bytes: u64,
    /// The columns by name.
    pub columns: BTreeMap<String, ColumnFacts>,
    /// The constraints of the table.
    pub constraints: Vec<ConstraintFacts>,
    /// The indexes of the table.
    pub indexes: Vec<IndexFacts>,
    /// The partitions, or the tables that inherit from it, without those below them.
    pub children: Vec<ObjectName>,
    /// It is a partitioned table with a default partition.
    pub has_default_partition: bool,
    /// It is a partitioned table.
    pub is_partitioned: bool,
    /// It has triggers of its own.
    pub has_triggers: bool,
    /// The code of the database's own that runs with it.
    pub code: CodeFacts,
    /// The code and the expressions that see its rows.
    pub seen_by: SeenBy,
    /// The size of the tables that a materialized view reads, at any depth; `None` where its query calls
    /// functions of the database's own, or it is no such view.
    pub source_bytes: Option<u64>,
    /// The query of a view without options, also of a materialized one, as `pg_get_viewdef` prints it.
    pub view_query: Option<String>,
}

/// The kinds of relations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelationKind {
    /// A table, partitioned or not.
    #[default]
    Table,
    /// A view.
    View,
    /// A materialized view, a foreign table or a sequence.
    Other,
}

/// A domain.
#[derive(Clone, Debug, Default)]
pub struct DomainFacts {
    /// It has constraints, of its own or of the domain that it is made of.
    pub has_constraints: bool,
    /// It has a default, of its own or of the domain that it is made of.
    pub has_default: bool,
    /// The tables with a column of it, or of a domain that is made of it.
    pub tables: Vec<ObjectName>,
}

/// A column of a table.
#[derive(Clone, Debug, Default)]
pub struct ColumnFacts {
    /// The type, as `format_type` prints it: `character varying(100)`.
    pub type_name: String,
    /// The column refuses NULL, and no row has one.
    pub is_not_null: bool,
    /// A row without a value for it gets one: it has a default, or is computed.
    pub has_default: bool,
    /// The default is the next number of a sequence, also that of an identity.
    pub is_numbered: bool,
}

/// A constraint of a table.
#[derive(Clone, Debug)]
pub struct ConstraintFacts {
    /// The constraint's name.
    pub name: String,
    /// Its kind.
    pub kind: ConstraintKind,
    /// Its columns.
    pub columns: Vec<String>,
    /// All rows are known to satisfy it.
    pub is_validated: bool,
    /// The definition, as `pg_get_constraintdef` prints it.
    pub definition: String,
    /// The table that a foreign key references.
    pub references: Option<ObjectName>,
    /// The columns of that table.
    pub referenced_columns: Vec<String>,
}

/// The kinds of constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    /// `CHECK`.
    Check,
    /// `FOREIGN KEY`.
    ForeignKey,
    /// `NOT NULL`, which is a constraint of its own since Postgres 18.
    NotNull,
    /// `PRIMARY KEY`.
    PrimaryKey,
    /// `UNIQUE`.
    Unique,
    /// `EXCLUDE`, or a constraint trigger.
    Other,
}

/// An index of a table.
#[derive(Clone, Debug)]
pub struct IndexFacts {
    /// The index's name; its schema is the table's.
    pub name: String,
    /// It refuses duplicates.
    pub is_unique: bool,
    /// Queries may use it. A failed `CREATE INDEX CONCURRENTLY` leaves an invalid one.
    pub is_valid: bool,
    /// Its columns, without those of `INCLUDE`; empty for expressions.
    pub columns: Vec<String>,
    /// The columns in its expressions and its `WHERE`, with which Postgres builds it anew when the
    /// type of one changes.
    pub computed_from: Vec<String>,
    /// The definition of one with expressions or a `WHERE`, as `pg_get_indexdef` prints it.
    pub definition: Option<String>,
    /// The code of the database's own that runs as it is built, in words.
    pub code: Option<String>,
}

/// The code of the database's own that runs with a relation, in words: `the function sync()`.
#[derive(Clone, Debug, Default)]
pub struct CodeFacts {
    /// As it is read.
    pub reads: Option<String>,
    /// As its rows are written.
    pub writes: Option<String>,
    /// As a materialized view is refreshed.
    pub refresh: Option<String>,
    /// As it is analyzed, but for that of its indexes: expressions of statistics, and ranges whose
    /// type has a function.
    pub analysis: Option<String>,
    /// As the key of a partitioned table is computed for a row.
    pub key: Option<String>,
    /// As it is read or written once its policies hold for the session's role, also where they do not
    /// now.
    pub policies: Option<String>,
    /// Its row security is enabled.
    pub has_row_security: bool,
    /// Its policies hold for its owner, too.
    pub forces_row_security: bool,
}

impl TargetFacts {
    /// Facts of a judgement without a database: every table may exist and be large.
    pub fn unknown() -> Self {
        Self {
            search_path: vec!["public".to_owned()],
            ..Self::default()
        }
    }

    /// Returns whether the facts are those of a database.
    pub fn is_known(&self) -> bool {
        self.server_major.is_some()
    }

    /// Returns the name of an index with the schema in which the database finds it.
    pub(crate) fn resolve_index(
        &self,
        index: &ObjectName,
        search_path: &[String],
    ) -> Option<ObjectName> {
        if index.schema.is_some() {
            return Some(index.clone());
        }
        let mut candidates = search_path
            .iter()
            .map(|schema| ObjectName::in_schema(schema, &index.name));
        candidates.find(|name| self.table_of_index(name).is_some())
    }

    /// Returns the table of an index.
    pub(crate) fn table_of_index(&self, index: &ObjectName) -> Option<&ObjectName> {
        let mut tables = self.relations.iter();
        let found = tables.find(|(table, facts)| {
            table.schema == index.schema && facts.indexes.iter().any(|one| one.name == index.name)
        });
        found.map(|(table, _)| table)
    }

    /// Returns the partitions and inheriting tables of a table, at any depth.
    pub(crate) fn descendants(&self, table: &ObjectName) -> Vec<ObjectName> {
        let mut found: Vec<ObjectName> = Vec::new();
        let mut open = vec![table];
        while let Some(parent) = open.pop() {
            let children = self
                .relations
                .get(parent)
                .into_iter()
                .flat_map(|one| &one.children);
            for child in children {
                if !found.contains(child) {
                    found.push(child.clone());
                    open.push(child);
                }
            }
        }
        found
    }

    /// Returns the tables with a foreign key to a column of the table, itself excepted.
    pub(crate) fn referencing_column(&self, table: &ObjectName, column: &str) -> Vec<&ObjectName> {
        let tables = self.relations.iter().filter(|(name, facts)| {
            let mut constraints = facts.constraints.iter();
            *name != table
                && constraints.any(|one| {
                    one.references.as_ref() == Some(table)
                        && one.referenced_columns.iter().any(|name| name == column)
                })
        });
        tables.map(|(name, _)| name).collect()
    }

    /// Returns the tables with a foreign key to the table, itself excepted.
    pub(crate) fn referencing(&self, table: &ObjectName) -> Vec<&ObjectName> {
        let tables = self.relations.iter().filter(|(name, facts)| {
            *name != table
                && facts
                    .constraints
                    .iter()
                    .any(|one| one.references.as_ref() == Some(table))
        });
        tables.map(|(name, _)| name).collect()
    }
}

impl RelationFacts {
    /// Returns the constraint of that name.
    pub(crate) fn constraint(&self, name: &str) -> Option<&ConstraintFacts> {
        self.constraints.iter().find(|one| one.name == name)
    }

    /// Returns whether a validated constraint proves that the column holds no NULL.
    pub(crate) fn is_proved_not_null(&self, column: &str) -> bool {
        let is_not_null = self
            .columns
            .get(column)
            .is_some_and(|facts| facts.is_not_null);
        let is_proof = |one: &ConstraintFacts| {
            one.is_validated
                && one.columns == [column]
                && (one.kind == ConstraintKind::NotNull
                    || (one.kind == ConstraintKind::Check && demands_not_null(&one.definition)))
        };
        is_not_null || self.constraints.iter().any(is_proof)
    }
}

/// Returns whether a definition says `IS NOT NULL` of a column and nothing else.
fn demands_not_null(definition: &str) -> bool {
    let definition = definition.trim_end_matches(" NOT VALID");
    let inner = definition.strip_prefix("CHECK ((");
    let condition = inner.and_then(|rest| rest.strip_suffix("))"));
    condition
        .and_then(|condition| condition.strip_suffix(" IS NOT NULL"))
        .is_some_and(|column| {
            // A quoted name may hold anything; outside of quotes a blank means another condition.
            column.starts_with('"') || !column.contains(' ')
        })
}
