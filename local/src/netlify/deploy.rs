//! One deploy of a site, and the order in which it answers a request.

use super::body::{self, Refusal};
use super::config::SiteConfig;
use super::event::{Arrived, BODY_LIMIT_BYTES, TooLarge};
use super::files::{self, Files, Found, ResponseBody, text};
use super::headers::{self, HeaderRule};
use super::invoke::Invoke;
use super::redirects::{self, Destination, Redirect};
use super::response;
use crate::Error;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is published under one host name: files, rules and functions.
#[derive(Clone)]
#[non_exhaustive]
pub struct Deploy {
    /// The host name without a port: `localhost` (which also answers for 127.0.0.1 and
    /// `[::1]`) for production, `staging.localhost` for a stage.
    pub host: String,
    /// The directory of published files; it must be there when the site starts.
    pub publish: PathBuf,
    /// Redirects and rewrites, the first match wins.
    pub redirects: Vec<Redirect>,
    /// Custom headers of the files.
    pub headers: Vec<HeaderRule>,
    /// The functions by the name they have under `/.netlify/functions/`.
    pub functions: BTreeMap<String, Arc<dyn Invoke>>,
}

/// A deploy that is being served.
#[derive(Debug)]
pub(super) struct Published {
    deploy: Deploy,
    files: Files,
}

/// What the site knows of a request beside the request.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) authority: &'a str,
    pub(super) client: IpAddr,
    pub(super) request_id: &'a str,
    /// How long the client may take to send its body.
    pub(super) body_patience: Duration,
}

impl Deploy {
    /// A deploy with a site's rules and no functions yet.
    pub fn new(host: impl Into<String>, config: &SiteConfig) -> Self {
        Self {
            host: host.into(),
            publish: config.publish.clone(),
            redirects: config.redirects.clone(),
            headers: config.headers.clone(),
            functions: BTreeMap::new(),
        }
    }

    /// Adds a function.
    pub fn function(mut self, name: impl Into<String>, function: Arc<dyn Invoke>) -> Self {
        self.functions.insert(name.into(), function);
        self
    }
}

impl fmt::Debug for Deploy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deploy")
            .field("host", &self.host)
            .field("publish", &self.publish)
            .field("redirects", &self.redirects)
            .field("headers", &self.headers)
            .field("functions", &self.functions.keys())
            .finish()
    }
}

impl Published {
    pub(super) async fn open(deploy: Deploy) -> Result<Self, Error> {
        let files = Files::open(&deploy.publish).await?;
        Ok(Self { deploy, files })
    }

