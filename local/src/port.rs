//! Ports of this machine: a check that one is free, and the errors of listening.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, ErrorKind};

/// Checks that a port of 127.0.0.1 is free, so that a long start can fail early. Port 0, any free
/// port, always passes.
///
/// # Errors
///
/// [`ErrorKind::PortInUse`] if the port is taken, [`ErrorKind::System`] if this user may not listen
/// on it. Both name the port.
pub fn check_port(port: u16) -> Result<(), Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .map_err(|error| listen_error("127.0.0.1", port, error))
}

/// Returns the error for an address that the stand-in cannot listen on.
pub(crate) fn listen_error(address: &str, port: u16, cause: io::Error) -> Error {
    let advice = match cause.kind() {
        io::ErrorKind::AddrInUse => return in_use(address, port).with_source(cause),
        io::ErrorKind::PermissionDenied => "it is not permitted; choose a port above 1023",
        _ => "the operating system refused",
    };
    let message = format!("could not listen on {address}:{port}: {advice}");
    Error::new(ErrorKind::System, message).with_source(cause)
}

/// Returns the error for a port that another program has.
fn in_use(address: &str, port: u16) -> Error {
    Error::new(
        ErrorKind::PortInUse,
        format!(
            "could not listen on {address}:{port}: another program has port {port}; stop that one \
             or choose another port (0 selects a free one)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PortInUse);
        assert!(error.to_string().contains(&format!("port {port}")));
        assert!(check_port(0).is_ok());
    }

    #[test]
    fn forbidden_port_is_not_reported_as_taken() {
        let error = listen_error("127.0.0.1", 80, io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.to_string().contains("above 1023"));
    }
}
