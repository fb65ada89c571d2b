//! Targets of requests: a function's instances, or a site over HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use stagelink_local::lambda::Function;

use crate::client::try_send;
use crate::{Answer, Record};

/// Target of requests.
#[derive(Clone, Debug)]
pub enum Target {
    /// Instances of a function, called with events of API Gateway.
    Function {
        /// The function. Concurrent requests go to one instance each.
        function: Function,
        /// Record that the responses are added to.
        record: Record,
    },
    /// Site at this URL, such as `http://staging.localhost:8888`.
    Site(String),
}

impl Target {
    /// Sends one request with a JSON body.
    ///
    /// # Errors
    ///
    /// When no response arrives: the process ended, or the connection broke.
    ///
    /// # Panics
    ///
    /// When the response is not one of a function, or a site's response contains a secret.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let headers = [&[("content-type", "application/json")], headers].concat();
        match self {
            Self::Function { function, record } => {
                let event = event(method, path, &headers, body).to_string();
                let answer = function
                    .invoke(Bytes::from(event))
                    .await
                    .map_err(|error| error.to_string())?;
                let answer = read(&serde_json::from_slice(&answer).expect("an answer is JSON"));
                record.add(answer.text());
                record.add(format!("{:?}", answer.headers));
                Ok(answer)
            }
            Self::Site(url) => {
                let body = body.map(Value::to_string).unwrap_or_default();
                try_send(method, &format!("{url}{path}"), &headers, &body).await
            }
        }
    }
}

/// Builds API Gateway's event for a request.
fn event(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parameters: serde_json::Map<String, Value> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let headers: BTreeMap<&str, &str> = [&[("host", "localhost")], headers]
        .concat()
        .into_iter()
        .collect();
    json!({
        "resource": "",
        "path": path,
        "httpMethod": method,
        "queryStringParameters": parameters,
        "multiValueQueryStringParameters": {},
        "headers": headers,
        "multiValueHeaders": {},
        "body": body.map(Value::to_string),
        "isBase64Encoded": false,
        "requestContext": { "httpMethod": method },
    })
}

/// Parses the response that a function returns to API Gateway.
fn read(answer: &Value) -> Answer {
    let mut headers = HeaderMap::new();
    let lists = answer["multiValueHeaders"].as_object();
    for (name, values) in lists.into_iter().flatten() {
        for value in values.as_array().into_iter().flatten() {
            headers.append(
                HeaderName::try_from(name).expect("a header's name"),
                HeaderValue::try_from(value.as_str().unwrap_or_default())
                    .expect("a header's value"),
            );
        }
    }
    let status = answer["statusCode"].as_u64().expect("a status");
    Answer {
        status: StatusCode::from_u16(u16::try_from(status).expect("a status")).expect("a status"),
        headers,
        body: Bytes::from(answer["body"].as_str().unwrap_or_default().to_owned()),
    }
}
