//! The error for a response without success: what the provider refused, why, and what to do.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::error::{Error, ErrorKind};
use crate::provider::http::api::ProviderApi;
use crate::provider::http::retry_after::retry_after;

/// A response without success.
pub(in crate::provider) struct Refusal<'a> {
    pub(super) api: &'static ProviderApi,
    /// The requested resource: "app shop".
    pub(super) subject: &'a str,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Option<ErrorBody>,
}

/// The body of an error response, with the field names of Heroku, Render and Neon.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    #[serde(alias = "code")]
    id: Option<String>,
    message: String,
}

impl Refusal<'_> {
    /// The provider's own text.
    pub(super) fn message(&self) -> Option<String> {
        let body = self.body.as_ref()?;
        Some(match body.id.as_deref() {
            Some(id) if !id.is_empty() => format!("{id}: {}", body.message),
            _ => body.message.clone(),
        })
    }

    /// Returns the error. `detail` is [`message`](Self::message) as it may be shown.
    pub(super) fn error(&self, detail: &str) -> Error {
        let ProviderApi {
            name,
            url_variable,
            token_variable,
            token_advice,
            ..
        } = self.api;
        let (subject, status) = (self.subject, self.status.as_u16());
        let refused = |message| Error::new(ErrorKind::ProviderRefused, message);
        if let Some(advice) = self.account_advice() {
            return refused(format!(
                "{name} refused the account of the token in {token_variable} ({status}{detail}): \
                 {advice}"
            ));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => refused(format!(
                "{name} refused the token in {token_variable} ({status}{detail}): it is wrong, \
                 expired or revoked; {token_advice}"
            )),
            StatusCode::FORBIDDEN => refused(format!(
                "{name} forbids the token in {token_variable} to read {subject} ({status}{detail}): {}",
                self.api.access_advice
            )),
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => refused(format!(
                "{name} withholds {subject} for legal reasons ({status}{detail}): ask its support"
            )),
            StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY => refused(format!(
                "{name} does not know {subject} ({status}{detail}): {}",
                self.api.name_advice
            )),
            StatusCode::TOO_MANY_REQUESTS => Error::rate_limited(
                format!(
                    "{name}'s rate limit for this account is exceeded ({status}{detail}); requested: \
                     {subject}"
                ),
                retry_after(self.headers, SystemTime::now()),
            ),
            status_code => {
                let redirect = match status_code.is_redirection() {
                    true => format!(
                        ": redirects are not followed, since the token is for one address; check \
                         {url_variable}"
                    ),
                    false => String::new(),
                };
                let wait = retry_after(self.headers, SystemTime::now());
                let message =
                    format!("{name}'s API answered {status} for {subject}{detail}{redirect}");
                Error::new(ErrorKind::ProviderUnavailable, message).with_retry_after(wait)
            }
        }
    }

    /// Advice for a refusal that is about the account and not about the resource: another name or
    /// a wider scope does not help.
    fn account_advice(&self) -> Option<&'static str> {
        let id = self.body.as_ref().and_then(|body| body.id.as_deref());
        Some(match (id.unwrap_or_default(), self.status) {
            ("verification_required", _) => {
                "it is not verified; its owner adds a payment method to the account"
            }
            ("two_factor", _) => {
                "it asks for a second factor, which a function does not have; make a token that \
                 needs none (`heroku authorizations:create --scope read-protected`)"
            }
            ("password_expired", _) => {
                "its password has expired; its owner logs in and sets a new one, and makes a new \
                 token"
            }
            ("delinquent", _) | (_, StatusCode::PAYMENT_REQUIRED) => {
                "it owes a payment; its owner pays what is due in the account's billing settings"
            }
            ("suspended", _) => "it is suspended; its owner asks the provider's support",
            (id, _) if id.split(['_', '-']).any(|word| word == "sso") => {
                "its team requires single sign-on; its owner logs in that way, and makes a new token"
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::RETRY_AFTER;

    use super::*;
    use crate::provider::http::api::API;

    fn body(json: &str) -> Option<ErrorBody> {
        serde_json::from_str(json).ok()
    }

    fn error(status: u16, json: &str) -> Error {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "86400".parse().unwrap())]);
        let refusal = Refusal {
            api: &API,
            subject: "app shop",
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            body: body(json),
        };
        refusal.error("")
    }

    #[test]
    fn error_body_of_each_provider_is_read_and_others_are_ignored() {
        let message = |json: &str| {
            let headers = HeaderMap::new();
            let refusal = Refusal {
                api: &API,
                subject: "app shop",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                headers: &headers,
                body: body(json),
            };
            refusal.message()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(message(r#"{"id":"gone","message":"no"}"#), some("gone: no"));
        assert_eq!(
            message(r#"{"code":"gone","message":"no"}"#),
            some("gone: no")
        );
        assert_eq!(message(r#"{"code":"","message":"no"}"#), some("no"));
        assert_eq!(message(r#"{"message":"no"}"#), some("no"));
        assert_eq!(message("<html>no</html>"), None);
        assert_eq!(message(""), None);
    }

    #[test]
    fn status_decides_the_kind_of_error() {
        let kind = |status| error(status, "").kind();
        for status in [400, 401, 402, 403, 404, 410, 422, 451] {
            assert_eq!(kind(status), ErrorKind::ProviderRefused, "{status}");
        }
        assert_eq!(kind(429), ErrorKind::RateLimited);
        for status in [302, 406, 500, 502, 503] {
            assert_eq!(kind(status), ErrorKind::ProviderUnavailable, "{status}");
        }
    }

    #[test]
    fn wait_of_a_busy_or_failing_provider_is_passed_on_and_capped() {
        for status in [429, 503] {
            let wait = error(status, "").retry_after();
            assert_eq!(wait, Some(Duration::from_secs(60)), "{status}");
        }
        assert_eq!(error(403, "").retry_after(), None);
    }

    #[test]
    fn refusal_of_the_account_says_so_and_gives_no_advice_about_names() {
        for (status, id, words) in [
            (422, "verification_required", "not verified"),
            (402, "verification_required", "not verified"),
            (403, "two_factor", "second factor"),
            (401, "password_expired", "password has expired"),
            (402, "delinquent", "owes a payment"),
            (402, "anything", "owes a payment"),
            (403, "suspended", "suspended"),
            (403, "sso_required", "single sign-on"),
        ] {
            let error = error(status, &format!(r#"{{"id":"{id}","message":"no"}}"#));
            assert_eq!(error.kind(), ErrorKind::ProviderRefused, "{id}");
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
            assert!(!text.contains("check the name"), "{text}");
        }
        for (status, words) in [
            (404, "check the name"),
            (410, "check the name"),
            (403, "give it access"),
            (401, "make one"),
            (451, "legal reasons"),
            (301, "check THE_URL"),
        ] {
            let text = error(status, r#"{"id":"not_found","message":"no"}"#).to_string();
            assert!(text.contains(words), "{text}");
        }
    }
}
