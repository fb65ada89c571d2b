//! Passwords of roles, hidden from `Debug`.

use std::fmt;

use postgres_protocol::password::scram_sha_256;

use crate::random::random_hex;

/// A password that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl Password {
    /// Creates a password of 256 random bits, as 64 letters and digits that need
    /// no quoting anywhere.
    pub(crate) fn random() -> Self {
        Self(random_hex::<32>())
    }

    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Computes the SCRAM-SHA-256 verifier that a server stores. SQL carries it
    /// instead of the password, so that no server log can hold the password.
    pub(crate) fn scram_verifier(&self) -> String {
        scram_sha_256(self.0.as_bytes())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// Returns a password for a new role: 256 random bits as 64 letters and digits.
pub fn random_password() -> String {
    Password::random().0
}
