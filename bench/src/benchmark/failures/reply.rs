//! The reply that a client of the function sees.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::super::event::UnexpectedAnswer;
use super::super::runtime_api::TimedAnswer;

/// The reply that a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// 200 with the row.
    Item,
    /// 503 with a `Retry-After` of this time.
    Busy(Duration),
    /// 504.
    GivenUp,
    /// Any other reply, in a few words.
    Failed(String),
}

/// The outcome of one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Request {
    /// `None` where no answer came in time.
    pub(super) took_ms: Option<f64>,
    pub(super) failure: Option<String>,
}

impl Reply {
    pub(super) fn of(answer: &Result<(), UnexpectedAnswer>) -> Self {
        match answer {
            Ok(()) => Self::Item,
            Err(UnexpectedAnswer::Response(text)) => Self::of_response(text),
            Err(UnexpectedAnswer::Error(text)) => {
                let error: Value = serde_json::from_str(text).unwrap_or_default();
                let message = error["errorMessage"].as_str().unwrap_or(text);
                Self::Failed(format!("502: {}", without_numbers(message)))
            }
        }
    }

    /// Reads a response in the format of API Gateway.
    fn of_response(text: &str) -> Self {
        let response: Value = serde_json::from_str(text).unwrap_or_default();
        let header = |name: &str| {
            let one = response["headers"][name].as_str();
            one.or_else(|| response["multiValueHeaders"][name][0].as_str())
        };
        let seconds = header("retry-after").and_then(|text| text.parse().ok());
        match (response["statusCode"].as_u64(), seconds) {
            (Some(503), Some(seconds)) => Self::Busy(Duration::from_secs(seconds)),
            (Some(504), _) => Self::GivenUp,
            (Some(status), _) => {
                let body = response["body"].as_str().unwrap_or_default();
                Self::Failed(format!("{status}: {body}"))
            }
            (None, _) => Self::Failed("502: a response that is none".to_owned()),
        }
    }
}

impl Request {
    pub(super) fn of(answered: Option<&TimedAnswer>) -> Self {
        let failure = match answered.map(|one| Reply::of(&one.answer)) {
            Some(Reply::Item) => None,
            Some(Reply::Busy(_)) => Some("503 with Retry-After".to_owned()),
            Some(Reply::GivenUp) => Some("504".to_owned()),
            Some(Reply::Failed(text)) => Some(text),
            None => Some("no answer in time".to_owned()),
        };
        Self {
            took_ms: answered.map(|one| one.took.as_secs_f64() * 1e3),
            failure,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.failure.is_none()
    }
}

/// Replaces quoted numbers, so that errors that differ in the name of a statement are equal.
fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut was_quoted = false;
    let mut is_quoted = false;
    for character in text.chars() {
        if character == '"' {
            is_quoted = !is_quoted;
        }
        if is_quoted && character.is_ascii_digit() {
            if !was_quoted {
                plain.push('N');
            }
            was_quoted = true;
        } else {
            plain.push(character);
            was_quoted = false;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(response: &Value) -> Reply {
        Reply::of(&Err(UnexpectedAnswer::Response(response.to_string())))
    }

    #[test]
    fn busy_is_a_503_that_says_when_to_come_again() {
        let busy = Reply::Busy(Duration::from_secs(2));
        let by_one = json!({ "statusCode": 503, "headers": { "retry-after": "2" } });
        let by_many = json!({ "statusCode": 503, "headers": {},
            "multiValueHeaders": { "retry-after": ["2"] } });
        assert_eq!(
            [by_one, by_many].map(|one| response(&one)),
            [busy.clone(), busy]
        );
        let without = response(&json!({ "statusCode": 503, "body": "no" }));
        assert_eq!(without, Reply::Failed("503: no".to_owned()));
        assert_eq!(response(&json!({ "statusCode": 504 })), Reply::GivenUp);
    }

    #[test]
    fn error_of_the_function_is_told_without_the_name_of_a_statement() {
        let text = json!({ "errorType": "E", "errorMessage": "no statement \"s12\" in 3 ms" });
        assert_eq!(
            Reply::of(&Err(UnexpectedAnswer::Error(text.to_string()))),
            Reply::Failed("502: no statement \"sN\" in 3 ms".to_owned())
        );
    }

    #[test]
    fn request_without_an_answer_has_failed() {
        let request = Request::of(None);
        assert_eq!((request.took_ms, request.is_good()), (None, false));
    }
}
