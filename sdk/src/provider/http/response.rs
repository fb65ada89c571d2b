//! What a provider answered: the one text that is wanted of it, or an error that says what to do.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, ErrorKind};
use crate::provider::http::client::Service;
use crate::provider::http::receive::Received;

/// An answer to one question, which arrived whole.
pub(in crate::provider) struct Answer {
    service: &'static Service,
    subject: String,
    received: Received,
}

impl Answer {
    /// `subject` is what was asked for, as a person calls it: "app shop".
    pub(in crate::provider) fn new(
        service: &'static Service,
        subject: &str,
        received: Received,
    ) -> Self {
        Self {
            service,
            subject: subject.to_owned(),
            received,
        }
    }

    pub(in crate::provider) fn is_success(&self) -> bool {
        self.received.status.is_success()
    }

    pub(in crate::provider) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.received.headers.get(name)
    }

    /// The body as JSON of a known form.
    pub(in crate::provider) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.received.body).map_err(|error| self.not_understood(&error))
    }

    /// Texts of the JSON object that the body is, by their names; `None` where one is
    /// missing, null or blank. The other fields are skipped while they are read.
    pub(in crate::provider) fn texts<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<SecretString>; N], Error> {
        let mut json = serde_json::Deserializer::from_slice(&self.received.body);
        Texts(names)
            .deserialize(&mut json)
            .and_then(|texts| json.end().map(|()| texts))
            .map_err(|error| self.not_understood(&error))
    }

    /// The same for one.
    pub(in crate::provider) fn one_text(&self, name: &str) -> Result<Option<SecretString>, Error> {
        self.texts([name]).map(|[text]| text)
    }

    /// The same for a field that every answer has by the provider's documents.
    pub(in crate::provider) fn documented_text(&self, name: &str) -> Result<SecretString, Error> {
        self.one_text(name)?
            .ok_or_else(|| self.undocumented(&format!("without {name:?}")))
    }

    /// Why there is no other answer than this one.
    pub(in crate::provider) fn refusal(&self, said: &str) -> Error {
        let Service {
            name,
            token_variable,
            ..
        } = self.service;
        let subject = &self.subject;
        let status = self.received.status.as_u16();
        let refused = |message| Error::new(ErrorKind::ProviderRefused, message);
        match self.received.status {
            StatusCode::UNAUTHORIZED => refused(format!(
                "{name} refused the token in {token_variable} ({status}{said}): it is wrong, \
                 expired or revoked; {}",
                self.service.new_token
            )),
            StatusCode::FORBIDDEN => refused(format!(
                "{name} forbids the token in {token_variable} to read {subject} ({status}{said}): {}",
                self.service.access
            )),
            StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY => refused(format!(
                "{name} knows no {subject} ({status}{said}): {}",
                self.service.names
            )),
            StatusCode::TOO_MANY_REQUESTS => Error::rate_limited(
                format!(
                    "{name}'s rate limit for this account is used up ({status}{said}), asking for \
                     {subject}"
                ),
                retry_after(&self.received.headers, SystemTime::now()),
            ),
            _ => Error::new(
                ErrorKind::ProviderUnavailable,
                format!("{name}'s API answered {status} for {subject}{said}"),
            ),
        }
    }

    /// What the body of an error says, if it is one of a provider's: anything
    /// else, such as a proxy's HTML page, is left out.
    pub(in crate::provider) fn said(&self) -> Option<String> {
        let said: Said = serde_json::from_slice(&self.received.body).ok()?;
        Some(match said.id {
            Some(id) if !id.is_empty() => format!("{id}: {}", said.message),
            _ => said.message,
        })
    }

    /// The parser's own words may quote the text, so only the place is told.
    fn not_understood(&self, error: &serde_json::Error) -> Error {
        self.undocumented(&format!(
            "at line {}, column {}",
            error.line(),
            error.column()
        ))
    }

    fn undocumented(&self, which: &str) -> Error {
        Error::new(
            ErrorKind::ProviderUnavailable,
            format!(
                "{}'s API answered with something that is not what it documents ({which}), asked \
                 for {}",
                self.service.name, self.subject
            ),
        )
    }
}

/// The body of an error, by the names that Heroku and Render use, or Neon.
#[derive(Deserialize)]
struct Said {
    #[serde(alias = "code")]
    id: Option<String>,
    message: String,
}

