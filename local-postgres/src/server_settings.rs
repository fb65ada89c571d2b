//! Server settings that are the same for installed binaries and for Docker.

use crate::password::Password;

/// The superuser's password and the certificate of a cluster that has been prepared.
pub(crate) struct ClusterAccess {
    pub(crate) password: Password,
    pub(crate) certificate_pem: String,
}

/// The whole content of `pg_hba.conf`: TLS and SCRAM-SHA-256 for every connection.
pub(crate) const HBA_RULES: &str = "hostssl all all all scram-sha-256\n";

/// File of the server's certificate, in the data directory.
pub(crate) const CERTIFICATE_FILE: &str = "server.crt";

/// File of the server's private key, in the data directory.
pub(crate) const KEY_FILE: &str = "server.key";

/// Enough for nine databases whose roles use all of their 20 connections.
pub(crate) const DEFAULT_MAX_CONNECTIONS: u32 = 200;

/// Faster settings for a cluster that need not survive a crash of the machine.
pub(crate) const NO_DURABILITY: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];
