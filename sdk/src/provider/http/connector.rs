//! The connector of hyper's client, with TLS or without: one type for all requests of a program, so
//! that it holds the client once.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use http::Uri;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::provider::http::tcp_connector::{BoxError, TcpConnector};

/// The body of a request.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// Connects to servers, either always with TLS or always without.
#[derive(Clone)]
pub(crate) struct Connector(Option<HttpsConnector<TcpConnector>>);

impl Connector {
    /// Returns the connector for requests that are not encrypted: to the Lambda Runtime API, and to
    /// local stand-ins of providers.
    pub(crate) fn plain() -> Self {
        Self(None)
    }

    /// Returns the connector for encrypted requests.
    pub(super) fn encrypted(https: HttpsConnector<TcpConnector>) -> Self {
        Self(Some(https))
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match &mut self.0 {
            Some(https) => https.call(uri),
            None => Box::pin(TcpConnector.call(uri).map_ok(MaybeHttpsStream::Http)),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::HttpsSettings;
    use crate::provider::http::tls;

    /// Sends a request in plain text with a connector.
    async fn ask(connector: Connector) -> Result<StatusCode, hyper_util::client::legacy::Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let server = async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(tcp.read(&mut request).await.unwrap() > 0);
            let response = b"HTTP/1.1 204 No Content\r\n\r\n";
            tcp.write_all(response).await.unwrap();
        };
        let server = tokio::spawn(server);
        let request = http::Request::get(uri).body(Empty::<Bytes>::new().boxed_unsync());
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let answered = client.request(request.unwrap()).await;
        server.abort();
        Ok(answered?.status())
    }

    #[tokio::test]
    async fn connector_of_encrypted_requests_sends_none_in_plain_text() {
        let plain = ask(Connector::plain()).await.unwrap();
        assert_eq!(plain, StatusCode::NO_CONTENT);
        let https = tls::rustls(&HttpsSettings::default()).unwrap();
        ask(Connector::encrypted(https)).await.unwrap_err();
    }
}
