//! The variants that are compared, and the environment variables of each.

use clap::ValueEnum;
use serde::Serialize;
use stagelink::Stage;

use super::item_database::ConnectionInfo;

/// A variant of the function, with one Postgres client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The SDK of this project.
    Stagelink,
    /// The driver alone, with the SDK's authentication of the server.
    Floor,
    /// deadpool-postgres with native-tls, which reuses a connection unchecked.
    Deadpool,
    /// deadpool-postgres, which queries the server before it reuses a connection.
    DeadpoolVerified,
    /// sqlx with rustls.
    Sqlx,
    /// Node with `pg`.
    Node,
}

impl Variant {
    /// All variants, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::Stagelink,
        Self::Floor,
        Self::Deadpool,
        Self::DeadpoolVerified,
        Self::Sqlx,
        Self::Node,
    ];

    /// Name on the command line and in the report.
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

    /// The Cargo feature of the variant, and the end of its program's name.
    pub(super) fn feature(self) -> &'static str {
        match self {
            Self::DeadpoolVerified => Self::Deadpool.name(),
            _ => self.name(),
        }
    }

    /// One-line description for the report.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Stagelink => {
                "stagelink::run, credentials of `stagelink link`, a cached statement"
            }
            Self::Floor => "tokio-postgres and rustls alone, one connection, SCRAM channel binding",
            Self::Deadpool => {
                "deadpool-postgres, a pool of one, native-tls, a cached statement, `Fast` recycling"
            }
            Self::DeadpoolVerified => "deadpool-postgres as above, with `Verified` recycling",
            Self::Sqlx => "sqlx, a pool of one, rustls with ring, verify-full",
            Self::Node => "pg, its Pool of one, verified by `ca`",
        }
    }

    pub(super) fn is_rust(self) -> bool {
        self != Self::Node
    }

    /// Returns whether its artifact needs an OpenSSL that is linked in.
    pub(super) fn uses_openssl(self) -> bool {
        matches!(self, Self::Deadpool | Self::DeadpoolVerified)
    }

    /// Returns whether the variant is in the suites that provoke failures. The floor is not, which
    /// never reconnects, nor Node, whose function has no slow query.
    pub(super) fn is_in_failure_suites(self) -> bool {
        !matches!(self, Self::Floor | Self::Node)
    }

    /// The environment variables with which the variant finds the database.
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
            // Credentials from deploy time, and no provider: the SDK makes no request.
            Self::Stagelink => vec![
                ("STAGELINK_STAGE", Stage::STAGING.to_string()),
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
