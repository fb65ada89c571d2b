//! Servers in Docker containers of the official image.
//!
//! Relies on the documented interface of the image alone
//! (hub.docker.com/_/postgres, 2026): `POSTGRES_PASSWORD_FILE` names the file
//! with the superuser's password; scripts in `/docker-entrypoint-initdb.d/` run
//! when the cluster has been created; options after the image's name go to the
//! server; the server listens on port 5432; `PGDATA` is the data directory.
//! Files are copied in by `docker cp` instead of mounted, so that the engine
//! may run in a virtual machine.

mod container;
mod engine;
mod init_script;
mod volume;

pub(crate) use self::container::Container;
pub(crate) use self::engine::{DEFAULT_IMAGE, DockerEngine};
