//! Which deploy a host name means, and what an unknown one is told.

use super::deploy::{Deploy, Published};
use super::files::{ResponseBody, page};
use crate::{Error, ErrorKind};
use http::uri::Authority;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use std::collections::BTreeMap;

/// The deploys of a site by host name.
#[derive(Debug)]
pub(super) struct Hosts(BTreeMap<String, Published>);

impl Hosts {
    /// Opens every deploy.
    pub(super) async fn open(deploys: Vec<Deploy>) -> Result<Self, Error> {
        let mut hosts = BTreeMap::new();
        for deploy in deploys {
            let host = canonical(&deploy.host.to_ascii_lowercase()).to_owned();
            if !is_host(&host) {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!("could not serve a deploy as {host:?}: it is not a host name"),
                ));
            }
            let published = Published::open(deploy).await?;
            if hosts.insert(host.clone(), published).is_some() {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!("could not serve two deploys as {host}: each needs its own host name"),
                ));
            }
        }
        Ok(Self(hosts))
    }

    pub(super) fn find(&self, host: &str) -> Option<&Published> {
        self.0.get(canonical(host))
    }

    /// The page for a host that no deploy has. No deploy stands in for it: a page of
    /// production under a mistyped name would pass for the stage that was meant.
    pub(super) fn unknown(&self, asked: &str, port: u16) -> Response<ResponseBody> {
        let known: String = self
            .0
            .keys()
            .map(|host| format!("<li><a href=\"http://{host}:{port}/\">{host}</a></li>\n"))
            .collect();
        let asked = escaped(asked);
        let body = format!(
            "<!doctype html>\n<title>No such deploy</title>\n<h1>No deploy at {asked}</h1>\n\
             <p>This site has:</p>\n<ul>\n{known}</ul>\n"
        );
        page(StatusCode::NOT_FOUND, "text/html; charset=UTF-8", body)
    }
}

/// The host that a request is for, lower case, and the same with its port if it names one.
///
/// `None` if it names no host, more than one or something else: such a request is for nobody.
pub(super) fn asked(uri: &Uri, headers: &HeaderMap) -> Option<(String, String)> {
    let mut named = headers.get_all(header::HOST).iter();
    let authority = match (uri.authority(), named.next(), named.next()) {
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

/// The one name of a host: both loopback addresses are localhost.
fn canonical(host: &str) -> &str {
    match host.strip_suffix('.').unwrap_or(host) {
        "127.0.0.1" | "[::1]" => "localhost",
        host => host,
    }
}

fn is_host(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn escaped(text: &str) -> String {
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
        asked(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn host_is_read_without_its_case_and_with_or_without_a_port() {
        let pair = |host: &str, port: &str| Some((host.to_owned(), format!("{host}{port}")));
        assert_eq!(
            host("Staging.LocalHost:8888"),
            pair("staging.localhost", ":8888")
        );
        assert_eq!(host("localhost"), pair("localhost", ""));
        assert_eq!(host("[::1]:80"), pair("[::1]", ":80"));
    }

    #[test]
    fn host_that_is_none_or_two_is_for_nobody() {
        assert_eq!(host("user@localhost"), None);
        assert_eq!(host("local host"), None);
        assert_eq!(asked(&Uri::from_static("/"), &HeaderMap::new()), None);
        let mut two = HeaderMap::new();
        two.append(header::HOST, "localhost".parse().unwrap());
        two.append(header::HOST, "staging.localhost".parse().unwrap());
        assert_eq!(asked(&Uri::from_static("/"), &two), None);
    }

    #[test]
    fn host_names_are_labels_and_dots() {
        assert!(is_host("staging.localhost") && is_host("deploy-preview-1--site.localhost"));
        for host in ["", "a..b", ".localhost", "a b", "a:1", "<b>", "-a"] {
            assert!(!is_host(host), "{host}");
        }
    }
}
