//! The API tokens of the account, and which apps each one reaches.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::api_error::ApiError;

/// Which apps a token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every app of the account, those that are made later too.
    AllApps,
    /// The apps with these names or ids alone. Lists leave the others out; asked for
    /// by name they are answered with 403 `forbidden`. Pipelines and their couplings
    /// stay visible.
    Apps(Vec<String>),
}

/// What a token reaches, by app id.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    All,
    Only(BTreeSet<Uuid>),
}

impl Reach {
    pub(super) fn covers(&self, app: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Only(apps) => apps.contains(&app),
        }
    }
}

/// The tokens that are valid now.
pub(super) struct Tokens(HashMap<String, Reach>);

impl Tokens {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Makes a token in the shape of Heroku's.
    pub(super) fn create(&mut self, reach: Reach) -> String {
        let token = format!("HRKU-{}", Uuid::new_v4());
        self.0.insert(token.clone(), reach);
        token
    }

    /// Ends a token; false when there is no such one.
    pub(super) fn revoke(&mut self, token: &str) -> bool {
        self.0.remove(token).is_some()
    }

    /// What the token of a request reaches.
    ///
    /// # Errors
    ///
    /// 401 when there is none, or one that is not valid.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Reach, ApiError> {
        let credentials = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| {
                ApiError::unauthorized(
                    "There were no credentials in your `Authorization` header. Try \
                     `Authorization: Bearer <OAuth access token>` or \
                     `Authorization: Basic <base64-encoded email + \":\" + password>`.",
                )
            })?;
        token_of(credentials)
            .and_then(|token| self.0.get(&token).cloned())
            .ok_or_else(|| ApiError::unauthorized("Invalid credentials provided."))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.0.len()).finish()
    }
}

/// The token in an `Authorization` header: of `Bearer`, or the password of `Basic`,
/// whatever the user name.
fn token_of(credentials: &str) -> Option<String> {
    let (scheme, rest) = credentials.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    Some(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let value = authorization.parse().expect("a header value");
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    #[test]
    fn token_as_bearer_or_basic_password_is_accepted_until_revoked() {
        let mut tokens = Tokens::new();
        let token = tokens.create(Reach::All);
        let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{token}")));
        for authorization in [
            format!("Bearer {token}"),
            basic(""),
            basic("me@example.com"),
        ] {
            assert!(tokens.check(&headers(&authorization)).is_ok());
        }
        assert!(tokens.revoke(&token));
        assert!(tokens.check(&headers(&format!("Bearer {token}"))).is_err());
    }

    #[test]
    fn credentials_that_hold_no_token_are_refused() {
        let tokens = Tokens::new();
        assert!(tokens.check(&HeaderMap::new()).is_err());
        for authorization in ["Bearer", "Bearer x", "Basic ???", "Digest x", "Basic eA=="] {
            assert!(tokens.check(&headers(authorization)).is_err());
        }
    }
}
