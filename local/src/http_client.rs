//! An HTTP client for servers on this machine.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{Error, ErrorKind};

/// Sends a request to a server such as `http://staging.localhost:8888`, on a connection of its own.
/// Returns the response with its unread body.
///
/// Every host name is taken for this machine, so that names beneath `localhost` need no resolver.
/// The request's URI has a path and a query only. `Host` is added if it is missing.
pub(crate) async fn send(
    base_url: &str,
    mut request: Request<Bytes>,
) -> Result<Response<Incoming>, Error> {
    let description = format!(
        "could not send {} {base_url}{}",
        request.method(),
        request.uri()
    );
    let invalid_url = |reason: &str| {
        let message = format!("{description}: {reason}");
        Error::new(ErrorKind::Input, message)
    };
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::System, description.clone()).with_source(cause)
    };
    let uri: Uri = base_url
        .parse()
        .map_err(|cause: http::uri::InvalidUri| invalid_url("invalid url").with_source(cause))?;
    let authority = uri
        .authority()
        .ok_or_else(|| invalid_url("the url has no host"))?;
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::try_from(authority.as_str())
            .map_err(|cause| invalid_url("invalid host").with_source(cause))?;
        request.headers_mut().insert(HOST, host);
    }

    let address = (Ipv4Addr::LOCALHOST, authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|cause| failed(cause.into()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| failed(cause.into()))?;
    // The task ends with the sender and the response's body.
    tokio::spawn(connection);
    sender
        .send_request(request.map(Full::new))
        .await
        .map_err(|cause| failed(cause.into()))
}

/// The status and the whole body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Sends a request to a site of this machine, such as `http://staging.localhost:8888`, on a connection
/// of its own. Every host name is taken for this machine.
///
/// # Errors
///
/// [`ErrorKind::Input`] for an invalid method, path or header, [`ErrorKind::System`] if the whole
/// response does not arrive.
pub async fn send_request(
    base_url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<LocalResponse, Error> {
    let failed = |kind| Error::new(kind, format!("could not send {method} {base_url}{path}"));
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into());
    let request = request.map_err(|cause| failed(ErrorKind::Input).with_source(cause))?;
    let response = send(base_url, request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await;
    let body = body.map_err(|cause| failed(ErrorKind::System).with_source(cause))?;
    Ok(LocalResponse {
        status,
        body: body.to_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn url_without_a_host_is_an_input_error_with_the_request() {
        let request = Request::new(Bytes::new());
        let error = send("/nowhere", request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("GET /nowhere"), "{error}");
    }

    #[tokio::test]
    async fn refused_connection_is_a_system_error() {
        let error = send("http://localhost:1", Request::new(Bytes::new()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System);
    }
}
