//! Values that a column's type takes as an `INSERT` assigns them: the server looks at a default's length
//! and size then, and not as the default is set.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::never_null::is_never_null;
use super::null_check::is_expression;
use super::query;
use super::syntax::{has_token, is_type, plain_string, symbols};

/// Returns whether a type, as a statement spells it or as `format_type` prints it, takes the value of an
/// expression. What is not known to be taken is not. Whether the type is a domain is another question.
pub(super) fn takes(spelled: &str, value: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let column_type = ColumnType::parse(spelled);
    let to = Target {
        spelled,
        column_type: &column_type,
    };
    let text = value.text().to_string();
    let text = text.trim();
    match value.kind() {
        K::PAREN_EXPR => {
            let mut parts = value.children();
            parts.next().is_some_and(|one| takes(spelled, &one)) && parts.next().is_none()
        }
        K::LITERAL if has_token(value, K::NULL_KW) => true,
        K::LITERAL if has_token(value, K::TRUE_KW) || has_token(value, K::FALSE_KW) => {
            to.name() == "boolean" || to.takes_text_of(5)
        }
        K::LITERAL if text.contains('\'') || text.starts_with('$') => to.takes_string(text),
        K::LITERAL | K::PREFIX_EXPR => Number::parse(text).is_some_and(|one| to.takes_number(one)),
        K::CAST_EXPR => to.takes_cast(value),
        K::ARRAY_EXPR => {
            let mut elements = value.children().filter(is_expression);
            let of = spelled.trim().strip_suffix("[]");
            of.is_some_and(|of| elements.all(|one| takes(of, &one)))
        }
        K::CALL_EXPR => {
            query::function_name(value).is_some_and(|name| to.takes_result(&name))
                || to.takes_time(value)
                || to.takes_any(value)
        }
        K::BIN_EXPR | K::POSTFIX_EXPR => to.takes_time(value) || to.takes_any(value),
        _ => to.takes_keyword(&text.to_ascii_lowercase()),
    }
}

/// A column's type.
struct Target<'a> {
    spelled: &'a str,
    column_type: &'a ColumnType,
}

