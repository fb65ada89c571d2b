//! A client that asks a deploy as its visitors do: without a token, and without following redirects.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};

use crate::artifact::LARGEST_RECORD_BYTES;
use crate::error::{Error, ErrorKind};
use crate::https;
use crate::localhost_names::LocalhostNames;

/// A client for the addresses of a deploy.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    client: Client,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Visitor {
    /// Builds the client without connecting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, Error> {
        let client = https::client()?
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(20))
            // A kept connection would lead to the deploy that was published before.
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(LocalhostNames));
        let client = https::build(client)?;
        Ok(Self { client })
    }

    /// Sends a GET request, with an optional header.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when no whole response of at most 8 MiB arrives.
    pub(crate) async fn get(
        &self,
        url: &str,
        header: Option<(&'static str, &str)>,
    ) -> Result<Visit, Error> {
        let shown = url.split(['?', '#']).next().unwrap_or_default();
        let failed = |error: reqwest::Error| {
            let message = format!("{shown} does not answer");
            Error::with_source(ErrorKind::Unavailable, message, error.without_url())
        };
        let mut request = self.client.request(Method::GET, url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_BODY_BYTES {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{shown} sent more than {} MiB", LARGEST_BODY_BYTES >> 20),
                ));
            }
        }
        Ok(Visit {
            status,
            headers,
            body,
        })
    }
}

/// A record file of the largest size is read.
const LARGEST_BODY_BYTES: usize = LARGEST_RECORD_BYTES;
