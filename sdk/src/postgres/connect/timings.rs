//! The time that each phase of opening a connection took.

use std::time::Duration;

/// The time that each phase of opening one connection took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectTimings {
    /// The provider's look-up of the database URL. `None` where the URL was known before.
    pub resolve: Option<Duration>,
    /// The look-up of the server's name and the TCP connection.
    pub connect: Duration,
    /// The request for encryption and the TLS handshake.
    pub tls: Duration,
    /// Authentication and the start of the session.
    pub authenticate: Duration,
}
