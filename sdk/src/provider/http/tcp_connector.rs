//! The TCP connector of the HTTP client: the addresses of a name do not wait for each other.

use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::happy_eyeballs;

/// A connector that [races](happy_eyeballs) the addresses of a host.
///
/// hyper-util's own tries the addresses of a family one after the other, without a time limit for
/// each, so a silent one uses up the time of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpConnector;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for TcpConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(host) = uri.host() else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the URL has no host");
            return Box::pin(ready(Err(error.into())));
        };
        // An IPv6 address is in brackets.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host.as_str(), port)).await?;
            let connected = happy_eyeballs::connect(addresses, None).await?;
            connected.stream.set_nodelay(true)?;
            Ok(TokioIo::new(connected.stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn host_and_port_are_those_of_the_url() {
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let listener = TcpListener::bind(format!("{host}:0")).await.unwrap();
            let address = listener.local_addr().unwrap();
            let uri = format!("http://{host}:{}/path", address.port());
            let connected = TcpConnector.call(uri.parse().unwrap()).await.unwrap();
            assert_eq!(connected.inner().peer_addr().unwrap(), address);
            drop(listener);
            let refused = TcpConnector.call(uri.parse().unwrap()).await.unwrap_err();
            assert!(
                refused.to_string().starts_with(&address.to_string()),
                "{refused}"
            );
        }
        let error = TcpConnector.call("/path".parse().unwrap()).await;
        assert_eq!(error.unwrap_err().to_string(), "the URL has no host");
    }
}
