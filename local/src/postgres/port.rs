//! Ports of 127.0.0.1: a free one, or the one that was asked for.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, ErrorKind};

/// A port that was free a moment ago.
pub(super) fn free() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| {
            Error::new(ErrorKind::System, "could not find a free port on 127.0.0.1").because(error)
        })
}

/// # Errors
///
/// [`ErrorKind::PortInUse`] if someone listens on it, [`ErrorKind::System`] if
/// it may not be used at all.
pub(super) fn check(port: u16) -> Result<(), Error> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(in_use(port)),
        Err(error) => Err(Error::new(
            ErrorKind::System,
            format!("could not listen on port {port} of 127.0.0.1"),
        )
        .because(error)),
    }
}

pub(super) fn in_use(port: u16) -> Error {
    Error::new(
        ErrorKind::PortInUse,
        format!(
            "could not start Postgres on port {port} of 127.0.0.1: it is in use; \
             stop what listens there or choose another port (0 takes a free one)"
        ),
    )
}
