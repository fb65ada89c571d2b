//! A provider with one fixed URL, for databases without a PaaS API.

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Credentials, DatabaseUrl};
use crate::error::Error;
use crate::provider::{Provider, ResolveRequest};

/// A provider with one fixed database URL, such as `DATABASE_URL` in the environment.
///
/// Every stage gets this database, so the URL has to be set per deploy context.
#[derive(Clone, Debug)]
pub struct StaticUrl(Credentials);

impl StaticUrl {
    /// Parses the value of `DATABASE_URL`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DatabaseUrl`](crate::ErrorKind::DatabaseUrl) when it cannot be used.
    pub fn parse(url: &SecretString) -> Result<Self, Error> {
        Self::from_variable("DATABASE_URL", url)
    }

    /// Parses the value of an environment variable, which messages name.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_variable(name: &str, url: &SecretString) -> Result<Self, Error> {
        let origin = format!("{name} in the environment");
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        Ok(Self(Credentials::new(url, origin)))
    }
}

impl Provider for StaticUrl {
    async fn resolve(&self, _request: &ResolveRequest) -> Result<Credentials, Error> {
        Ok(self.0.clone())
    }

    fn is_fixed(&self) -> bool {
        true
    }
}
