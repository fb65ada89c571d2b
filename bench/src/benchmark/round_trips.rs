//! Round trips to Postgres, which dominate where the database is far away.

use std::net::Ipv4Addr;

use serde::Serialize;
use stagelink_cli::progress::Step;
use stagelink_local::network::Proxy;
use tokio::task::block_in_place;

use super::artifact::Artifact;
use super::instance::Instance;
use super::item_database::ItemDatabase;
use super::variant::Variant;

/// The round trips that were counted on one server.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RoundTripCounts {
    /// Version of the server, as in `17.10`.
    pub(super) postgres: String,
    pub(super) rows: Vec<RoundTrips>,
}

/// The round trips of one variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RoundTrips {
    pub(super) variant: Variant,
    /// True where stagelink starts with TLS at once (`STAGELINK_DIRECT_TLS`).
    pub(super) direct_tls: bool,
    /// Round trips until the first answer: to open TCP, to connect and to query.
    pub(super) cold: usize,
    /// Round trips of a warm request.
    pub(super) warm: f64,
}

/// Counts the round trips of every variant.
pub(super) async fn count(
    artifacts: &[Artifact],
    items: &ItemDatabase,
) -> anyhow::Result<RoundTripCounts> {
    let step = Step::begin("round trips");
    let postgres = items.version().await?;
    let mut rows = Vec::new();
    for artifact in artifacts {
        rows.push(count_one(artifact, items, false).await?);
        if artifact.variant == Variant::Stagelink && takes_direct_tls(&postgres) {
            rows.push(count_one(artifact, items, true).await?);
        }
    }
    step.done(&format!("counted on PostgreSQL {postgres}"));
    Ok(RoundTripCounts { postgres, rows })
}

async fn count_one(
    artifact: &Artifact,
    items: &ItemDatabase,
    direct_tls: bool,
) -> anyhow::Result<RoundTrips> {
    let mut counts = Vec::new();
    for _ in 0..TRIES {
        let proxy = Proxy::start((Ipv4Addr::LOCALHOST, items.server().port()).into()).await?;
        let mut variables = artifact.variant.variables(&items.access_at(proxy.port()));
        if direct_tls {
            variables.push(("STAGELINK_DIRECT_TLS", "true".to_owned()));
        }
        // The proxy does not see the round trip that opens a TCP connection.
        let so_far = || proxy.connections() + proxy.round_trips();
        counts.push(block_in_place(|| -> anyhow::Result<_> {
            let mut instance = Instance::start(artifact, &variables)?;
            let cold = so_far();
            instance.run(WARM_REQUESTS)?;
            let warm = so_far() - cold;
            Ok((cold, warm))
        })?);
    }
    // What a pool does behind an answer may fall before or behind the count of it.
    let cold = counts.iter().map(|(cold, _)| *cold).min();
    let warm = counts.iter().map(|(_, warm)| *warm).min();
    let warm = warm.unwrap_or_default() as f64 / WARM_REQUESTS as f64;
    Ok(RoundTrips {
        variant: artifact.variant,
        direct_tls,
        cold: cold.unwrap_or_default(),
        warm: (warm * 10.0).round() / 10.0,
    })
}

/// Returns whether this version of Postgres accepts direct TLS, as 17 and newer do.
pub(super) fn takes_direct_tls(version: &str) -> bool {
    let major = version.split('.').next().and_then(|text| text.parse().ok());
    major.is_some_and(|major: u32| major >= 17)
}

impl RoundTrips {
    /// Row title of the variant in a table.
    pub(super) fn title(&self) -> String {
        let name = self.variant.name();
        if self.direct_tls {
            format!("{name}, direct TLS")
        } else {
            name.to_owned()
        }
    }
}

const TRIES: usize = 5;
const WARM_REQUESTS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_tls_is_tried_where_postgres_takes_it() {
        assert!(takes_direct_tls("17.10") && takes_direct_tls("18.4"));
        assert!(!takes_direct_tls("15.18") && !takes_direct_tls(""));
    }
}
