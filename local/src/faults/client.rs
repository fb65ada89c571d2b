//! The client of a [`FaultServer`](super::FaultServer).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::active::ActiveFault;
use super::fault::Fault;
use super::server::{Injection, PATH};
use crate::{Error, ErrorKind, http_client};

/// Injects faults into the cloud of another process, by its [`FaultServer`](super::FaultServer).
#[derive(Clone)]
pub struct FaultClient {
    url: String,
    token: String,
}

#[derive(Deserialize)]
struct Listing {
    faults: Vec<ActiveFault>,
}

#[derive(Deserialize)]
struct Ended {
    ended: Vec<Fault>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl FaultClient {
    /// Creates the client of the server at this URL.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
        }
    }

    /// Injects a fault into a stage, as [`FaultControl::inject`](super::FaultControl::inject) does.
    /// Returns the faults that last.
    ///
    /// # Errors
    ///
    /// Those of the control, and [`ErrorKind::System`] if the server does not answer.
    pub async fn inject(
        &self,
        stage: &str,
        fault: &Fault,
        duration: Option<Duration>,
    ) -> Result<Vec<ActiveFault>, Error> {
        let injection = Injection {
            stage: stage.to_owned(),
            fault: fault.clone(),
            duration_ms: duration
                .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        };
        let body = serde_json::to_string(&injection).unwrap_or_default();
        let listing: Listing = self.send(Method::POST, PATH, body).await?;
        Ok(listing.faults)
    }

    /// The faults that last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if the server does not answer.
    pub async fn active(&self) -> Result<Vec<ActiveFault>, Error> {
        let listing: Listing = self.send(Method::GET, PATH, String::new()).await?;
        Ok(listing.faults)
    }

    /// Ends faults, as [`FaultControl::clear`](super::FaultControl::clear) does. Returns those that
    /// ended.
    ///
    /// # Errors
    ///
    /// Those of the control, and [`ErrorKind::System`] if the server does not answer.
    pub async fn clear(&self, stage: Option<&str>) -> Result<Vec<Fault>, Error> {
        self.end(stage, false).await
    }

    /// Ends freezes, as [`FaultControl::thaw`](super::FaultControl::thaw) does.
    ///
    /// # Errors
    ///
    /// Those of [`clear`](Self::clear).
    pub async fn thaw(&self, stage: Option<&str>) -> Result<Vec<Fault>, Error> {
        self.end(stage, true).await
    }

    async fn end(&self, stage: Option<&str>, thaws: bool) -> Result<Vec<Fault>, Error> {
        let path = format!("{PATH}?");
        let start = path.len();
        let mut query = form_urlencoded::Serializer::for_suffix(path, start);
        query.append_pair("thaw", if thaws { "true" } else { "false" });
        if let Some(stage) = stage {
            query.append_pair("stage", stage);
        }
        let ended: Ended = self
            .send(Method::DELETE, &query.finish(), String::new())
            .await?;
        Ok(ended.ended)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<T, Error> {
        let unusable = || {
            let message = "could not understand the answer of the running stagelink dev: its \
                           version must be this one's";
            Error::new(ErrorKind::System, message)
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|cause| unusable().with_source(cause))?;
        let response = http_client::send(&self.url, request).await?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|cause| unusable().with_source(cause))?;
        let body = body.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|cause| unusable().with_source(cause));
        }
        let refusal: Result<Refusal, _> = serde_json::from_slice(&body);
        let refusal = refusal.map_err(|cause| unusable().with_source(cause))?;
        let kind = match status {
            StatusCode::NOT_IMPLEMENTED => ErrorKind::Unsupported,
            status if status.is_client_error() => ErrorKind::Input,
            _ => ErrorKind::Process,
        };
        Err(Error::new(kind, refusal.error))
    }
}

impl fmt::Debug for FaultClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultClient")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
