//! The failure of a call of the AWS CLI: what was refused, why, and what to do.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// False where the call may have been carried out all the same: no answer of AWS has come, and nothing says
    /// that the call was not sent.
    pub(crate) is_known: bool,
    pub(crate) error: Error,
}

/// The reason of a failure, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The resource does not exist.
    NotFound,
    /// It was changed since it was read (412).
    Changed,
    /// It exists already (409).
    Exists,
    /// It is being changed, or is in another state than the call needs (409).
    Conflict,
    /// There is no login, or it is not allowed to.
    Denied,
    /// AWS has too much to do, or failed.
    Overloaded,
    Other,
}

/// The text of a failure, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Said<'a> {
    /// AWS's code of the error, where AWS has answered.
    code: Option<&'a str>,
    message: &'a str,
}

impl Failure {
    /// Makes the failure of a call from what the command wrote to standard error, without secrets.
    /// `action` is what was tried, and `permission` the action of IAM that it needs.
    pub(super) fn of(action: &str, permission: &str, text: &str) -> Self {
        let said = Said::read(text);
        let (reason, kind) = said.reason();
        let message = match (said.code, said.message) {
            (Some(code), "") => code.to_owned(),
            (Some(code), message) => format!("{code}: {message}"),
            (None, "") => "the command aws says nothing".to_owned(),
            (None, message) => message.to_owned(),
        };
        let message = message.trim_end_matches(['.', ' ']);
        let advice = said.advice(permission);
        let is_explained = said.code.is_some() || advice.is_some();
        let message = match advice {
            Some(advice) => format!("{message}: {advice}"),
            None => message.to_owned(),
        };
        Self {
            reason,
            is_known: is_explained && kind != ErrorKind::Unavailable,
            error: Error::new(kind, message).context(format!("could not {action}")),
        }
    }
}

/// The failure of what was done on this machine for a call.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            reason: Reason::Other,
            is_known: true,
            error,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<'a> Said<'a> {
    /// Reads `An error occurred (CODE) when calling the OPERATION operation: MESSAGE`, or any other
    /// text.
    fn read(text: &'a str) -> Self {
        let of_aws = || {
            let (_, rest) = text.split_once("An error occurred (")?;
            let (code, rest) = rest.split_once(") when calling the ")?;
            let (_, rest) = rest.split_once(" operation")?;
            let message = rest.split_once(": ").map_or("", |(_, message)| message);
            Some(Self {
                code: Some(code),
                message: message.trim(),
            })
        };
        of_aws().unwrap_or(Self {
            code: None,
            message: text.trim(),
        })
    }

    fn reason(&self) -> (Reason, ErrorKind) {
        // A code of S3 or STS has no `Exception` at its end.
        let code = self.code.map(|code| code.trim_end_matches("Exception"));
        match code {
            Some("ResourceNotFound") => (Reason::NotFound, ErrorKind::Refused),
            Some("PreconditionFailed") => (Reason::Changed, ErrorKind::Busy),
            Some("ResourceConflict") if self.has(&["already exist"]) => {
                (Reason::Exists, ErrorKind::Busy)
            }
            Some("ResourceConflict") => (Reason::Conflict, ErrorKind::Busy),
            Some("AccessDenied" | "UnauthorizedOperation" | "ExpiredToken" | "RequestExpired")
            | Some(
                "UnrecognizedClient"
                | "InvalidClientTokenId"
                | "SignatureDoesNotMatch"
                | "InvalidSignature"
                | "IncompleteSignature",
            ) => (Reason::Denied, ErrorKind::Refused),
            Some(
                "TooManyRequests" | "Throttling" | "ThrottledException" | "RequestLimitExceeded",
            )
            | Some(
                "Service" | "InternalFailure" | "InternalError" | "ServiceUnavailable" | "500"
                | "502" | "503" | "504",
            ) => (Reason::Overloaded, ErrorKind::Unavailable),
            Some(_) => (Reason::Other, ErrorKind::Refused),
            None if self.is_about_network() => (Reason::Other, ErrorKind::Unavailable),
            None if self.is_about_login() => (Reason::Denied, ErrorKind::Refused),
            None => (Reason::Other, ErrorKind::Settings),
        }
    }

    fn has(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.message.contains(part))
    }

    fn is_about_network(&self) -> bool {
        self.has(&[
            "Could not connect to the endpoint",
            "timeout on endpoint",
            "Connection was closed",
            "Connection reset",
        ])
    }

    fn is_about_login(&self) -> bool {
        self.is_logged_out() || self.has(&["Unable to locate credentials", "Error when retrieving"])
    }

    fn is_logged_out(&self) -> bool {
        self.has(&[
            "Token has expired",
            "token has expired",
            "SSO session",
            "SSO Token",
            "session has expired",
        ])
    }

    /// Returns what the operator can do.
    fn advice(&self, permission: &str) -> Option<String> {
        let fixed = match self.code.map(|code| code.trim_end_matches("Exception")) {
            Some("AccessDenied" | "UnauthorizedOperation") => {
                return Some(format!(
                    "allow {permission} to this login, by a policy of IAM, or use another login \
                     (AWS_PROFILE)"
                ));
            }
            Some("ExpiredToken" | "RequestExpired") => LOG_IN_AGAIN,
            Some(
                "UnrecognizedClient"
                | "InvalidClientTokenId"
                | "SignatureDoesNotMatch"
                | "InvalidSignature"
                | "IncompleteSignature",
            ) => {
                "the access key is wrong or was deleted: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, anew"
            }
            Some("PreconditionFailed") => {
                "another person or job has changed it since it was read: run the command again, which makes a \
                 new plan"
            }
            Some("ResourceConflict") => {
                "another change of it is being made, or it exists already: try again"
            }
            Some("TooManyRequests" | "Throttling" | "RequestLimitExceeded") => {
                "AWS limits the rate of requests: try again later"
            }
            Some("CodeStorageExceeded") => "delete old versions of functions in this region",
            Some(_) => return None,
            None if self.is_logged_out() => LOG_IN_AGAIN,
            None if self.is_about_login() => {
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            None if self.has(&["config profile"]) => {
                "set AWS_PROFILE to a profile of `aws configure list-profiles`"
            }
            None if self.has(&["specify a region"]) => "set AWS_REGION",
            None if self.is_about_network() => {
                "check the network, the region (AWS_REGION) and AWS_ENDPOINT_URL"
            }
            None => return None,
        };
        Some(fixed.to_owned())
    }
}

