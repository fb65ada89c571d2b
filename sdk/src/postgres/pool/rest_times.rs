//! The times without use after which a connection is checked, or given up.

use std::time::Duration;

/// The times without use after which a connection is checked, or given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestTimes {
    fresh: Duration,
    longest: Duration,
}

/// The state of a connection after a time without use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is taken as it is.
    Fresh,
    /// It may be gone: a ping decides.
    Uncertain,
    /// The server or the network has given it up by now.
    Expired,
}

impl RestTimes {
    /// `ends_idle` is whether the server ends the session after `idle`.
    pub(super) fn new(idle: Duration, ends_idle: bool) -> Self {
        Self {
            fresh: FRESH.min(idle / 10),
            longest: if ends_idle {
                // The server's clock began to count a little earlier.
                (idle - idle / 10).min(LONGEST_IDLE)
            } else {
                LONGEST_IDLE
            },
        }
    }

    pub(super) fn after(self, unused: Duration) -> Rest {
        if unused >= self.longest {
            Rest::Expired
        } else if unused >= self.fresh {
            Rest::Uncertain
        } else {
            Rest::Fresh
        }
    }
}

/// A connection that was used this short a time ago (or within a tenth of the idle timeout, if
/// that is less) is taken as it is. A ping costs a round trip, which is nothing beside a wait of
/// seconds, and much beside a stream of requests.
const FRESH: Duration = Duration::from_secs(5);

/// AWS's NAT gateways and load balancers forget a connection after 350 s without use, and
/// answer nothing afterwards (docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html,
/// 2026-02).
const LONGEST_IDLE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    /// States after these milliseconds without use, where the server ends a session after `idle`.
    fn states(idle_ms: u64, ends_idle: bool, unused_ms: &[u64]) -> Vec<Rest> {
        let times = RestTimes::new(Duration::from_millis(idle_ms), ends_idle);
        unused_ms
            .iter()
            .map(|unused| times.after(Duration::from_millis(*unused)))
            .collect()
    }

    #[test]
    fn connection_is_fresh_for_seconds_then_pinged_and_given_up_before_the_server_does() {
        use Rest::{Expired, Fresh, Uncertain};
        let unused = [0, 4_999, 5_000, 53_999, 54_000, 600_000];
        let expected = [Fresh, Fresh, Uncertain, Uncertain, Expired, Expired];
        assert_eq!(states(60_000, true, &unused), expected);
        assert_eq!(
            states(500, true, &[49, 50, 449, 450]),
            [Fresh, Uncertain, Uncertain, Expired]
        );
    }

    #[test]
    fn connection_is_given_up_before_a_nat_gateway_forgets_it() {
        use Rest::{Expired, Uncertain};
        let unused = [299_999, 300_000];
        assert_eq!(states(3_600_000, true, &unused), [Uncertain, Expired]);
        assert_eq!(states(60_000, false, &unused), [Uncertain, Expired]);
    }
}
