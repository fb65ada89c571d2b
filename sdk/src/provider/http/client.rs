//! An HTTP client for one provider's API: GET requests with a token, and limits.

use std::fmt;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::config::{HttpsSettings, TlsLibrary};
use crate::error::{Error, ErrorKind};
use crate::provider::http::api::ProviderApi;
use crate::provider::http::connector::{Connector, RequestBody};
use crate::provider::http::informational::InformationalLimit;
use crate::provider::http::response::ApiResponse;
#[cfg(feature = "native-tls")]
use crate::provider::http::tcp_connector::TcpConnector;
use crate::provider::http::tls;

/// A client for a provider's API at one address, with one token.
///
/// It never follows a redirect, so it sends the token to this address alone.
pub(in crate::provider) struct ApiClient {
    api: &'static ProviderApi,
    scheme: Scheme,
    authority: Authority,
    authorization: SecretString,
    https: HttpsSettings,
    client: OnceLock<HttpClient>,
}

/// The transport.
enum HttpClient {
    /// Plain HTTP too, which only local stand-ins use.
    Rustls(Client<Connector, RequestBody>),
    #[cfg(feature = "native-tls")]
    Native(Client<hyper_tls::HttpsConnector<TcpConnector>, RequestBody>),
}

impl ApiClient {
    /// Creates a client for the API at `base`, a URL of scheme and host. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the URL or the token is not usable.
    pub(in crate::provider) fn new(
        api: &'static ProviderApi,
        base: &str,
        token: &SecretString,
        https: &HttpsSettings,
    ) -> Result<Self, Error> {
        let variable = api.url_variable;
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
                "contains a user or password: set the token in its own variable",
            ));
        }
        if parts.path_and_query.is_some_and(|path| path != "/") {
            return Err(refuse("has a path: give only the scheme and the host"));
        }
        if scheme != Scheme::HTTPS && !(scheme == Scheme::HTTP && is_loopback(&authority)) {
            return Err(refuse(
                "is not an https URL: the token would be sent unencrypted (plain http is for loopback addresses only)",
            ));
        }
        let authorization = format!("Bearer {}", token.expose_secret().trim());
        if HeaderValue::from_str(&authorization).is_err() {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "{} contains characters that no token has, such as a line break",
                    api.token_variable
                ),
            ));
        }
        Ok(Self {
            api,
            scheme,
            authority,
            authorization: authorization.into(),
            https: https.clone(),
            client: OnceLock::new(),
        })
    }

    /// Requests `path`, which starts with a slash, and parses the response as JSON.
    /// `subject` names the requested resource in messages: "app shop".
    pub(in crate::provider) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        subject: &str,
    ) -> Result<T, Error> {
        self.get(path, None, subject).await?.json()
    }

    /// Sends one request and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ProviderUnavailable`] when no complete response arrived; for a status other
    /// than success that of the [`Refusal`](crate::provider::http::refusal::Refusal).
    pub(in crate::provider) async fn get(
        &self,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
        subject: &str,
    ) -> Result<ApiResponse, Error> {
        let mut request = self.request(path, header)?;
        let informational = InformationalLimit::of(&mut request);
        let client = self.client()?;
        let exchange = async {
            let response = match client {
                HttpClient::Rustls(client) => client.request(request).await,
                #[cfg(feature = "native-tls")]
                HttpClient::Native(client) => client.request(request).await,
            };
            let response =
                response.map_err(|error| self.unreachable("could not reach", subject, error))?;
            ApiResponse::read(self.api, subject, response, BODY_LIMIT_BYTES)
                .await
                .map_err(|error| self.unreachable("could not read the response of", subject, error))
        };
        let exchange = pin!(timeout(REQUEST_TIMEOUT, exchange));
        let exceeded = pin!(informational.exceeded());
        let response = match select(exchange, exceeded).await {
            Either::Left((Ok(response), _)) => response?,
            Either::Left((Err(_), _)) => {
                let reason = format!("it took more than {} s", REQUEST_TIMEOUT.as_secs());
                return Err(self.unreachable("could not read the response of", subject, reason));
            }
            Either::Right((reason, _)) => {
                return Err(self.unreachable("could not read the response of", subject, reason));
            }
        };
        let Some(refusal) = response.refusal() else {
            return Ok(response);
        };
        let detail = refusal
            .message()
            .map(|message| format!(", {}", self.one_line(&message)));
        Err(refusal.error(&detail.unwrap_or_default()))
    }

    /// Prepares a text of the provider's for a message: one line of at most 200 characters,
    /// without control characters and without the token.
    fn one_line(&self, text: &str) -> String {
        let token = self.authorization.expose_secret();
        text.replace(token.trim_start_matches("Bearer "), "[token]")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect()
    }

    fn request(
        &self,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Request<RequestBody>, Error> {
        let invalid = |error: http::Error| {
            Error::with_source(
                ErrorKind::Settings,
                format!(
                    "could not build a request to {} for {path:?}",
                    self.api.name
                ),
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
            .header(ACCEPT, self.api.accept)
            .header(AUTHORIZATION, authorization)
            .header(USER_AGENT, concat!("stagelink/", env!("CARGO_PKG_VERSION")));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body(Empty::new().boxed_unsync()).map_err(invalid)
    }

    fn client(&self) -> Result<&HttpClient, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = self.make_client()?;
        Ok(self.client.get_or_init(|| made))
    }

    fn make_client(&self) -> Result<HttpClient, Error> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.http1_max_buf_size(HEAD_LIMIT_BYTES);
        if self.scheme == Scheme::HTTP {
            return Ok(HttpClient::Rustls(builder.build(Connector::plain())));
        }
        Ok(match self.https.library {
            TlsLibrary::Rustls => {
                let https = Connector::encrypted(tls::rustls(&self.https)?);
                HttpClient::Rustls(builder.build(https))
            }
            #[cfg(feature = "native-tls")]
            TlsLibrary::Native => HttpClient::Native(builder.build(tls::native(&self.https)?)),
        })
    }

    fn unreachable(
        &self,
        what: &str,
        subject: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let (name, authority) = (self.api.name, &self.authority);
        let source = source.into();
        let source = match tls::untrusted(source.as_ref()) {
            Some(untrusted) => untrusted.into(),
            None => source,
        };
        Error::with_source(
            ErrorKind::ProviderUnavailable,
            format!("{what} {name}'s API at {authority} for {subject}"),
            source,
        )
    }
}

