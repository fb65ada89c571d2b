//! Ports of this machine: a free one, whether one can be had, and why not.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::{Error, ErrorKind};

/// Finds out whether a port of 127.0.0.1 is free, so that a long start can fail
/// at its beginning. Port 0 stands for any free one.
///
/// # Errors
///
/// [`ErrorKind::PortInUse`] names the port, and so does [`ErrorKind::System`]
/// for one that this user may not have.
pub(crate) fn check_port(port: u16) -> Result<(), Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .map_err(|error| refused("127.0.0.1", port, error))
}

/// Starts something on a port: the one that is asked for, or with 0 a free one. If
/// that is lost to someone else between looking and listening, the next is tried.
pub(crate) async fn claim<T, F: Future<Output = Result<T, Error>>>(
    port: u16,
    start: impl Fn(u16) -> F,
) -> Result<T, Error> {
    if port != 0 {
        check_port(port)?;
        return start(port).await;
    }
    let mut attempts_left = ATTEMPTS;
    loop {
        let port = rand::random_range(UNASKED);
        let started = match check_port(port) {
            Ok(()) => start(port).await,
            Err(error) => Err(error),
        };
        attempts_left -= 1;
        match started {
            Err(error) if error.kind() == ErrorKind::PortInUse && attempts_left > 0 => {}
            decided => return decided,
        }
    }
}

/// Why an address cannot be listened on.
fn refused(address: &str, port: u16, cause: io::Error) -> Error {
    let advice = match cause.kind() {
        io::ErrorKind::AddrInUse => return in_use(address, port).because(cause),
        io::ErrorKind::PermissionDenied => "it is not permitted; choose a port above 1023",
        _ => "the operating system refused",
    };
    let message = format!("could not listen on {address}:{port}: {advice}");
    Error::new(ErrorKind::System, message).because(cause)
}

/// Somebody else has the port.
pub(crate) fn in_use(address: &str, port: u16) -> Error {
    Error::new(
        ErrorKind::PortInUse,
        format!(
            "could not listen on {address}:{port}: another program has port {port}; stop that one \
             or choose another port (0 takes a free one)"
        ),
    )
}

/// Where a free port is looked for: below the range from which systems give ports to
/// those who ask for any, so that nobody gets one by chance while its server restarts.
const UNASKED: Range<u16> = 20_000..32_000;

/// How often a port may turn out to be another's.
const ATTEMPTS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_that_somebody_listens_on_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PortInUse);
        assert!(error.to_string().contains(&format!("port {port}")));
        assert!(check_port(0).is_ok());
    }

    #[tokio::test]
    async fn claimed_port_is_the_one_asked_for_or_a_free_one() {
        let free = claim(0, async |port| Ok(port)).await.unwrap();
        assert!(UNASKED.contains(&free));
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = claim(port, async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PortInUse);
    }

    #[tokio::test]
    async fn lost_port_is_given_up_for_the_next() {
        let tried = std::sync::Mutex::new(Vec::new());
        let won = claim(0, async |port| {
            let mut tried = tried.lock().unwrap();
            tried.push(port);
            match tried.len() {
                3 => Ok(port),
                _ => Err(in_use("127.0.0.1", port)),
            }
        });
        let won = won.await.unwrap();
        assert_eq!(tried.lock().unwrap().last(), Some(&won));
        let always = claim(0, async |port| Err::<(), _>(in_use("127.0.0.1", port)));
        assert_eq!(always.await.unwrap_err().kind(), ErrorKind::PortInUse);
        let other = claim(0, async |_| {
            Err::<(), _>(Error::new(ErrorKind::Process, "x"))
        });
        assert_eq!(other.await.unwrap_err().kind(), ErrorKind::Process);
    }

    #[test]
    fn port_that_is_not_permitted_is_not_called_taken() {
        let error = refused("127.0.0.1", 80, io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.to_string().contains("above 1023"));
    }
}
