//! Safe forms of indexes and of views that are filled by a query.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::super::draft::{Draft, range_of};
use super::super::syntax::{child, child_name, has_token, holds, name_under, names_under};
use super::{ALONE, SafeFile, SafeForm, name, text_of};
use crate::migrations::statement::ObjectName;

/// The partitions for which a form is written out.
const MOST_PARTITIONS: usize = 20;

/// Returns `CREATE INDEX` with `CONCURRENTLY`, and with a name, by which an interrupted run knows the
/// index again. That of a partitioned table is built partition by partition.
pub(in super::super) fn concurrent_index(
    draft: &Draft<'_>,
    node: &SyntaxNode,
    table: &ObjectName,
) -> Option<SafeForm> {
    let scope = draft.scope;
    let columns = name::of_index_columns(node);
    let given = child_name(node, SyntaxKind::INDEX);
    let has_name = given.is_some();
    let index = given.unwrap_or_else(|| name::choose(scope, table, &columns, "idx"));
    let is_partitioned = scope
        .relation(table)
        .is_some_and(|facts| facts.is_partitioned);
    if !is_partitioned {
        let text = draft.statement.without_comments();
        let (begin, rest) = text.split_at_checked(keyword_end(node)?)?;
        let name = if has_name {
            String::new()
        } else {
            format!(" {index}")
        };
        let created = format!("{begin} CONCURRENTLY{name}{rest}");
        return Some(SafeForm::of(vec![SafeFile::alone(created)]));
    }
    let facts = scope.relation(table)?;
    let leaves = facts.children.iter();
    let are_leaves = leaves.clone().all(|child| {
        let child = scope.facts.relations.get(child);
        child.is_some_and(|facts| !facts.is_partitioned)
    });
    let parent = text_of(draft, &child(node, SyntaxKind::TABLE_RELATION_NAME)?);
    let only = format!("ONLY {parent}");
    let mut files = vec![SafeFile::new([create(draft, node, "", &index, &only)?])];
    if !are_leaves || !(1..=MOST_PARTITIONS).contains(&facts.children.len()) {
        let words = format!(
            "{}; -- then, each alone in its file, CREATE INDEX CONCURRENTLY … ON each partition; in \
             later files: ALTER INDEX {index} ATTACH PARTITION … for each of them",
            files.remove(0).statements.remove(0)
        );
        return Some(words.into());
    }
    let in_schema = |name: &ObjectName| ObjectName {
        schema: table.schema.clone(),
        name: name.name.clone(),
    };
    let mut attached = Vec::new();
    for partition in leaves {
        let own = name::choose(scope, partition, &columns, "idx");
        let on = partition.to_string();
        let created = create(draft, node, " CONCURRENTLY", &own, &on)?;
        files.push(SafeFile::alone(created));
        let schema = partition.schema.clone();
        let own = ObjectName { schema, ..own };
        attached.push(format!(
            "ALTER INDEX {} ATTACH PARTITION {own}",
            in_schema(&index)
        ));
    }
    // One at a time: readers of a partition wait for the lock on its index.
    files.extend(attached.into_iter().map(|one| SafeFile::new([one])));
    Some(SafeForm::of(files))
}

/// Returns the end of the word `INDEX`.
fn keyword_end(node: &SyntaxNode) -> Option<usize> {
    let mut tokens = node.children_with_tokens();
    let keyword = tokens.find(|one| one.kind() == SyntaxKind::INDEX_KW)?;
    Some(usize::from(keyword.text_range().end()))
}

/// Writes the statement with another name, and on another table.
fn create(
    draft: &Draft<'_>,
    node: &SyntaxNode,
    concurrently: &str,
    index: &ObjectName,
    table: &str,
) -> Option<String> {
    use SyntaxKind as K;
    let text = draft.statement.without_comments();
    let relation = range_of(&child(node, K::TABLE_RELATION_NAME)?);
    let if_not_exists = child(node, K::IF_NOT_EXISTS);
    let condition = if_not_exists.map_or(String::new(), |one| format!(" {}", text_of(draft, &one)));
    let begin = text.get(..keyword_end(node)?)?;
    let rest = text.get(relation.end..)?;
    Some(format!(
        "{begin}{concurrently}{condition} {index} ON {table}{rest}"
    ))
}

/// Returns `REINDEX` with `CONCURRENTLY`.
pub(in super::super) fn concurrent_reindex(
    draft: &Draft<'_>,
    node: &SyntaxNode,
) -> Option<SafeForm> {
    use SyntaxKind as K;
    let target = node.descendants_with_tokens();
    let mut target = target.filter(|one| matches!(one.kind(), K::TABLE_KW | K::INDEX_KW));
    let at = usize::from(target.next()?.text_range().end());
    let text = draft.statement.without_comments();
    if text.contains('(') {
        return None;
    }
    let written = format!("{} CONCURRENTLY{}", text.get(..at)?, text.get(at..)?);
    Some(SafeForm::of(vec![SafeFile::alone(written)]))
}

/// Returns `REFRESH MATERIALIZED VIEW` with `CONCURRENTLY`, for a view with a unique index.
pub(in super::super) fn refresh(draft: &Draft<'_>, node: &SyntaxNode) -> Option<SafeForm> {
    let view = name_under(node, SyntaxKind::VIEW_REF)?;
    let facts = draft.scope.relation(&view)?;
    let mut indexes = facts.indexes.iter();
    let is_whole = indexes.any(|one| {
        one.is_unique && one.is_valid && !one.columns.is_empty() && one.computed_from.is_empty()
    });
    if !is_whole || holds(node, SyntaxKind::NO_KW) {
        return None;
    }
    let reference = node
        .descendants()
        .find(|one| one.kind() == SyntaxKind::VIEW_REF)?;
    let written = format!(
        "REFRESH MATERIALIZED VIEW CONCURRENTLY {}",
        text_of(draft, &reference)
    );
    Some(SafeForm::of(vec![SafeFile::new([written])]))
}

/// Returns `DROP INDEX` with `CONCURRENTLY`, a file for each index.
pub(in super::super) fn drop_index(draft: &Draft<'_>, node: &SyntaxNode) -> Option<SafeForm> {
    use SyntaxKind as K;
    if has_token(node, K::CASCADE_KW) || holds(node, K::CASCADE) {
        return None;
    }
    let scope = draft.scope;
    let is_partitioned = |index: &ObjectName| {
        let full = scope.resolve_index(index);
        let table = full.and_then(|index| scope.facts.table_of_index(&index).cloned());
        let facts = table.as_ref().and_then(|table| scope.relation(table));
        facts.is_some_and(|facts| facts.is_partitioned)
    };
    if names_under(node, &[K::INDEX_REF])
        .iter()
        .any(is_partitioned)
    {
        return None;
    }
    let condition = child(node, K::IF_EXISTS);
    let condition = condition.map_or(String::new(), |one| format!("{} ", text_of(draft, &one)));
    let indexes = node.descendants().filter(|one| one.kind() == K::INDEX_REF);
    let files = indexes.map(|index| {
        let index = text_of(draft, &index);
        SafeFile::new([format!("DROP INDEX CONCURRENTLY {condition}{index}")]).with_remark(ALONE)
    });
    Some(SafeForm::of(files.collect()))
}
