//! The foreign keys that a run adds, and those of before: the rows for which a statement may wait.

use super::Scope;
use crate::migrations::class::facts::ConstraintKind;
use crate::migrations::statement::ObjectName;

/// A foreign key of the run.
#[derive(Clone, Debug)]
pub(in super::super) struct ForeignKey {
    table: ObjectName,
    columns: Vec<String>,
    references: ObjectName,
}

impl Scope<'_> {
    /// Returns the foreign keys of the run.
    pub(in super::super) fn foreign_keys(&self) -> &[ForeignKey] {
        &self.foreign_keys
    }

    /// Records a column with which a unique key of a table of the run begins.
    pub(in super::super) fn begin_key(&mut self, table: &ObjectName, column: String) {
        let table = self.resolve(table);
        self.key_columns.insert((table, column));
    }

    /// Returns what a reader of the plan should know about a foreign key that no index begins with: a deleted row's
    /// references are looked for in the whole table.
    pub(in super::super) fn remark_without_index(&self, key: &ForeignKey) -> Option<String> {
        let table = &key.table;
        let column = key.columns.first()?;
        let is_used = !self.created.contains(&key.references)
            && !self.created_before.contains(&key.references);
        let known = self.relation(table).into_iter();
        let known = known.flat_map(|facts| &facts.indexes);
        let mut indexes = known.chain(self.indexes_of_run(table));
        let begins = indexes.any(|one| one.columns.first() == Some(column))
            || self.key_columns.contains(&(table.clone(), column.clone()));
        (is_used && !begins).then(|| {
            format!(
                "no index of {table} begins with {column}: each DELETE of a row of {}, and each change of its key, goes \
                 through all rows of {table}",
                key.references
            )
        })
    }

    /// Records a foreign key.
    pub(in super::super) fn add_foreign_key(
        &mut self,
        table: &ObjectName,
        columns: Vec<String>,
        references: &ObjectName,
    ) {
        let key = ForeignKey {
            table: self.resolve(table),
            columns,
            references: self.resolve(references),
        };
        self.foreign_keys.push(key);
    }

    /// Records the foreign keys that a partition has from the partitioned table.
    pub(in super::super) fn inherit_foreign_keys(
        &mut self,
        parent: &ObjectName,
        child: &ObjectName,
    ) {
        let full = self.resolve(parent);
        let of_run = self.foreign_keys.iter().filter(|one| one.table == full);
        let of_run = of_run.map(|one| (one.columns.clone(), one.references.clone()));
        let of_before = self.relation(&full).into_iter();
        let of_before = of_before.flat_map(|facts| &facts.constraints);
        let of_before =
            of_before.filter_map(|one| Some((one.columns.clone(), one.references.clone()?)));
        let keys: Vec<_> = of_run.chain(of_before).collect();
        for (columns, references) in keys {
            self.add_foreign_key(child, columns, &references);
        }
    }

    /// Returns the tables of before whose rows an `INSERT` locks, since its own reference them. `written` are the
    /// columns that it names; all of them where it names none.
    pub(in super::super) fn referenced_by_rows(
        &self,
        table: &ObjectName,
        written: Option<&[String]>,
    ) -> Vec<ObjectName> {
        let table = self.resolve(table);
        let is_written = |columns: &[String]| {
            written.is_none_or(|written| columns.iter().any(|column| written.contains(column)))
        };
        let of_run = self.foreign_keys.iter();
        let of_run = of_run.filter(|one| one.table == table && is_written(&one.columns));
        let of_run = of_run.map(|one| &one.references);
        let of_before = self.relation(&table).into_iter();
        let of_before = of_before.flat_map(|facts| &facts.constraints);
        let of_before = of_before
            .filter(|one| one.kind == ConstraintKind::ForeignKey && is_written(&one.columns));
        let of_before = of_before.filter_map(|one| one.references.as_ref());
        let referenced = of_run.chain(of_before);
        let used = referenced.filter(|name| !self.is_new(name) && !self.is_of_run(name));
        used.cloned().collect()
    }

    /// Returns whether a table that the file creates references this one, so that its writers wait for the file.
    pub(in super::super) fn is_referenced_by_new(&self, table: &ObjectName) -> bool {
        let table = self.resolve(table);
        let mut keys = self.foreign_keys.iter();
        keys.any(|one| one.references == table && self.created.contains(&one.table))
    }
}