impl Target<'_> {
    fn name(&self) -> &str {
        &self.column_type.name
    }

    /// Returns whether values may be too long or too large for the type. The precision of a time only
    /// rounds.
    fn is_limited(&self) -> bool {
        let of_one = matches!(self.name(), "character" | "bit");
        (self.spelled.contains('(') && !is_of_time(self.name())) || of_one
    }

    /// Returns whether each text of this length is one of the type.
    fn takes_text_of(&self, length: usize) -> bool {
        match (self.name(), self.column_type.first_modifier()) {
            ("text" | "character varying", None) => !self.is_limited(),
            ("character" | "character varying", Some(most)) => {
                usize::try_from(most).is_ok_and(|most| length <= most)
            }
            _ => false,
        }
    }

    /// Returns whether a constant text is one of the type. The server reads it as a value of the type when
    /// the default is set, so that only its length is looked at later.
    fn takes_string(&self, text: &str) -> bool {
        if !self.is_limited() {
            return true;
        }
        let Some(inner) = plain_string(text) else {
            // E'…', U&'…', $$…$$, with a collation, or of several lines.
            return false;
        };
        match self.name() {
            "numeric" => Number::parse(&inner).is_some_and(|one| self.takes_number(one)),
            _ => self.takes_text_of(inner.chars().count()),
        }
    }

    fn takes_number(&self, number: Number) -> bool {
        match self.name() {
            "smallint" => number.is_below(15),
            "integer" => number.is_below(31),
            "bigint" => number.is_below(63),
            "real" | "double precision" => true,
            "numeric" => match self.column_type.modifiers() {
                [] => !self.is_limited(),
                [precision, scale] => number.fits(*precision, *scale),
                _ => false,
            },
            _ => self.takes_text_of(number.length),
        }
    }

    /// Returns whether `'…'::type` of this type, or of one whose values are those of this one, is taken.
    fn takes_cast(&self, cast: &SyntaxNode) -> bool {
        let parts: Vec<SyntaxNode> = cast.children().collect();
        let Some(type_node) = parts.iter().find(|one| is_type(one.kind())) else {
            return false;
        };
        let spelled = type_node.text().to_string();
        let from = ColumnType::parse(&spelled);
        let is_empty_array =
            |one: &SyntaxNode| one.kind() == SyntaxKind::ARRAY_EXPR && one.children().count() == 0;
        let mut values = parts.iter().filter(|one| !is_type(one.kind()));
        values.next().is_some_and(|one| {
            is_empty_array(one) || (one.kind() == SyntaxKind::LITERAL && takes(&spelled, one))
        }) && from.widens_to(self.column_type)
    }

    /// Returns whether the result of a function of Postgres, or of its extensions, is taken.
    fn takes_result(&self, function: &str) -> bool {
        let name = self.name();
        match function.strip_prefix("pg_catalog.").unwrap_or(function) {
            "gen_random_uuid" | "uuid_generate_v1" | "uuid_generate_v1mc" | "uuid_generate_v4"
            | "uuidv4" | "uuidv7" => name == "uuid" || self.takes_text_of(36),
            "now" | "clock_timestamp" | "statement_timestamp" | "transaction_timestamp" => {
                is_of_time(name)
            }
            "jsonb_build_object" | "jsonb_build_array" => name == "jsonb",
            "json_build_object" | "json_build_array" => matches!(name, "json" | "jsonb"),
            "random" => matches!(name, "double precision" | "real"),
            "gen_random_bytes" => name == "bytea",
            "current_setting" | "concat" | "md5" | "lower" | "upper" => {
                name == "text" && !self.is_limited()
            }
            _ => false,
        }
    }

    /// Returns whether a point in time is taken that is computed of the present: `now() + interval '1 day'`,
    /// `now() AT TIME ZONE 'utc'`.
    fn takes_time(&self, value: &SyntaxNode) -> bool {
        if value.kind() == SyntaxKind::CALL_EXPR {
            return self.takes_time_of_zone(value);
        }
        let is_date = |name: &str| name == "date" || name.starts_with("timestamp");
        let operands: Vec<SyntaxNode> = value.children().filter(is_expression).collect();
        let mut rest = operands.iter().skip(1);
        let is_present = operands
            .first()
            .is_some_and(|one| takes("timestamptz", one));
        let symbols = symbols(value);
        is_date(self.name())
            && is_present
            && matches!(symbols.as_str(), "+" | "-" | "")
            && rest.all(|one| matches!(one.kind(), SyntaxKind::LITERAL | SyntaxKind::CAST_EXPR))
            && is_never_null(value)
    }

    /// Returns whether `timezone('utc', now())` is taken.
    fn takes_time_of_zone(&self, call: &SyntaxNode) -> bool {
        let name = query::function_name(call).unwrap_or_default();
        let arguments = query::arguments(call);
        let [zone, time] = arguments.as_slice() else {
            return false;
        };
        matches!(name.as_str(), "timezone" | "pg_catalog.timezone")
            && is_of_time(self.name())
            && !self.name().starts_with("interval")
            && is_text(zone)
            && takes("timestamptz", time)
            && is_never_null(time)
    }

    /// Returns whether the type takes each value as a text, and the expression is one that always gives one.
    fn takes_any(&self, value: &SyntaxNode) -> bool {
        self.name() == "text" && !self.is_limited() && gives_text(value)
    }

    /// Returns whether a value that is spelled without parentheses is taken, such as `CURRENT_DATE`.
    fn takes_keyword(&self, keyword: &str) -> bool {
        let keyword = keyword.split('(').next().unwrap_or(keyword).trim();
        match keyword {
            "current_date" | "current_timestamp" | "localtimestamp" | "current_time"
            | "localtime" => is_of_time(self.name()),
            "current_user" | "session_user" | "user" | "current_role" => {
                self.name() == "name" || (self.name() == "text" && !self.is_limited())
            }
            _ => false,
        }
    }
}

