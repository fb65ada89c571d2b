//! The TCP connection to a server: name look-up, addresses, socket options.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::credentials::{DatabaseUrl, Tcp};
use crate::error::{Error, ErrorKind, Phase};
use crate::happy_eyeballs::{self, Connected};
use crate::meaning::Meaning;
use crate::postgres::connect::time_out::timed_out_with_source;

/// Connects to the first address of the server that answers, within the time limit if there is
/// one. `server` is `host:port`, for messages.
///
/// # Errors
///
/// [`ErrorKind::DatabaseUnreachable`]: the name cannot be looked up, or no address accepts.
/// [`ErrorKind::Timeout`]: the limit is over.
pub(in crate::postgres) async fn connect(
    url: &DatabaseUrl,
    server: &str,
    limit: Option<Duration>,
) -> Result<Connected, Error> {
    let started = Instant::now();
    let addresses = match url.address {
        Some(address) => vec![(address, url.port).into()],
        None => look_up(url, server, limit).await?,
    };
    let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
    let connected = happy_eyeballs::connect(addresses, left).await;
    let connected = connected.map_err(|error| match limit {
        Some(limit) if error.is_timeout() => took_too_long(server, limit, error),
        _ => {
            // A refused connection suggests that the server has moved.
            let has_moved = error.has_refusal();
            unreachable("could not connect to", server, error).with_meaning(match has_moved {
                true => Meaning::Moved,
                false => Meaning::Suspect,
            })
        }
    })?;
    set_options(&connected.stream, &url.tcp)
        .map_err(|error| unreachable("could not set socket options for", server, error))?;
    Ok(connected)
}

/// Looks up the addresses of the server's name.
async fn look_up(
    url: &DatabaseUrl,
    server: &str,
    limit: Option<Duration>,
) -> Result<Vec<SocketAddr>, Error> {
    let addresses = tokio::net::lookup_host((url.host.as_str(), url.port));
    let addresses = match limit {
        None => addresses.await,
        Some(limit) => timeout(limit, addresses)
            .await
            .map_err(|_| took_too_long(server, limit, "the name server does not answer"))?,
    };
    // An unknown name suggests that the server has moved, too.
    let addresses = addresses.map_err(|error| {
        unreachable("could not look up", server, error).with_meaning(Meaning::Moved)
    })?;
    Ok(addresses.collect())
}

fn took_too_long(
    server: &str,
    limit: Duration,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let what = format!("connecting to the database server {server}");
    timed_out_with_source(Phase::Connect, limit, &what, source)
}

fn unreachable(
    what: &str,
    server: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::with_source(
        ErrorKind::DatabaseUnreachable,
        format!("{what} the database server {server}"),
        source,
    )
    .with_meaning(Meaning::Suspect)
}

fn set_options(tcp: &TcpStream, options: &Tcp) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    if options.keepalives {
        let mut keepalive = TcpKeepalive::new();
        if let Some(idle) = options.keepalives_idle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = options.keepalives_interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = options.keepalives_count {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    Ok(())
}

/// Facts about an open TCP connection.
pub(in crate::postgres) struct TcpInfo {
    pub(in crate::postgres) socket: SocketProbe,
    /// The server's address.
    pub(in crate::postgres) peer: Option<IpAddr>,
    /// Time that the connection took to open: about one round trip.
    pub(in crate::postgres) round_trip: Duration,
}

impl TcpInfo {
    pub(in crate::postgres) fn of(connected: &Connected) -> Self {
        let tcp = &connected.stream;
        Self {
            socket: SocketProbe(SockRef::from(tcp).try_clone().ok()),
            peer: tcp.peer_addr().ok().map(|address| address.ip()),
            round_trip: connected.round_trip,
        }
    }
}

/// A second handle of a connection's socket, which peeks and never reads.
pub(in crate::postgres) struct SocketProbe(Option<socket2::Socket>);

impl SocketProbe {
    /// Returns whether unread data, the end of the stream or an error is waiting. True as well
    /// where the socket could not be duplicated.
    pub(in crate::postgres) fn is_readable(&self) -> bool {
        let Some(socket) = &self.0 else {
            return true;
        };
        let mut byte = [MaybeUninit::uninit()];
        match socket.peek(&mut byte) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::happy_eyeballs::silent_address::SilentAddress;

    async fn failure(address: SocketAddr, limit: Duration) -> Error {
        let url = format!(
            "postgres://u:p@h:{}/d?hostaddr={}",
            address.port(),
            address.ip()
        );
        let url = DatabaseUrl::parse(&url, "a test").unwrap();
        connect(&url, "h:1", Some(limit)).await.err().unwrap()
    }

    #[tokio::test]
    async fn error_names_the_addresses_and_says_whether_the_server_has_moved() {
        let silent = SilentAddress::v4();
        let error = failure(silent.address, Duration::from_millis(50)).await;
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Connect));
        assert_eq!(error.meaning(), Meaning::Silent);
        let report = error.report().to_string();
        let expected = format!("more than 50 ms (connect): {}: no answer", silent.address);
        assert!(report.ends_with(&expected), "{report}");

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let refusing = listener.local_addr().unwrap();
        drop(listener);
        let error = failure(refusing, Duration::from_secs(9)).await;
        assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
        assert_eq!(error.meaning(), Meaning::Moved);
        assert!(error.report().to_string().contains(&refusing.to_string()));
    }
}
