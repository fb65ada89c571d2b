//! The search for the stage that owns a database: by a connection to it, or by its addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Database, Settings, Stage, StageKind, StageMark};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::link::connection_string::ConnectionString;
use crate::link::request::LinkRequest;
use crate::link::stage_database::StageDatabases;

/// The owner of a database.
#[derive(Debug)]
pub(super) enum Owner {
    Stage(Stage),
    /// No stage that is known here; with the reason why the database was not checked, if so.
    Unknown(Option<String>),
}

/// A search for the owners of databases among the stages of a request.
pub(super) struct OwnerSearch<'a> {
    request: &'a LinkRequest,
    databases: &'a StageDatabases,
    /// The names and addresses of the stages' databases, once they were looked up.
    known: Option<Vec<KnownAddresses>>,
}

/// One way to a stage's database: its name on its server's addresses.
struct KnownAddresses {
    stage: Stage,
    database: String,
    addresses: BTreeSet<SocketAddr>,
}

impl<'a> OwnerSearch<'a> {
    pub(super) fn new(request: &'a LinkRequest, databases: &'a StageDatabases) -> Self {
        Self {
            request,
            databases,
            known: None,
        }
    }

    /// Finds the owner of a database by a connection to it.
    ///
    /// Its addresses are compared only where there is no login to connect with, or where its host
    /// is an address itself: databases of several customers behind a provider's proxy share
    /// addresses, the port and often the name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when a stage's own database can no longer be used.
    pub(super) async fn owner(&mut self, found: &ConnectionString) -> Result<Owner, Error> {
        let (reason, has_login) = match found.to_url() {
            None => ("it names no role, or no password".to_owned(), false),
            Some(url) => match self.connected_owner(&url).await? {
                Ok(stage) => return Ok(stage.map_or(Owner::Unknown(None), Owner::Stage)),
                Err(reason) => (reason, true),
            },
        };
        let addresses = addresses(&found.host, found.port).await;
        let tells = tells_by_address(has_login, &found.host, &addresses);
        let owner = match tells {
            true => self.owner_at(&found.database, &addresses).await,
            false => None,
        };
        Ok(owner.map_or(Owner::Unknown(Some(reason)), Owner::Stage))
    }

    /// Connects to a database. Returns the stage whose mark it has, or whose database it is by
    /// another name; or the reason why it cannot be compared.
    async fn connected_owner(
        &self,
        url: &SecretString,
    ) -> Result<Result<Option<Stage>, String>, Error> {
        let roots = self.request.shared_settings();
        let roots = roots.filter(|(name, _)| *name == "STAGELINK_ROOT_CERTIFICATES");
        let variables = [
            ("STAGELINK_STAGE", StageKind::Development.as_str()),
            ("STAGELINK_PROVIDER", "url"),
            ("STAGELINK_CONNECT_TIMEOUT_MS", "3000"),
            ("DATABASE_URL", url.expose_secret()),
        ];
        let settings = variables.into_iter().chain(roots);
        let settings = settings.chain(self.request.tls_library());
        let database = Database::new(Settings::from_vars(settings));
        match database.inspect().await {
            Ok(info) => {
                if let StageMark::Of(stage) = info.mark {
                    return Ok(Ok(Some(stage)));
                }
            }
            Err(error) => return Ok(Err(error.to_string())),
        }
        for known in self.databases.all() {
            match database.is_same_database_as(&known.database).await {
                Ok(true) => return Ok(Ok(Some(known.stage()))),
                Ok(false) => {}
                Err(error) => {
                    // The failure may be that of the stage's own database.
                    known.database.inspect().await.map_err(|error| {
                        let message = format!(
                            "could not compare the site's database URLs with the database of \
                             stage {}",
                            known.stage()
                        );
                        Error::with_source(ErrorKind::Database, message, error)
                    })?;
                    return Ok(Err(error.to_string()));
                }
            }
        }
        Ok(Ok(None))
    }

    /// Finds the stage whose database has this name at one of these addresses.
    async fn owner_at(
        &mut self,
        database: &str,
        addresses: &BTreeSet<SocketAddr>,
    ) -> Option<Stage> {
        if self.known.is_none() {
            self.known = Some(known_addresses(self.databases).await);
        }
        let mut known = self.known.iter().flatten();
        let owner = known
            .find(|known| known.database == database && !known.addresses.is_disjoint(addresses))?;
        Some(owner.stage)
    }
}

/// Looks up the addresses of all known databases, and of those behind their poolers.
async fn known_addresses(databases: &StageDatabases) -> Vec<KnownAddresses> {
    let mut known = Vec::new();
    for found in databases.all() {
        let credentials = found.credentials();
        for url in std::iter::once(credentials.url()).chain(credentials.direct()) {
            known.push(KnownAddresses {
                stage: found.stage(),
                database: url.database().to_owned(),
                addresses: addresses(url.host(), url.port()).await,
            });
        }
    }
    known
}

/// Returns whether a database's addresses tell whose it is.
fn tells_by_address(has_login: bool, host: &str, addresses: &BTreeSet<SocketAddr>) -> bool {
    let is_loopback =
        !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback());
    !has_login || host.parse::<IpAddr>().is_ok() || is_loopback
}

async fn addresses(host: &str, port: u16) -> BTreeSet<SocketAddr> {
    within_limit(lookup_host((host, port))).await
}

/// Waits for a look-up of addresses, for [`LOOKUP_TIMEOUT`] at most. One that fails finds none.
async fn within_limit(
    lookup: impl Future<Output = std::io::Result<impl Iterator<Item = SocketAddr>>>,
) -> BTreeSet<SocketAddr> {
    let found = timeout(LOOKUP_TIMEOUT, lookup).await;
    let found = found.ok().and_then(Result::ok);
    found.map(Iterator::collect).unwrap_or_default()
}

/// The time limit for the addresses of one name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_shared_proxy_does_not_tell_whose_database_it_is() {
        let at = |address: &str| BTreeSet::from([address.parse().unwrap()]);
        let (public, loopback) = (at("192.0.2.1:5432"), at("127.0.0.1:5432"));
        assert!(!tells_by_address(true, "proxy.example.com", &public));
        assert!(!tells_by_address(
            true,
            "proxy.example.com",
            &BTreeSet::new()
        ));
        assert!(tells_by_address(true, "192.0.2.1", &public));
        assert!(tells_by_address(true, "::1", &loopback));
        assert!(tells_by_address(true, "localhost", &loopback));
        assert!(tells_by_address(false, "proxy.example.com", &public));
    }

    #[tokio::test(start_paused = true)]
    async fn name_server_that_does_not_answer_is_waited_for_up_to_the_limit() {
        let silent = std::future::pending::<std::io::Result<std::vec::IntoIter<_>>>();
        let started = tokio::time::Instant::now();
        assert!(within_limit(silent).await.is_empty());
        assert_eq!(started.elapsed(), LOOKUP_TIMEOUT);
    }

    #[tokio::test]
    async fn addresses_of_a_name_that_does_not_exist_are_none() {
        assert!(addresses("", 5432).await.is_empty());
        assert_eq!(addresses("127.0.0.1", 5432).await.len(), 1);
    }
}
