//! Calls to an API with a token, within limits, and their failures for people.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A service as its users know it.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: &'static str,
    /// The variable with the API's URL.
    pub(crate) url_variable: &'static str,
    /// What its answers have to be like.
    pub(crate) accept: &'static str,
}

/// An API at one address, asked with one token. It follows no redirect, so the token goes to
/// this address alone.
pub(crate) struct Api {
    service: &'static Service,
    base: Url,
    token: SecretString,
    /// Where the token comes from, for messages.
    token_from: String,
    client: Client,
}

/// An answer that arrived whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Api {
    /// Makes ready to ask at `base`, whose path is `path` where it has none.
    ///
    /// # Errors
    ///
    /// When the URL is not `https`, nor plain `http` on this machine.
    pub(crate) fn new(
        service: &'static Service,
        base: &str,
        path: &str,
        token: SecretString,
        token_from: impl Into<String>,
    ) -> anyhow::Result<Self> {
        let variable = service.url_variable;
        let mut base: Url = base
            .trim()
            .parse()
            .map_err(|_| anyhow::anyhow!("{variable} is not a URL"))?;
        if !base.username().is_empty() || base.password().is_some() {
            bail!("{variable} holds a user or password: the token has a variable of its own");
        }
        let is_safe = match base.scheme() {
            "https" => true,
            "http" => is_this_machine(&base),
            _ => false,
        };
        if !is_safe {
            bail!(
                "{variable} is not an https URL: the token would travel unencrypted (plain http \
                 is only for this machine)"
            );
        }
        if base.path() == "/" {
            base.set_path(path);
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30))
            .user_agent(concat!("stagelink/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("could not set up TLS")?;
        Ok(Self {
            service,
            base,
            token,
            token_from: token_from.into(),
            client,
        })
    }

    /// One call, whatever its answer. `path` begins after the base, segment by segment, so
    /// that no name becomes another path.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        header: Option<(HeaderName, HeaderValue)>,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Answer> {
        let (name, host) = (self.service.name, self.base.authority());
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{} is not a URL", self.service.url_variable))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .client
            .request(method, url)
            .bearer_auth(self.token.expose_secret().trim())
            .header(ACCEPT, self.service.accept);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("could not reach {name}'s API at {host}"))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("could not read the whole answer of {name}'s API"))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST_BODY_BYTES {
                bail!("{name}'s API at {host} answered with more than a program can use");
            }
        }
        Ok(Answer {
            status,
            headers,
            body: bytes,
        })
    }

    /// Why an answer is not the one that was wanted, and what to do. `doing` says what was
    /// tried, and on what.
    pub(crate) fn refusal(&self, answer: &Answer, doing: &str) -> anyhow::Error {
        let (name, token) = (self.service.name, &self.token_from);
        let status = answer.status.as_u16();
        let said = answer
            .said()
            .map(|said| format!(": {}", self.one_line(&said)))
            .unwrap_or_default();
        let what = match answer.status {
            StatusCode::UNAUTHORIZED => format!(
                "{name} refused the token in {token} ({status}): it is wrong, expired or revoked"
            ),
            StatusCode::FORBIDDEN => format!(
                "{name} forbids the token in {token} to do that ({status}{said}): its account \
                 needs access"
            ),
            StatusCode::NOT_FOUND => format!(
                "{name} knows no such thing ({status}): check the name, and that the token in \
                 {token} is of an account that may see it"
            ),
            StatusCode::TOO_MANY_REQUESTS => match answer.retry_after() {
                Some(wait) => {
                    format!("{name}'s rate limit is used up ({status}): try again in {wait}")
                }
                None => format!("{name}'s rate limit is used up ({status}): try again later"),
            },
            status if status.is_server_error() => {
                format!("{name} failed ({status}{said}): try again later")
            }
            _ => format!("{name} refused it ({status}{said})"),
        };
        anyhow::anyhow!(what).context(format!("could not {doing}"))
    }

    /// A text from outside as a part of a message: one line, not too long, and without the
    /// token, should it be there.
    fn one_line(&self, text: &str) -> String {
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

impl Answer {
    /// The body as JSON of a known form. The parser's own words may quote the text, so only
    /// the place is told.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            anyhow::anyhow!("its answer is not what it documents (line {line}, column {column})")
        })
    }

    /// What the body of an error says, if it is an API's.
    pub(crate) fn said(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let text = body.get("message").or_else(|| body.get("msg"))?;
        Some(text.as_str()?.to_owned())
    }

    fn retry_after(&self) -> Option<String> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        // Seconds, or a date, which says it as well.
        match text.parse::<u64>() {
            Ok(seconds) => Some(format!("{seconds} s")),
            Err(_) => Some(format!("a while (after {text})")),
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
}

/// More than the variables of any site: a function may have 4 kB of them.
const LARGEST_BODY_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: &str) -> anyhow::Result<Api> {
        Api::new(&SERVICE, base, "/api/v1", "c4n4ry".into(), "THE_TOKEN")
    }

    #[test]
    fn token_travels_unencrypted_on_this_machine_only() {
        for base in [
            "https://api.netlify.com",
            "http://127.0.0.1:1",
            "http://[::1]:1/",
        ] {
            let api = api(base).unwrap();
            assert_eq!(api.base.path(), "/api/v1");
            assert!(!format!("{api:?}").contains("c4n4ry"));
        }
        for base in [
            "http://api.netlify.com",
            "http://127.0.0.1.example.com",
            "https://c4n4ry@api.netlify.com",
            "ftp://localhost",
            "c4n4ry",
        ] {
            let error = format!("{:#}", api(base).unwrap_err());
            assert!(error.contains("THE_URL"), "{error}");
            assert!(!error.contains("c4n4ry"));
        }
    }

    #[test]
    fn each_refusal_says_what_was_tried_and_what_to_do() {
        let api = api("https://h").unwrap();
        for (status, words) in [
            (401, "wrong, expired or revoked"),
            (403, "needs access"),
            (404, "check the name"),
            (422, "refused it (422: no [token] )"),
            (429, "try again in 7 s"),
            (500, "try again later"),
        ] {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
                body: br#"{"code":1,"message":"no c4n4ry\n"}"#.to_vec(),
            };
            let error = format!("{:#}", api.refusal(&answer, "set A"));
            assert!(
                error.contains("could not set A") && error.contains(words),
                "{error}"
            );
            assert!(!error.contains("c4n4ry"));
        }
    }

    const SERVICE: Service = Service {
        name: "Netlify",
        url_variable: "THE_URL",
        accept: "application/json",
    };
}
