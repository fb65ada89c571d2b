//! The URI of a request, from the parts that an event has of it.

use http::StatusCode;
use http::header::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::problem::Problem;

/// The parts of a URI, as an event has them.
pub(super) struct Target<'a> {
    /// The stage of API Gateway, which comes before its paths.
    pub(super) stage: Option<&'a str>,
    /// The path, decoded or not: which of the two depends on the platform.
    pub(super) path: &'a str,
    /// The query as it was sent, or as its parameters give it.
    pub(super) query: &'a str,
    pub(super) host: Option<&'a str>,
    /// The domain of API Gateway, in the place of a host that is missing or no host.
    pub(super) domain: Option<&'a str>,
    pub(super) forwarded_proto: Option<&'a HeaderValue>,
}

impl Target<'_> {
    /// Returns the URI. Its path and query are those of the event, with escapes for the characters
    /// that a URI cannot hold: no segment is resolved or left out, so that a router sees the path
    /// that the platform's own rules have seen. Without a host that is one, it has only these two.
    ///
    /// # Errors
    ///
    /// A 414 for a URI that is too long to be one.
    pub(super) fn to_uri(&self) -> Result<Uri, Problem> {
        let too_long = || Problem::new(StatusCode::URI_TOO_LONG, "The request's URL is too long.");
        let path_and_query = self.path_and_query();
        if path_and_query.len() > LONGEST_BYTES {
            return Err(too_long());
        }
        let mut parts = http::uri::Parts::default();
        parts.path_and_query =
            Some(PathAndQuery::try_from(path_and_query).map_err(|_| too_long())?);
        let hosts = [self.host, self.domain];
        if let Some(authority) = hosts.into_iter().flatten().find_map(authority) {
            parts.scheme = Some(self.scheme());
            parts.authority = Some(authority);
        }
        Uri::from_parts(parts).map_err(|_| too_long())
    }

    fn path_and_query(&self) -> String {
        let mut text = String::with_capacity(self.path.len() + self.query.len() + 2);
        if let Some(stage) = self.stage
            && stage != "$default"
            && !self.path.strip_prefix('/').is_some_and(|path| {
                path.strip_prefix(stage)
                    .is_some_and(|path| path.starts_with('/'))
            })
            && !crate::config::ignores_stage_in_path()
        {
            text.push('/');
            push_path(&mut text, stage);
        }
        if !self.path.starts_with('/') {
            text.push('/');
        }
        push_path(&mut text, self.path);
        if !self.query.is_empty() {
            text.push('?');
            text.extend(utf8_percent_encode(self.query, NOT_IN_QUERY));
        }
        text
    }

    /// Returns the scheme that the first of several proxies was asked by.
    fn scheme(&self) -> Scheme {
        let proto = self.forwarded_proto.and_then(|proto| proto.to_str().ok());
        let first = proto.and_then(|proto| proto.split(',').next());
        match first {
            Some(first) if first.trim().eq_ignore_ascii_case("http") => Scheme::HTTP,
            _ => Scheme::HTTPS,
        }
    }
}

/// Appends a path. A percent sign that begins no escape is one that the platform has decoded.
fn push_path(text: &mut String, path: &str) {
    let mut parts = path.split('%');
    text.extend(
        parts
            .next()
            .map(|first| utf8_percent_encode(first, NOT_IN_PATH))
            .into_iter()
            .flatten(),
    );
    for part in parts {
        let is_escape = part
            .as_bytes()
            .get(..2)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        text.push_str(if is_escape { "%" } else { "%25" });
        text.extend(utf8_percent_encode(part, NOT_IN_PATH));
    }
}

/// Returns a host as the authority of a URI, if it is a host with or without a port.
fn authority(host: &str) -> Option<Authority> {
    if host.len() > LONGEST_HOST_BYTES || host.contains('@') {
        return None;
    }
    let authority: Authority = host.parse().ok()?;
    let has_sound_port = authority.as_str() == authority.host() || authority.port_u16().is_some();
    (!authority.host().is_empty() && has_sound_port).then_some(authority)
}

/// A URI of the crate `http` has at most 65,534 bytes, with the host.
const LONGEST_BYTES: usize = 65_000;

/// A name has at most 253 characters, and a port five.
const LONGEST_HOST_BYTES: usize = 259;

