//! Credentials: a stage's database URL, with the facts around it.

mod deploy_time;
mod scram_keys;
mod tls_policy;
mod url;

use secrecy::{ExposeSecret, SecretString};

use crate::stage::Stage;

pub(crate) use self::deploy_time::of_stage as deploy_time_entry;
pub(crate) use self::deploy_time::parse as parse_deploy_time;
pub(crate) use self::scram_keys::ScramKeys;
pub(crate) use self::tls_policy::{Binding, Roots, TlsPolicy};
pub(crate) use self::url::Tcp;

pub use self::url::DatabaseUrl;

/// What it takes to reach a stage's database, and who said so.
#[derive(Clone, Debug)]
pub struct Credentials {
    url: DatabaseUrl,
    /// Past the pooler that the URL leads to.
    direct: Option<DatabaseUrl>,
    scram_keys: Option<ScramKeys>,
    origin: String,
}

impl Credentials {
    /// Credentials from a URL, and a few words on where it was found, for the
    /// operator's log ("app guestbook-staging on Heroku"). The words hold no secret.
    pub fn new(url: DatabaseUrl, origin: impl Into<String>) -> Self {
        Self {
            url,
            direct: None,
            scram_keys: None,
            origin: origin.into(),
        }
    }

    /// The same, where the URL leads to a pooler: with the URL of the database itself.
    ///
    /// No pooler is known to offer channel binding, by which a server without a certificate
    /// that verifies proves itself. The database behind it does, and where it shows the same
    /// key on the same host that stands for the pooler too.
    #[must_use]
    pub fn with_direct(mut self, direct: DatabaseUrl) -> Self {
        self.direct = Some(direct);
        self
    }

    /// The same, with what SCRAM makes of the URL's password, where that is known.
    pub(crate) fn with_scram_keys(mut self, keys: Option<ScramKeys>) -> Self {
        self.scram_keys = keys;
        self
    }

    pub(crate) fn scram_keys(&self) -> Option<&ScramKeys> {
        self.scram_keys.as_ref()
    }

    /// Returns the secret parts: the URLs, their passwords as they are without percent-encoding,
    /// and the SCRAM keys. They serve to find a secret in a text where it must not be.
    ///
    /// A password of fewer than eight bytes is left out, since other texts hold it by chance.
    pub fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = Vec::new();
        for url in std::iter::once(&self.url).chain(&self.direct) {
            secrets.push(url.expose_secret().into());
            let password = str::from_utf8(url.password.expose_secret()).unwrap_or_default();
            if password.len() >= SHORTEST_PASSWORD_BYTES {
                secrets.push(password.into());
            }
        }
        secrets.extend(self.scram_keys.as_ref().map(ScramKeys::text));
        secrets
    }

    /// The database itself, where [`url`](Self::url) leads to a pooler and that is known.
    pub fn direct(&self) -> Option<&DatabaseUrl> {
        self.direct.as_ref()
    }

    /// The database.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Where the URL was found.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the value of `STAGELINK_CREDENTIALS` for functions of that stage. The credentials
    /// that [`Database::inspect`](crate::Database::inspect) returns hold SCRAM keys as well, which
    /// save a function the hashing of the password.
    pub fn to_variable(&self, stage: Stage) -> SecretString {
        deploy_time::to_variable(self, stage)
    }
}

/// Length from which [`Credentials::secrets`] counts a password.
const SHORTEST_PASSWORD_BYTES: usize = 8;
