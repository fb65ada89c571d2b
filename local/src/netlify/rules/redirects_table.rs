//! The grammar of a `[[redirects]]` table in netlify.toml.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::redirect_rule::{Condition, RawRedirect, RedirectRule};
use super::text::leading_integer;

/// Parses a table. The error is the reason why Netlify does not accept it.
pub(in crate::netlify) fn parse_redirect_table(value: &Value) -> Result<RedirectRule, String> {
    let table = value.as_table().ok_or("it is not a table")?;
    let from = first_of(table, &["from", "origin"]).ok_or("it has no \"from\"")?;
    let to = first_of(table, &["to", "destination"]);
    let status = table.get("status").map(parse_status).transpose()?;
    let force = match table.get("force") {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or("\"force\" is neither true nor false")?,
    };
    let signed = first_of(table, &["signed", "signing", "sign"]);
    RawRedirect {
        from: text(from, "from")?,
        to: to.map(|to| text(to, "to")).transpose()?,
        status,
        force,
        query: scalars(first_of(table, &["query", "params", "parameters"]), "query")?,
        conditions: parse_conditions(table.get("conditions"))?,
        // The Netlify CLI writes an empty table for none into the file that it uploads.
        signed: match signed {
            Some(Value::Table(table)) if table.is_empty() => None,
            signed => signed.map(|signed| text(signed, "signed")).transpose()?,
        },
        headers: scalars(table.get("headers"), "headers")?,
    }
    .normalize()
}

/// Returns the names of a table's keys that Netlify does not read.
pub(in crate::netlify) fn unknown_keys(value: &Value) -> Vec<&str> {
    let keys = value.as_table().into_iter().flat_map(Table::keys);
    keys.map(String::as_str)
        .filter(|key| !KEYS.contains(key))
        .collect()
}

const KEYS: [&str; 14] = [
    "from",
    "origin",
    "to",
    "destination",
    "status",
    "force",
    "query",
    "params",
    "parameters",
    "conditions",
    "signed",
    "signing",
    "sign",
    "headers",
];

/// Returns the value of the first of these keys that the table has.
fn first_of<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| table.get(*key))
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{key:?} is not text"))?;
    Ok(text.to_owned())
}

/// Parses a status: a number, or text that begins with a number.
fn parse_status(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Integer(number) => Some(*number),
        Value::Float(number) => leading_integer(&number.to_string()),
        Value::String(text) => leading_integer(text),
        _ => None,
    };
    number.ok_or_else(|| "\"status\" is not a number".to_owned())
}

/// Parses a table of text. Numbers and booleans become text.
fn scalars(value: Option<&Value>, key: &str) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = value else {
        return Ok(BTreeMap::new());
    };
    let table = value
        .as_table()
        .ok_or_else(|| format!("{key:?} is not a table"))?;
    table
        .iter()
        .map(|(name, value)| Ok((name.clone(), scalar(value, key)?)))
        .collect()
}

fn scalar(value: &Value, key: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err(format!("a value of {key:?} is not text")),
    }
}

fn parse_conditions(value: Option<&Value>) -> Result<BTreeMap<String, Condition>, String> {
    let Some(value) = value else {
        return Ok(BTreeMap::new());
    };
    let table = value.as_table().ok_or("\"conditions\" is not a table")?;
    table
        .iter()
        .map(|(name, value)| {
            let condition = match value {
                Value::Array(values) => Condition::List(
                    values
                        .iter()
                        .map(|value| scalar(value, "conditions"))
                        .collect::<Result<_, _>>()?,
                ),
                value => Condition::Text(scalar(value, "conditions")?),
            };
            Ok((name.clone(), condition))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<RedirectRule, String> {
        parse_redirect_table(&Value::Table(toml.parse().unwrap()))
    }

    #[test]
    fn status_is_read_from_numbers_and_text() {
        for status in ["200", "200.0", "\"200\"", "\"200!\"", "200.5"] {
            let rule = parse(&format!("from = \"/a/*\"\nstatus = {status}")).unwrap();
            assert_eq!((rule.status, rule.to.as_str()), (Some(200), "/a/:splat"));
            assert!(!rule.force, "{status}");
        }
        assert!(parse("from = \"/a\"\nto = \"/b\"\nstatus = true").is_err());
    }

    #[test]
    fn older_names_of_keys_are_read() {
        let rule = parse(
            "origin = \"/a\"\ndestination = \"/b\"\nparams = {id = 5}\nsign = \"KEY\"\n\
             conditions = {role = [\"x\"], Country = \"us, de\"}",
        )
        .unwrap();
        assert_eq!((rule.from.as_str(), rule.to.as_str()), ("/a", "/b"));
        assert_eq!(
            (rule.query["id"].as_str(), rule.signed.unwrap().as_str()),
            ("5", "KEY")
        );
        assert_eq!(rule.conditions["Role"], ["x"]);
        assert_eq!(rule.conditions["Country"], ["us", "de"]);
    }

    #[test]
    fn wrong_table_is_refused_with_the_reason() {
        for (toml, reason) in [
            ("to = \"/b\"", "no \"from\""),
            ("from = \"/a\"", "no \"to\""),
            ("from = \"/a/*\"\nstatus = 301", "no \"to\""),
            ("from = 7\nto = \"/b\"", "\"from\" is not text"),
            ("from = \"/a\"\nto = 7", "\"to\" is not text"),
            (
                "from = \"/a\"\nto = \"/b\"\nheaders = \"x\"",
                "\"headers\" is not a table",
            ),
            ("from = \"/.netlify/x\"\nto = \"/b\"", "/.netlify"),
        ] {
            let error = parse(toml).unwrap_err();
            assert!(error.contains(reason), "{toml}: {error}");
        }
    }
}