/// Reads an object and keeps the texts of some fields.
struct Texts<'a, const N: usize>([&'a str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Texts<'_, N> {
    type Value = [Option<SecretString>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Texts<'_, N> {
    type Value = [Option<SecretString>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut wanted = [const { None }; N];
        while let Some(name) = map.next_key::<String>()? {
            match self.0.iter().position(|own| *own == name) {
                Some(place) => wanted[place] = map.next_value::<Option<SecretString>>()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let is_text = |text: &SecretString| !text.expose_secret().trim().is_empty();
        Ok(wanted.map(|text| text.filter(is_text)))
    }
}

/// How long to wait, from seconds or a date. A date is held against the one that
/// the answer bears itself, where it has one: this clock may be another.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let date = |name| httpdate::parse_http_date(text(name)?).ok();
    let wait = match text(RETRY_AFTER)?.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date(RETRY_AFTER)?
            .duration_since(date(DATE).unwrap_or(now))
            .unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Nobody means more than a day, and more than any process of a function lives.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn one_text(json: &str) -> Result<Option<String>, Error> {
        let found = answer(200, json).one_text("DATABASE_URL")?;
        Ok(found.map(|url| url.expose_secret().to_owned()))
    }

    fn answer(status: u16, body: &str) -> Answer {
        let received = Received {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec().into(),
        };
        Answer::new(&SERVICE, "app shop", received)
    }

    #[test]
    fn one_text_is_taken_and_the_others_are_skipped() {
        let found = one_text(r#"{"A":"1","DATABASE_URL":"postgres://x","B":null,"C":{"d":[1]}}"#);
        assert_eq!(found.unwrap().as_deref(), Some("postgres://x"));
    }

    #[test]
    fn missing_null_or_blank_text_is_none() {
        for json in ["{}", r#"{"DATABASE_URL":null}"#, r#"{"DATABASE_URL":" "}"#] {
            assert_eq!(one_text(json).unwrap(), None, "{json}");
            let error = answer(200, json)
                .documented_text("DATABASE_URL")
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
        }
    }

    #[test]
    fn other_json_is_refused_without_being_shown() {
        for json in [
            "[]",
            "\"c4n4ry\"",
            "{",
            r#"{"DATABASE_URL":1}"#,
            r#"{"DATABASE_URL":"c4n4ry"} c4n4ry"#,
            "<html>c4n4ry</html>",
        ] {
            let error = one_text(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable, "{json}");
            assert!(!format!("{error:?}").contains("c4n4ry"), "{json}");
        }
    }

    #[test]
    fn error_body_of_each_provider_is_read_and_others_are_left_out() {
        let said = |body| answer(500, body).said();
        let both = |text: &str| Some(text.to_owned());
        assert_eq!(said(r#"{"id":"gone","message":"no"}"#), both("gone: no"));
        assert_eq!(said(r#"{"code":"gone","message":"no"}"#), both("gone: no"));
        assert_eq!(said(r#"{"code":"","message":"no"}"#), both("no"));
        assert_eq!(said(r#"{"message":"no"}"#), both("no"));
        assert_eq!(said("<html>no</html>"), None);
        assert_eq!(said(""), None);
    }

    #[test]
    fn statuses_are_told_apart() {
        let kind = |status| answer(status, "").refusal("").kind();
        for status in [400, 401, 403, 404, 410, 422] {
            assert_eq!(kind(status), ErrorKind::ProviderRefused, "{status}");
        }
        assert_eq!(kind(429), ErrorKind::RateLimited);
        for status in [302, 406, 500, 502, 503] {
            assert_eq!(kind(status), ErrorKind::ProviderUnavailable, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let at = |text: &str| httpdate::parse_http_date(text).unwrap();
        let now = at("Sun, 06 Nov 1994 08:49:00 GMT");
        let wait = |headers: &[(HeaderName, &str)]| {
            let pairs = headers
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().unwrap()));
            retry_after(&pairs.collect(), now).map(|wait| wait.as_secs())
        };
        let then = (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[(RETRY_AFTER, " 17")]), Some(17));
        assert_eq!(wait(std::slice::from_ref(&then)), Some(37));
        let theirs = (DATE, "Sun, 06 Nov 1994 08:49:30 GMT");
        assert_eq!(wait(&[then.clone(), theirs]), Some(7));
        let later = (DATE, "Sun, 06 Nov 1994 09:00:00 GMT");
        assert_eq!(wait(&[then, later]), Some(0));
        assert_eq!(wait(&[(RETRY_AFTER, "soon")]), None);
        let most = u64::MAX.to_string();
        assert_eq!(wait(&[(RETRY_AFTER, &most)]), Some(24 * 60 * 60));
        assert_eq!(wait(&[]), None);
    }

    const SERVICE: Service = Service {
        name: "Heroku",
        accept: "application/json",
        url_variable: "URL",
        token_variable: "TOKEN",
        new_token: "make one",
        access: "give it access",
        names: "check the name",
    };
}
