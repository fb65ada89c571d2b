//! The configuration files of a PgBouncer.

use std::path::Path;

use super::options::PgBouncerOptions;
use crate::certificate::ServerCertificate;
use crate::{Database, Server};

/// The configuration of one PgBouncer, without its own port and directory.
pub(super) struct PgBouncerConfig {
    server_host: String,
    server_port: u16,
    options: PgBouncerOptions,
    certificate: ServerCertificate,
    /// The lines of the authentication file, one per role.
    users: Vec<String>,
    supports_prepared_statements: bool,
}

impl PgBouncerConfig {
    pub(super) fn new(
        server: &Server,
        databases: &[&Database],
        options: PgBouncerOptions,
        certificate: ServerCertificate,
        supports_prepared_statements: bool,
    ) -> Self {
        Self {
            server_host: server.host().to_owned(),
            server_port: server.port(),
            options,
            certificate,
            users: databases.iter().map(|database| user(database)).collect(),
            supports_prepared_statements,
        }
    }

    /// Returns the certificate that clients see.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate.certificate_pem
    }

    /// Returns the name and the text of each file in the directory of a PgBouncer.
    pub(super) fn files(&self, directory: &Path, port: u16) -> [(&'static str, String); 4] {
        [
            (SETTINGS_FILE, self.settings(directory, port)),
            (USERS_FILE, self.users.concat()),
            (CERTIFICATE_FILE, self.certificate.certificate_pem.clone()),
            (KEY_FILE, self.certificate.key_pem.clone()),
        ]
    }

    /// Returns the text of `pgbouncer.ini`. PgBouncer does not verify the
    /// server's certificate: both run on this machine.
    fn settings(&self, directory: &Path, listen_port: u16) -> String {
        let file = |name| directory.join(name).display().to_string();
        let (users, certificate, key) = (file(USERS_FILE), file(CERTIFICATE_FILE), file(KEY_FILE));
        let (host, port) = (&self.server_host, self.server_port);
        let PgBouncerOptions {
            default_pool_size,
            max_client_conn,
            max_prepared_statements,
            auth_type,
            pool_mode,
            ..
        } = self.options;
        // A version that does not know this setting refuses to start with it.
        let prepared_statements = if self.supports_prepared_statements {
            format!("max_prepared_statements = {max_prepared_statements}\n")
        } else {
            String::new()
        };
        let aliases = self.options.aliases.iter();
        let aliases: String = aliases
            .map(|(alias, name)| format!("{alias} = host={host} port={port} dbname={name}\n"))
            .collect();
        format!(
            "[databases]\n\
             {aliases}\
             * = host={host} port={port}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {listen_port}\n\
             unix_socket_dir =\n\
             pool_mode = {pool_mode}\n\
             default_pool_size = {default_pool_size}\n\
             max_client_conn = {max_client_conn}\n\
             {prepared_statements}\
             auth_type = {auth_type}\n\
             auth_file = {users}\n\
             client_tls_sslmode = require\n\
             client_tls_cert_file = {certificate}\n\
             client_tls_key_file = {key}\n\
             server_tls_sslmode = require\n"
        )
    }

    /// Returns the number of files that PgBouncer may have open at once.
    pub(super) fn open_files(&self) -> usize {
        let server_connections = self.options.default_pool_size as usize * self.users.len();
        self.options.max_client_conn as usize + server_connections + OTHER_FILES
    }
}

/// Returns a line of PgBouncer's authentication file, where `""` is a quotation mark.
fn user(database: &Database) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let (role, password) = (quoted(database.role()), quoted(database.password()));
    format!("{role} {password}\n")
}

pub(super) const SETTINGS_FILE: &str = "pgbouncer.ini";
const USERS_FILE: &str = "users.txt";
const CERTIFICATE_FILE: &str = "server.crt";
const KEY_FILE: &str = "server.key";

/// Enough for the log, the listening sockets and the files of libraries.
const OTHER_FILES: usize = 64;
