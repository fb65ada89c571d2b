//! A provider that knows one URL, for databases that no PaaS announces.

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::Credentials;
use crate::credentials::DatabaseUrl;
use crate::error::Error;
use crate::provider::Provider;
use crate::stage::Stage;

/// The same database for whatever stage this deploy serves: the URL stands in
/// the environment, as `DATABASE_URL`.
#[derive(Clone, Debug)]
pub struct StaticUrl(Credentials);

impl StaticUrl {
    /// Takes the URL as it stands in the environment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DatabaseUrl`](crate::ErrorKind::DatabaseUrl) when it cannot be used.
    pub fn parse(url: &SecretString) -> Result<Self, Error> {
        let origin = "DATABASE_URL in the environment";
        let url = DatabaseUrl::parse(url.expose_secret(), origin)?;
        Ok(Self(Credentials::new(url, origin)))
    }
}

impl Provider for StaticUrl {
    async fn resolve(&self, _stage: Stage) -> Result<Credentials, Error> {
        Ok(self.0.clone())
    }
}
