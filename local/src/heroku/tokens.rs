//! The API tokens of the account, and the apps that each token gives access to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::api_error::ApiError;

/// The apps that a token gives access to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every app of the account, including those that are created later.
    AllApps,
    /// The apps with these names or ids. Lists omit the other apps, and a request for one of them
    /// is answered with 403 `forbidden`. Pipelines and their couplings stay visible.
    Apps(Vec<String>),
}

/// The apps that a token gives access to, by id.
#[derive(Clone, Debug)]
pub(super) enum TokenScope {
    AllApps,
    Apps(BTreeSet<Uuid>),
}

impl TokenScope {
    /// Returns whether the token gives access to this app.
    pub(super) fn includes(&self, app: Uuid) -> bool {
        match self {
            Self::AllApps => true,
            Self::Apps(apps) => apps.contains(&app),
        }
    }
}

/// The valid tokens, and those of them that are refused for now.
pub(super) struct Tokens(HashMap<String, TokenScope>, HashSet<String>);

impl Tokens {
    pub(super) fn new() -> Self {
        Self(HashMap::new(), HashSet::new())
    }

    /// Creates a token in Heroku's format.
    pub(super) fn create(&mut self, scope: TokenScope) -> String {
        let token = format!("HRKU-{}", Uuid::new_v4());
        self.0.insert(token.clone(), scope);
        token
    }

    /// Revokes a token. Returns false if it was not valid.
    pub(super) fn revoke(&mut self, token: &str) -> bool {
        self.0.remove(token).is_some()
    }

    /// Refuses a token until it is accepted again, as when it has expired. Returns false if it is
    /// not valid.
    pub(super) fn set_expired(&mut self, token: &str, is_expired: bool) -> bool {
        if is_expired {
            self.1.insert(token.to_owned());
        } else {
            self.1.remove(token);
        }
        self.0.contains_key(token)
    }

    /// Returns the scope of a request's token.
    ///
    /// # Errors
    ///
    /// 401 if the request has no token or an invalid one.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Result<TokenScope, ApiError> {
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
        parse_token(credentials)
            .filter(|token| !self.1.contains(token))
            .and_then(|token| self.0.get(&token).cloned())
            .ok_or_else(|| ApiError::unauthorized("Invalid credentials provided."))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.0.len()).finish()
    }
}

/// Returns the token in an `Authorization` header: the one of `Bearer`, or the password of `Basic`
/// with any user name.
fn parse_token(credentials: &str) -> Option<String> {
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
        let token = tokens.create(TokenScope::AllApps);
        let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{token}")));
        for authorization in [
            format!("Bearer {token}"),
            basic(""),
            basic("me@example.com"),
        ] {
            assert!(tokens.authenticate(&headers(&authorization)).is_ok());
        }
        assert!(tokens.revoke(&token));
        assert!(
            tokens
                .authenticate(&headers(&format!("Bearer {token}")))
                .is_err()
        );
    }

    #[test]
    fn expired_token_is_refused_until_it_is_accepted_again() {
        let mut tokens = Tokens::new();
        let token = tokens.create(TokenScope::AllApps);
        let header = headers(&format!("Bearer {token}"));
        assert!(tokens.set_expired(&token, true));
        assert!(tokens.authenticate(&header).is_err());
        assert!(tokens.set_expired(&token, false));
        assert!(tokens.authenticate(&header).is_ok());
        assert!(!tokens.set_expired("other", true));
    }

    #[test]
    fn credentials_without_a_token_are_refused() {
        let tokens = Tokens::new();
        assert!(tokens.authenticate(&HeaderMap::new()).is_err());
        for authorization in ["Bearer", "Bearer x", "Basic ???", "Digest x", "Basic eA=="] {
            assert!(tokens.authenticate(&headers(authorization)).is_err());
        }
    }
}
