//! The error for a response that is not a success: what was refused, why, and what to do.

use std::time::Duration;

use reqwest::StatusCode;

use crate::error::{Error, ErrorKind};

/// A response that is not a success.
pub(crate) struct Refusal<'a> {
    /// The service's name.
    pub(crate) service: &'static str,
    /// The variable that holds the token.
    pub(crate) token: &'a str,
    pub(crate) status: StatusCode,
    /// The id of the error, where the service has such ids.
    pub(crate) id: Option<String>,
    /// The service's own text, as it may be shown.
    pub(crate) message: Option<String>,
    /// The time for which the service asks.
    pub(crate) retry_after: Option<Duration>,
    /// The number of attempts that were made.
    pub(crate) attempts: u32,
}

impl Refusal<'_> {
    /// Returns the error. `action` says what was tried, and on what.
    pub(crate) fn error(&self, action: &str) -> Error {
        let (kind, message) = self.kind_and_message();
        Error::new(kind, message).context(format!("could not {action}"))
    }

    /// Advice for a refusal that is about the account: another name or more access does not help.
    fn account_advice(&self) -> Option<&'static str> {
        Some(
            match (self.id.as_deref().unwrap_or_default(), self.status) {
                ("verification_required", _) => {
                    "it is not verified; its owner adds a payment method to the account"
                }
                ("two_factor", _) => {
                    "it asks for a second factor, which a command does not have; make a token that \
                 needs none (`heroku authorizations:create`)"
                }
                ("password_expired", _) => {
                    "its password has expired; its owner logs in, sets a new one, and makes a new token"
                }
                ("delinquent", _) | (_, StatusCode::PAYMENT_REQUIRED) => {
                    "it owes a payment; its owner pays what is due in the account's billing settings"
                }
                ("suspended", _) => "it is suspended; its owner asks the service's support",
                (id, _) if id.split(['_', '-']).any(|word| word == "sso") => {
                    "its team requires single sign-on; its owner logs in that way, and makes a new token"
                }
                _ => return None,
            },
        )
    }

    fn tries(&self) -> String {
        match self.attempts {
            0 | 1 => String::new(),
            number => format!(", {number} times"),
        }
    }

    fn when(&self) -> String {
        match self.retry_after {
            Some(wait) => format!("in {} s", wait.as_secs()),
            None => "later".to_owned(),
        }
    }

    fn kind_and_message(&self) -> (ErrorKind, String) {
        let Self {
            service: name,
            token,
            ..
        } = self;
        let status = self.status.as_u16();
        let reason = match &self.message {
            Some(message) => format!(": {message}"),
            None => String::new(),
        };
        if let Some(advice) = self.account_advice() {
            let message = format!(
                "{name} refused the account of the token in {token} ({status}{reason}): {advice}"
            );
            return (ErrorKind::Refused, message);
        }
        let message = match self.status {
            StatusCode::UNAUTHORIZED => format!(
                "{name} refused the token in {token} ({status}): it is wrong, expired or revoked"
            ),
            StatusCode::FORBIDDEN => format!(
                "{name} forbids this for the token in {token} ({status}{reason}): its account \
                 needs access"
            ),
            StatusCode::NOT_FOUND => format!(
                "{name} did not find it ({status}): check the name, and that the account of the \
                 token in {token} has access"
            ),
            StatusCode::GONE => {
                format!("{name} has it no longer ({status}{reason}): it was deleted")
            }
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                format!("{name} withholds it for legal reasons ({status}{reason}): ask its support")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let message = format!(
                    "{name}'s rate limit is used up ({status}{}): try again {}",
                    self.tries(),
                    self.when()
                );
                return (ErrorKind::Unavailable, message);
            }
            code if code.is_server_error() => {
                let message = format!(
                    "{name} failed ({status}{reason}{}): try again {}",
                    self.tries(),
                    self.when()
                );
                return (ErrorKind::Unavailable, message);
            }
            code if code.is_redirection() => format!(
                "{name} redirected the request ({status}), which is not followed, since the token \
                 is for one address: check the API's URL"
            ),
            _ => format!("{name} refused it ({status}{reason})"),
        };
        (ErrorKind::Refused, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: u16, id: Option<&str>, attempts: u32) -> (ErrorKind, String) {
        let refusal = Refusal {
            service: "Heroku",
            token: "THE_TOKEN",
            status: StatusCode::from_u16(status).unwrap(),
            id: id.map(str::to_owned),
            message: Some("no".to_owned()),
            retry_after: Some(Duration::from_secs(7)),
            attempts,
        };
        let error = refusal.error("set A");
        (error.kind(), error.report())
    }

    #[test]
    fn each_refusal_says_what_was_tried_and_what_to_do() {
        use ErrorKind::{Refused, Unavailable};
        for (status, id, kind, words) in [
            (401, None, Refused, "wrong, expired or revoked"),
            (
                401,
                Some("password_expired"),
                Refused,
                "password has expired",
            ),
            (402, None, Refused, "owes a payment"),
            (402, Some("delinquent"), Refused, "owes a payment"),
            (403, None, Refused, "needs access"),
            (403, Some("forbidden"), Refused, "needs access"),
            (403, Some("two_factor"), Refused, "second factor"),
            (403, Some("suspended"), Refused, "is suspended"),
            (403, Some("sso_required"), Refused, "single sign-on"),
            (
                404,
                Some("not_found"),
                Refused,
                "check the name, and that the account",
            ),
            (410, Some("gone"), Refused, "was deleted"),
            (422, Some("verification_required"), Refused, "not verified"),
            (422, Some("invalid_params"), Refused, "refused it (422: no)"),
            (451, None, Refused, "legal reasons"),
            (302, None, Refused, "redirected the request"),
            (
                429,
                None,
                Unavailable,
                "rate limit is used up (429): try again in 7 s",
            ),
            (500, None, Unavailable, "failed (500: no): try again in 7 s"),
        ] {
            let (is, text) = text(status, id, 1);
            assert_eq!(is, kind, "{text}");
            assert!(
                text.contains("could not set A") && text.contains(words),
                "{text}"
            );
        }
        assert!(text(503, None, 4).1.contains("(503: no, 4 times)"));
    }
}
