//! A PgBouncer before the database, for storms.

use std::io::Write as _;

use stagelink_local_postgres::{PgBouncer, PgBouncerOptions};
use stagelink_tests::Authority;
use tempfile::NamedTempFile;

use super::super::item_database::{ConnectionInfo, ItemDatabase};

/// A PgBouncer with a certificate that a client can verify.
pub(super) struct Pooler {
    bouncer: PgBouncer,
    access: ConnectionInfo,
    _root: NamedTempFile,
}

impl Pooler {
    /// Starts a PgBouncer that keeps this many prepared statements, or none.
    pub(super) async fn start(
        items: &ItemDatabase,
        prepared_statements: u32,
    ) -> anyhow::Result<Self> {
        let authority = Authority::new("the operator of the pooler");
        let identity = authority.certify();
        let options = PgBouncerOptions::new()
            .max_client_conn(CLIENTS)
            .max_prepared_statements(prepared_statements)
            .certificate(&identity.certificate_pem, &identity.key_pem);
        let (server, databases) = (items.server(), [items.database()]);
        let bouncer = PgBouncer::start(server, &databases, options).await?;
        let mut root = NamedTempFile::new()?;
        root.write_all(authority.pem().as_bytes())?;
        let access = ConnectionInfo {
            certificate: root.path().display().to_string(),
            root: Some(authority.pem()),
            ..items.access_at(bouncer.port())
        };
        Ok(Self {
            bouncer,
            access,
            _root: root,
        })
    }

    pub(super) fn access(&self) -> ConnectionInfo {
        self.access.clone()
    }

    /// The version, as in `1.18.0`.
    pub(super) fn version(&self) -> &str {
        self.bouncer.version()
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.bouncer.stop().await?)
    }
}

/// More clients than a storm has processes, since a cancel request is a client too.
const CLIENTS: u32 = 500;
