//! Facts learnt about servers, which save round trips on the next connection.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::postgres::connect::startup::SaslMechanisms;
use crate::postgres::connect::tls::PublicKey;

/// The facts that connections have learnt about their servers.
///
/// Clones share them. They outlive a rotation of the credentials: a server stays as it is when
/// its password changes.
#[derive(Clone, Default)]
pub(in crate::postgres) struct ServerHints(Arc<Mutex<Known>>);

/// The hints of this process: what one stage's connections learn holds for those of another.
static OF_PROCESS: LazyLock<ServerHints> = LazyLock::new(ServerHints::default);

/// The way in which one server, known by host and port, is best contacted.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::postgres) struct ServerHint {
    /// True if the server takes a TLS handshake without an SSLRequest.
    pub(in crate::postgres) direct_tls: Option<bool>,
    /// The authentication mechanisms that it offers.
    pub(in crate::postgres) mechanisms: Option<SaslMechanisms>,
    /// True if it failed on a SCRAM message that it had not asked for yet, or on a statement
    /// before it was ready.
    pub(in crate::postgres) rejects_early_scram: bool,
    /// True if the last attempts may have failed for that reason. Until the next connection that
    /// opens, no attempt sends any; that connection's successor tries it again, since a server
    /// that was down fails in the same way.
    pub(in crate::postgres) may_reject_early_scram: bool,
    /// True if it gave no response to a statement that it got before it was ready.
    pub(in crate::postgres) drops_early_statements: bool,
}

#[derive(Default)]
struct Known {
    hints: HashMap<String, ServerHint>,
    /// The keys that servers have proved by SCRAM channel binding: a handful, one for each key
    /// that a server has had.
    proved: Vec<ProvedKey>,
    /// Servers with the notices that they have sent.
    notices: HashSet<(String, String)>,
}

struct ProvedKey {
    host: String,
    port: u16,
    key: PublicKey,
}

/// Number of notices that are told apart. Further ones count as known.
const MAX_NOTICES: usize = 64;

impl ServerHints {
    /// Returns the hints that all databases of this process share.
    pub(in crate::postgres) fn of_process() -> Self {
        OF_PROCESS.clone()
    }

    /// Returns the hint for a server, given as `host:port`.
    pub(in crate::postgres) fn of(&self, server: &str) -> ServerHint {
        self.lock().hints.get(server).copied().unwrap_or_default()
    }

    /// Changes the hint for a server.
    pub(in crate::postgres) fn record(&self, server: &str, change: impl FnOnce(&mut ServerHint)) {
        let mut known = self.lock();
        match known.hints.get_mut(server) {
            Some(hint) => change(hint),
            None => change(known.hints.entry(server.to_owned()).or_default()),
        }
    }

    /// Records a notice of a server. Returns whether this process has not met it before.
    pub(in crate::postgres) fn record_notice(&self, server: &str, notice: &str) -> bool {
        let mut known = self.lock();
        known.notices.len() < MAX_NOTICES
            && known.notices.insert((server.to_owned(), notice.to_owned()))
    }

    /// Records that SCRAM channel binding has proved a server's public key.
    pub(in crate::postgres) fn record_proved_key(&self, host: &str, port: u16, key: &PublicKey) {
        let mut known = self.lock();
        let mut proved = known.proved.iter();
        if !proved.any(|proved| proved.is_of(host, port) && proved.key == *key) {
            known.proved.push(ProvedKey {
                host: host.to_owned(),
                port,
                key: *key,
            });
        }
    }

    /// Returns whether a key stands for a server that has proved none itself: another port of its
    /// host has proved this one, as that of the server behind a pooler does. A server that has
    /// bound once can bind again.
    pub(in crate::postgres) fn vouches_for(&self, host: &str, port: u16, key: &PublicKey) -> bool {
        let known = self.lock();
        let mut of_host = known.proved.iter().filter(|proved| proved.host == host);
        let has_bound = of_host.clone().any(|proved| proved.port == port);
        !has_bound && of_host.any(|proved| proved.key == *key)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvedKey {
    fn is_of(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }
}

impl std::fmt::Debug for ServerHints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHints").finish_non_exhaustive()
    }
}
