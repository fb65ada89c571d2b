//! The events that the Runtime API hands out, and the check of their answers.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::item_database::{ITEMS, name_of};

/// The kind of request that an event holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RequestKind {
    #[default]
    Item,
    /// An item, by a query that takes longer than the function waits.
    SlowItem,
}

/// An answer other than the row that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UnexpectedAnswer {
    /// A response, as the process sent it.
    Response(String),
    /// An error of the function, which clients see as a 502.
    Error(String),
}

impl fmt::Display for UnexpectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(text) => f.write_str(text),
            Self::Error(text) => write!(f, "an error: {text}"),
        }
    }
}

/// Returns an event as API Gateway writes it, with the headers of the Runtime API.
pub(super) fn event(number: usize, kind: RequestKind) -> String {
    let id = item_of(number);
    let (slow, all_slow) = match kind {
        RequestKind::Item => ("", ""),
        RequestKind::SlowItem => (r#","slow":"1""#, r#","slow":["1"]"#),
    };
    let deadline = SystemTime::now() + LIMIT_OF_AN_EVENT;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline_ms = deadline.as_millis();
    let body = format!(
        r#"{{"resource":"","path":"/api/item","httpMethod":"GET","queryStringParameters":{{"id":"{id}"{slow}}},"multiValueQueryStringParameters":{{"id":["{id}"]{all_slow}}},"headers":{{"host":"localhost","accept":"application/json"}},"multiValueHeaders":{{"host":["localhost"],"accept":["application/json"]}},"body":null,"isBase64Encoded":false,"requestContext":{{"httpMethod":"GET"}}}}"#
    );
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\n\
         content-type: application/json\r\n\
         content-length: {length}\r\n\
         lambda-runtime-aws-request-id: {number}\r\n\
         lambda-runtime-deadline-ms: {deadline_ms}\r\n\
         lambda-runtime-invoked-function-arn: \
         arn:aws:lambda:us-east-1:123456789012:function:item\r\n\
         lambda-runtime-trace-id: Root=1-00000000-000000000000000000000000\r\n\r\n\
         {body}"
    )
}

/// Checks that the answer to an event is the row that was asked for. It searches the text, which
/// takes less processor time from the measured process than parsing would.
pub(super) fn check(number: usize, answer: &[u8]) -> Result<(), UnexpectedAnswer> {
    let id = item_of(number);
    let row = format!(r#"{{\"id\":{id},\"name\":\"{}\"}}"#, name_of(id));
    let answer = String::from_utf8_lossy(answer);
    if answer.contains(r#""statusCode":200"#) && answer.contains(&row) {
        Ok(())
    } else {
        Err(UnexpectedAnswer::Response(answer.into_owned()))
    }
}

/// The item that an event asks for: another one for each event.
fn item_of(number: usize) -> usize {
    number % ITEMS + 1
}

/// Time limit of an event, as on Netlify.
const LIMIT_OF_AN_EVENT: Duration = Duration::from_secs(60);
