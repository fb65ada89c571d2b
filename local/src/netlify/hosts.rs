//! The deploys by host name, and the page for an unknown host.

use super::deploy::{Deploy, ServedDeploy};
use super::files::{ResponseBody, page_response};
use crate::{Error, ErrorKind};
use http::uri::Authority;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

/// Finds the deploy for each request to a site, by the host name of the request.
pub(crate) trait FindDeploy: fmt::Debug + Send + Sync {
    /// Returns the deploy that the host leads to at this moment.
    fn find<'a>(&'a self, host: &'a str) -> FoundDeploy<'a>;

    /// Returns all host names, for the page of an unknown one.
    fn hosts(&self) -> Vec<String>;
}

/// Future of the deploy for a request. It is `None` for an unknown host, and an error has the
/// response to send instead of the deploy's.
pub(crate) type FoundDeploy<'a> = Pin<Box<dyn Future<Output = DeployOrResponse> + Send + 'a>>;

/// Output of [`FoundDeploy`].
pub(crate) type DeployOrResponse = Result<Option<Arc<ServedDeploy>>, Box<Response<ResponseBody>>>;

/// The deploys of a site by host name, which stay the same while the site runs.
#[derive(Debug)]
pub(super) struct Hosts(BTreeMap<String, Arc<ServedDeploy>>);

impl Hosts {
    /// Opens the files of every deploy.
    pub(super) async fn open(deploys: Vec<Deploy>) -> Result<Self, Error> {
        let mut hosts = BTreeMap::new();
        for deploy in deploys {
            let host = canonical_host(&deploy.host.to_ascii_lowercase()).to_owned();
            if !is_valid_host(&host) {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!("could not serve a deploy as {host:?}: it is not a host name"),
                ));
            }
            let published = Arc::new(ServedDeploy::open(deploy).await?);
            if hosts.insert(host.clone(), published).is_some() {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!("could not serve two deploys as {host}: each needs its own host name"),
                ));
            }
        }
        Ok(Self(hosts))
    }
}

impl FindDeploy for Hosts {
    fn find<'a>(&'a self, host: &'a str) -> FoundDeploy<'a> {
        Box::pin(ready(Ok(self.0.get(host).cloned())))
    }

    fn hosts(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Returns the page for an unknown host. It is not another deploy's page: a page of production under
/// a mistyped name could be taken for the intended stage.
pub(super) fn unknown_host_page(host: &str, hosts: &[String], port: u16) -> Response<ResponseBody> {
    let hosts: String = hosts
        .iter()
        .map(|host| format!("<li><a href=\"http://{host}:{port}/\">{host}</a></li>\n"))
        .collect();
    let host = escape_html(host);
    let body = format!(
        "<!doctype html>\n<title>No such deploy</title>\n<h1>No deploy at {host}</h1>\n\
         <p>This site has:</p>\n<ul>\n{hosts}</ul>\n"
    );
    page_response(StatusCode::NOT_FOUND, "text/html; charset=UTF-8", body)
}

/// Returns the host of a request in lower case, without and with its port.
///
/// Returns `None` if the request has no host, several hosts or an invalid one.
pub(super) fn request_host(uri: &Uri, headers: &HeaderMap) -> Option<(String, String)> {
    let mut host_headers = headers.get_all(header::HOST).iter();
    let authority = match (uri.authority(), host_headers.next(), host_headers.next()) {
        (_, _, Some(_)) => return None,
        (Some(authority), _, None) => authority.clone(),
        (None, host, None) => Authority::try_from(host?.as_bytes()).ok()?,
    };
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let with_port = match authority.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    Some((host, with_port))
}

/// Returns the canonical name of a host: both loopback addresses are `localhost`.
pub(super) fn canonical_host(host: &str) -> &str {
    match host.strip_suffix('.').unwrap_or(host) {
        "127.0.0.1" | "[::1]" => "localhost",
        host => host,
    }
}

fn is_valid_host(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(value: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, value.parse().unwrap());
        request_host(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn host_is_lower_case_with_or_without_a_port() {
        let pair = |host: &str, port: &str| Some((host.to_owned(), format!("{host}{port}")));
        assert_eq!(
            host("Staging.LocalHost:8888"),
            pair("staging.localhost", ":8888")
        );
        assert_eq!(host("localhost"), pair("localhost", ""));
        assert_eq!(host("[::1]:80"), pair("[::1]", ":80"));
    }

    #[test]
    fn invalid_or_repeated_host_is_refused() {
        assert_eq!(host("user@localhost"), None);
        assert_eq!(host("local host"), None);
        assert_eq!(
            request_host(&Uri::from_static("/"), &HeaderMap::new()),
            None
        );
        let mut two = HeaderMap::new();
        two.append(header::HOST, "localhost".parse().unwrap());
        two.append(header::HOST, "staging.localhost".parse().unwrap());
        assert_eq!(request_host(&Uri::from_static("/"), &two), None);
    }

    #[test]
    fn valid_host_names_consist_of_labels() {
        assert!(
            is_valid_host("staging.localhost") && is_valid_host("deploy-preview-1--site.localhost")
        );
        for host in ["", "a..b", ".localhost", "a b", "a:1", "<b>", "-a"] {
            assert!(!is_valid_host(host), "{host}");
        }
    }
}
