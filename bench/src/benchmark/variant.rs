//! Who is compared, and what each is told.

use clap::ValueEnum;
use serde::Serialize;
use stagelink::Stage;

use super::item_database::ConnectionInfo;

/// The same function, with one way to reach Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The SDK of this project.
    Stagelink,
    /// The driver alone, with the same proof of who the server is.
    Floor,
    /// deadpool-postgres with native-tls. It lends a connection again without a look at it.
    Deadpool,
    /// The same, where it asks the server first.
    DeadpoolVerified,
    /// sqlx with rustls.
    Sqlx,
    /// Node with `pg`.
    Node,
}

impl Variant {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Stagelink,
        Self::Floor,
        Self::Deadpool,
        Self::DeadpoolVerified,
        Self::Sqlx,
        Self::Node,
    ];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stagelink => "stagelink",
            Self::Floor => "floor",
            Self::Deadpool => "deadpool",
            Self::DeadpoolVerified => "deadpool-verified",
            Self::Sqlx => "sqlx",
            Self::Node => "node",
        }
    }

    /// The feature that it is built with, and the end of its program's name.
    pub(super) fn feature(self) -> &'static str {
        match self {
            Self::DeadpoolVerified => Self::Deadpool.name(),
            _ => self.name(),
        }
    }

    /// What it stands for.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Stagelink => {
                "stagelink::run, credentials as `stagelink link` sets them, a kept statement"
            }
            Self::Floor => {
                "tokio-postgres and OpenSSL alone, one connection, SCRAM channel binding"
            }
            Self::Deadpool => {
                "deadpool-postgres, a pool of one, native-tls, a cached statement, `Fast` recycling"
            }
            Self::DeadpoolVerified => "the same with `Verified` recycling",
            Self::Sqlx => "sqlx, a pool of one, rustls with ring, verify-full",
            Self::Node => "pg, its Pool of one, verified by `ca`",
        }
    }

    pub(super) fn is_rust(self) -> bool {
        self != Self::Node
    }

    /// Whether it takes part where something goes wrong: not the floor, which never connects
    /// again, nor Node, whose function has no such queries.
    pub(super) fn is_in_failure_suites(self) -> bool {
        !matches!(self, Self::Floor | Self::Node)
    }

    /// The variables that lead it to the database.
    pub(super) fn variables(self, access: &ConnectionInfo) -> Vec<(&'static str, String)> {
        let mut variables = self.place(access);
        match self {
            Self::Deadpool => variables.push(("DATABASE_RECYCLING", "Fast".to_owned())),
            Self::DeadpoolVerified => {
                variables.push(("DATABASE_RECYCLING", "Verified".to_owned()));
            }
            Self::Stagelink => {
                let root = access.root.clone();
                variables.extend(root.map(|pem| ("STAGELINK_ROOT_CERTIFICATES", pem)));
            }
            _ => {}
        }
        variables
    }

    fn place(self, access: &ConnectionInfo) -> Vec<(&'static str, String)> {
        match self {
            // Sealed as at deploy time, and without a provider: nobody is asked.
            Self::Stagelink => vec![
                ("STAGELINK_STAGE", Stage::Staging.to_string()),
                ("STAGELINK_CREDENTIALS", access.credentials.clone()),
            ],
            Self::Floor => vec![("DATABASE_URL", access.url.clone())],
            Self::Deadpool | Self::DeadpoolVerified | Self::Sqlx | Self::Node => vec![
                ("DATABASE_URL", access.url.clone()),
                ("DATABASE_CA", access.certificate.clone()),
            ],
        }
    }
}
