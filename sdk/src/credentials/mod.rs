//! Credentials: a stage's database URL, with the facts around it.

mod deploy_time;
mod saslprep;
mod scram_keys;
mod tls_policy;
mod url;

use secrecy::{ExposeSecret, SecretString};

use crate::stage::Stage;

#[cfg(feature = "lambda")]
pub(crate) use self::deploy_time::of_stage as deploy_time_entry;
pub(crate) use self::deploy_time::parse as parse_deploy_time;
pub(crate) use self::scram_keys::ScramKeys;
pub(crate) use self::tls_policy::{Binding, Roots, TlsPolicy};
pub(crate) use self::url::Tcp;

pub use self::url::DatabaseUrl;

/// A stage's database URL, with its origin and further facts.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub(crate) url: DatabaseUrl,
    /// The database behind the pooler that `url` leads to.
    pub(crate) direct: Option<DatabaseUrl>,
    pub(crate) scram_keys: Option<ScramKeys>,
    pub(crate) origin: String,
}

impl Credentials {
    /// Creates credentials from a URL. `origin` says where it was found ("app guestbook-staging on
    /// Heroku"); it appears in logs and must hold no secret.
    pub fn new(url: DatabaseUrl, origin: impl Into<String>) -> Self {
        Self {
            url,
            direct: None,
            scram_keys: None,
            origin: origin.into(),
        }
    }

    /// Adds the URL of the database itself, where the first URL leads to a pooler.
    ///
    /// Poolers usually offer no channel binding, which authenticates a server whose certificate
    /// does not verify. The database behind offers it, and where it has the same host and public
    /// key, that authenticates the pooler too.
    #[must_use]
    pub fn with_direct(mut self, direct: DatabaseUrl) -> Self {
        self.direct = Some(direct);
        self
    }

    /// Sets the SCRAM keys of the URL's password.
    pub(crate) fn with_scram_keys(mut self, keys: Option<ScramKeys>) -> Self {
        self.scram_keys = keys;
        self
    }

    /// Returns the secret parts: the URLs, their passwords as they are without percent-encoding,
    /// and the SCRAM keys. Callers search texts for them that must hold no secret.
    ///
    /// A password of fewer than eight bytes is left out: it may occur in a text by chance.
    pub fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = Vec::new();
        for url in std::iter::once(&self.url).chain(&self.direct) {
            secrets.push(url.expose_secret().into());
            let password = str::from_utf8(url.password.expose_secret()).unwrap_or_default();
            if password.len() >= MIN_PASSWORD_BYTES {
                secrets.push(password.into());
            }
        }
        secrets.extend(self.scram_keys.as_ref().map(ScramKeys::text));
        secrets
    }

    /// Returns the URL of the database itself, where [`url`](Self::url) leads to a pooler.
    pub fn direct(&self) -> Option<&DatabaseUrl> {
        self.direct.as_ref()
    }

    /// Returns the database URL.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Returns the place where the URL was found.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the value of `STAGELINK_CREDENTIALS` for functions of the stage.
    ///
    /// Credentials from [`Database::inspect`](crate::Database::inspect) include SCRAM keys, which
    /// save a function the hashing of the password.
    pub fn to_variable(&self, stage: Stage) -> SecretString {
        deploy_time::to_variable(self, stage)
    }
}

/// Shortest password that [`Credentials::secrets`] includes.
const MIN_PASSWORD_BYTES: usize = 8;
