//! What is random: the superuser's password, which is never shown, and names.

use std::fmt;

use postgres_protocol::password::scram_sha_256;

/// A password that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl Password {
    /// 256 random bits as 64 letters and digits, which need no quoting anywhere.
    pub(crate) fn random() -> Self {
        Self(hex(&rand::random::<[u8; 32]>()))
    }

    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// What a server stores of it. SQL carries this instead of the password, so
    /// that no server log can hold one.
    pub(crate) fn verifier(&self) -> String {
        scram_sha_256(self.0.as_bytes())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// A name that nobody else gives to a directory, container or volume.
pub(crate) fn random_name() -> String {
    format!("stagelink-postgres-{}", hex(&rand::random::<[u8; 6]>()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A password for a new role: 256 random bits as 64 letters and digits.
pub fn random_password() -> String {
    Password::random().0
}
