//! A path that a deploy has to answer before it goes live.

use std::fmt;

use serde::Deserialize;

/// A path of the site that the test of a deploy asks, and the status of the right response.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { path = \"/api/guestbook\", status = 200 }"
)]
#[non_exhaustive]
pub struct TestedPath {
    /// The path, with a leading slash. It is asked without a token or a cookie.
    pub path: String,
    /// The status, 200 by default. A redirect is not followed.
    #[serde(default = "ok")]
    pub status: u16,
}

impl fmt::Display for TestedPath {
    /// Writes the path with its status, as `/api/notes (200)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.status)
    }
}

fn ok() -> u16 {
    200
}

impl TestedPath {
    /// Makes sure that it can be asked.
    ///
    /// # Errors
    ///
    /// The reason, which does not repeat the text.
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        let is_visible = self.path.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.path.starts_with('/') || self.path.starts_with("//") || !is_visible {
            return Err("wants paths that begin with one slash, without spaces");
        }
        match self.status {
            100..=599 => Ok(()),
            _ => Err("wants statuses of HTTP, from 100 to 599"),
        }
    }
}
