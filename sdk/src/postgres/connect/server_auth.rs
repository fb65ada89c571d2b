//! The ways in which a server authenticates itself to the client.

use std::fmt;

/// The means by which a server authenticated itself on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAuth {
    /// SCRAM channel binding: the server knows the password's verifier and is the endpoint of
    /// this TLS connection.
    ChannelBinding,
    /// A certificate that leads to a trusted root.
    Certificate,
    /// A public key that was pinned, or that channel binding proved on an earlier connection.
    Pin,
    /// Nothing; `STAGELINK_DANGER_UNAUTHENTICATED` permits that.
    Unauthenticated,
}

impl fmt::Display for ServerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChannelBinding => "SCRAM channel binding",
            Self::Certificate => "a certificate",
            Self::Pin => "a pinned key",
            Self::Unauthenticated => "nothing",
        })
    }
}
