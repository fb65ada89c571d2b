//! A deploy of a site, and the order in which it handles a request.

use super::body::{BodyError, read_body};
use super::config::SiteConfig;
use super::event::{BODY_LIMIT_BYTES, BodyTooLarge, EventRequest, now_epoch_ms};
use super::files::{self, Files, ResolvedPath, ResponseBody, text_response};
use super::headers::{self, HeaderRule};
use super::invoke::Invoke;
use super::redirects::{self, Destination, Redirect};
use super::run;
use super::visitor::Visitor;
use crate::Error;
use crate::requests::{ActiveRequest, Recorder, Trigger};
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
use std::time::Duration;

/// The files, rules and functions under one host name.
#[derive(Clone)]
#[non_exhaustive]
pub struct Deploy {
    /// Host name without a port: `localhost` for production (which also serves 127.0.0.1 and
    /// `[::1]`), `staging.localhost` for a stage.
    pub host: String,
    /// Directory of published files. It must exist when the site starts.
    pub publish: PathBuf,
    /// Redirects and rewrites. The first match applies.
    pub redirects: Vec<Redirect>,
    /// Custom headers of published files.
    pub headers: Vec<HeaderRule>,
    /// Functions by their name under `/.netlify/functions/`.
    pub functions: BTreeMap<String, Arc<dyn Invoke>>,
    /// Recorder of the requests, if there is one.
    pub(crate) recorder: Option<Recorder>,
}

/// A deploy with its opened files.
#[derive(Debug)]
pub(crate) struct ServedDeploy {
    deploy: Deploy,
    files: Files,
}

/// Facts about a request that are not in the request itself.
#[derive(Debug)]
pub(super) struct RequestInfo<'a> {
    pub(super) authority: &'a str,
    pub(super) client: IpAddr,
    pub(super) request_id: &'a str,
    /// Time limit for the request's body.
    pub(super) body_timeout: Duration,
    /// The record of the request, if the deploy keeps one.
    pub(super) active: Option<Arc<ActiveRequest>>,
}

impl Deploy {
    /// Creates a deploy with a site's rules and without functions.
    pub fn new(host: impl Into<String>, config: &SiteConfig) -> Self {
        Self {
            host: host.into(),
            publish: config.publish.clone(),
            redirects: config.redirects.clone(),
            headers: config.headers.clone(),
            functions: BTreeMap::new(),
            recorder: None,
        }
    }

