//! The refusal of secrets in `stagelink.toml`, which is committed.

use toml::{Table, Value};

use crate::error::Error;
use crate::settings_file::check::{is_plain_name, syntax_error};
use crate::settings_file::mistake::Mistake;

/// Parts of the names of keys that hold secrets.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "credential",
    "database_url",
    "private_key",
];

/// Beginnings of tokens of the services that stagelink asks: Heroku's, Netlify's, Neon's (and its passwords),
/// Render's.
const PROVIDER_TOKEN_PREFIXES: &[&str] = &["HRKU-", "nfp_", "nfc_", "napi_", "npg_", "rnd_"];

/// Beginnings of keys of AWS.
const AWS_KEY_PREFIXES: &[&str] = &["AKIA", "ASIA"];

/// Makes sure that no key and no value of the file is a secret's, in tables that stagelink does not
/// know either.
///
/// # Errors
///
/// The error names the key and never the value. A text that is not TOML is an error too.
pub(super) fn ensure_no_secret(text: &str) -> Result<(), Error> {
    let table: Table = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
    match find_secret(&table, &[]) {
        None => Ok(()),
        Some(path) => Err(Mistake::at(
            format!(
                "{} looks like a secret, and the file is committed: remove it, put the value \
                 into the environment (HEROKU_API_KEY, NETLIFY_AUTH_TOKEN, or the variable of \
                 url.variable), and replace it where it was committed already",
                path.iter()
                    .copied()
                    .map(shown_key)
                    .collect::<Vec<_>>()
                    .join(".")
            ),
            path.iter().map(|key| (*key).to_owned()).collect(),
        )
        .into_error(text)),
    }
}

/// Returns the path of the first key that holds a secret.
fn find_secret<'a>(table: &'a Table, above: &[&'a str]) -> Option<Vec<&'a str>> {
    table.iter().find_map(|(key, value)| {
        let path = [above, &[key.as_str()]].concat();
        let is_named_so = !value.is_table() && is_secret_key(key);
        (is_named_so || is_secret_text(key))
            .then(|| path.clone())
            .or_else(|| find_in_value(value, &path))
    })
}

fn find_in_value<'a>(value: &'a Value, path: &[&'a str]) -> Option<Vec<&'a str>> {
    match value {
        Value::String(text) => is_secret_text(text).then(|| path.to_vec()),
        Value::Array(values) => values.iter().find_map(|value| find_in_value(value, path)),
        Value::Table(table) => find_secret(table, path),
        _ => None,
    }
}

/// Returns the key for a message: one that is no plain name may be a secret itself.
fn shown_key(key: &str) -> String {
    match is_plain_name(key) && !is_secret_text(key) {
        true => key.to_owned(),
        false => "\"…\"".to_owned(),
    }
}

fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_KEYS.iter().any(|part| key.contains(part))
}

/// Returns whether a text is a token of a service that stagelink asks, by its beginning.
pub fn is_provider_token(text: &str) -> bool {
    begins_with(text.trim(), PROVIDER_TOKEN_PREFIXES)
}

fn begins_with(text: &str, prefixes: &[&str]) -> bool {
    let mut prefixes = prefixes.iter();
    prefixes.any(|prefix| text.starts_with(prefix) && text.len() >= prefix.len() + 12)
}

/// The schemes of database URLs: one without a user may have the password in its query.
const DATABASE_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Returns whether a text is a token of a provider's, a URL that leads to a database or has a user,
/// or the settings of a connection with a password. An `@` counts wherever it stands behind the
/// scheme: a password may hold any sign that ends a host.
pub(crate) fn is_secret_text(text: &str) -> bool {
    let text = text.trim();
    let joined: String = text.split_whitespace().collect();
    let joined = joined.to_ascii_lowercase();
    let has_user = joined
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@') || rest.contains("%40"));
    // A URL that is written without its scheme.
    let is_login = joined
        .split_once('@')
        .is_some_and(|(user, _)| user.contains(':'));
    let is_of_database = DATABASE_SCHEMES
        .iter()
        .any(|scheme| joined.contains(scheme));
    let has_password = joined.contains("password=") || joined.contains("passwd=");
    let is_token = is_provider_token(text) || begins_with(text, AWS_KEY_PREFIXES);
    has_user
        || is_login
        || is_of_database
        || has_password
        || is_token
        || text.contains("PRIVATE KEY-----")
}