const LOG_IN_AGAIN: &str = "the login has expired: log in again, by `aws sso login` or as you did";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_what_was_tried_why_it_failed_and_what_to_do() {
        let answered = |code: &str| {
            format!("An error occurred ({code}) when calling the UpdateAlias operation: Because.")
        };
        for (text, reason, kind, words) in [
            (
                answered("AccessDeniedException"),
                Reason::Denied,
                ErrorKind::Refused,
                "Because: allow lambda:UpdateAlias to this login",
            ),
            (
                answered("PreconditionFailedException"),
                Reason::Changed,
                ErrorKind::Busy,
                "another person or job has changed it",
            ),
            (
                answered("ResourceConflictException"),
                Reason::Conflict,
                ErrorKind::Busy,
                "another change of it is being made",
            ),
            (
                "An error occurred (ResourceConflictException) when calling the CreateAlias operation: Alias \
                 already exists: arn:x"
                    .to_owned(),
                Reason::Exists,
                ErrorKind::Busy,
                "Alias already exists",
            ),
            (
                answered("ResourceNotFoundException"),
                Reason::NotFound,
                ErrorKind::Refused,
                "ResourceNotFoundException: Because",
            ),
            (
                "An error occurred (TooManyRequestsException) when calling the UpdateAlias operation \
                 (reached max retries: 4): Rate exceeded"
                    .to_owned(),
                Reason::Overloaded,
                ErrorKind::Unavailable,
                "Rate exceeded: AWS limits the rate",
            ),
            (
                answered("ServiceException"),
                Reason::Overloaded,
                ErrorKind::Unavailable,
                "Because",
            ),
            (
                answered("ExpiredTokenException"),
                Reason::Denied,
                ErrorKind::Refused,
                "log in again",
            ),
            (
                answered("UnrecognizedClientException"),
                Reason::Denied,
                ErrorKind::Refused,
                "the access key is wrong",
            ),
            (
                "Error loading SSO Token: Token for x does not exist".to_owned(),
                Reason::Denied,
                ErrorKind::Refused,
                "aws sso login",
            ),
            (
                "Unable to locate credentials. You can configure credentials by running \"aws \
                 configure\"."
                    .to_owned(),
                Reason::Denied,
                ErrorKind::Refused,
                "set AWS_PROFILE",
            ),
            (
                "The config profile (x) could not be found".to_owned(),
                Reason::Other,
                ErrorKind::Settings,
                "list-profiles",
            ),
            (
                "You must specify a region.".to_owned(),
                Reason::Other,
                ErrorKind::Settings,
                "set AWS_REGION",
            ),
            (
                "Could not connect to the endpoint URL: \"http://h/\"".to_owned(),
                Reason::Other,
                ErrorKind::Unavailable,
                "check the network",
            ),
            (
                String::new(),
                Reason::Other,
                ErrorKind::Settings,
                "says nothing",
            ),
        ] {
            let failure = Failure::of("move the alias a", "lambda:UpdateAlias", &text);
            assert_eq!((failure.reason, failure.error.kind()), (reason, kind), "{text}");
            let report = failure.error.report();
            assert!(report.starts_with("could not move the alias a: "), "{report}");
            assert!(report.contains(words), "{words:?} is not in {report}");
            assert!(!report.contains(".:") && !report.ends_with('.'), "{report}");
        }
    }
}
