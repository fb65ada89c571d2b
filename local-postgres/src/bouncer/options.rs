//! How a PgBouncer is to be started.

/// How a PgBouncer is to be started. The defaults are its own, but for prepared
/// statements, which only newer versions know.
#[derive(Clone, Debug)]
pub struct BouncerOptions {
    /// Connections to the server for each pair of a database and a role, at most.
    /// Default: 20.
    pub server_connections: u32,
    /// Clients at once, at most: it refuses more. Default: 100.
    pub clients: u32,
    /// Prepared statements that each connection to the server keeps for the clients that
    /// use it.
    ///
    /// Default: 0, with which a statement that was prepared is unknown, or is another
    /// client's, as soon as a transaction gets another connection. With more it is a
    /// PgBouncer of 1.21 or later: where that of this machine is older, the one of Debian
    /// 13 is built from Debian's source, once.
    pub prepared_statements: u32,
}

impl Default for BouncerOptions {
    fn default() -> Self {
        Self {
            server_connections: 20,
            clients: 100,
            prepared_statements: 0,
        }
    }
}
