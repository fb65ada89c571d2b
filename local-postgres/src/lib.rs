#![doc = include_str!("../README.md")]

mod apt;
mod binaries;
mod cache;
mod certificate;
mod cluster;
mod connector;
mod data_directory;
mod database;
mod database_admin;
mod docker;
mod error;
mod installed_server;
mod launch;
mod options;
mod password;
mod pgbouncer;
mod pid_file;
mod port;
mod private_file;
mod provision;
mod random;
mod read_only;
mod run;
mod server;
mod server_process;
mod server_settings;
mod server_url;
mod server_user;
mod shared;
mod source;
mod watchdog;

pub use tokio_postgres;

pub use crate::database::Database;
pub use crate::database_admin::DatabaseAdmin;
pub use crate::database_admin::DatabaseStats;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::options::ServerOptions;
pub use crate::password::random_password;
pub use crate::pgbouncer::PgBouncer;
pub use crate::pgbouncer::PgBouncerOptions;
pub use crate::server::Server;
pub use crate::server_url::ServerUrl;
pub use crate::shared::SharedServer;
pub use crate::source::ServerSource;
