//! One GET of a JSON document from a provider's API, within limits.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::provider::http::receive::receive;
use crate::provider::http::response::Answer;

/// A provider as its API and its operators know it: what differs in one call,
/// and what to do about each refusal.
pub(in crate::provider) struct Service {
    /// The provider's name, for messages.
    pub(in crate::provider) name: &'static str,
    /// The media type that it answers with.
    pub(in crate::provider) accept: &'static str,
    /// The variable with the API's URL.
    pub(in crate::provider) url_variable: &'static str,
    /// The variable with the token.
    pub(in crate::provider) token_variable: &'static str,
    /// What to do about a token that is refused.
    pub(in crate::provider) new_token: &'static str,
    /// What to do about a token that may not read something.
    pub(in crate::provider) access: &'static str,
    /// What to do about a name that the provider does not know.
    pub(in crate::provider) names: &'static str,
}

/// A provider's API at one address, asked with one token.
///
/// It never follows a redirect, so the token goes to this address alone.
pub(in crate::provider) struct Api {
    service: &'static Service,
    scheme: Scheme,
    authority: Authority,
    authorization: SecretString,
    client: OnceLock<HttpClient>,
}

/// Plain HTTP needs no TLS set-up, which costs more than all the rest, so it
/// gets a client without it.
enum HttpClient {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

impl Api {
    /// Makes ready to ask at `base`, a URL of scheme and host.
    pub(in crate::provider) fn new(
        service: &'static Service,
        base: &str,
        token: &SecretString,
    ) -> Result<Self, Error> {
        let variable = service.url_variable;
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
                    "{} holds characters that no token has, such as a line break",
                    service.token_variable
                ),
            ));
        }
        Ok(Self {
            service,
            scheme,
            authority,
            authorization: authorization.into(),
            client: OnceLock::new(),
        })
    }

    /// Asks for `path`, which starts with a slash, and reads the answer as JSON.
    /// `subject` is what is asked for, for messages.
    pub(in crate::provider) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        subject: &str,
    ) -> Result<T, Error> {
        self.ask(path, None, subject).await?.json()
    }

    /// One call: an answer with a status of success, or an error that says what to do.
    pub(in crate::provider) async fn ask(
        &self,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
        subject: &str,
    ) -> Result<Answer, Error> {
        let request = self.request(path, header)?;
        let response = match self.client()? {
            HttpClient::Plain(client) => client.request(request).await,
            HttpClient::Tls(client) => client.request(request).await,
        };
        let response =
            response.map_err(|error| self.unreachable("could not ask", subject, error))?;
        let received = receive(response, BODY_LIMIT_BYTES).await.map_err(|error| {
            self.unreachable("could not read the whole answer of", subject, error)
        })?;
        let answer = Answer::new(self.service, subject, received);
        if answer.is_success() {
            return Ok(answer);
        }
        let said = answer
            .said()
            .map(|said| format!(", {}", self.one_line(&said)));
        Err(answer.refusal(&said.unwrap_or_default()))
    }

    /// A text from outside as a part of a message: one line, not too long, and
    /// without the token, should it be there.
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
    ) -> Result<Request<Empty<Bytes>>, Error> {
        let invalid = |error: http::Error| {
            Error::with_source(
                ErrorKind::Settings,
                format!(
                    "could not make a request to {} for {path:?}",
                    self.service.name
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
            .header(ACCEPT, self.service.accept)
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
                Error::with_source(
                    ErrorKind::ProviderUnavailable,
                    format!("could not set up TLS to ask {}", self.service.name),
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
        subject: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let (name, authority) = (self.service.name, &self.authority);
        Error::with_source(
            ErrorKind::ProviderUnavailable,
            format!("{what} {name}'s API at {authority} for {subject}"),
            source,
        )
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("name", &self.service.name)
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

/// One segment of a path, or one value of a query: a name never becomes another path.
pub(in crate::provider) fn segment(name: &str) -> String {
    utf8_percent_encode(name.trim(), SEGMENT).to_string()
}

/// All but letters, digits and these, so that neither a slash nor dots get through.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// More than the config vars of any app: Heroku allows 64 kB of them.
const BODY_LIMIT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: &str) -> Result<Api, Error> {
        Api::new(&SERVICE, base, &"c4n4ry".into())
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
        assert_eq!(api.one_line("bad\ntoken c4n4ry"), "bad token [token]");
        let at_the_end = format!("{}c4n4ry", "x".repeat(197));
        assert!(!api.one_line(&at_the_end).contains("c4n"));
    }

    #[test]
    fn token_with_a_line_break_is_refused_without_showing_it() {
        let token = "c4n\n4ry".into();
        let error = Api::new(&SERVICE, "https://h", &token).unwrap_err();
        assert!(error.to_string().contains("THE_TOKEN"));
        assert!(!format!("{error:?}").contains("4ry"));
    }

    #[test]
    fn name_cannot_leave_its_segment() {
        assert_eq!(segment("../account"), "%2E%2E%2Faccount");
        assert_eq!(segment("a&b=c?"), "a%26b%3Dc%3F");
        assert_eq!(segment("my-app"), "my-app");
    }

    const SERVICE: Service = Service {
        name: "Heroku",
        accept: "application/json",
        url_variable: "THE_VARIABLE",
        token_variable: "THE_TOKEN",
        new_token: "",
        access: "",
        names: "",
    };
}
