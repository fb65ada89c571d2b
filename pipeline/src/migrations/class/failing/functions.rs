//! The functions of Postgres, and of its usual extensions, that fail for no value of a column.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::operators::is_pattern;
use super::value::{Kind, Value};
use crate::migrations::class::syntax::child;

/// Functions of a text that give one.
const TEXTS: [&str; 12] = [
    "btrim",
    "initcap",
    "left",
    "lower",
    "ltrim",
    "md5",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "translate",
    "upper",
];

/// Functions that give a number of characters, bytes or elements.
const COUNTS: [&str; 10] = [
    "ascii",
    "bit_length",
    "cardinality",
    "char_length",
    "character_length",
    "length",
    "num_nonnulls",
    "num_nulls",
    "octet_length",
    "strpos",
];

/// Units of time.
const UNITS: [&str; 17] = [
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "week",
];

/// Most characters to which a text is filled up.
const MOST_CHARACTERS: u32 = 10_000;

/// Returns what a function gives that fails for no value of its arguments; `None` for one that may fail.
pub(super) fn result(name: &str, arguments: &[SyntaxNode], values: &[Value]) -> Option<Value> {
    let kinds: Vec<Kind> = values.iter().map(|one| one.kind).collect();
    let first = kinds.first().copied();
    let is_text = matches!(first, Some(Kind::Text | Kind::Constant | Kind::Other));
    let kind = match (name, arguments) {
        // Of a range they give its bounds.
        ("lower" | "upper", [_]) if values.first().is_some_and(is_of_other_type) => Kind::Other,
        (name, [_, ..]) if TEXTS.contains(&name) && is_text => Kind::Text,
        ("unaccent", [_]) => Kind::Text,
        ("unaccent", [dictionary, _]) if is_constant(dictionary) => Kind::Text,
        ("length", [_, _]) => return None,
        (name, [_, ..]) if COUNTS.contains(&name) => Kind::Whole,
        ("array_length", [_, dimension]) if is_constant(dimension) => Kind::Whole,
        ("coalesce" | "greatest" | "least" | "nullif", [_, ..]) => {
            return Some(Value::common(values.to_vec()));
        }
        ("substr" | "substring", [_, _]) => Kind::Text,
        ("substr" | "substring", [_, _, length]) if number(length).is_some() => Kind::Text,
        ("lpad" | "rpad", [_, length] | [_, length, _])
            if number(length).is_some_and(|length| length <= MOST_CHARACTERS) =>
        {
            Kind::Text
        }
        ("split_part", [_, _, field]) if number(field).is_some_and(|field| field > 0) => Kind::Text,
        ("regexp_replace", [_, pattern, _] | [_, pattern, _, _]) if is_pattern(pattern) => {
            Kind::Text
        }
        ("encode", [_, format]) if is_one_of(format, &["hex", "base64", "escape"]) => Kind::Text,
        ("starts_with", [_, _]) | ("isempty" | "isfinite", [_]) => Kind::Truth,
        ("to_tsvector", [_]) => Kind::Words,
        ("to_tsvector", [configuration, _]) if is_constant(configuration) => Kind::Words,
        ("setweight", [_, weight]) if is_one_of(weight, &["a", "b", "c", "d"]) => Kind::Words,
        ("strip", [_]) => Kind::Words,
        ("jsonb_typeof" | "jsonb_extract_path_text", [_, ..]) => Kind::Text,
        ("jsonb_extract_path", [_, ..]) => Kind::Json,
        ("date_trunc", [unit, _] | [unit, _, _]) if is_unit_of(unit) => {
            let zone = arguments.get(2);
            return zone
                .is_none_or(is_constant)
                .then(|| values.get(1).cloned())?;
        }
        ("date_part", [unit, _]) if is_unit_of(unit) => Kind::Other,
        ("timezone", [zone, _]) if is_constant(zone) => Kind::Time,
        ("date", [_]) if first == Some(Kind::Time) => return Some(Value::of_type("date")),
        _ => return None,
    };
    Some(Value::of(kind))
}

/// Returns whether a value is of a type that is known, and is no text.
fn is_of_other_type(value: &Value) -> bool {
    value.kind == Kind::Other && *value != Value::of(Kind::Other)
}

/// Returns whether a text is the name of a unit of time.
pub(super) fn is_unit(word: &str) -> bool {
    word == "year" || UNITS.contains(&word)
}

fn is_unit_of(argument: &SyntaxNode) -> bool {
    text(argument).is_some_and(|word| is_unit(&word))
}

fn is_one_of(argument: &SyntaxNode, words: &[&str]) -> bool {
    text(argument).is_some_and(|word| words.contains(&word.as_str()))
}

fn is_constant(argument: &SyntaxNode) -> bool {
    text(argument).is_some() || number(argument).is_some()
}

/// Returns the text of a constant, in lower case: `'Month'`, `'english'::regconfig`.
fn text(argument: &SyntaxNode) -> Option<String> {
    use SyntaxKind as K;
    match argument.kind() {
        K::LITERAL => {
            let text = argument.text().to_string();
            let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            Some(inner.to_ascii_lowercase())
        }
        K::CAST_EXPR => text(&child(argument, K::LITERAL)?),
        _ => None,
    }
}

/// Returns a constant number that is not below zero.
fn number(argument: &SyntaxNode) -> Option<u32> {
    let is_literal = argument.kind() == SyntaxKind::LITERAL;
    is_literal.then(|| argument.text().to_string().trim().parse().ok())?
}

/// Returns whether a `SUBSTRING` with these operands fails for no value: its length is a constant, and its pattern is
/// one.
pub(super) fn is_substring(form: &SyntaxNode, operands: &[SyntaxNode]) -> bool {
    use SyntaxKind as K;
    let Some(arguments) = form.children().next() else {
        return false;
    };
    let has_no_text = |one: &SyntaxNode| text(one).is_none() || is_pattern(one);
    match (arguments.kind(), operands) {
        (K::SUBSTRING_FROM_FOR | K::SUBSTRING_EXPRS, [_, from]) => has_no_text(from),
        (K::SUBSTRING_FROM_FOR | K::SUBSTRING_EXPRS, [_, from, length]) => {
            has_no_text(from) && number(length).is_some()
        }
        (K::SUBSTRING_FOR_FROM, [_, length, ..]) => number(length).is_some(),
        _ => false,
    }
}
