//! The self-check: a signed question to a deployed function, which its runtime answers without its
//! handler.
//!
//! A promotion asks a function of a deploy which program it runs, which stage it serves and whether
//! it reaches that stage's database, before the deploy gets any visitor. Both sides of the protocol
//! are here, so that they cannot drift apart.
//!
//! | step | who | what |
//! | --- | --- | --- |
//! | 1 | the promotion | makes a [`SelfCheckKey`] for one deploy, and gives it to the deploy's functions as the variable [`VARIABLE`] |
//! | 2 | the promotion | sends `GET` [`path`] with a [`SelfCheckRequest`], signed, in the header [`HEADER`] |
//! | 3 | the function's runtime | takes a request whose signature, path and time are right, and asks the database of its stage for its version and settings; any other request goes to the handler, unchanged |
//! | 4 | the function's runtime | responds with a [`SelfCheckReport`] as JSON, signed in the header [`HEADER`] |
//! | 5 | the promotion | verifies that the report has the key's signature and repeats the request's nonce |
//!
//! ```
//! use std::time::SystemTime;
//!
//! use stagelink::self_check::{SelfCheckKey, SelfCheckReport, SelfCheckRequest, nonce};
//!
//! let key = SelfCheckKey::generate()?;
//! let expiry = SystemTime::now() + SelfCheckRequest::LIFETIME;
//! let request = SelfCheckRequest::new("6748d2", "guestbook", &nonce()?, expiry);
//! let header = request.header(&key);
//!
//! // The runtime does this in the function.
//! let path = "/.netlify/functions/guestbook";
//! let asked = SelfCheckRequest::accept(&header, &key, path, SystemTime::now());
//! let report = SelfCheckReport::answering(&asked.expect("it is signed and in time"));
//! let (body, header) = report.sign(&key);
//!
//! let report = SelfCheckReport::verify(body.as_bytes(), Some(&header), &key, &request)?;
//! assert_eq!(report.function, "guestbook");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On AWS Lambda a direct Invoke asks the same by a [`SelfCheckInvocation`] in its client context,
//! which no URL and no API Gateway can set. AWS authorises the caller there, so nothing is signed.

#[cfg(feature = "lambda")]
mod elf;
mod invocation;
mod key;
#[cfg(feature = "lambda")]
mod program;
mod report;
mod request;
#[cfg(test)]
mod tests;

#[cfg(feature = "lambda")]
pub(crate) use self::program::Program;

pub use self::invocation::SelfCheckInvocation;
pub use self::key::SelfCheckKey;
pub use self::report::SelfCheckError;
pub use self::report::SelfCheckReport;
pub use self::request::SelfCheckRequest;

use crate::error::Error;

/// The header that carries the signed request, and in the response the signature of the report.
pub const HEADER: &str = "x-stagelink-self-check";

/// The variable of a function's environment that holds the key of its deploy.
pub const VARIABLE: &str = "STAGELINK_SELF_CHECK_KEY";

/// Returns the path by which Netlify serves a function of this name, and at which alone its runtime
/// answers a self-check.
pub fn path(function: &str) -> String {
    format!("/.netlify/functions/{function}")
}

/// Returns a random nonce for one request: 32 hexadecimal digits.
///
/// # Errors
///
/// [`ErrorKind::Settings`](crate::ErrorKind::Settings) when the system has no random bytes.
pub fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 16];
    key::fill_random(&mut bytes)?;
    Ok(hex::encode(bytes))
}
