//! A response that holds secrets: read whole, so that it can be overwritten afterwards.

use std::error::Error as StdError;
use std::pin::pin;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use secrecy::zeroize::{Zeroize as _, Zeroizing};

type BoxError = Box<dyn StdError + Send + Sync>;

/// A response that arrived whole.
pub(in crate::provider) struct Received {
    pub(in crate::provider) status: StatusCode,
    pub(in crate::provider) headers: HeaderMap,
    pub(in crate::provider) body: Zeroizing<Vec<u8>>,
}

/// Reads a response with a body of at most that many bytes to its end.
///
/// Overwritten are the body, as soon as it is dropped, and the buffers of the
/// connection that it came in, unless the connection still holds them when the
/// body has ended. What lies beneath is not: the buffers of TLS and of the
/// kernel; nor what a JSON parser copies of a text with escapes.
pub(in crate::provider) async fn receive<B>(
    response: Response<B>,
    limit_bytes: usize,
) -> Result<Received, BoxError>
where
    B: BodyExt<Data = Bytes, Error: Into<BoxError>>,
{
    let (head, pieces) = collect(response, limit_bytes).await?;
    Ok(Received {
        status: head.status,
        headers: head.headers,
        body: pieces.joined(),
    })
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

async fn collect<B>(response: Response<B>, limit_bytes: usize) -> Result<(Head, Pieces), BoxError>
where
    B: BodyExt<Data = Bytes, Error: Into<BoxError>>,
{
    let (parts, body) = response.into_parts();
    let head = Head {
        status: parts.status,
        headers: parts.headers.iter().map(copied).collect(),
    };
    // The headers as they came lie in the same buffers and would hold on to them.
    drop(parts);
    let mut body = pin!(Limited::new(body, limit_bytes));
    let mut pieces = Pieces(Vec::new());
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            pieces.0.push(piece);
        }
    }
    Ok((head, pieces))
}

fn copied<N: Clone>((name, value): (&N, &HeaderValue)) -> (N, HeaderValue) {
    let value = HeaderValue::from_bytes(value.as_bytes());
    (name.clone(), value.expect("it is a header's value already"))
}

/// The pieces of a body. All are kept to its end: when the connection waits for
/// the next response it reads into another buffer and lets go of these.
struct Pieces(Vec<Bytes>);

impl Pieces {
    /// All of it in one place, which is large enough from the beginning: what
    /// grows leaves copies behind.
    fn joined(&self) -> Zeroizing<Vec<u8>> {
        let length = self.0.iter().map(Bytes::len).sum();
        let mut whole = Zeroizing::new(Vec::with_capacity(length));
        for piece in &self.0 {
            whole.extend_from_slice(piece);
        }
        whole
    }

    /// Overwrites those that nobody else holds; says whether that is all.
    fn wipe(&mut self) -> bool {
        let mut all = true;
        for piece in self.0.drain(..) {
            match piece.try_into_mut() {
                Ok(mut piece) => piece.as_mut().zeroize(),
                Err(_) => all = false,
            }
        }
        all
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http_body_util::{Empty, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn body_is_read_whole_up_to_its_limit() {
        let response = || Response::new(Full::new(Bytes::from_static(b"12345678")));
        let received = receive(response(), 8).await.unwrap();
        assert_eq!(received.body.as_slice(), b"12345678");
        assert!(receive(response(), 7).await.is_err());
    }

    #[test]
    fn bytes_that_somebody_else_holds_are_left_alone() {
        let mine = Bytes::from(b"c4n4ry".to_vec());
        let theirs = mine.clone();
        assert!(!Pieces(vec![mine]).wipe());
        assert_eq!(theirs, "c4n4ry");
        assert!(Pieces(vec![theirs]).wipe());
    }

    #[tokio::test]
    async fn buffers_of_a_kept_connection_are_overwritten() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            answer_all(stream).await;
        });
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        for length in [0, 100, 10_000, 100_000] {
            let url = format!("http://{address}/{length}").parse().unwrap();
            let response = client.get(url).await.unwrap();
            let (head, mut pieces) = collect(response, 1 << 20).await.unwrap();
            assert_eq!(head.headers["x-length"], length.to_string());
            assert_eq!(pieces.joined().len(), length);
            assert!(pieces.wipe(), "{length} bytes");
        }
    }

    /// Answers each request with as many bytes as its path says.
    async fn answer_all(mut stream: TcpStream) {
        let mut request = [0; 4096];
        loop {
            let read = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            let Some(length) = text.split(['/', ' ']).nth(2) else {
                return;
            };
            let body = "x".repeat(length.parse().unwrap());
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}
