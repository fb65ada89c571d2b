//! The conditions of a network, and their effect on each connection.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use uuid::Uuid;

/// A direction of bytes through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// The place of some bytes between the shortest and the longest latency, from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct JitterShare(f64);

impl JitterShare {
    pub(super) fn random() -> Self {
        Self(f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX))
    }
}

/// The current conditions of a network.
///
/// Connections are numbered in their order. A fault of all open connections applies to those below
/// a number, so that later connections do not have it.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) upstream: SocketAddr,
    /// Delay of each direction.
    pub(super) delay: Duration,
    pub(super) is_stalled: bool,
    /// With `true`, new connections are accepted and get no response.
    pub(super) is_black_hole: bool,
    /// Delay of the bytes to the client, besides `delay`, and the largest change of it.
    pub(super) latency: (Duration, Duration),
    /// Bytes per second to the client.
    pub(super) rate: Option<NonZeroU64>,
    /// With `true`, new connections are reset, too.
    pub(super) resets_all: bool,
    cut_below: usize,
    lost_below: usize,
    to_server_ended_below: usize,
    to_client_ended_below: usize,
}

impl Conditions {
    /// Creates a network without faults.
    pub(super) fn new(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            delay: Duration::ZERO,
            is_stalled: false,
            is_black_hole: false,
            latency: (Duration::ZERO, Duration::ZERO),
            rate: None,
            resets_all: false,
            cut_below: 0,
            lost_below: 0,
            to_server_ended_below: 0,
            to_client_ended_below: 0,
        }
    }

    /// Resets the connections below this number.
    pub(super) fn cut(&mut self, below: usize) {
        self.cut_below = below;
    }

    /// Drops the bytes on the connections below this number.
    pub(super) fn lose(&mut self, below: usize) {
        self.lost_below = below;
    }

    /// Ends one direction of the connections below this number.
    pub(super) fn end(&mut self, direction: Direction, below: usize) {
        *match direction {
            Direction::ToServer => &mut self.to_server_ended_below,
            Direction::ToClient => &mut self.to_client_ended_below,
        } = below;
    }

    pub(super) fn is_cut(&self, connection: usize) -> bool {
        self.resets_all || connection < self.cut_below
    }

    /// Returns these conditions for a network without connections.
    pub(super) fn for_new_connections(&self) -> Self {
        Self {
            cut_below: 0,
            lost_below: 0,
            to_server_ended_below: 0,
            to_client_ended_below: 0,
            ..self.clone()
        }
    }

    /// Returns the delay of bytes with this share of the jitter.
    pub(super) fn delay_of(&self, direction: Direction, share: JitterShare) -> Duration {
        let (latency, jitter) = self.latency;
        if direction == Direction::ToServer || (latency.is_zero() && jitter.is_zero()) {
            return self.delay;
        }
        // From 0 to twice the jitter, so that the middle is the latency.
        let changed = latency + jitter.mul_f64(2.0 * share.0);
        self.delay + changed.saturating_sub(jitter)
    }

    pub(super) fn is_ended(&self, direction: Direction, connection: usize) -> bool {
        connection
            < match direction {
                Direction::ToServer => self.to_server_ended_below,
                Direction::ToClient => self.to_client_ended_below,
            }
    }

    /// Returns whether a byte may pass.
    pub(super) fn allows(&self, direction: Direction, connection: usize) -> bool {
        !self.is_stalled
            && connection >= self.lost_below
            && !self.is_cut(connection)
            && !self.is_ended(direction, connection)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn cut_and_end_apply_to_connections_below_the_number() {
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.cut(2);
        network.end(Direction::ToClient, 4);
        let cut: Vec<bool> = (0..5).map(|number| network.is_cut(number)).collect();
        assert_eq!(cut, [true, true, false, false, false]);
        let through = |direction| -> Vec<bool> {
            (0..5)
                .map(|number| network.allows(direction, number))
                .collect()
        };
        assert_eq!(
            through(Direction::ToClient),
            [false, false, false, false, true]
        );
        assert_eq!(
            through(Direction::ToServer),
            [false, false, true, true, true]
        );
    }

    #[test]
    fn lost_connections_are_not_cut_or_ended() {
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.lose(1);
        for direction in [Direction::ToServer, Direction::ToClient] {
            assert!(!network.allows(direction, 0));
            assert!(!network.is_ended(direction, 0));
            assert!(network.allows(direction, 1));
        }
        assert!(!network.is_cut(0));
    }

    #[test]
    fn latency_varies_by_the_jitter_and_is_that_of_one_direction() {
        let ms = Duration::from_millis;
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.delay = ms(1);
        network.latency = (ms(100), ms(50));
        for _ in 0..100 {
            let delay = network.delay_of(Direction::ToClient, JitterShare::random());
            assert!((ms(51)..=ms(151)).contains(&delay), "{delay:?}");
        }
        let share = JitterShare::random();
        assert_eq!(network.delay_of(Direction::ToServer, share), ms(1));
    }

    #[test]
    fn nothing_passes_while_stalled() {
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.is_stalled = true;
        assert!(!network.allows(Direction::ToServer, 0));
        network.is_stalled = false;
        assert!(network.allows(Direction::ToServer, 0));
    }
}
