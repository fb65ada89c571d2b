//! What this process has learnt of the servers that it met, so that no round trip is lost twice.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::postgres::connect::startup::SaslMechanisms;
use crate::postgres::connect::tls::PublicKey;

/// How a server, by its host and port, likes to be met.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::postgres) struct ServerHints {
    /// Whether it takes a TLS handshake that it has not agreed to.
    pub(in crate::postgres) direct_tls: Option<bool>,
    /// What it asks for at the start of a session.
    pub(in crate::postgres) offer: Option<SaslMechanisms>,
    /// Whether it was put off by what came before it had asked.
    pub(in crate::postgres) wants_to_ask: bool,
}

/// What is known of a server by now.
pub(in crate::postgres) fn of(server: &str) -> ServerHints {
    known().habits.get(server).copied().unwrap_or_default()
}

/// It was met, and behaved like this.
pub(in crate::postgres) fn learn(server: &str, learn: impl FnOnce(&mut ServerHints)) {
    let mut known = known();
    match known.habits.get_mut(server) {
        Some(habits) => learn(habits),
        None => learn(known.habits.entry(server.to_owned()).or_default()),
    }
}

/// This key is the host's own: it has proved that by SCRAM channel binding.
pub(in crate::postgres) fn trust_key(host: &str, key: &PublicKey) {
    let mut known = known();
    if !known.has(host, key) {
        known.authentic.push((host.to_owned(), key.clone()));
    }
}

/// Whether the key has been proved to be the host's, on whichever port.
pub(in crate::postgres) fn has_been_proved(host: &str, key: &PublicKey) -> bool {
    known().has(host, key)
}

#[derive(Default)]
struct Known {
    habits: HashMap<String, ServerHints>,
    /// A handful at most: one for each key that a server has had.
    authentic: Vec<(String, PublicKey)>,
}

impl Known {
    fn has(&self, host: &str, key: &PublicKey) -> bool {
        let mut authentic = self.authentic.iter();
        authentic.any(|(own, known)| own == host && known == key)
    }
}

/// One for the process, since a server stays what it is when its password changes.
fn known() -> MutexGuard<'static, Known> {
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
