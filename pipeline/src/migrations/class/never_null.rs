//! Expressions that are known to give a value, and no NULL, whenever they are computed.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::null_check::is_expression;
use super::query;
use super::syntax::{has_token, symbols};

/// Functions of Postgres and of its extensions that give a value, whatever their arguments are.
const GIVE_A_VALUE: [&str; 22] = [
    "array_fill",
    "clock_timestamp",
    "concat",
    "current_database",
    "gen_random_bytes",
    "gen_random_uuid",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "nextval",
    "now",
    "num_nulls",
    "pi",
    "random",
    "statement_timestamp",
    "timeofday",
    "transaction_timestamp",
    "uuid_generate_v1",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Functions of Postgres and of its extensions that give NULL for NULL alone.
const STRICT: [&str; 38] = [
    "abs",
    "age",
    "btrim",
    "ceil",
    "char_length",
    "date",
    "date_part",
    "date_trunc",
    "decode",
    "digest",
    "encode",
    "extract",
    "floor",
    "initcap",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "make_interval",
    "md5",
    "mod",
    "power",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sha256",
    "sign",
    "sqrt",
    "substr",
    "timezone",
    "to_char",
    "to_timestamp",
    "upper",
];

/// Values that are spelled without parentheses.
const KEYWORDS: [&str; 10] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
];

/// Operators of Postgres that give NULL for NULL alone.
const STRICT_OPERATORS: [&str; 13] = [
    "!=", "%", "*", "+", "-", "/", "<", "<=", "<>", "=", ">", ">=", "||",
];

/// Returns whether an expression is known to be no NULL. Code of the database's own is another question.
pub(super) fn is_never_null(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let operands: Vec<SyntaxNode> = node.children().filter(is_expression).collect();
    let all = || !operands.is_empty() && operands.iter().all(is_never_null);
    match node.kind() {
        K::LITERAL => !has_token(node, K::NULL_KW),
        K::ARRAY_EXPR => true,
        K::PAREN_EXPR | K::CAST_EXPR => operands.len() == 1 && all(),
        K::CALL_EXPR => is_of_a_value(node),
        K::PREFIX_EXPR => all(),
        K::BIN_EXPR | K::POSTFIX_EXPR => {
            let symbols = symbols(node);
            let is_strict = STRICT_OPERATORS.contains(&symbols.as_str());
            (is_strict || (symbols.is_empty() && is_at_time_zone(node))) && all()
        }
        _ => {
            let text = node.text().to_string().to_ascii_lowercase();
            let keyword = text.split('(').next().unwrap_or(&text).trim();
            KEYWORDS.contains(&keyword)
        }
    }
}

/// Returns whether an expression is NULL by its spelling: `NULL`, `(NULL)`, `NULL::text`.
pub(super) fn is_null(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    match node.kind() {
        K::LITERAL => has_token(node, K::NULL_KW),
        K::PAREN_EXPR | K::CAST_EXPR => {
            let mut operands = node.children().filter(is_expression);
            operands.next().is_some_and(|one| is_null(&one))
        }
        _ => false,
    }
}

fn is_at_time_zone(node: &SyntaxNode) -> bool {
    let text = node.text().to_string().to_ascii_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(3)
        .any(|three| three == ["at", "time", "zone"])
}

fn is_of_a_value(call: &SyntaxNode) -> bool {
    let Some(function) = query::function_name(call) else {
        let text = call.text().to_string().to_ascii_lowercase();
        // EXTRACT(epoch FROM now())
        let mut values = call
            .descendants()
            .filter(|one| one.kind() == SyntaxKind::CALL_EXPR);
        return text.starts_with("extract")
            && values.next().is_some()
            && values.all(|one| is_never_null(&one));
    };
    let name = function.strip_prefix("pg_catalog.").unwrap_or(&function);
    let arguments = query::arguments(call);
    match name {
        "coalesce" | "greatest" | "least" => arguments.iter().any(is_never_null),
        _ if KEYWORDS.contains(&name) || GIVE_A_VALUE.contains(&name) => true,
        _ => STRICT.contains(&name) && arguments.iter().all(is_never_null),
    }
}
