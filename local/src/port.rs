//! Whether a port can be had.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, ErrorKind};

/// Finds out whether a port of this machine is free, so that a long start can
/// fail at its beginning. Port 0 stands for any free one.
///
/// # Errors
///
/// [`ErrorKind::PortInUse`] names the port, and so does [`ErrorKind::System`]
/// for one that this user may not have.
pub fn check_port(port: u16) -> Result<(), Error> {
    let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
        return Ok(());
    };
    let (kind, message) = match error.kind() {
        std::io::ErrorKind::AddrInUse => (
            ErrorKind::PortInUse,
            format!("port {port} is in use: end what listens there, or choose another port"),
        ),
        _ => (
            ErrorKind::System,
            format!("port {port} cannot be had: choose another port"),
        ),
    };
    Err(Error::new(kind, message).because(error))
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
}
