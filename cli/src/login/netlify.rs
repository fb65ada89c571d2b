//! The token of the Netlify command line's login.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;
use serde::Deserialize;

use crate::operator_secrets;
use crate::output::note;

/// Returns the token of the user who is logged in at the Netlify command line, or `None` if there
/// is none. A note on standard error says that it is used.
///
/// It is for Netlify's own API, or a stand-in on this machine: no other address gets it. The command
/// line keeps it in `netlify/config.json` of the user's configuration folder (on macOS
/// of `~/Library/Preferences`): netlify-cli 27.10.2, `dist/lib/settings.js`.
pub(crate) fn token(api_url: &str) -> Option<SecretString> {
    if !is_of_netlify(api_url) {
        return None;
    }
    let folder = dirs::preference_dir()?;
    let token = token_in(&folder.join("netlify").join("config.json"))?;
    operator_secrets::add_secret(&token);
    note("  the token for Netlify is that of the Netlify command line's login");
    Some(token)
}

/// Returns whether the API is Netlify's own, or a stand-in on this machine.
fn is_of_netlify(api_url: &str) -> bool {
    let url = api_url.trim().trim_end_matches('/').to_ascii_lowercase();
    let local = url.strip_prefix("http://127.0.0.1:");
    let local = local.or_else(|| url.strip_prefix("http://localhost:"));
    let is_local = local.is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()));
    url == "https://api.netlify.com" || is_local
}

fn token_in(file: &Path) -> Option<SecretString> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut config: Config = serde_json::from_str(&text).ok()?;
    let user = config.users.remove(&config.user_id?)?;
    user.auth.token
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    user_id: Option<String>,
    #[serde(default)]
    users: BTreeMap<String, User>,
}

#[derive(Deserialize)]
struct User {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn token_goes_to_netlify_alone() {
        for (url, expected) in [
            ("https://api.netlify.com/", true),
            ("http://127.0.0.1:80", true),
            ("http://api.netlify.com", false),
            ("https://api.netlify.com.example", false),
            ("http://localhost:1@evil.example", false),
        ] {
            assert_eq!(is_of_netlify(url), expected, "{url}");
        }
    }

    #[test]
    fn token_is_that_of_the_current_user() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert!(token_in(&file).is_none());
        let users =
            r#""users":{"a":{"id":"a","auth":{"token":"t-a","github":{}}},"b":{"auth":{}}}"#;
        for (user, expected) in [("a", Some("t-a")), ("b", None), ("c", None)] {
            std::fs::write(&file, format!(r#"{{"userId":"{user}",{users}}}"#)).unwrap();
            let token = token_in(&file);
            assert_eq!(token.as_ref().map(ExposeSecret::expose_secret), expected);
        }
        std::fs::write(&file, "{").unwrap();
        assert!(token_in(&file).is_none());
    }
}
