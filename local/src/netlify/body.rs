//! Reads a request's body, as far as the platform takes it and no longer than it waits.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// More than the limit.
    TooLarge,
    /// Not all there in time.
    TooSlow,
    /// The client went away or broke the protocol.
    Broken,
}

/// Reads a body of at most `limit` bytes within `patience`.
///
/// Of a body that is too large, some more is read and thrown away: a client that is still
/// writing would otherwise see its connection reset instead of the answer.
pub(super) async fn read<B>(body: B, limit: usize, patience: Duration) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > (limit + THROWN_AWAY_BYTES) as u64 {
        return Err(Refusal::TooLarge);
    }
    let deadline = Instant::now() + patience;
    let mut body = body;
    let mut read = BytesMut::new();
    let mut length = 0;
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) if length > limit => break,
            Err(_) => return Err(Refusal::TooSlow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Refusal::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= limit {
            read.extend_from_slice(&data);
        } else if length > limit + THROWN_AWAY_BYTES {
            break;
        }
    }
    if length > limit {
        return Err(Refusal::TooLarge);
    }
    Ok(read.freeze())
}

/// Four limits' worth of the largest body: enough for a client that is a little over.
const THROWN_AWAY_BYTES: usize = 24 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn body_at_the_limit_is_taken_and_one_byte_more_is_not() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read(body(), 5, PATIENCE).await.unwrap(), "12345");
        assert_eq!(read(body(), 4, PATIENCE).await, Err(Refusal::TooLarge));
    }
}
