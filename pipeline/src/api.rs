//! Requests to a service's API with a token, within limits, and the errors for their failures.

mod clock;
mod response;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

pub(crate) use self::clock::ClockReading;
pub(crate) use self::response::Response;
use crate::attempts::Attempts;
use crate::error::{Error, ErrorKind};
use crate::https;
use crate::refusal::Refusal;

/// Access to a service's API: its address and a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiAccess {
    /// The URL of the API: `https`, or `http` for a loopback address.
    pub url: String,
    /// The token that authenticates the requests.
    pub token: SecretString,
    /// The name of the variable that holds the token, for error messages.
    pub token_variable: String,
}

impl ApiAccess {
    /// Makes an access from its parts. They are checked when they are used.
    pub fn new(
        url: impl Into<String>,
        token: SecretString,
        token_variable: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            token,
            token_variable: token_variable.into(),
        }
    }

    /// Returns whether the API is on this machine.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        self.url.trim().parse().is_ok_and(|url| is_loopback(&url))
    }
}

/// The facts about a service that its requests and error messages need.
#[derive(Debug)]
pub(crate) struct Service {
    /// The service's name.
    pub(crate) name: &'static str,
    /// The variable that holds the API's URL.
    pub(crate) url_variable: &'static str,
    /// The path of the API where the URL has none.
    pub(crate) path: &'static str,
    /// The media type of its responses.
    pub(crate) accept: &'static str,
}

/// A client of one API with one token. It follows no redirect, so the token goes to this address
/// alone.
pub(crate) struct Api {
    service: &'static Service,
    base: Url,
    token: SecretString,
    token_variable: String,
    client: Client,
    /// By the latest response that had a date.
    clock: Mutex<Option<ClockReading>>,
    requests: AtomicU64,
}

/// A request to an API.
#[derive(Default)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// The path after the API's own, segment by segment, so that no name becomes another path.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<Json>,
    /// A file to upload, in the place of the body. It has more time than other requests.
    pub(crate) upload: Option<Bytes>,
}

