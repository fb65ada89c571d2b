//! A response of a provider's API, and the fields of it that are wanted.

use std::error::Error as StdError;
use std::fmt;

use bytes::{Buf as _, Bytes};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use crate::error::{Error, ErrorKind};
use crate::provider::http::api::ProviderApi;
use crate::provider::http::refusal::{ErrorBody, Refusal};

/// A complete response of a provider's API.
///
/// Its body may hold secrets, so it is overwritten with zeros on drop. Copies that the HTTP and
/// TLS libraries and the kernel made on the way are not.
pub(in crate::provider) struct ApiResponse {
    api: &'static ProviderApi,
    subject: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl ApiResponse {
    /// Reads a response with a body of at most `limit_bytes`. `subject` names the requested
    /// resource in messages: "app shop".
    pub(in crate::provider) async fn read<B>(
        api: &'static ProviderApi,
        subject: &str,
        response: Response<B>,
        limit_bytes: usize,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>>
    where
        B: BodyExt<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        let (head, body) = response.into_parts();
        let mut received = Limited::new(body, limit_bytes).collect().await?.aggregate();
        // Allocated once at full length: a vector that grows leaves copies behind.
        let mut body = Zeroizing::new(vec![0; received.remaining()]);
        received.copy_to_slice(&mut body);
        Ok(Self {
            api,
            subject: subject.to_owned(),
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    pub(in crate::provider) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// Parses the body as JSON.
    pub(in crate::provider) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.malformed(&error))
    }

    /// Reads string fields of the body, a JSON object. A field that is missing, null or blank is
    /// `None`; other fields are skipped without being copied.
    pub(in crate::provider) fn string_fields<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<SecretString>; N], Error> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        StringFields(names)
            .deserialize(&mut json)
            .and_then(|fields| json.end().map(|()| fields))
            .map_err(|error| self.malformed(&error))
    }

    /// Returns the names of the body's fields whose values are database URLs, in order. No value is
    /// kept.
    pub(in crate::provider) fn database_url_names(&self) -> Result<Vec<String>, Error> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        DatabaseUrlNames
            .deserialize(&mut json)
            .map_err(|error| self.malformed(&error))
    }

    /// Reads a string field that every response has by the provider's documentation.
    pub(in crate::provider) fn required_string(&self, name: &str) -> Result<SecretString, Error> {
        let [field] = self.string_fields([name])?;
        field.ok_or_else(|| self.undocumented(&format!("without {name:?}")))
    }

    /// Returns the parts that decide about a refusal, by its status. `None` for a success.
    pub(in crate::provider) fn refusal(&self) -> Option<Refusal<'_>> {
        (!self.status.is_success()).then(|| Refusal {
            api: self.api,
            subject: &self.subject,
            status: self.status,
            headers: &self.headers,
            body: self.error_body(),
        })
    }

    /// Reads a provider's error response. `None` for any other body, such as the HTML page of a
    /// proxy.
    fn error_body(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Reports where the body is malformed. The parser's message is left out: it may quote the
    /// body.
    fn malformed(&self, error: &serde_json::Error) -> Error {
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
                "{}'s API sent a response that its documentation does not describe ({which}); \
                 requested: {}",
                self.api.name, self.subject
            ),
        )
    }
}

/// Deserializes an object and keeps the strings of some of its fields.
struct StringFields<'a, const N: usize>([&'a str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for StringFields<'_, N> {
    type Value = [Option<SecretString>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for StringFields<'_, N> {
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

/// Deserializes an object and keeps the names of the fields that hold database URLs.
struct DatabaseUrlNames;

impl<'de> DeserializeSeed<'de> for DatabaseUrlNames {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DatabaseUrlNames {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let is_database_url = |text: &SecretString| {
            let text = text.expose_secret().trim_start();
            text.starts_with("postgres://") || text.starts_with("postgresql://")
        };
        let mut names = Vec::new();
        while let Some(name) = map.next_key()? {
            if map
                .next_value::<Option<SecretString>>()?
                .is_some_and(|text| is_database_url(&text))
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::api::API;

    fn database_url(json: &str) -> Result<Option<String>, Error> {
        let [url] = response(200, json).string_fields(["DATABASE_URL"])?;
        Ok(url.map(|url| url.expose_secret().to_owned()))
    }

    fn response(status: u16, body: &str) -> ApiResponse {
        ApiResponse {
            api: &API,
            subject: "app shop".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec().into(),
        }
    }

    #[tokio::test]
    async fn body_is_read_whole_up_to_its_limit() {
        let read = |limit_bytes| {
            let body = http_body_util::Full::new(Bytes::from_static(b"12345678"));
            ApiResponse::read(&API, "app shop", Response::new(body), limit_bytes)
        };
        assert_eq!(read(8).await.unwrap().body.as_slice(), b"12345678");
        assert!(read(7).await.is_err());
    }

    #[test]
    fn wanted_field_is_read_and_others_are_skipped() {
        let found =
            database_url(r#"{"A":"1","DATABASE_URL":"postgres://x","B":null,"C":{"d":[1]}}"#);
        assert_eq!(found.unwrap().as_deref(), Some("postgres://x"));
    }

    #[test]
    fn missing_null_or_blank_field_is_none() {
        for json in ["{}", r#"{"DATABASE_URL":null}"#, r#"{"DATABASE_URL":" "}"#] {
            assert_eq!(database_url(json).unwrap(), None, "{json}");
            let error = response(200, json)
                .required_string("DATABASE_URL")
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
        }
    }

    #[test]
    fn fields_with_database_urls_are_named() {
        let json = r#"{"B_URL":"postgresql://x","A_URL":"postgres://y","C":"redis://z","D":null}"#;
        let names = response(200, json).database_url_names().unwrap();
        assert_eq!(names, ["A_URL", "B_URL"]);
    }

    #[test]
    fn malformed_body_is_refused_and_not_shown() {
        for json in [
            "[]",
            "\"c4n4ry\"",
            "{",
            r#"{"DATABASE_URL":1}"#,
            r#"{"DATABASE_URL":"c4n4ry"} c4n4ry"#,
            "<html>c4n4ry</html>",
        ] {
            let error = database_url(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable, "{json}");
            assert!(!format!("{error:?}").contains("c4n4ry"), "{json}");
        }
    }
}
