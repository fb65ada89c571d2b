//! One redirect rule, normalized: the same for a line of `_redirects` and a table of netlify.toml.

use std::collections::BTreeMap;

use super::text::{is_url, split_list, trim};

/// A redirect rule with Netlify's defaults filled in.
///
/// Netlify accepts rules that the local site cannot apply; [`Redirect`](crate::netlify::Redirect)
/// is a rule that it can.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedirectRule {
    /// Path or URL that the rule is for, as it is written.
    pub from: String,
    /// Path or URL that the rule leads to.
    pub to: String,
    /// HTTP status, if the rule has one.
    pub status: Option<i64>,
    /// True if the rule takes precedence over a published file.
    pub force: bool,
    /// Parameters that the request's query must have, by name. A value `:name` captures the
    /// request's.
    pub query: BTreeMap<String, String>,
    /// Conditions by name. `Country`, `Language` and `Role` have one spelling.
    pub conditions: BTreeMap<String, Vec<String>>,
    /// Name of the variable with the secret of a signed proxy rule.
    pub signed: Option<String>,
    /// Headers that a proxy rule adds to its request.
    pub headers: BTreeMap<String, String>,
}

/// The parts of a rule as they are written.
#[derive(Debug, Default)]
pub(super) struct RawRedirect {
    pub(super) from: String,
    pub(super) to: Option<String>,
    pub(super) status: Option<i64>,
    pub(super) force: bool,
    pub(super) query: BTreeMap<String, String>,
    pub(super) conditions: BTreeMap<String, Condition>,
    pub(super) signed: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
}

/// The value of a condition as it is written.
#[derive(Debug)]
pub(super) enum Condition {
    /// Text, with commas between its values.
    Text(String),
    List(Vec<String>),
}

impl RawRedirect {
    /// Checks and completes the rule. The error is the reason why Netlify refuses it.
    pub(super) fn normalize(self) -> Result<RedirectRule, String> {
        let to = match self.to {
            Some(to) => to,
            None => forwarded_path(&self.from, self.status).ok_or(
                "it has no \"to\", which only a rule from \"…/*\" with status 200 can omit",
            )?,
        };
        if url_path(&self.from).starts_with("/.netlify") {
            return Err("\"from\" must not start with /.netlify".to_owned());
        }
        Ok(RedirectRule {
            from: self.from,
            to,
            status: self.status,
            force: self.force,
            query: self.query,
            conditions: normalize_conditions(self.conditions),
            signed: self.signed,
            headers: self.headers,
        })
    }
}

/// Returns the destination of a rule without one: `/a/*` with a status of 2xx leads to
/// `/a/:splat`.
fn forwarded_path(from: &str, status: Option<i64>) -> Option<String> {
    let directory = from.strip_suffix("/*")?;
    let is_success = status.is_some_and(|status| (200..300).contains(&status));
    is_success.then(|| format!("{directory}/:splat"))
}

/// Returns the path of a URL, or the text if it is no URL.
fn url_path(from: &str) -> &str {
    if !is_url(from) {
        return from;
    }
    let authority = from.find("://").map_or(0, |at| at + 3);
    from[authority..]
        .find('/')
        .map_or("/", |at| &from[authority + at..])
}

fn normalize_conditions(mut raw: BTreeMap<String, Condition>) -> BTreeMap<String, Vec<String>> {
    // The spelling in small letters takes precedence.
    for (small, capital) in [
        ("role", "Role"),
        ("language", "Language"),
        ("country", "Country"),
    ] {
        if let Some(value) = raw.remove(small) {
            raw.insert(capital.to_owned(), value);
        }
    }
    raw.into_iter()
        .map(|(name, condition)| {
            let is_list = ["Role", "Language", "Country"].contains(&name.as_str());
            let values = match condition {
                Condition::List(values) => values,
                Condition::Text(text) if is_list => {
                    split_list(trim(&text)).map(str::to_owned).collect()
                }
                Condition::Text(text) => vec![text],
            };
            (name, values)
        })
        .collect()
}