    /// Answers in Netlify's order, which the module's documentation tells.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        origin: Origin<'_>,
    ) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query());
        if !path.starts_with('/') {
            return text(StatusCode::BAD_REQUEST, "the request names no path\n");
        }
        if let Some(name) = function_name(path) {
            return self.call(&name, query, &parts, body, origin).await;
        }
        let rule = redirects::first_match(&self.deploy.redirects, path, query);
        if !rule.as_ref().is_some_and(|rule| rule.force)
            && let Some(found) = self.files.find(path).await
        {
            return self.file(found, &parts).await;
        }
        match rule.map(|rule| rule.destination) {
            Some(Destination::Elsewhere { status, location }) => redirect(status, &location),
            Some(Destination::Inside {
                status,
                path,
                query,
            }) => {
                if let Some(name) = function_name(&path) {
                    return self
                        .call(&name, query.as_deref(), &parts, body, origin)
                        .await;
                }
                match self.files.find(&path).await {
                    Some(Found::File(file) | Found::Directory(file)) => {
                        let mut answer =
                            files::send(&file, status, &parts.method, &parts.headers).await;
                        headers::apply(
                            &self.deploy.headers,
                            parts.uri.path(),
                            answer.headers_mut(),
                        );
                        answer
                    }
                    None => self.not_found(&parts).await,
                }
            }
            None => self.not_found(&parts).await,
        }
    }

    async fn file(&self, found: Found, parts: &Parts) -> Response<ResponseBody> {
        let file = match found {
            Found::File(file) => file,
            Found::Directory(_) => {
                let query = parts.uri.query().map(|query| format!("?{query}"));
                let location = format!("{}/{}", parts.uri.path(), query.unwrap_or_default());
                return redirect(StatusCode::MOVED_PERMANENTLY, &location);
            }
        };
        let mut answer = files::send(&file, StatusCode::OK, &parts.method, &parts.headers).await;
        headers::apply(&self.deploy.headers, parts.uri.path(), answer.headers_mut());
        answer
    }

    async fn not_found(&self, parts: &Parts) -> Response<ResponseBody> {
        let status = StatusCode::NOT_FOUND;
        match self.files.find("/404.html").await {
            Some(Found::File(page)) if [Method::GET, Method::HEAD].contains(&parts.method) => {
                files::send(&page, status, &parts.method, &parts.headers).await
            }
            _ => text(status, "there is no such page\n"),
        }
    }

    async fn call(
        &self,
        name: &str,
        query: Option<&str>,
        parts: &Parts,
        body: Incoming,
        origin: Origin<'_>,
    ) -> Response<ResponseBody> {
        let Some(function) = self.deploy.functions.get(name) else {
            return text(StatusCode::NOT_FOUND, self.known_functions(name));
        };
        let body = match body::read(body, BODY_LIMIT_BYTES, origin.body_patience).await {
            Ok(body) => body,
            Err(refusal) => return refused(&refusal),
        };
        let arrived = Arrived {
            method: &parts.method,
            uri: &parts.uri,
            query,
            authority: origin.authority,
            headers: &parts.headers,
            body: &body,
            client: origin.client,
            request_id: origin.request_id,
            time_epoch_ms: now_epoch_ms(),
        };
        let event = match arrived.event() {
            Ok(event) => event,
            Err(TooLarge) => return refused(&Refusal::TooLarge),
        };
        // A task of its own: this future ends when the client goes away, an invocation does not.
        let function = Arc::clone(function);
        let invocation = tokio::spawn(async move { function.invoke(event).await });
        let answer = match invocation.await {
            Ok(outcome) => response::response(outcome),
            Err(error) => {
                tracing::error!(function = name, %error, "an invocation came to no end");
                let message = "the local platform failed to run the function";
                response::failure(StatusCode::BAD_GATEWAY, "Platform.Error", message)
            }
        };
        answer.map(files::full)
    }

    fn known_functions(&self, name: &str) -> String {
        let names: Vec<&str> = self.deploy.functions.keys().map(String::as_str).collect();
        let known = match names.as_slice() {
            [] => "this deploy has none".to_owned(),
            names => format!("this deploy has {}", names.join(", ")),
        };
        format!("there is no function {name:?}: {known}\n")
    }
}

/// The name in `/.netlify/functions/<name>[/rest]`, decoded.
fn function_name(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/.netlify/functions/")?;
    let name = rest.split('/').next().unwrap_or(rest);
    Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
}

fn redirect(status: StatusCode, location: &str) -> Response<ResponseBody> {
    let Ok(to) = HeaderValue::from_str(location) else {
        return text(
            StatusCode::BAD_GATEWAY,
            "the redirect leads to no valid URL\n",
        );
    };
    let mut response = text(status, format!("Redirecting to {location}\n"));
    response.headers_mut().insert(header::LOCATION, to);
    response
}

fn refused(refusal: &Refusal) -> Response<ResponseBody> {
    let (status, sentence) = match refusal {
        Refusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "a function takes a body of at most 6 MB (4.5 MB if it is not text)\n",
        ),
        Refusal::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time\n",
        ),
        Refusal::Broken => (StatusCode::BAD_REQUEST, "the body broke off\n"),
    };
    let mut response = text(status, sentence);
    // What is left of the body would stand where the next request should.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

fn now_epoch_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
