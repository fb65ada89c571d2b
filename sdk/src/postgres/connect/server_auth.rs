//! How a server authenticated itself to the client.

use std::fmt;

/// How a server authenticated itself on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAuth {
    /// SCRAM channel binding: it knows the password's verifier, and is at the end of
    /// this very connection.
    ChannelBinding,
    /// A certificate that leads to a root.
    Certificate,
    /// A public key that was known before.
    Pin,
    /// Nothing, and the settings let that pass.
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
