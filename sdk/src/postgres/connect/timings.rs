//! How long each phase of opening a connection took.

use std::time::Duration;

/// How long the phases of opening one connection took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectTimings {
    /// Asking the provider for the database URL; `None` where the answer was
    /// known already.
    pub resolve: Option<Duration>,
    /// Looking up the server's name and opening the TCP connection.
    pub connect: Duration,
    /// Asking for encryption and the TLS handshake.
    pub tls: Duration,
    /// Authentication and the session's start.
    pub authenticate: Duration,
}
