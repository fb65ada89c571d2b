//! Ports of 127.0.0.1: starts a server on the requested port or on a free one.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::{Error, ErrorKind};

/// Calls `start` with the requested port, or with a free one if `port` is 0.
///
/// A free port that another program takes before the server listens on it is
/// replaced by the next candidate.
///
/// # Errors
///
/// [`ErrorKind::PortInUse`] or [`ErrorKind::System`] if the port is not
/// available; otherwise the error of `start`.
pub(crate) async fn start_on_port<T, F: Future<Output = Result<T, Error>>>(
    port: u16,
    start: impl Fn(u16) -> F,
) -> Result<T, Error> {
    if port != 0 {
        check_available(port)?;
        return start(port).await;
    }
    let mut attempts_left = ATTEMPTS;
    loop {
        let port = rand::random_range(CANDIDATES);
        let started = match check_available(port) {
            Ok(()) => start(port).await,
            Err(error) => Err(error),
        };
        attempts_left -= 1;
        match started {
            Err(error) if error.kind() == ErrorKind::PortInUse && attempts_left > 0 => {}
            result => return result,
        }
    }
}

/// Checks that this user can listen on a port of 127.0.0.1 right now.
///
/// # Errors
///
/// [`ErrorKind::PortInUse`] if another program has the port;
/// [`ErrorKind::System`] if the operating system refuses it to this user.
pub(crate) fn check_available(port: u16) -> Result<(), Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .map_err(|error| bind_error(port, error))
}

/// Returns the error of a port of 127.0.0.1 that another program listens on.
pub(crate) fn in_use_error(port: u16) -> Error {
    Error::new(
        ErrorKind::PortInUse,
        format!(
            "could not listen on 127.0.0.1:{port}: another program has port {port}; stop that \
             program or choose another port (0 takes a free one)"
        ),
    )
}

fn bind_error(port: u16, cause: io::Error) -> Error {
    let advice = match cause.kind() {
        io::ErrorKind::AddrInUse => return in_use_error(port).with_source(cause),
        io::ErrorKind::PermissionDenied => "permission denied; choose a port above 1023",
        _ => "the operating system refused",
    };
    let message = format!("could not listen on 127.0.0.1:{port}: {advice}");
    Error::new(ErrorKind::System, message).with_source(cause)
}

/// Candidates for a free port: below the range from which operating systems
/// assign ports, so that no other program gets one by chance while its server
/// restarts.
const CANDIDATES: Range<u16> = 20_000..32_000;

/// Number of candidates to try.
const ATTEMPTS: u32 = 20;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn port_in_use_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_available(port).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PortInUse);
        assert!(error.to_string().contains(&format!("port {port}")));
        assert!(check_available(0).is_ok());
    }

    #[tokio::test]
    async fn server_starts_on_the_requested_port_or_on_a_free_one() {
        let free = start_on_port(0, async |port| Ok(port)).await.unwrap();
        assert!(CANDIDATES.contains(&free));
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = start_on_port(port, async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PortInUse);
    }

    #[tokio::test]
    async fn free_port_that_is_lost_is_replaced_by_the_next() {
        let tried = Mutex::new(Vec::new());
        let won = start_on_port(0, async |port| {
            let mut tried = tried.lock().unwrap();
            tried.push(port);
            match tried.len() {
                3 => Ok(port),
                _ => Err(in_use_error(port)),
            }
        });
        let won = won.await.unwrap();
        assert_eq!(tried.lock().unwrap().last(), Some(&won));
        let always = start_on_port(0, async |port| Err::<(), _>(in_use_error(port)));
        assert_eq!(always.await.unwrap_err().kind(), ErrorKind::PortInUse);
        let other = start_on_port(0, async |_| {
            Err::<(), _>(Error::new(ErrorKind::Process, "x"))
        });
        assert_eq!(other.await.unwrap_err().kind(), ErrorKind::Process);
    }

    #[test]
    fn port_without_permission_is_not_reported_as_in_use() {
        let error = bind_error(80, io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.to_string().contains("above 1023"));
    }
}
