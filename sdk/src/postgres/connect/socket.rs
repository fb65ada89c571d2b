//! The TCP connection to a server: its name, its addresses, and the socket's options.

use std::io;
use std::net::SocketAddr;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::credentials::{DatabaseUrl, Tcp};
use crate::error::{Error, ErrorKind};
use crate::postgres::sqlstate::Staleness;

/// Opens it to the first address that takes it. `server` is `host:port`, for messages.
pub(in crate::postgres) async fn connect(
    url: &DatabaseUrl,
    server: &str,
) -> Result<TcpStream, Error> {
    let unreachable = |what: &str, error: io::Error| {
        // Nobody listens there, or the name is gone: the server may have moved.
        let moved = error.kind() == io::ErrorKind::ConnectionRefused || what == LOOK_UP;
        Error::with_source(
            ErrorKind::DatabaseUnreachable,
            format!("{what} the database server {server}"),
            error,
        )
        .with_staleness(if moved {
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
                set_up(&tcp, &url.tcp)
                    .map_err(|error| unreachable("could not set up the socket to", error))?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable("could not connect to", last))
}

fn set_up(tcp: &TcpStream, options: &Tcp) -> io::Result<()> {
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

const LOOK_UP: &str = "could not look up";
