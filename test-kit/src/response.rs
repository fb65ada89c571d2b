//! The response to a test's request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The response of a function to a request of a test, as the platform reads it.
#[derive(Clone, Debug)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The JSON of a response, in the forms of both platforms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LambdaResponse {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    multi_value_headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl TestResponse {
    /// Reads the JSON that a function gives to Lambda.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        let response: LambdaResponse = serde_json::from_str(json)
            .map_err(|error| format!("it is no HTTP response ({error}): {json}"))?;
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| -> Result<(), String> {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|error| error.to_string())?;
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.append(name, value.map_err(|error| error.to_string())?);
            Ok(())
        };
        for (name, values) in &response.multi_value_headers {
            for value in values {
                add(name, value)?;
            }
        }
        for (name, value) in &response.headers {
            if !response.multi_value_headers.contains_key(name) {
                add(name, value)?;
            }
        }
        for cookie in &response.cookies {
            add("set-cookie", cookie)?;
        }
        let body = response.body.unwrap_or_default();
        let body = match response.is_base64_encoded {
            true => STANDARD.decode(body).map_err(|error| error.to_string())?,
            false => body.into_bytes(),
        };
        let status = StatusCode::from_u16(response.status_code);
        Ok(Self {
            status: status.map_err(|error| error.to_string())?,
            headers,
            body: body.into(),
        })
    }

    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// Returns the status. It compares with a number: `assert_eq!(response.status(), 200)`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// When it is not in UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body)
            .unwrap_or_else(|error| panic!("the body of the response is no text: {error}"))
    }

    /// Reads the body as JSON.
    ///
    /// # Panics
    ///
    /// When it is no JSON, or that of another type. The message has the status and the body.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "the body of the response is not the expected JSON ({error}): {} {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
        })
    }
}