    /// Adds a function.
    pub fn with_function(mut self, name: impl Into<String>, function: Arc<dyn Invoke>) -> Self {
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

impl ServedDeploy {
    pub(crate) async fn open(deploy: Deploy) -> Result<Self, Error> {
        let files = Files::open(&deploy.publish).await?;
        Ok(Self { deploy, files })
    }

    /// Returns a function by name.
    pub(crate) fn function(&self, name: &str) -> Option<Arc<dyn Invoke>> {
        self.deploy.functions.get(name).cloned()
    }

    /// Begins the record of a request.
    pub(super) fn begin_record(
        &self,
        request_id: &str,
        request: &Request<Incoming>,
    ) -> Option<Arc<ActiveRequest>> {
        let recorder = self.deploy.recorder.as_ref()?;
        if recorder.is_of_deploy() && is_of_the_pipeline(request) {
            return None;
        }
        let (method, path) = (request.method().as_str(), request.uri().path());
        Some(recorder.begin(request_id, Trigger::Request, method, path))
    }

    /// Handles a request in Netlify's order, as the module's documentation describes.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        info: RequestInfo<'_>,
    ) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query());
        if !path.starts_with('/') {
            return text_response(StatusCode::BAD_REQUEST, "the request has no path\n");
        }
        if let Some(name) = function_name(path) {
            return self.invoke(&name, query, &parts, body, info).await;
        }
        let visitor = Visitor::new(path, query, &parts.headers);
        let rule = redirects::first_match(&self.deploy.redirects, &visitor);
        if !rule.as_ref().is_some_and(|rule| rule.force)
            && let Some(resolved) = self.files.resolve(path).await
        {
            return self.send_file(resolved, &parts).await;
        }
        match rule.map(|rule| rule.destination) {
            Some(Destination::Redirect { status, location }) => {
                redirect_response(status, &location)
            }
            Some(Destination::Rewrite {
                status,
                path,
                query,
            }) => {
                if let Some(name) = function_name(&path) {
                    return self
                        .invoke(&name, query.as_deref(), &parts, body, info)
                        .await;
                }
                match self.files.resolve(&path).await {
                    Some(ResolvedPath::File(file) | ResolvedPath::Directory(file)) => {
                        let mut response =
                            files::send(&file, status, &parts.method, &parts.headers).await;
                        headers::apply(
                            &self.deploy.headers,
                            parts.uri.path(),
                            response.headers_mut(),
                        );
                        response
                    }
                    None => self.not_found(&parts).await,
                }
            }
            None => self.not_found(&parts).await,
        }
    }

    async fn send_file(&self, resolved: ResolvedPath, parts: &Parts) -> Response<ResponseBody> {
        let file = match resolved {
            ResolvedPath::File(file) => file,
            ResolvedPath::Directory(_) => {
                let query = parts.uri.query().map(|query| format!("?{query}"));
                let location = format!("{}/{}", parts.uri.path(), query.unwrap_or_default());
                return redirect_response(StatusCode::MOVED_PERMANENTLY, &location);
            }
        };
        let status = StatusCode::OK;
        let mut response = files::send(&file, status, &parts.method, &parts.headers).await;
        headers::apply(
            &self.deploy.headers,
            parts.uri.path(),
            response.headers_mut(),
        );
        response
    }

    async fn not_found(&self, parts: &Parts) -> Response<ResponseBody> {
        let status = StatusCode::NOT_FOUND;
        match self.files.resolve("/404.html").await {
            Some(ResolvedPath::File(page))
                if [Method::GET, Method::HEAD].contains(&parts.method) =>
            {
                files::send(&page, status, &parts.method, &parts.headers).await
            }
            _ => text_response(status, "page not found\n"),
        }
    }

    async fn invoke(
        &self,
        name: &str,
        query: Option<&str>,
        parts: &Parts,
        body: Incoming,
        info: RequestInfo<'_>,
    ) -> Response<ResponseBody> {
        let Some(function) = self.deploy.functions.get(name) else {
            return text_response(StatusCode::NOT_FOUND, self.unknown_function(name));
        };
        let body = match read_body(body, BODY_LIMIT_BYTES, info.body_timeout).await {
            Ok(body) => body,
            Err(error) => return body_error_response(&error),
        };
        let request = EventRequest {
            method: &parts.method,
            uri: &parts.uri,
            query,
            authority: info.authority,
            headers: &parts.headers,
            body: &body,
            client: info.client,
            request_id: info.request_id,
            time_epoch_ms: now_epoch_ms(),
            event: None,
        };
        let event = match request.to_event() {
            Ok(event) => event,
            Err(BodyTooLarge) => return body_error_response(&BodyError::TooLarge),
        };
        if let Some(active) = &info.active {
            active.set_function(name, &event);
        }
        run::response_of(name, Arc::clone(function), event, info.active).await
    }

    fn unknown_function(&self, name: &str) -> String {
        let names: Vec<&str> = self.deploy.functions.keys().map(String::as_str).collect();
        let known = match names.as_slice() {
            [] => "this deploy has no functions".to_owned(),
            names => format!("this deploy has {}", names.join(", ")),
        };
        format!("no function {name:?}: {known}\n")
    }
}

/// Returns whether a request is one by which the command looks at a deploy: every few seconds while a board is
/// open.
fn is_of_the_pipeline(request: &Request<Incoming>) -> bool {
    let is_of_record = request.uri().path() == "/.well-known/stagelink.json";
    is_of_record || request.headers().contains_key("x-stagelink-self-check")
}

/// Returns the decoded name in `/.netlify/functions/<name>[/rest]`.
fn function_name(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/.netlify/functions/")?;
    let name = rest.split('/').next().unwrap_or(rest);
    Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
}

fn redirect_response(status: StatusCode, location: &str) -> Response<ResponseBody> {
    let Ok(to) = HeaderValue::from_str(location) else {
        return text_response(StatusCode::BAD_GATEWAY, "the redirect has an invalid URL\n");
    };
    let mut response = text_response(status, format!("Redirecting to {location}\n"));
    response.headers_mut().insert(header::LOCATION, to);
    response
}

fn body_error_response(error: &BodyError) -> Response<ResponseBody> {
    let (status, sentence) = match error {
        BodyError::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large: the limit is 6 MB (4.5 MB if it is not text)\n",
        ),
        BodyError::TimedOut => (
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time\n",
        ),
        BodyError::Aborted => (StatusCode::BAD_REQUEST, "the body is incomplete\n"),
    };
    let mut response = text_response(status, sentence);
    // The rest of the body would be read as the next request.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
