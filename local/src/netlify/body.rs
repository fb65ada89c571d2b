//! Reads a request's body with a size limit and a time limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The reason for refusing a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The body is over the size limit.
    TooLarge,
    /// The body was not complete in time.
    TimedOut,
    /// The client disconnected or violated the protocol.
    Aborted,
}

/// Reads a body of at most `limit` bytes within `timeout`.
///
/// It reads and discards some more of a body that is too large: a client that is still writing
/// would otherwise see a reset connection instead of the response.
pub(super) async fn read_body<B>(
    body: B,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > (limit + MAX_DISCARDED_BYTES) as u64 {
        return Err(BodyError::TooLarge);
    }
    let deadline = Instant::now() + timeout;
    let mut body = body;
    let mut read = BytesMut::new();
    let mut length = 0;
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) if length > limit => break,
            Err(_) => return Err(BodyError::TimedOut),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(BodyError::Aborted),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= limit {
            read.extend_from_slice(&data);
        } else if length > limit + MAX_DISCARDED_BYTES {
            break;
        }
    }
    if length > limit {
        return Err(BodyError::TooLarge);
    }
    Ok(read.freeze())
}

/// Number of bytes that are read beyond the limit: four times the largest body.
const MAX_DISCARDED_BYTES: usize = 24 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn body_at_the_limit_is_read_and_one_byte_more_is_refused() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read_body(body(), 5, TIMEOUT).await.unwrap(), "12345");
        assert_eq!(
            read_body(body(), 4, TIMEOUT).await,
            Err(BodyError::TooLarge)
        );
    }
}
