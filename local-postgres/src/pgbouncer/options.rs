//! Options for starting a PgBouncer.

use crate::certificate::ServerCertificate;

/// Options of [`PgBouncer::start`](crate::PgBouncer::start), named as
/// PgBouncer's own settings.
///
/// ```
/// let options = stagelink_local_postgres::PgBouncerOptions::new()
///     .default_pool_size(5)
///     .max_client_conn(200);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct PgBouncerOptions {
    pub(super) default_pool_size: u32,
    pub(super) max_client_conn: u32,
    pub(super) max_prepared_statements: u32,
    pub(super) auth_type: &'static str,
    pub(super) pool_mode: &'static str,
    pub(super) certificate: Option<ServerCertificate>,
    /// Names of databases for clients, each with the name on the server.
    pub(super) aliases: Vec<(String, String)>,
}

impl PgBouncerOptions {
    /// Creates options with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum number of server connections for each pair of database
    /// and role. Default: 20, as PgBouncer's.
    #[must_use]
    pub fn default_pool_size(self, default_pool_size: u32) -> Self {
        Self {
            default_pool_size,
            ..self
        }
    }

    /// Sets the maximum number of client connections; PgBouncer refuses more.
    /// Default: 100, as PgBouncer's.
    #[must_use]
    pub fn max_client_conn(self, max_client_conn: u32) -> Self {
        Self {
            max_client_conn,
            ..self
        }
    }

    /// Sets the number of prepared statements that PgBouncer tracks for each
    /// server connection. Default: 0, because only version 1.21 and newer can.
    ///
    /// With 0, a prepared statement is unknown, or is another client's, as soon
    /// as a transaction gets another server connection. With more than 0, an
    /// installed PgBouncer that is older than 1.21 is not used; that of Debian
    /// 13 is built from source instead, once, into the cache directory.
    #[must_use]
    pub fn max_prepared_statements(self, max_prepared_statements: u32) -> Self {
        Self {
            max_prepared_statements,
            ..self
        }
    }

    /// Sets the authentication of clients: `scram-sha-256`, `md5`, `plain` or
    /// `trust`. Default: `scram-sha-256`.
    #[must_use]
    pub fn auth_type(self, auth_type: &'static str) -> Self {
        Self { auth_type, ..self }
    }

    /// Sets the time for which a client has a server connection: `transaction` or `session`. Default:
    /// `transaction`.
    #[must_use]
    pub fn pool_mode(self, pool_mode: &'static str) -> Self {
        Self { pool_mode, ..self }
    }

    /// Gives a database of the server another name for clients. It hides a database of the server
    /// that is called like it. Both are names of letters, digits, `_` and `-`.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>, database: impl Into<String>) -> Self {
        self.aliases.push((alias.into(), database.into()));
        self
    }

    /// Sets the certificate for clients and its private key, both as PEM.
    /// Default: a new self-signed certificate for `localhost` and `127.0.0.1`.
    #[must_use]
    pub fn certificate(
        self,
        certificate_pem: impl Into<String>,
        key_pem: impl Into<String>,
    ) -> Self {
        Self {
            certificate: Some(ServerCertificate {
                certificate_pem: certificate_pem.into(),
                key_pem: key_pem.into(),
            }),
            ..self
        }
    }
}

impl Default for PgBouncerOptions {
    fn default() -> Self {
        Self {
            default_pool_size: 20,
            max_client_conn: 100,
            max_prepared_statements: 0,
            auth_type: "scram-sha-256",
            pool_mode: "transaction",
            certificate: None,
            aliases: Vec::new(),
        }
    }
}
