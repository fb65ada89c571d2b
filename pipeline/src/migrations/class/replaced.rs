//! `OR REPLACE` of a function or a view by what is there already, or by what the code that runs now cannot tell from it.

use std::collections::BTreeSet;

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::body_text::{BodyText, Word};
use super::column_type::ColumnType;
use super::routine_body;
use super::row_users;
use super::scope::Scope;
use super::syntax::{child, find, is_type, name_under};
use crate::migrations::statement::{ObjectName, fold_name, is_nested_too_deeply};

/// Options of a function that it has without them.
const USUAL_OPTIONS: [&str; 8] = [
    "called on null input",
    "cost 100",
    "external security invoker",
    "not leakproof",
    "parallel unsafe",
    "rows 1000",
    "security invoker",
    "volatile",
];

/// Returns why a statement with `OR REPLACE` makes no difference for the code that runs now.
pub(super) fn is_harmless(
    scope: &Scope<'_>,
    node: &SyntaxNode,
    name: &ObjectName,
) -> Option<&'static str> {
    match node.kind() {
        SyntaxKind::CREATE_VIEW => of_view(scope, node, name),
        SyntaxKind::CREATE_FUNCTION | SyntaxKind::CREATE_PROCEDURE => {
            let full = scope.resolve(name);
            let mut known = scope.facts.bodies.values().filter(|one| one.name == full);
            let new = function(node)?;
            let is_same = known.any(|one| {
                let definition = one.definition.as_deref().and_then(statement);
                definition.and_then(|node| function(&node)) == Some(new.clone())
            });
            is_same.then_some("the function is the same")
        }
        _ => None,
    }
}

/// Parses one statement.
fn statement(text: &str) -> Option<SyntaxNode> {
    let parsed = (!is_nested_too_deeply(text)).then(|| SourceFile::parse(text))?;
    let is_right = parsed.errors().is_empty();
    is_right.then(|| parsed.syntax_node().children().next())?
}

/// The parts of a function: its arguments, its result, its options and its body, each in one spelling.
#[derive(Clone, PartialEq)]
struct Function {
    parameters: Vec<String>,
    result: Option<String>,
    options: BTreeSet<String>,
    body: Vec<Word>,
}

fn function(node: &SyntaxNode) -> Option<Function> {
    use SyntaxKind as K;
    let list = child(node, K::PARAM_LIST);
    let parameters = list.iter().flat_map(SyntaxNode::children);
    let mut options = BTreeSet::new();
    for option in child(node, K::FUNC_OPTION_LIST)?.children() {
        let text = spelled(&option.text().to_string());
        // As Postgres prints them.
        let text = text.replace(" = ", " to ");
        let text = text.replace("returns null on null input", "strict");
        if option.kind() != K::AS_FUNC_OPTION && !USUAL_OPTIONS.contains(&text.as_str()) {
            options.insert(text.replace('\'', ""));
        }
    }
    let facts = routine_body::facts_of(node, &ObjectName::new(""));
    let bound = find(node, K::RETURN_STMT).or_else(|| find(node, K::ATOMIC_BODY));
    let text = match (facts.body, bound) {
        (Some(body), _) => body,
        (None, Some(bound)) => bound.text().to_string(),
        (None, None) => return None,
    };
    Some(Function {
        parameters: parameters.map(|one| parts(&one)).collect(),
        result: child(node, K::RET_TYPE).map(|one| parts(&one)),
        options,
        body: BodyText::parse(&text).into_words()?,
    })
}

