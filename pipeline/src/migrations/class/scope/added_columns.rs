//! The columns that a run adds to tables that exist before, and what it makes of columns.

use std::collections::{BTreeMap, BTreeSet};

use super::Scope;
use crate::migrations::statement::ObjectName;

/// A column with its table, by the table's name before the run.
type Column = (ObjectName, String);

/// The columns that a run adds, and those whose values it restricts.
#[derive(Debug, Default)]
pub(super) struct AddedColumns {
    /// The added columns, and whether the code that runs now, which does not name them, writes a value
    /// into them.
    with_value: BTreeMap<Column, bool>,
    /// The types of those columns, as they are spelled.
    types: BTreeMap<Column, String>,
    /// The columns of which a constraint, an index or another column of the run depends.
    restricted: BTreeSet<Column>,
}

impl AddedColumns {
    /// Forgets the added columns, where the next file may belong to another run.
    pub(super) fn clear(&mut self) {
        self.with_value.clear();
    }
}

impl Scope<'_> {
    /// Returns whether the code that runs now writes a value into a column, which it does not name: `None`
    /// unless the run added the column.
    pub(in super::super) fn added_column(&self, table: &ObjectName, column: &str) -> Option<bool> {
        let key = self.column(table, column);
        self.columns.with_value.get(&key).copied()
    }

    /// Records a column that the run adds, or a default that such a column gets.
    pub(in super::super) fn add_column(
        &mut self,
        table: &ObjectName,
        column: &str,
        has_value: bool,
    ) {
        let key = self.column(table, column);
        self.columns.with_value.insert(key, has_value);
    }

    /// Records the type of a column that the run adds.
    pub(in super::super) fn set_added_type(
        &mut self,
        table: &ObjectName,
        column: &str,
        spelled: String,
    ) {
        let key = self.column(table, column);
        self.columns.types.insert(key, spelled);
    }

    /// Returns the type of a column that the run adds.
    pub(in super::super) fn added_type(&self, table: &ObjectName, column: &str) -> Option<&String> {
        self.columns.types.get(&self.column(table, column))
    }

    /// Records that a value of a column may be refused, for what the run made of it.
    pub(in super::super) fn restrict(&mut self, table: &ObjectName, column: &str) {
        let key = self.column(table, column);
        self.columns.restricted.insert(key);
    }

    /// Returns whether a value of a column may be refused, for what the run made of it.
    pub(in super::super) fn is_restricted(&self, table: &ObjectName, column: &str) -> bool {
        let key = self.column(table, column);
        self.columns.restricted.contains(&key)
    }

    /// Forgets the columns that the run added to a table, of which one has another name or is gone.
    pub(in super::super) fn forget_columns(&mut self, table: &ObjectName) {
        let table = self.resolve(table);
        self.columns.with_value.retain(|(of, _), _| *of != table);
    }

    fn column(&self, table: &ObjectName, column: &str) -> Column {
        (self.resolve(table), column.to_owned())
    }
}
