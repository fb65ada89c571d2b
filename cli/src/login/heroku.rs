//! The token of the Heroku command line's login.

use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::operator_secrets;
use crate::output::note;

/// The time for `heroku auth:token`, which starts Node: a second on most machines.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Returns the token of the Heroku command line, or `None` if it is not installed, not logged in,
/// or does not answer in 20 s. A note on standard error says that it is used.
///
/// The token is for the API that the command line itself uses: `api_url` is
/// `STAGELINK_HEROKU_API_URL`, and no other API than `HEROKU_HOST`, or Heroku's own, gets it.
pub(crate) async fn token(api_url: Option<&str>) -> Option<SecretString> {
    let host = std::env::var("HEROKU_HOST").ok();
    let host = host.filter(|host| !host.trim().is_empty());
    if !is_same_api(api_url, host.as_deref()) {
        return None;
    }
    // A command of several stages needs it for each.
    static TOKEN: OnceCell<Option<SecretString>> = OnceCell::const_new();
    TOKEN.get_or_init(token_of_command_line).await.clone()
}

async fn token_of_command_line() -> Option<SecretString> {
    let command = Command::new("heroku")
        .arg("auth:token")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(TIME_LIMIT, command).await.ok()?.ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    // Notices about updates come on lines of their own, before the token.
    let token = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let is_token = token
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    is_token.then(|| {
        note("  the token for Heroku is that of the Heroku command line's login");
        let token = SecretString::from(token);
        operator_secrets::add_secret(&token);
        token
    })
}

/// Returns whether stagelink and the Heroku command line use one API.
fn is_same_api(api_url: Option<&str>, host: Option<&str>) -> bool {
    let address = |text: &str| text.trim().trim_end_matches('/').to_ascii_lowercase();
    let api = api_url.map_or_else(|| "https://api.heroku.com".to_owned(), address);
    let host = match host.map(address) {
        None => "https://api.heroku.com".to_owned(),
        Some(host) if host.starts_with("http") => host,
        Some(host) => format!("https://api.{host}"),
    };
    api == host && is_of_heroku(&host)
}

/// Returns whether the command line itself uses this API: newer ones ignore a `HEROKU_HOST` that is
/// neither Heroku's nor of this machine, and then the login is for Heroku's own.
fn is_of_heroku(api: &str) -> bool {
    let Some((scheme, authority)) = api.split_once("://") else {
        return false;
    };
    if authority.contains(['/', '@', '?', '#', '\\']) {
        return false;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    };
    let is_below = |domain: &&str| {
        let name = host.strip_suffix(*domain);
        name.is_some_and(|name| name.ends_with('.'))
    };
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    is_local || (scheme == "https" && HEROKU_DOMAINS.iter().any(is_below))
}

const HEROKU_DOMAINS: [&str; 4] = [
    "heroku.com",
    "herokai.com",
    "herokuspace.com",
    "herokudev.com",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_goes_to_the_api_of_the_login_alone() {
        for other in [
            "https://proxy.example",
            "https://api.heroku.com.example",
            "https://evilheroku.com",
            "http://api.heroku.com",
            "https://api.heroku.com@evil.example",
            "https://evil.example/.heroku.com",
            "http://127.0.0.1:1@evil.example",
        ] {
            assert!(!is_same_api(Some(other), Some(other)), "{other}");
        }
        for (api_url, host, expected) in [
            (None, None, true),
            (Some("https://api.heroku.com/"), None, true),
            (Some("https://evil.example"), None, false),
            (None, Some("https://evil.example"), false),
            (None, Some("heroku.com"), true),
            (
                Some("http://127.0.0.1:1"),
                Some("http://127.0.0.1:1/"),
                true,
            ),
        ] {
            assert_eq!(is_same_api(api_url, host), expected, "{api_url:?} {host:?}");
        }
    }
}
