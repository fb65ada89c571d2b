//! A TCP connection to the first of a name's addresses that answers: the algorithm of RFC 8305
//! (Happy Eyeballs).
//!
//! An address that is silent must not use up the time of the others: an IPv6 address without a
//! route, or the dead one of two servers behind one name. So the next attempt starts when one has
//! failed, or after [`ATTEMPT_DELAY`]; the first connection wins, and the others are closed. A
//! name with one address costs nothing more.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// An open TCP connection.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: TcpStream,
    /// Time that this connection took to open, without the other attempts: about one round trip.
    pub(crate) round_trip: Duration,
}

/// The reason why no address could be connected to.
#[derive(Debug)]
pub(crate) struct ConnectError {
    /// The addresses that were tried, each with its error. Without one it did not answer.
    attempts: Vec<(SocketAddr, Option<io::Error>)>,
    is_timeout: bool,
}

/// Connects to the first of the addresses that answers, within a time limit if there is one.
///
/// # Errors
///
/// When all addresses have failed, or the limit is over.
///
/// # Cancel safety
///
/// A drop closes all attempts.
pub(crate) async fn connect(
    addresses: impl IntoIterator<Item = SocketAddr>,
    limit: Option<Duration>,
) -> Result<Connected, ConnectError> {
    let mut error = ConnectError {
        attempts: Vec::new(),
        is_timeout: false,
    };
    let attempts = race(interleave(addresses), &mut error.attempts);
    let connected = match limit {
        None => attempts.await,
        Some(limit) => match timeout(limit, attempts).await {
            Ok(connected) => connected,
            Err(_) => {
                error.is_timeout = true;
                None
            }
        },
    };
    connected.ok_or(error)
}

/// Tries the addresses in turn, and records each attempt. `None` when all have failed.
async fn race(
    addresses: Vec<SocketAddr>,
    attempts: &mut Vec<(SocketAddr, Option<io::Error>)>,
) -> Option<Connected> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    loop {
        if let Some(address) = waiting.next() {
            let number = attempts.len();
            attempts.push((address, None));
            running.push(async move { (number, attempt(address).await) });
        }
        let finished = if waiting.len() == 0 {
            running.next().await
        } else {
            match timeout(ATTEMPT_DELAY, running.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished? {
            (_, Ok(connected)) => return Some(connected),
            (number, Err(error)) => attempts[number].1 = Some(error),
        }
    }
}

async fn attempt(address: SocketAddr) -> io::Result<Connected> {
    let started = Instant::now();
    let stream = TcpStream::connect(address).await?;
    Ok(Connected {
        stream,
        round_trip: started.elapsed(),
    })
}

/// Alternates the address families, in the resolver's order otherwise (RFC 8305, section 4), and
/// leaves out repetitions.
fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut known = HashSet::new();
    let addresses: Vec<SocketAddr> = addresses
        .into_iter()
        .filter(|address| known.insert(*address))
        .collect();
    let Some(first) = addresses.first() else {
        return addresses;
    };
    let begins_with_v6 = first.is_ipv6();
    let count = addresses.len();
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == begins_with_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut alternating = Vec::with_capacity(count);
    while alternating.len() < count {
        alternating.extend(first.next());
        alternating.extend(second.next());
    }
    alternating
}

impl ConnectError {
    /// Returns whether the time limit was over before all addresses had failed.
    pub(crate) fn is_timeout(&self) -> bool {
        self.is_timeout
    }

    /// Returns whether a server at one of the addresses has refused the connection.
    pub(crate) fn has_refusal(&self) -> bool {
        let mut errors = self.attempts.iter().filter_map(|(_, error)| error.as_ref());
        errors.any(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts.is_empty() {
            return f.write_str("the name has no address");
        }
        for (number, (address, error)) in self.attempts.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            match error {
                Some(error) => write!(f, "{address}: {error}")?,
                None => write!(f, "{address}: no answer")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Time after which the next address is tried beside those that have not answered (RFC 8305,
/// section 8, Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
pub(crate) mod silent_address;
#[cfg(test)]
mod tests;
