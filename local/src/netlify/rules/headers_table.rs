//! The grammar of a `[[headers]]` table in netlify.toml.

use std::collections::BTreeMap;

use toml::Value;

use super::HeaderBlock;
use super::text::{split_list, trim};

/// Parses a table. Returns `None` for a table without headers, which has no effect. The error is
/// the reason why Netlify does not accept it.
pub(in crate::netlify) fn parse_header_table(value: &Value) -> Result<Option<HeaderBlock>, String> {
    let table = value.as_table().ok_or("it is not a table")?;
    let path = table.get("for").ok_or("it has no \"for\"")?;
    let path = path.as_str().ok_or("\"for\" is not text")?;
    let Some(values) = table.get("values") else {
        return Ok(None);
    };
    let values = values.as_table().ok_or("\"values\" is not a table")?;
    let values: BTreeMap<String, String> = values
        .iter()
        .map(|(name, value)| {
            let name = trim(name);
            if name.is_empty() {
                return Err("a header has no name".to_owned());
            }
            Ok((name.to_owned(), parse_value(name, value)?))
        })
        .collect::<Result<_, _>>()?;
    let path = trim(path).to_owned();
    Ok((!values.is_empty()).then_some(HeaderBlock { path, values }))
}

/// Parses a value: text, which may have several lines that form one list, or an array of text.
fn parse_value(name: &str, value: &Value) -> Result<String, String> {
    let not_text = || format!("the header {name:?} has a value that is not text");
    match value {
        Value::String(text) => Ok(split_list(trim(text)).collect::<Vec<_>>().join(", ")),
        Value::Array(values) => {
            let values: Vec<&str> = values
                .iter()
                .map(|value| value.as_str().map(trim).ok_or_else(not_text))
                .collect::<Result<_, _>>()?;
            Ok(values.join(", "))
        }
        _ => Err(not_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<Option<HeaderBlock>, String> {
        parse_header_table(&Value::Table(toml.parse().unwrap()))
    }

    #[test]
    fn values_are_text_lists_and_lines() {
        let toml = "for = \" /* \"\n[values]\na = \"1\"\nb = [\"x \", \"y\"]\n\
                    c = '''\nmax-age=0,\nno-cache'''";
        let block = parse(toml).unwrap().unwrap();
        assert_eq!(block.path, "/*");
        let values: Vec<&str> = block.values.values().map(String::as_str).collect();
        assert_eq!(values, ["1", "x, y", "max-age=0, no-cache"]);
        assert_eq!(parse("for = \"/a\""), Ok(None));
        assert_eq!(parse("for = \"/a\"\nvalues = {}"), Ok(None));
    }

    #[test]
    fn wrong_table_is_refused_with_the_reason() {
        for (toml, reason) in [
            ("values = {a = \"1\"}", "no \"for\""),
            ("for = 1", "\"for\" is not text"),
            ("for = \"/\"\nvalues = \"x\"", "\"values\" is not a table"),
            (
                "for = \"/\"\nvalues = {a = 1}",
                "\"a\" has a value that is not text",
            ),
            (
                "for = \"/\"\nvalues = {a = [1]}",
                "\"a\" has a value that is not text",
            ),
            ("for = \"/\"\nvalues = {\" \" = \"1\"}", "no name"),
        ] {
            let error = parse(toml).unwrap_err();
            assert!(error.contains(reason), "{toml}: {error}");
        }
    }
}