/// Returns the parts of an argument or of a result, with types as the catalog prints them.
fn parts(node: &SyntaxNode) -> String {
    use SyntaxKind as K;
    if is_type(node.kind()) {
        let name = node.text().to_string();
        let name = name.trim();
        let name = name.strip_prefix("public.").unwrap_or(name);
        return ColumnType::parse(name).name;
    }
    // DEFAULT 'x'::text
    if node.kind() == K::CAST_EXPR
        && let Some(literal) = child(node, K::LITERAL)
    {
        return literal.text().to_string();
    }
    let parts = node.children_with_tokens().map(|one| {
        let text = match (one.as_node(), one.as_token()) {
            (Some(node), _) => parts(node),
            (_, Some(token)) if node.kind() == K::LITERAL => token.text().to_owned(),
            (_, Some(token)) => token.text().trim().to_lowercase(),
            _ => String::new(),
        };
        match text.as_str() {
            "=" => "default".to_owned(),
            _ => text,
        }
    });
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// Returns a text in lower case, with one blank between words.
fn spelled(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Returns why a view is no other one for code that names its columns: it has the same rows, with more columns at the
/// end or without.
fn of_view(scope: &Scope<'_>, node: &SyntaxNode, name: &ObjectName) -> Option<&'static str> {
    use SyntaxKind as K;
    let full = scope.resolve(name);
    let old = statement(scope.facts.relations.get(&full)?.view_query.as_deref()?)?;
    let is_plain = node
        .children()
        .all(|one| matches!(one.kind(), K::OR_REPLACE | K::VIEW | K::SELECT));
    let new = child(node, K::SELECT).filter(|_| is_plain)?;
    let (old_columns, old_rest) = query(scope, &old)?;
    let (new_columns, new_rest) = query(scope, &new)?;
    let more = new_columns.strip_prefix(old_columns.as_slice())?;
    if old_rest != new_rest {
        return None;
    }
    if more.is_empty() {
        return Some("the view is the same");
    }
    // A row is one row still, and no code uses it as a whole.
    let clause = child(&new, K::SELECT_CLAUSE)?;
    let targets = child(&clause, K::TARGET_LIST)?;
    let added = targets.children().skip(old_columns.len());
    let are_columns = added
        .filter_map(|target| target.children().next())
        .all(|one| matches!(one.kind(), K::NAME_REF | K::FIELD_EXPR));
    let is_seen = || row_users::of_new_column(scope, name, "", "json").is_some();
    (are_columns && clause.children().count() == 1 && !is_seen())
        .then_some("the view has more columns at its end, and the same rows")
}

/// Returns the columns of a query, and the rest of it, in one spelling each.
fn query(scope: &Scope<'_>, select: &SyntaxNode) -> Option<(Vec<String>, String)> {
    use SyntaxKind as K;
    if select.kind() != K::SELECT {
        return None;
    }
    let items = select
        .descendants()
        .filter(|one| format!("{:?}", one.kind()).ends_with("_FROM_ITEM"));
    let items: Vec<SyntaxNode> = items.collect();
    let alone = match items.as_slice() {
        [item] if item.kind() == K::RELATION_FROM_ITEM => {
            let alias = find(item, K::TABLE_ALIAS).map(|one| one.text().to_string());
            let table = name_under(item, K::RELATION_NAME_REF)?.name;
            alias.map(|one| fold_name(one.trim())).or(Some(table))
        }
        _ => None,
    };
    let spelling = Spelling {
        scope,
        alone: alone.as_deref(),
    };
    let clause = child(select, K::SELECT_CLAUSE)?;
    let targets = child(&clause, K::TARGET_LIST)?;
    let columns = targets.children().map(|one| spelling.of(&one)).collect();
    let rest = select.children().map(|part| match part == clause {
        true => {
            let others = clause.children().filter(|one| *one != targets);
            others.map(|one| spelling.of(&one)).collect::<String>()
        }
        false => spelling.of(&part),
    });
    Some((columns, rest.collect::<Vec<_>>().join(" ")))
}

/// The spelling of a part of a query: with the structure of the tree in place of parentheses, and without what
/// Postgres adds as it prints a view.
struct Spelling<'a> {
    scope: &'a Scope<'a>,
    /// The only table of the query.
    alone: Option<&'a str>,
}

impl Spelling<'_> {
    fn of(&self, node: &SyntaxNode) -> String {
        use SyntaxKind as K;
        let operands: Vec<SyntaxNode> = node.children().collect();
        match (node.kind(), operands.as_slice()) {
            (K::PAREN_EXPR, [inner]) => return self.of(inner),
            (K::NAME_REF, _) => return fold_name(node.text().to_string().trim()),
            (K::FIELD_EXPR, [base, name])
                if base.kind() == K::NAME_REF
                    && Some(fold_name(base.text().to_string().trim()).as_str()) == self.alone =>
            {
                return self.of(name);
            }
            // 'x'::text
            (K::CAST_EXPR, parts) => {
                let literal = parts.iter().find(|one| one.kind() == K::LITERAL);
                let to = parts.iter().find(|one| is_type(one.kind()));
                let to = to.map(|one| ColumnType::parse(&one.text().to_string()).name);
                if let Some(literal) = literal
                    && literal.text().to_string().starts_with('\'')
                    && to.as_deref() == Some("text")
                {
                    return self.of(literal);
                }
            }
            (K::RELATION_FROM_ITEM, _) => {
                let name = name_under(node, K::RELATION_NAME_REF);
                if let Some(name) = name.filter(|_| self.alone.is_some()) {
                    return self.scope.resolve(&name).to_string();
                }
            }
            _ => {}
        }
        let mut text = format!("({:?}", node.kind());
        for one in node.children_with_tokens() {
            let part = match (one.as_node(), one.as_token()) {
                (Some(node), _) => self.of(node),
                (_, Some(token)) => match token.kind() {
                    K::WHITESPACE | K::COMMENT | K::SEMICOLON => continue,
                    _ if node.kind() == K::LITERAL => token.text().to_owned(),
                    _ => token.text().to_lowercase(),
                },
                _ => continue,
            };
            text.push(' ');
            text.push_str(&part);
        }
        text.push(')');
        text
    }
}
