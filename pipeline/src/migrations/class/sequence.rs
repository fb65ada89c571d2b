//! Sequences as defaults: does each `INSERT` get a number, and one that the column's type takes?

use std::collections::BTreeSet;

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::query;
use super::scope::Scope;
use super::seen_by::SequenceFacts;
use super::syntax::{child, child_name, is_type};
use crate::migrations::statement::{Kind, ObjectName, fold_name, string_text, tokenize};

/// A sequence with fewer numbers comes to its end soon, and each `INSERT` fails from then on.
const MANY_NUMBERS: i64 = i32::MAX as i64;

/// The name of all roles in the facts.
const PUBLIC: &str = "";

/// Returns whether a call is `nextval` of a sequence that the run or the database has, whose numbers the type
/// takes, and from which each role that inserts rows into the table may take one.
pub(super) fn is_taken(
    scope: &Scope<'_>,
    table: &ObjectName,
    spelled: &str,
    call: &SyntaxNode,
) -> bool {
    if !is_nextval(call) {
        return false;
    }
    let arguments = query::arguments(call);
    let [argument] = arguments.as_slice() else {
        return false;
    };
    let largest = match ColumnType::parse(spelled).name.as_str() {
        "bigint" => i64::MAX,
        "integer" => i64::from(i32::MAX),
        _ => return false,
    };
    let name = literal(argument).and_then(|text| name_in(&text));
    let Some(sequence) = name.and_then(|name| scope.sequence(&name)) else {
        return false;
    };
    let counts = sequence.increment > 0 && sequence.min >= 0;
    let has_many = (MANY_NUMBERS..=largest).contains(&sequence.max);
    counts && has_many && may_use(scope, table, &sequence.users)
}

/// Returns whether a call is one of `nextval`.
pub(super) fn is_nextval(call: &SyntaxNode) -> bool {
    let name = query::function_name(call).unwrap_or_default();
    name.strip_prefix("pg_catalog.").unwrap_or(&name) == "nextval"
}

/// Returns whether the roles that insert rows into a table may take numbers of a sequence that the run creates
/// with a column of the table, which belongs to the run's own role.
pub(super) fn may_use_new(scope: &Scope<'_>, table: &ObjectName) -> bool {
    may_use(scope, table, &BTreeSet::from([scope.facts.role.clone()]))
}

fn may_use(scope: &Scope<'_>, table: &ObjectName, users: &BTreeSet<String>) -> bool {
    let tree = scope.tree(&scope.resolve(table)).into_iter();
    let mut relations = tree.filter_map(|name| scope.relation(&name));
    users.contains(PUBLIC) || relations.all(|one| one.seen_by.writers.is_subset(users))
}

/// Returns the text of a literal, also of one that is cast to `regclass`.
pub(super) fn literal(node: &SyntaxNode) -> Option<String> {
    let value = match node.kind() {
        SyntaxKind::CAST_EXPR => {
            let mut types = node.children().filter(|one| is_type(one.kind()));
            let is_regclass = types.next().is_some_and(|one| {
                let name = one.text().to_string().to_ascii_lowercase();
                matches!(name.trim(), "regclass" | "pg_catalog.regclass")
            });
            child(node, SyntaxKind::LITERAL).filter(|_| is_regclass)?
        }
        SyntaxKind::LITERAL => node.clone(),
        _ => return None,
    };
    string_text(value.text().to_string().trim())
}

/// Reads the name of a sequence in a text: its parts are folded as in a statement.
pub(super) fn name_in(text: &str) -> Option<ObjectName> {
    let mut parts = Vec::new();
    for token in tokenize(text) {
        match token.kind {
            Kind::Word | Kind::QuotedName => parts.push(fold_name(&text[token.range])),
            Kind::Symbol('.') | Kind::Blank { is_comment: false } => {}
            _ => return None,
        }
    }
    ObjectName::from_parts(parts)
}

/// Records a sequence that a statement creates. It belongs to the run's role.
pub(super) fn apply_new(scope: &mut Scope<'_>, node: &SyntaxNode) {
    let Some(name) = child_name(node, SyntaxKind::SEQUENCE) else {
        return;
    };
    let text = node.text().to_string().to_ascii_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |words_before: &[&str]| {
        let at = words
            .windows(words_before.len())
            .position(|one| one == words_before)?;
        words.get(at + words_before.len()).copied()
    };
    let max = match after(&["as"]).unwrap_or("bigint") {
        "bigint" | "int8" => i64::MAX,
        "integer" | "int" | "int4" => i64::from(i32::MAX),
        _ => 0,
    };
    let start = after(&["start", "with"]).or_else(|| after(&["start"]));
    let starts_low = start.is_none_or(|start| {
        start
            .parse::<i64>()
            .is_ok_and(|start| (1..MANY_NUMBERS / 2).contains(&start))
    });
    let is_usual = !["increment", "minvalue", "maxvalue"]
        .iter()
        .any(|one| words.contains(one));
    let sequence = SequenceFacts {
        min: 1,
        max,
        increment: i64::from(is_usual && starts_low),
        users: BTreeSet::from([scope.facts.role.clone()]),
    };
    scope.create_sequence(&name, sequence);
}

/// Records the roles to which a statement grants the use of sequences.
pub(super) fn apply_grant(scope: &mut Scope<'_>, node: &SyntaxNode) {
    let text = node.text().to_string();
    let tokens = tokenize(&text).into_iter();
    let tokens = tokens.filter(|token| matches!(token.kind, Kind::Word | Kind::QuotedName));
    let names: Vec<String> = tokens.map(|token| fold_name(&text[token.range])).collect();
    let at = |word: &str| names.iter().position(|name| name == word);
    let (Some(on), Some(to)) = (at("on"), at("to")) else {
        return;
    };
    let privileges = ["usage", "update", "all"];
    let is_use = names[..on]
        .iter()
        .any(|name| privileges.contains(&name.as_str()));
    if !is_use || names.get(on + 1).map(String::as_str) != Some("sequence") || to < on + 3 {
        return;
    }
    let roles = names[to + 1..]
        .iter()
        .take_while(|name| *name != "with" && *name != "granted");
    let roles: Vec<String> = roles
        .map(|role| match role.as_str() {
            "public" => PUBLIC.to_owned(),
            _ => role.clone(),
        })
        .collect();
    // One sequence, with a schema or without.
    if let Some(name) = ObjectName::from_parts(names[on + 2..to].to_vec())
        && to - on <= 4
    {
        scope.grant_sequence(&name, roles);
    }
}
