//! The name of a table or another object, as Postgres folds it.

use std::fmt;

use super::escapes::without_unicode_escapes;

/// Postgres keeps this many bytes of a name.
const LONGEST_NAME: usize = 63;

/// A name with the schema that the statement gives, if any.
///
/// Without quotes a name is in lower case, as in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The schema, if the statement names it.
    pub schema: Option<String>,
    /// The name within the schema.
    pub name: String,
}

impl ObjectName {
    /// A name that no schema goes before.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            schema: None,
            name: name.into(),
        }
    }

    /// A name within a schema.
    pub fn in_schema(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: Some(schema.into()),
            name: name.into(),
        }
    }

    /// Reads a name of one to three parts; the first of three is the database, which Postgres
    /// accepts only if it is the current one.
    pub(crate) fn from_parts(mut parts: Vec<String>) -> Option<Self> {
        let name = parts.pop()?;
        Some(Self {
            schema: parts.pop(),
            name,
        })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.name))
    }
}

/// Returns the name as the catalog has it, for a part of a name as a statement spells it.
pub(crate) fn fold(spelled: &str) -> String {
    // U&"…"
    let quoted = spelled
        .strip_prefix(['U', 'u'])
        .and_then(|rest| rest.strip_prefix('&'))
        .filter(|rest| rest.starts_with('"'));
    let has_escapes = quoted.is_some();
    let inner = quoted
        .unwrap_or(spelled)
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.map(|inner| inner.replace("\"\"", "\""));
    let mut name = match inner {
        Some(inner) if has_escapes => without_unicode_escapes(&inner),
        Some(inner) => inner,
        None => spelled.to_ascii_lowercase(),
    };
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}

/// Returns the name with quotes where Postgres needs them. Keywords are left as they are.
fn quoted(name: &str) -> String {
    let is_plain = name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty();
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_folded_as_in_the_catalog() {
        assert_eq!(fold("Orders"), "orders");
        assert_eq!(fold("\"Or\"\"ders\""), "Or\"ders");
        assert_eq!(fold(&"ä".repeat(40)), "ä".repeat(31));
        assert_eq!(fold("U&\"d\\0061t\\+000061\""), "data");
        assert_eq!(fold("u&\"D\"\"\\\\\""), "D\"\\");
        assert_eq!(fold("u"), "u");
    }

    #[test]
    fn name_is_printed_with_the_quotes_that_it_needs() {
        assert_eq!(ObjectName::new("orders").to_string(), "orders");
        let odd = ObjectName::in_schema("My", "a\"b");
        assert_eq!(odd.to_string(), "\"My\".\"a\"\"b\"");
    }
}
