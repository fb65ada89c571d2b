//! How a network is at a moment, and what that means for each of its connections.

use std::net::SocketAddr;
use std::time::Duration;

/// A way that bytes take through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// How a network is at a moment.
///
/// Connections are numbered in their order. What happens to all that are open
/// happens to those below a number, so that the next ones are spared.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) upstream: SocketAddr,
    /// What each direction takes.
    pub(super) delay: Duration,
    pub(super) is_stalled: bool,
    /// Whether new connections are accepted and then never answered.
    pub(super) is_black_hole: bool,
    cut_below: usize,
    lost_below: usize,
    to_server_ended_below: usize,
    to_client_ended_below: usize,
}

impl Conditions {
    /// A network without a fault.
    pub(super) fn new(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            delay: Duration::ZERO,
            is_stalled: false,
            is_black_hole: false,
            cut_below: 0,
            lost_below: 0,
            to_server_ended_below: 0,
            to_client_ended_below: 0,
        }
    }

    /// Cuts the connections below this number.
    pub(super) fn cut(&mut self, below: usize) {
        self.cut_below = below;
    }

    /// Loses what is sent on the connections below this number.
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
        connection < self.cut_below
    }

    pub(super) fn is_ended(&self, direction: Direction, connection: usize) -> bool {
        connection
            < match direction {
                Direction::ToServer => self.to_server_ended_below,
                Direction::ToClient => self.to_client_ended_below,
            }
    }

    /// Whether a byte may pass.
    pub(super) fn lets_through(&self, direction: Direction, connection: usize) -> bool {
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
    fn cut_and_ended_connections_are_those_below_the_number() {
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.cut(2);
        network.end(Direction::ToClient, 4);
        let cut: Vec<bool> = (0..5).map(|number| network.is_cut(number)).collect();
        assert_eq!(cut, [true, true, false, false, false]);
        let through = |direction| -> Vec<bool> {
            (0..5)
                .map(|number| network.lets_through(direction, number))
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
    fn lost_connections_are_neither_cut_nor_ended() {
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.lose(1);
        for direction in [Direction::ToServer, Direction::ToClient] {
            assert!(!network.lets_through(direction, 0));
            assert!(!network.is_ended(direction, 0));
            assert!(network.lets_through(direction, 1));
        }
        assert!(!network.is_cut(0));
    }

    #[test]
    fn nothing_passes_while_stalled() {
        let mut network = Conditions::new((Ipv4Addr::LOCALHOST, 1).into());
        network.is_stalled = true;
        assert!(!network.lets_through(Direction::ToServer, 0));
        network.is_stalled = false;
        assert!(network.lets_through(Direction::ToServer, 0));
    }
}
