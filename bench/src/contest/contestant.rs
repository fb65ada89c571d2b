//! Who is compared, and what each is told.

use clap::ValueEnum;
use serde::Serialize;

use super::items::Access;

/// The same function, with one way to reach Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// The SDK of this project.
    Stagelink,
    /// The driver alone, with the same proof of who the server is.
    Floor,
    /// deadpool-postgres with native-tls.
    Deadpool,
    /// sqlx with rustls.
    Sqlx,
    /// Node with `pg`.
    Node,
}

impl Contestant {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Stagelink,
        Self::Floor,
        Self::Deadpool,
        Self::Sqlx,
        Self::Node,
    ];

    /// Its name, which is that of its feature as well.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stagelink => "stagelink",
            Self::Floor => "floor",
            Self::Deadpool => "deadpool",
            Self::Sqlx => "sqlx",
            Self::Node => "node",
        }
    }

    /// What it stands for.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Stagelink => "stagelink::run, one query_typed",
            Self::Floor => {
                "tokio-postgres and OpenSSL alone, one connection, SCRAM channel binding"
            }
            Self::Deadpool => "deadpool-postgres, native-tls, a cached statement",
            Self::Sqlx => "sqlx, rustls with ring, verify-full",
            Self::Node => "pg, its Pool of one, verified by `ca`",
        }
    }

    pub(super) fn is_rust(self) -> bool {
        self != Self::Node
    }

    /// The variables that lead it to the database.
    pub(super) fn variables(self, access: &Access) -> Vec<(&'static str, String)> {
        match self {
            // Sealed as at deploy time, and without a provider: nobody is asked.
            Self::Stagelink => vec![
                ("STAGELINK_STAGE", "staging".to_owned()),
                ("STAGELINK_SEALED", format!("staging={}", access.url)),
            ],
            Self::Floor => vec![("DATABASE_URL", access.url.clone())],
            Self::Deadpool | Self::Sqlx | Self::Node => vec![
                ("DATABASE_URL", access.url.clone()),
                ("DATABASE_CA", access.certificate.clone()),
            ],
        }
    }
}
