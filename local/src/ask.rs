//! Sends one request to a site on this machine, for tests.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{Error, ErrorKind};

/// Sends a request to a site such as `http://staging.localhost:8888` and reads its answer whole.
/// Names beneath `localhost` are this machine, whatever its resolver says.
pub(crate) async fn ask(
    method: &str,
    site: &str,
    path: &str,
    json: Option<&Value>,
) -> Result<Response<Bytes>, Error> {
    let what = || format!("could not send {method} {site}{path}");
    let input = |cause: http::Error| Error::new(ErrorKind::Input, what()).because(cause);
    let system = |cause: hyper::Error| Error::new(ErrorKind::System, what()).because(cause);

    let uri = site
        .parse::<Uri>()
        .map_err(|cause| input(cause.into()))?
        .into_parts();
    let authority = uri
        .authority
        .ok_or_else(|| Error::new(ErrorKind::Input, format!("{}: it has no host", what())))?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority.as_str());
    if json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = json.map(Value::to_string).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body))).map_err(input)?;

    let address = (Ipv4Addr::LOCALHOST, authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|cause| Error::new(ErrorKind::System, what()).because(cause))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(system)?;
    // It ends with the sender.
    tokio::spawn(connection);
    let (head, body) = sender
        .send_request(request)
        .await
        .map_err(system)?
        .into_parts();
    let body = body.collect().await.map_err(system)?.to_bytes();
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn request_that_is_none_is_told_with_what_was_asked() {
        let error = ask("GET", "http://localhost:1", "no path", None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("http://localhost:1"), "{error}");
        let error = ask("GET", "/nowhere", "/", None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}