/// RFC 3986, section 3.3, except the characters that clients send nonetheless and that mean
/// nothing else.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// RFC 3986, section 3.4.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

#[cfg(test)]
mod tests {
    use super::*;

    fn target<'a>(path: &'a str, query: &'a str) -> Target<'a> {
        Target {
            stage: None,
            path,
            query,
            host: Some("shop.example"),
            domain: None,
            forwarded_proto: None,
        }
    }

    #[test]
    fn path_and_query_are_those_of_the_event() {
        for (path, query, expected) in [
            ("/api/echo/%2e%2e/admin", "", "/api/echo/%2e%2e/admin"),
            ("/api/echo/../admin", "", "/api/echo/../admin"),
            ("/what?/#1", "", "/what%3F/%231"),
            ("/a b/é/\"", "", "/a%20b/%C3%A9/%22"),
            ("/100%/%zz/%2F/%", "", "/100%25/%25zz/%2F/%25"),
            ("/a\\b\t\n", "", "/a%5Cb%09%0A"),
            ("//evil.test/x", "", "//evil.test/x"),
            ("", "", "/"),
            ("api", "", "/api"),
            ("@evil.test/", "", "/@evil.test/"),
            (":9/", "", "/:9/"),
            (
                "/",
                "b=1&a=x%20y&b=%C3%A9&c=+&d",
                "/?b=1&a=x%20y&b=%C3%A9&c=+&d",
            ),
            ("/", "a= \"é#<>", "/?a=%20%22%C3%A9%23%3C%3E"),
            ("/", "a=100%&b=?/", "/?a=100%&b=?/"),
        ] {
            let uri = target(path, query).to_uri().unwrap();
            assert_eq!(uri.to_string(), format!("https://shop.example{expected}"));
        }
    }

    #[test]
    fn scheme_is_the_first_proxys() {
        for (proto, expected) in [
            ("http", "http"),
            ("HTTP, https", "http"),
            ("https,http", "https"),
            ("https, https", "https"),
            ("javascript", "https"),
            ("", "https"),
            (",http", "https"),
        ] {
            let proto = HeaderValue::from_str(proto).unwrap();
            let uri = Target {
                forwarded_proto: Some(&proto),
                ..target("/", "")
            }
            .to_uri();
            assert_eq!(uri.unwrap().scheme_str(), Some(expected));
        }
    }

    #[test]
    fn host_that_is_none_is_left_out_of_the_uri() {
        for (host, expected) in [
            ("shop.example:8080", Some("shop.example:8080")),
            ("[::1]:80", Some("[::1]:80")),
            ("[::1]", Some("[::1]")),
            ("", None),
            (" ", None),
            ("a b", None),
            ("shop@evil.test", None),
            ("shop.example:", None),
            ("shop.example:99999", None),
            ("shop.example:x", None),
            ("shop.example/x", None),
            ("shop.example?x", None),
            (
                "shop.example,shop.example",
                Some("shop.example,shop.example"),
            ),
            ("é", None),
            ("[", None),
        ] {
            let uri = Target {
                host: Some(host),
                ..target("/x", "y")
            }
            .to_uri()
            .unwrap();
            assert_eq!(uri.authority().map(Authority::as_str), expected, "{host:?}");
            assert_eq!(uri.path_and_query().unwrap(), "/x?y");
        }
        let uri = Target {
            host: Some("a b"),
            domain: Some("api.example"),
            ..target("/", "")
        };
        assert_eq!(uri.to_uri().unwrap(), "https://api.example/");
    }

    #[test]
    fn stage_of_api_gateway_comes_before_the_path_once() {
        for (stage, path, expected) in [
            ("live", "/orders", "/live/orders"),
            ("live", "/live/orders", "/live/orders"),
            ("live", "/lively", "/live/lively"),
            ("$default", "/orders", "/orders"),
        ] {
            let uri = Target {
                stage: Some(stage),
                ..target(path, "")
            }
            .to_uri()
            .unwrap();
            assert_eq!(uri.path(), expected);
        }
    }

    #[test]
    fn uri_that_is_too_long_is_refused() {
        let long = "/é".repeat(20_000);
        assert_eq!(target(&long, "").to_uri().unwrap_err().status(), 414);
    }
}
