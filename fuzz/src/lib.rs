//! The shared part of the fuzz targets: secrets, their places in a text, and an HTTP API.

mod api;

pub use crate::api::Answer;
pub use crate::api::Api;

/// The password of an input.
pub const CANARY: &str = "c4n4ry";

/// Puts the canary in the place of the first `*`. Returns `None` for an input that spells the canary
/// itself: the fuzzer learns it, and a canary that is no secret may be shown.
pub fn with_canary(input: &str) -> Option<String> {
    (!input.contains(CANARY)).then(|| input.replacen('*', CANARY, 1))
}

/// Returns whether the canary may be the password of this database URL: it stands between the first
/// colon and the last @, or in a parameter of that name.
pub fn is_password(url: &str) -> bool {
    let Some((before, after)) = url.split_once(CANARY) else {
        return false;
    };
    let user = before.split_once("://").map_or(before, |(_, user)| user);
    let is_before_host = user.contains(':') && after.contains('@');
    let is_in_parameter = before.split_once('?').is_some_and(|(_, query)| {
        let pair = query.rsplit('&').next().unwrap_or(query);
        pair.starts_with("password=")
    });
    !after.contains(CANARY) && (is_before_host || is_in_parameter)
}