impl Api {
    /// Builds a client without connecting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the URL is not `https`, nor plain `http` for this machine.
    pub(crate) fn new(service: &'static Service, access: &ApiAccess) -> Result<Self, Error> {
        let variable = service.url_variable;
        let refused = |message: String| Error::new(ErrorKind::Settings, message);
        let mut base: Url = access
            .url
            .trim()
            .parse()
            .map_err(|_| refused(format!("{variable} is not a URL")))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refused(format!(
                "{variable} holds a user or password: the token has a variable of its own"
            )));
        }
        let is_safe = match base.scheme() {
            "https" => true,
            "http" => is_loopback(&base),
            _ => false,
        };
        if !is_safe {
            return Err(refused(format!(
                "{variable} is not an https URL: the token would be sent unencrypted (plain http \
                 is accepted for loopback addresses only)"
            )));
        }
        if base.path() == "/" {
            base.set_path(service.path);
        }
        let client = https::client()?
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30));
        let client = https::build(client)?;
        Ok(Self {
            service,
            base,
            token: access.token.clone(),
            token_variable: access.token_variable.clone(),
            client,
            clock: Mutex::new(None),
            requests: AtomicU64::new(0),
        })
    }

    /// Returns the service's clock, by the latest response that had a date.
    pub(crate) fn clock(&self) -> Option<ClockReading> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of requests that were sent.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends a GET request for this path. `action` says for errors what is tried.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        action: &str,
    ) -> Result<Response, Error> {
        let request = Request {
            path,
            query,
            ..Request::default()
        };
        self.send(request, action).await
    }

    /// Sends a request and returns the response, of any status. A rate limit and a failure of the
    /// service are tried again a few times; but a request that creates something only after a rate
    /// limit, since a failure does not say whether it is there. `action` says for errors what is tried.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when no whole response arrives.
    pub(crate) async fn send(&self, request: Request<'_>, action: &str) -> Result<Response, Error> {
        let is_repeatable = request.method != Method::POST;
        let mut attempts = Attempts::new();
        loop {
            let sent = self.send_once(&request).await;
            let mut response =
                sent.map_err(|error| error.context(format!("could not {action}")))?;
            response.attempts = attempts.number();
            let is_limited = response.status == StatusCode::TOO_MANY_REQUESTS;
            let is_tried_again = is_limited || (is_repeatable && response.may_pass());
            if !is_tried_again || !attempts.pause(response.retry_after()).await {
                return Ok(response);
            }
        }
    }

    /// Sends a request once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when no whole response arrives.
    pub(crate) async fn send_once(&self, request: &Request<'_>) -> Result<Response, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (name, host) = (self.service.name, self.base.authority());
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut builder = self
            .client
            .request(request.method.clone(), url)
            .bearer_auth(self.token.expose_secret().trim())
            .header(ACCEPT, self.service.accept);
        if let Some((name, value)) = &request.header {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        if let Some(content) = &request.upload {
            builder = builder
                .header(CONTENT_TYPE, "application/octet-stream")
                .timeout(LONGEST_UPLOAD)
                .body(content.clone());
        }
        let failed = |what: String| {
            move |error: reqwest::Error| {
                // The URL would be shown with its query.
                Error::with_source(ErrorKind::Unavailable, what, error.without_url())
            }
        };
        let (asked, began) = (SystemTime::now(), Instant::now());
        let mut response = builder
            .send()
            .await
            .map_err(failed(format!("could not reach {name}'s API at {host}")))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            let reading = ClockReading::new(date, asked, began.elapsed());
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed(format!(
            "could not read the whole response of {name}'s API"
        )))? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_BODY_BYTES {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("{name}'s API at {host} sent a response of more than 8 MiB"),
                ));
            }
        }
        Ok(Response {
            status,
            headers,
            body,
            attempts: 1,
        })
    }

    /// Reads the JSON body of a successful response. `action` says what was tried, and on what.
    ///
    /// # Errors
    ///
    /// The error of [`refusal`](Self::refusal) for any other response, and
    /// [`ErrorKind::Refused`] when the body is not of the documented form.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        response: &Response,
        action: &str,
    ) -> Result<T, Error> {
        self.ensure_success(response, action)?;
        serde_json::from_slice(&response.body).map_err(|error| {
            // The parser's own message may quote the text.
            let (name, line, column) = (self.service.name, error.line(), error.column());
            Error::new(
                ErrorKind::Refused,
                format!(
                    "{name}'s response is not of the documented form (line {line}, column \
                     {column})"
                ),
            )
            .context(format!("could not {action}"))
        })
    }

    /// Makes sure that the service has done what was asked for. A page for people is no answer of an API.
    ///
    /// # Errors
    ///
    /// The error of [`refusal`](Self::refusal), and [`ErrorKind::Refused`] for a page.
    pub(crate) fn ensure_success(&self, response: &Response, action: &str) -> Result<(), Error> {
        if !response.status.is_success() {
            return Err(self.refusal(response, action));
        }
        if !response.is_page() {
            return Ok(());
        }
        let page = Error::new(
            ErrorKind::Refused,
            format!(
                "a web page came in place of the answer of {}'s API, as of a login that a proxy asks for",
                self.service.name
            ),
        );
        Err(page.context(format!("could not {action}")))
    }

    /// The name of the variable that holds the token.
    pub(crate) fn token_variable(&self) -> &str {
        &self.token_variable
    }

    /// Returns the error for a response that is not a success, with what to do about it.
    pub(crate) fn refusal(&self, response: &Response, action: &str) -> Error {
        let refusal = Refusal {
            service: self.service.name,
            token: &self.token_variable,
            status: response.status,
            id: response.error_id(),
            message: response.error_message().map(|text| self.one_line(&text)),
            retry_after: response.retry_after(),
            attempts: response.attempts,
        };
        refusal.error(action)
    }

    /// Returns a text from outside as part of a message: one line, short, and without the token.
    pub(crate) fn one_line(&self, text: &str) -> String {
        text.replace(self.token.expose_secret().trim(), "[token]")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("service", &self.service.name)
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Returns whether a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
}

/// The longest time that the upload of a file may take.
const LONGEST_UPLOAD: Duration = Duration::from_secs(600);

/// More than the variables of any site: a function may have 4 kB of them.
const LARGEST_BODY_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests;
