//! The names below `localhost`, which the sites on this machine have.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves the names below `localhost` to this machine, which not every system does (RFC 6761,
/// section 6.3), and others as the system does.
#[derive(Debug)]
pub(crate) struct LocalhostNames;

impl Resolve for LocalhostNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            if name == "localhost" || name.ends_with(".localhost") {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                return Ok(Box::new([address].into_iter()) as Addrs);
            }
            let found = tokio::net::lookup_host((name, 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
