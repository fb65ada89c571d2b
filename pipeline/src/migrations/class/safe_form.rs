//! Safe forms in a statement's own names.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::range_of;
use super::syntax::{child_name, columns, name_under};
use crate::migrations::statement::ObjectName;

/// Returns `CREATE INDEX` with `CONCURRENTLY`, and with a name, by which an interrupted run knows the
/// index again.
pub(super) fn concurrent_index(
    text: &str,
    node: &SyntaxNode,
    table: &ObjectName,
) -> Option<String> {
    let at = text.to_ascii_uppercase().find("INDEX")? + "INDEX".len();
    let (before, after) = (text.get(..at)?, text.get(at..)?);
    let name = match node.children().any(|one| one.kind() == SyntaxKind::INDEX) {
        true => String::new(),
        false => {
            let mut parts = vec![table.name.clone()];
            let items = node
                .descendants()
                .filter(|one| one.kind() == SyntaxKind::PARTITION_ITEM);
            let columns = items.filter_map(|item| child_name(&item, SyntaxKind::NAME_REF));
            parts.extend(columns.map(|column| column.name));
            parts.push("idx".to_owned());
            format!(" {}", ObjectName::new(parts.join("_")))
        }
    };
    Some(format!(
        "{before} CONCURRENTLY{name}{after}; -- alone in its file"
    ))
}

/// Returns the steps to an index of a partitioned table, which Postgres does not build CONCURRENTLY.
pub(super) fn partitioned_index(table: &ObjectName) -> String {
    format!(
        "CREATE INDEX … ON ONLY {table} …; -- then, each alone in its file, CREATE INDEX CONCURRENTLY \
         … ON each partition; in a later file: ALTER INDEX … ATTACH PARTITION … for each of them"
    )
}

/// Returns `ADD CONSTRAINT` with `NOT VALID`, and its validation.
pub(super) fn not_valid(text: &str, table: &ObjectName, action: &SyntaxNode) -> Option<String> {
    let constraint = name_under(action, SyntaxKind::CONSTRAINT_NAME)?;
    let added = text.get(range_of(action))?;
    Some(format!(
        "ALTER TABLE {table} {added} NOT VALID; -- in a later file: ALTER TABLE {table} VALIDATE \
         CONSTRAINT {constraint};"
    ))
}

/// Returns the steps to `SET NOT NULL`.
pub(super) fn not_null(table: &ObjectName, column: &str) -> String {
    let column = ObjectName::new(column);
    let check = ObjectName::new(format!("{}_{}_not_null", table.name, column.name));
    format!(
        "ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID; -- in a \
         later file: ALTER TABLE {table} VALIDATE CONSTRAINT {check}; ALTER TABLE {table} ALTER \
         COLUMN {column} SET NOT NULL; -- in a later one: ALTER TABLE {table} DROP CONSTRAINT {check};"
    )
}

/// Returns the steps to a unique constraint.
pub(super) fn unique(table: &ObjectName, action: &SyntaxNode) -> Option<String> {
    let constraint = name_under(action, SyntaxKind::CONSTRAINT_NAME)?;
    let names: Vec<String> = columns(action)
        .into_iter()
        .map(|column| ObjectName::new(column).to_string())
        .collect();
    let names = names.join(", ");
    Some(format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {constraint} ON {table} ({names}); -- alone in its file; in a \
         later one: ALTER TABLE {table} ADD CONSTRAINT {constraint} UNIQUE USING INDEX {constraint};"
    ))
}