/// Returns whether an expression gives a text, and fails for no value of its parts: calls and concatenations of
/// a closed list, down to literals and random values.
fn gives_text(value: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    match value.kind() {
        K::LITERAL => true,
        K::PAREN_EXPR => value
            .children()
            .filter(is_expression)
            .all(|one| gives_text(&one)),
        K::CAST_EXPR => {
            let mut types = value.children().filter(|one| is_type(one.kind()));
            let to_text = types
                .next()
                .is_some_and(|one| ColumnType::parse(&one.text().to_string()).name == "text");
            to_text
                && value
                    .children()
                    .filter(is_expression)
                    .all(|one| gives_text(&one))
        }
        K::BIN_EXPR => {
            symbols(value) == "||"
                && value
                    .children()
                    .filter(is_expression)
                    .all(|one| gives_text(&one))
        }
        K::CALL_EXPR => {
            let name = query::function_name(value).unwrap_or_default();
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name).to_owned();
            let arguments = query::arguments(value);
            match name.as_str() {
                "gen_random_uuid" | "uuid_generate_v4" | "random" | "now" | "clock_timestamp" => {
                    arguments.is_empty()
                }
                "md5" | "lower" | "upper" | "left" | "right" | "substr" | "replace" | "concat"
                | "btrim" | "ltrim" | "rtrim" | "reverse" => arguments.iter().all(gives_text),
                "encode" => is_random_code(&arguments),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Returns whether arguments of `encode` are random bytes and a usual format.
fn is_random_code(arguments: &[SyntaxNode]) -> bool {
    let [bytes, format] = arguments else {
        return false;
    };
    let format = format.text().to_string();
    let is_random = query::function_name(bytes).is_some_and(|name| name == "gen_random_bytes");
    let count = query::arguments(bytes);
    let count = count.first().map(|one| one.text().to_string());
    let count = count.and_then(|text| text.trim().parse::<u16>().ok());
    is_random
        && count.is_some_and(|count| (1..=1024).contains(&count))
        && matches!(format.trim(), "'hex'" | "'base64'")
}

/// Returns whether an expression is a text in quotes, cast to `text` or not.
fn is_text(value: &SyntaxNode) -> bool {
    let literal = match value.kind() {
        SyntaxKind::CAST_EXPR => value.children().find(|one| !is_type(one.kind())),
        _ => Some(value.clone()),
    };
    literal.is_some_and(|one| {
        one.kind() == SyntaxKind::LITERAL && one.text().to_string().trim().starts_with('\'')
    })
}

fn is_of_time(name: &str) -> bool {
    let starts = ["date", "time", "interval"];
    starts.iter().any(|start| name.starts_with(start))
}

/// A number that is spelled in decimal digits, by what decides whether a type has room for it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Number {
    /// The digits before the point, as a number.
    whole: u128,
    /// The number of digits after the point.
    decimals: usize,
    /// The number of characters.
    length: usize,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let text: String = text.split_whitespace().collect();
        let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_decimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_decimal(whole) || !is_decimal(fraction) || digits.len() > 30 || digits == "." {
            return None;
        }
        Some(Self {
            whole: match whole {
                "" => 0,
                whole => whole.parse().ok()?,
            },
            decimals: fraction.len(),
            length: text.len(),
        })
    }

    /// Returns whether the number is below two to this power, also after it was rounded.
    fn is_below(self, power: u32) -> bool {
        let rounded = self.whole + u128::from(self.decimals > 0);
        rounded < 1 << power
    }

    /// Returns whether `numeric` of this precision and scale has room for it, also after it was rounded.
    fn fits(self, precision: i64, scale: i64) -> bool {
        let (Ok(before), Ok(after)) = (u32::try_from(precision - scale), usize::try_from(scale))
        else {
            return false;
        };
        let rounded = self.whole + u128::from(self.decimals > after);
        10_u128.checked_pow(before).is_none_or(|end| rounded < end)
    }
}
