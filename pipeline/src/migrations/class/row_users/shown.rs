//! Views that show a column as it is: a value of it makes no row appear, go or fail.

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use crate::migrations::class::scope::Scope;
use crate::migrations::class::syntax::{child, find};
use crate::migrations::statement::{ObjectName, fold_name, is_nested_too_deeply};

/// Returns the name by which a view shows a column of what it reads, if it does no more with that name.
pub(super) fn by_view(scope: &Scope<'_>, view: &ObjectName, column: &str) -> Option<String> {
    use SyntaxKind as K;
    let query = scope.facts.relations.get(view)?.view_query.as_deref()?;
    let parsed = (!is_nested_too_deeply(query)).then(|| SourceFile::parse(query))?;
    let select = parsed
        .errors()
        .is_empty()
        .then(|| parsed.syntax_node().children().next())?
        .filter(|one| one.kind() == K::SELECT)?;
    let clause = child(&select, K::SELECT_CLAUSE)?;
    let targets = child(&clause, K::TARGET_LIST)?;
    let is_distinct = clause.children().count() > 1;
    let is_plain = select.children().all(|one| {
        matches!(
            one.kind(),
            K::SELECT_CLAUSE | K::FROM_CLAUSE | K::WHERE_CLAUSE
        )
    });
    let is_named = |one: &SyntaxNode| {
        one.kind() == K::NAME_REF && fold_name(one.text().to_string().trim()) == column
    };
    // The names of the columns in the query, each of which Postgres prints as it is.
    let named = select.descendants().filter(is_named).count();
    let shown: Vec<SyntaxNode> = targets
        .children()
        .filter(|target| {
            let value = target.children().next();
            value.is_some_and(|value| match value.kind() {
                K::NAME_REF => is_named(&value),
                K::FIELD_EXPR => value.children().last().is_some_and(|one| is_named(&one)),
                _ => false,
            })
        })
        .collect();
    let [target] = shown.as_slice() else {
        return None;
    };
    let name = find(target, K::COLUMN_NAME).map(|one| fold_name(one.text().to_string().trim()));
    (is_plain && !is_distinct && named == 1).then(|| name.unwrap_or_else(|| column.to_owned()))
}
