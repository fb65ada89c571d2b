//! An HTTP client for servers on this machine.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
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
