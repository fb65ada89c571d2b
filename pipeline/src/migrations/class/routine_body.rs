//! The statements of functions and procedures, by the parser's tree of their bodies.

use std::collections::BTreeSet;

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::seen_by::{RoutineEffects, RoutineFacts};
use super::syntax::{child, find, is_type, name_under};
use crate::migrations::statement::{ObjectName, is_nested_too_deeply};

/// Returns whether the statement creates a function or a procedure.
pub(super) fn is_routine(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    matches!(node.kind(), K::CREATE_FUNCTION | K::CREATE_PROCEDURE)
}

/// Returns the statements of the body that stands in a string; none for a body that is part of the
/// statement, and `None` for a body that cannot be read: another language, settings of its own.
pub(super) fn statements(node: &SyntaxNode) -> Option<Vec<SyntaxNode>> {
    use SyntaxKind as K;
    let language = name_under(node, K::LANGUAGE_REF);
    if language.is_some_and(|language| language.name != "sql") {
        return None;
    }
    let Some(options) = child(node, K::FUNC_OPTION_LIST) else {
        return Some(Vec::new());
    };
    if child(&options, K::SET_FUNC_OPTION).is_some() {
        return None;
    }
    let Some(definition) = child(&options, K::AS_FUNC_OPTION) else {
        return Some(Vec::new());
    };
    let literal = find(&definition, K::LITERAL)?;
    let body = content(&literal.text().to_string())?;
    if is_nested_too_deeply(&body) {
        return None;
    }
    let parsed = SourceFile::parse(&body);
    if !parsed.errors().is_empty() {
        return None;
    }
    Some(parsed.syntax_node().children().collect())
}

/// Returns the content of a string in quotes or between dollars; `None` for one with escapes.
fn content(literal: &str) -> Option<String> {
    let literal = literal.trim();
    if let Some(inner) = literal.strip_prefix('\'') {
        return Some(inner.strip_suffix('\'')?.replace("''", "'"));
    }
    let tag_end = literal.strip_prefix('$')?.find('$')? + 2;
    let tag = literal.get(..tag_end)?;
    let inner = literal.strip_prefix(tag)?.strip_suffix(tag)?;
    Some(inner.to_owned())
}

/// Returns the tree of a routine's body in SQL or PL/pgSQL; `None` where the parser does not understand all of it.
pub(super) fn tree(routine: &RoutineFacts) -> Option<SyntaxNode> {
    let text = routine.body.as_deref();
    match (routine.language.as_str(), text) {
        ("sql", Some(text)) => {
            let parsed = (!is_nested_too_deeply(text)).then(|| SourceFile::parse(text))?;
            parsed.errors().is_empty().then(|| parsed.syntax_node())
        }
        // The catalog has bound it.
        ("sql", None) => bound(routine.definition.as_deref()?),
        ("plpgsql", Some(text)) => {
            const TAG: &str = "$stagelink_body$";
            if text.contains(TAG) || is_nested_too_deeply(text) {
                return None;
            }
            let block = SourceFile::parse(&format!("DO {TAG}{text}{TAG}"));
            let node = find(&block.syntax_node(), SyntaxKind::DO)?;
            let body = ast::Do::cast(node)?.plpgsql()?;
            body.errors().is_empty().then(|| body.syntax())
        }
        _ => None,
    }
}

/// Returns the bound body in the statement that makes a function.
fn bound(definition: &str) -> Option<SyntaxNode> {
    use SyntaxKind as K;
    let parsed = (!is_nested_too_deeply(definition)).then(|| SourceFile::parse(definition))?;
    if !parsed.errors().is_empty() {
        return None;
    }
    let root = parsed.syntax_node();
    find(&root, K::RETURN_STMT).or_else(|| find(&root, K::ATOMIC_BODY))
}

/// Returns the expression that a function in SQL computes: its body is `SELECT expression`, and reads no table.
pub(super) fn expression(tree: &SyntaxNode) -> Option<SyntaxNode> {
    use SyntaxKind as K;
    if tree.kind() == K::RETURN_STMT {
        let mut parts = tree.children();
        let value = parts.next()?;
        return (parts.next().is_none() && find(&value, K::FROM_CLAUSE).is_none()).then_some(value);
    }
    let mut statements = tree.children();
    let select = statements.next().filter(|one| one.kind() == K::SELECT)?;
    let clause = child(&select, K::SELECT_CLAUSE)?;
    let targets = child(&clause, K::TARGET_LIST)?;
    let mut targets = targets.children();
    let value = targets.next()?.children().next()?;
    let is_alone = statements.next().is_none()
        && select.children().count() == 1
        && clause.children().count() == 1
        && targets.next().is_none()
        && find(&value, K::FROM_CLAUSE).is_none();
    is_alone.then_some(value)
}

/// Returns the type that a function returns, as the statement that makes it spells it.
pub(super) fn result(routine: &RoutineFacts) -> Option<String> {
    let definition = routine.definition.as_deref()?;
    let parsed = (!is_nested_too_deeply(definition)).then(|| SourceFile::parse(definition))?;
    let result = find(&parsed.syntax_node(), SyntaxKind::RET_TYPE)?;
    let mut parts = result.children();
    let spelled = parts.next().filter(|one| is_type(one.kind()))?;
    parts.next().is_none().then(|| spelled.text().to_string())
}

/// Returns the types of the arguments and of the result, as a statement spells them.
fn types_of(node: &SyntaxNode) -> BTreeSet<String> {
    use SyntaxKind as K;
    let parts = [K::PARAM_LIST, K::RET_TYPE];
    let parts = parts.into_iter().filter_map(|kind| child(node, kind));
    let types = parts.flat_map(|part| part.descendants().collect::<Vec<_>>());
    let types = types.filter(|one| is_type(one.kind()));
    types
        .map(|one| one.text().to_string().trim().to_ascii_lowercase())
        .collect()
}

/// Returns the facts of a function that a statement creates, as far as they are read here.
pub(super) fn facts_of(node: &SyntaxNode, name: &ObjectName) -> RoutineFacts {
    use SyntaxKind as K;
    let options = child(node, K::FUNC_OPTION_LIST);
    let language = options
        .as_ref()
        .and_then(|options| child(options, K::LANGUAGE_FUNC_OPTION))
        .map(|option| option.text().to_string().to_ascii_lowercase());
    let language = language
        .as_deref()
        .and_then(|text| text.split_whitespace().last())
        .map(|word| word.trim_matches('\'').to_owned());
    let definition = options
        .as_ref()
        .and_then(|options| child(options, K::AS_FUNC_OPTION));
    let literal = definition.and_then(|one| find(&one, K::LITERAL));
    RoutineFacts {
        name: name.clone(),
        language: language.unwrap_or_else(|| "sql".to_owned()),
        body: literal.and_then(|one| content(&one.text().to_string())),
        types: types_of(node),
        rows: Vec::new(),
        definition: Some(node.text().to_string()),
        effects: RoutineEffects::Unknown,
    }
}
