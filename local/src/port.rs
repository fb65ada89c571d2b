//! Ports of this machine: checks whether one is free, and says why one cannot be listened on.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, ErrorKind};

/// Finds out whether a port of 127.0.0.1 is free, so that a long start can fail
/// at its beginning. Port 0 stands for any free one.
///
/// # Errors
///
/// [`ErrorKind::PortInUse`] names the port, and so does [`ErrorKind::System`]
/// for one that this user may not have.
pub fn check_port(port: u16) -> Result<(), Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .map_err(|error| refused("127.0.0.1", port, error))
}

/// Why an address cannot be listened on.
pub(crate) fn refused(address: &str, port: u16, cause: io::Error) -> Error {
    let advice = match cause.kind() {
        io::ErrorKind::AddrInUse => return in_use(address, port).because(cause),
        io::ErrorKind::PermissionDenied => "it is not permitted; choose a port above 1023",
        _ => "the operating system refused",
    };
    let message = format!("could not listen on {address}:{port}: {advice}");
    Error::new(ErrorKind::System, message).because(cause)
}

/// Somebody else has the port.
fn in_use(address: &str, port: u16) -> Error {
    Error::new(
        ErrorKind::PortInUse,
        format!(
            "could not listen on {address}:{port}: another program has port {port}; stop that one \
             or choose another port (0 takes a free one)"
        ),
    )
}

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

    #[test]
    fn port_that_is_not_permitted_is_not_called_taken() {
        let error = refused("127.0.0.1", 80, io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.to_string().contains("above 1023"));
    }
}
