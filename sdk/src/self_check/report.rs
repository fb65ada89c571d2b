//! The report of a self-check, with its signature.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::error::ErrorKind;
use crate::self_check::{SelfCheckInvocation, SelfCheckKey, SelfCheckRequest};
use crate::stage::Stage;

/// The answer of a function's runtime to a self-check. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SelfCheckReport {
    format: Format,
    /// The caller's name of the deploy, from the request; `None` for a direct Invoke.
    pub deploy: Option<String>,
    /// The function's name: at Netlify that of the request, on AWS Lambda its own.
    pub function: String,
    /// The nonce of the request.
    pub nonce: String,
    /// The stage that the function serves, or `None` where its variables name none.
    #[serde(with = "written")]
    pub stage: Option<Stage>,
    /// SHA-256 of the program's file, in hexadecimal; `None` where it cannot be read.
    pub program: Option<String>,
    /// The stage that the database is marked as; `None` without a mark, and where the database was
    /// not reached.
    #[serde(with = "written")]
    pub mark: Option<Stage>,
    /// The server's version as Postgres numbers it, such as `170004`.
    pub server_version: Option<u32>,
    /// `ok`, or the kind of the failure, such as `database-unreachable`.
    pub database: String,
    /// True where the failure of the database may pass by itself, so that another self-check may
    /// succeed. False for a database that is `ok`.
    #[serde(default)]
    pub is_retryable: bool,
    /// The migrations that the program was built with, as the program lists them; `None` for a
    /// program without a list.
    pub migrations: Option<Value>,
}

impl SelfCheckReport {
    /// Starts the report of a request: nothing is known yet, and the database was not reached.
    pub fn answering(request: &SelfCheckRequest) -> Self {
        let deploy = Some(request.deploy().to_owned());
        Self::new(deploy, request.function(), request.nonce())
    }

    /// Starts the report of a direct Invoke of the function of this name.
    pub fn answering_invocation(invocation: &SelfCheckInvocation, function: &str) -> Self {
        Self::new(None, function, invocation.nonce())
    }

    fn new(deploy: Option<String>, function: &str, nonce: &str) -> Self {
        Self {
            format: Format,
            deploy,
            function: function.to_owned(),
            nonce: nonce.to_owned(),
            stage: None,
            program: None,
            mark: None,
            server_version: None,
            database: name_of(ErrorKind::DatabaseUnreachable),
            is_retryable: true,
            migrations: None,
        }
    }

    /// Takes note that the database has answered the query.
    pub fn set_database_ok(&mut self) {
        OK.clone_into(&mut self.database);
        self.is_retryable = false;
    }

    /// Takes note of the failure of the query, and of whether another attempt may succeed.
    pub fn set_database_failure(&mut self, kind: ErrorKind, is_retryable: bool) {
        self.database = name_of(kind);
        self.is_retryable = is_retryable;
    }

    /// Returns whether the database of the stage answered a query.
    pub fn is_database_ok(&self) -> bool {
        self.database == OK
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and JSON have a form in JSON")
    }

    /// Returns the body of the response, and the value of its header
    /// [`HEADER`](crate::self_check::HEADER).
    pub fn sign(&self, key: &SelfCheckKey) -> (String, String) {
        let body = self.to_json();
        let signature = key.sign(DOMAIN, body.as_bytes());
        (body, signature)
    }

    /// Reads a response to this request. `header` is the value of its header
    /// [`HEADER`](crate::self_check::HEADER).
    ///
    /// # Errors
    ///
    /// [`SelfCheckError`] unless the response is a report that has the key's signature and repeats
    /// the request's deploy, function and nonce.
    pub fn verify(
        body: &[u8],
        header: Option<&str>,
        key: &SelfCheckKey,
        request: &SelfCheckRequest,
    ) -> Result<Self, SelfCheckError> {
        let signature = header.ok_or(SelfCheckError::Unsigned)?;
        if !key.is_valid(DOMAIN, body, signature.trim()) {
            return Err(SelfCheckError::WrongSignature);
        }
        let report = Self::parse(body)?;
        let is_same = report.deploy.as_deref() == Some(request.deploy())
            && report.function == request.function()
            && report.nonce == request.nonce();
        is_same
            .then_some(report)
            .ok_or(SelfCheckError::OtherRequest)
    }

    /// Reads the response to a direct Invoke, which AWS has authorised and which is not signed.
    ///
    /// # Errors
    ///
    /// [`SelfCheckError`] unless the response is a report that repeats the nonce.
    pub fn of_invocation(
        body: &[u8],
        invocation: &SelfCheckInvocation,
    ) -> Result<Self, SelfCheckError> {
        let report = Self::parse(body)?;
        let is_same = report.deploy.is_none() && report.nonce == invocation.nonce();
        is_same
            .then_some(report)
            .ok_or(SelfCheckError::OtherRequest)
    }

    fn parse(body: &[u8]) -> Result<Self, SelfCheckError> {
        let value: Value = serde_json::from_slice(body).map_err(|_| SelfCheckError::Unreadable)?;
        match value.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => serde_json::from_value(value).map_err(|_| SelfCheckError::Unreadable),
            Some(_) => Err(SelfCheckError::UnknownFormat),
            None => Err(SelfCheckError::Unreadable),
        }
    }
}

/// The reason why a response proves nothing about the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// It has no signature: the handler answered, or something before the function.
    Unsigned,
    /// It has another key's signature, or was changed on its way.
    WrongSignature,
    /// It is the answer to another request.
    OtherRequest,
    /// It is no report.
    Unreadable,
    /// It is a report of a form that this version does not know.
    UnknownFormat,
}

impl fmt::Display for SelfCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => {
                "the response is not a self-check's: it carries no signature, so the function's \
                 handler or something before the function answered"
            }
            Self::WrongSignature => {
                "the response is not signed with the key of this deploy, or was changed on its way"
            }
            Self::OtherRequest => "the response is the answer to another self-check",
            Self::Unreadable => "the response is no report of a self-check",
            Self::UnknownFormat => {
                "the report of the self-check has a format that this version of stagelink does not \
                 know"
            }
        })
    }
}

impl StdError for SelfCheckError {}

/// Returns the name of a failure's kind in a report: `database-unreachable`, `timeout-connect`.
fn name_of(kind: ErrorKind) -> String {
    let mut name = String::new();
    for c in format!("{kind:?}")
        .chars()
        .filter(char::is_ascii_alphabetic)
    {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// The form of the report: the number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(FORMAT)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            FORMAT => Ok(Self),
            _ => Err(serde::de::Error::custom("another format")),
        }
    }
}

/// A stage in its written form.
mod written {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        stage: &Option<Stage>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        stage.as_ref().map(Stage::as_str).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Stage>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let stage = text.map(|text| text.parse()).transpose();
        stage.map_err(serde::de::Error::custom)
    }
}

const FORMAT: u64 = 1;

const OK: &str = "ok";

const DOMAIN: &str = "stagelink self-check report";
