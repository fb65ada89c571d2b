//! The TCP connection to a server: name look-up, addresses, socket options.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::credentials::{DatabaseUrl, Tcp};
use crate::error::{Error, ErrorKind};
use crate::staleness::Staleness;

/// Connects to the first address of the server that accepts. `server` is `host:port`, for
/// messages.
///
/// # Errors
///
/// [`ErrorKind::DatabaseUnreachable`]: the name cannot be looked up, or no address accepts.
pub(in crate::postgres) async fn connect(
    url: &DatabaseUrl,
    server: &str,
) -> Result<TcpStream, Error> {
    let unreachable = |what: &str, error: io::Error| {
        // A refused connection or an unknown name suggests that the server has moved.
        let has_moved = error.kind() == io::ErrorKind::ConnectionRefused || what == LOOK_UP;
        Error::with_source(
            ErrorKind::DatabaseUnreachable,
            format!("{what} the database server {server}"),
            error,
        )
        .with_staleness(if has_moved {
            Staleness::Stale
        } else {
            Staleness::Suspect
        })
    };
    let addresses: Vec<SocketAddr> = match url.address {
        Some(address) => vec![(address, url.port).into()],
        None => tokio::net::lookup_host((url.host.as_str(), url.port))
            .await
            .map_err(|error| unreachable(LOOK_UP, error))?
            .collect(),
    };
    let mut last = io::Error::other("the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                set_options(&tcp, &url.tcp)
                    .map_err(|error| unreachable("could not set socket options for", error))?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable("could not connect to", last))
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
    pub(in crate::postgres) fn of(tcp: &TcpStream, round_trip: Duration) -> Self {
        Self {
            socket: SocketProbe(SockRef::from(tcp).try_clone().ok()),
            peer: tcp.peer_addr().ok().map(|address| address.ip()),
            round_trip,
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

const LOOK_UP: &str = "could not look up";