impl fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiClient")
            .field("name", &self.api.name)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes one path segment or query value, so that a name cannot change the path.
pub(in crate::provider) fn path_segment(name: &str) -> String {
    utf8_percent_encode(name.trim(), SEGMENT).to_string()
}

/// Everything except letters, digits, `-`, `_` and `~`: slashes and dots are encoded too.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// Largest accepted response: 1 MiB. Heroku limits an app's config vars to 64 kB.
const BODY_LIMIT_BYTES: usize = 1 << 20;

/// Largest accepted head of a response: 64 KiB. Each part of a head that arrives has the whole head
/// parsed anew, so a head without end would cost time with the square of the limit.
const HEAD_LIMIT_BYTES: usize = 64 << 10;

/// Limit for one request with its whole response, also where no pool limits the look-up: a command
/// must not wait for ever for a body that drips.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::api::API;

    fn client(base: &str) -> Result<ApiClient, Error> {
        ApiClient::new(&API, base, &"c4n4ry".into(), &HttpsSettings::default())
    }

    #[test]
    fn token_is_sent_unencrypted_to_loopback_only() {
        for base in [
            "https://api.heroku.com",
            "http://localhost:4010",
            "http://127.0.0.1:4010/",
            "http://[::1]:4010",
        ] {
            assert!(client(base).is_ok(), "{base}");
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
            let error = client(base).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings, "{base}");
            assert!(error.to_string().contains("THE_URL"));
        }
    }

    #[test]
    fn debug_and_messages_contain_no_token() {
        let client = client("http://localhost:1").unwrap();
        assert!(!format!("{client:?}").contains("c4n4ry"));
        assert_eq!(client.one_line("bad\ntoken c4n4ry"), "bad token [token]");
        let at_the_end = format!("{}c4n4ry", "x".repeat(197));
        assert!(!client.one_line(&at_the_end).contains("c4n"));
    }

    #[test]
    fn token_with_a_line_break_is_refused_and_not_shown() {
        let token = "c4n\n4ry".into();
        let error =
            ApiClient::new(&API, "https://h", &token, &HttpsSettings::default()).unwrap_err();
        assert!(error.to_string().contains("THE_TOKEN"));
        assert!(!format!("{error:?}").contains("4ry"));
    }

    #[test]
    fn name_stays_within_its_path_segment() {
        assert_eq!(path_segment("../account"), "%2E%2E%2Faccount");
        assert_eq!(path_segment("a&b=c?"), "a%26b%3Dc%3F");
        assert_eq!(path_segment("my-app"), "my-app");
    }
}
