//! One GET of a JSON document from a provider's API, within limits.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind};

/// A provider's API at one address, asked with one token.
///
/// It never follows a redirect, so the token goes to this address alone.
pub(super) struct Api {
    name: &'static str,
    scheme: Scheme,
    authority: Authority,
    authorization: SecretString,
    accept: &'static str,
    client: OnceLock<HttpClient>,
}

/// An answer that arrived whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Plain HTTP needs no TLS set-up, which costs more than all the rest, so it
/// gets a client without it.
enum HttpClient {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

impl Api {
    /// `name` is the provider's, for messages; `variable` says where `base` came from.
    pub(super) fn new(
        name: &'static str,
        variable: &'static str,
        base: &str,
        token: &SecretString,
        accept: &'static str,
    ) -> Result<Self, Error> {
        let refuse = |what: &str| Error::new(ErrorKind::Settings, format!("{variable} {what}"));
        let parts = base
            .trim()
            .parse::<Uri>()
            .map_err(|_| refuse("is not a URL"))?
            .into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refuse("is not a URL with a scheme and a host"));
        };
        if authority.as_str().contains('@') {
            return Err(refuse(
                "holds a user or password: the token has a variable of its own",
            ));
        }
        if parts.path_and_query.is_some_and(|path| path != "/") {
            return Err(refuse("has a path: give the scheme and the host alone"));
        }
        if scheme != Scheme::HTTPS && !(scheme == Scheme::HTTP && is_this_machine(&authority)) {
            return Err(refuse(
                "is not an https URL: the token would travel unencrypted (plain http is only for this machine)",
            ));
        }
        let authorization = format!("Bearer {}", token.expose_secret().trim());
        if HeaderValue::from_str(&authorization).is_err() {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the token for {name} holds characters that no token has, such as a line break"
                ),
            ));
        }
        Ok(Self {
            name,
            scheme,
            authority,
            authorization: authorization.into(),
            accept,
            client: OnceLock::new(),
        })
    }

    /// Asks for `path`, which starts with a slash.
    pub(super) async fn get(
        &self,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Answer, Error> {
        let request = self.request(path, header)?;
        let answer = match self.client()? {
            HttpClient::Plain(client) => client.request(request).await,
            HttpClient::Tls(client) => client.request(request).await,
        };
        let (head, body) = answer
            .map_err(|error| self.unreachable("could not ask", path, error))?
            .into_parts();
        let body = Limited::new(body, BODY_LIMIT_BYTES)
            .collect()
            .await
            .map_err(|error| self.unreachable("could not read the whole answer of", path, error))?
            .to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Takes the token out of a text that came from outside, should it be there.
    pub(super) fn redact(&self, text: &str) -> String {
        let token = self.authorization.expose_secret();
        text.replace(token.trim_start_matches("Bearer "), "[token]")
    }

    fn request(
        &self,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Request<Empty<Bytes>>, Error> {
        let invalid = |error: http::Error| {
            Error::because(
                ErrorKind::Settings,
                format!("could not make a request to {} for {path:?}", self.name),
                error,
            )
        };
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(invalid)?;
        let mut authorization = HeaderValue::from_str(self.authorization.expose_secret())
            .map_err(|error| invalid(error.into()))?;
        authorization.set_sensitive(true);
        let mut request = Request::get(uri)
            .header(ACCEPT, self.accept)
            .header(AUTHORIZATION, authorization)
            .header(USER_AGENT, concat!("stagelink/", env!("CARGO_PKG_VERSION")));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body(Empty::new()).map_err(invalid)
    }

    fn client(&self) -> Result<&HttpClient, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = self.make_client()?;
        Ok(self.client.get_or_init(|| made))
    }

    fn make_client(&self) -> Result<HttpClient, Error> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let builder = Client::builder(TokioExecutor::new());
        if self.scheme == Scheme::HTTP {
            return Ok(HttpClient::Plain(builder.build(connector)));
        }
        let tls = native_tls::TlsConnector::builder()
            .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
            .build()
            .map_err(|error| {
                Error::because(
                    ErrorKind::ProviderUnavailable,
                    format!("could not set up TLS to ask {}", self.name),
                    error,
                )
            })?;
        let mut https = HttpsConnector::from((connector, tls.into()));
        https.https_only(true);
        Ok(HttpClient::Tls(builder.build(https)))
    }

    fn unreachable(
        &self,
        what: &str,
        path: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::because(
            ErrorKind::ProviderUnavailable,
            format!(
                "{what} {}'s API at {} for {path}",
                self.name, self.authority
            ),
            source,
        )
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("name", &self.name)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

fn is_this_machine(authority: &Authority) -> bool {
    let host = authority.host().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// More than the config vars of any app: Heroku allows 64 kB of them.
const BODY_LIMIT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: &str) -> Result<Api, Error> {
        Api::new(
            "Heroku",
            "THE_VARIABLE",
            base,
            &"c4n4ry".into(),
            "application/json",
        )
    }

    #[test]
    fn token_travels_unencrypted_on_this_machine_only() {
        for base in [
            "https://api.heroku.com",
            "http://localhost:4010",
            "http://127.0.0.1:4010/",
            "http://[::1]:4010",
        ] {
            assert!(api(base).is_ok(), "{base}");
        }
        for base in [
            "http://api.heroku.com",
            "http://127.0.0.1.example.com",
            "ftp://localhost",
            "api.heroku.com",
            "https://user@api.heroku.com",
            "https://api.heroku.com/v3",
            "",
        ] {
            let error = api(base).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings, "{base}");
            assert!(error.to_string().contains("THE_VARIABLE"));
        }
    }

    #[test]
    fn debug_and_messages_hold_no_token() {
        let api = api("http://localhost:1").unwrap();
        assert!(!format!("{api:?}").contains("c4n4ry"));
        assert_eq!(api.redact("bad token c4n4ry"), "bad token [token]");
    }

    #[test]
    fn token_with_a_line_break_is_refused_without_showing_it() {
        let token = "c4n\n4ry".into();
        let error = Api::new("Heroku", "V", "https://h", &token, "").unwrap_err();
        assert!(!format!("{error:?}").contains("4ry"));
    }
}
