//! The faults, with their names and attributes.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault of a stage.
///
/// As JSON it has the form of a toxic: `{"type": "latency", "attributes": {"latency": 200}}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The credentials of the database are rotated: a new password, all sessions end, and the config
    /// var has the new URL. Happens once.
    RotateCredentials,
    /// The database moves to another address, as in a failover: connections are reset, the old address
    /// refuses, and the config var has the new URL. The data is the same. Happens once.
    FailOver,
    /// The server shuts down and starts again. With a duration it is down for so long, or until the fault
    /// is cleared. All stages have one server.
    Restart,
    /// Bytes that the database sends arrive later.
    Latency {
        /// Milliseconds.
        #[serde(rename = "latency")]
        latency_ms: u64,
        /// Milliseconds by which the latency changes, up and down.
        #[serde(rename = "jitter", default)]
        jitter_ms: u64,
    },
    /// Bytes that the database sends arrive at this rate on each connection.
    Bandwidth {
        /// KB per second.
        #[serde(rename = "rate")]
        rate_kb: NonZeroU64,
    },
    /// The connections to the database are reset. With a duration, new ones are reset, too.
    ResetPeer,
    /// No byte passes to or from the database, and connections stay open. Afterwards the bytes that
    /// were held back arrive.
    Stall,
    /// Other clients take all connections that the database's role may have, as they become free.
    ConnectionsFull,
    /// The database takes no writes, as a standby or one over its limit of rows.
    ReadOnly,
    /// The provider refuses the token of the stage's functions with 401.
    ExpiredToken,
    /// The provider's API answers each request with 429. All stages have one provider.
    #[serde(rename = "api_429")]
    ApiTooManyRequests {
        /// Seconds in the header `Retry-After`.
        #[serde(rename = "retry_after", default)]
        retry_after_s: Option<u32>,
    },
    /// The provider's API answers each request with 500. All stages have one provider.
    #[serde(rename = "api_500")]
    ApiError,
    /// The provider's API gives no answer. All stages have one provider.
    ApiHang,
    /// An instance is stopped (SIGSTOP) until the fault ends (SIGCONT): of each function the one that
    /// started last, or of one function alone.
    Freeze {
        /// Name of the function.
        #[serde(default)]
        function: Option<String>,
    },
    /// An instance is killed (SIGKILL), with the request that it may have: of each function the one
    /// that started last, or of one function alone. Happens once.
    Kill {
        /// Name of the function.
        #[serde(default)]
        function: Option<String>,
    },
}

/// The duration that a fault can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lasting {
    /// It happens once, and has no duration.
    Once,
    /// It happens once, or lasts for a duration.
    OnceOrFor,
    /// It lasts for a duration, or until it is cleared.
    UntilCleared,
}

impl Fault {
    /// The name of the fault, such as `reset_peer`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RotateCredentials => "rotate_credentials",
            Self::FailOver => "fail_over",
            Self::Restart => "restart",
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::ResetPeer => "reset_peer",
            Self::Stall => "stall",
            Self::ConnectionsFull => "connections_full",
            Self::ReadOnly => "read_only",
            Self::ExpiredToken => "expired_token",
            Self::ApiTooManyRequests { .. } => "api_429",
            Self::ApiError => "api_500",
            Self::ApiHang => "api_hang",
            Self::Freeze { .. } => "freeze",
            Self::Kill { .. } => "kill",
        }
    }

    /// The duration that the fault can have.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::RotateCredentials | Self::FailOver | Self::Kill { .. } => Lasting::Once,
            Self::Restart | Self::ResetPeer => Lasting::OnceOrFor,
            _ => Lasting::UntilCleared,
        }
    }

    /// Returns whether the fault is of what all stages share.
    pub fn is_of_all_stages(&self) -> bool {
        matches!(
            self,
            Self::Restart | Self::ApiTooManyRequests { .. } | Self::ApiError | Self::ApiHang
        )
    }
}

impl fmt::Display for Fault {
    /// Writes the name with the attributes, such as `latency (200 ms, jitter 50 ms)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Latency {
                latency_ms,
                jitter_ms: 0,
            } => write!(f, " ({latency_ms} ms)"),
            Self::Latency {
                latency_ms,
                jitter_ms,
            } => write!(f, " ({latency_ms} ms, jitter {jitter_ms} ms)"),
            Self::Bandwidth { rate_kb } => write!(f, " ({rate_kb} KB/s)"),
            Self::ApiTooManyRequests {
                retry_after_s: Some(seconds),
            } => write!(f, " (Retry-After {seconds})"),
            Self::Freeze {
                function: Some(function),
            }
            | Self::Kill {
                function: Some(function),
            } => write!(f, " ({function})"),
            _ => Ok(()),
        }
    }
}

/// The longest duration of a fault: that of a development day.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn fault_has_the_form_of_a_toxic_and_comes_back_from_it() {
        let rate_kb = NonZeroU64::new(20).unwrap();
        for (fault, expected) in [
            (
                Fault::Latency {
                    latency_ms: 200,
                    jitter_ms: 50,
                },
                json!({"type": "latency", "attributes": {"latency": 200, "jitter": 50}}),
            ),
            (
                Fault::Bandwidth { rate_kb },
                json!({"type": "bandwidth", "attributes": {"rate": 20}}),
            ),
            (Fault::ResetPeer, json!({"type": "reset_peer"})),
            (
                Fault::ApiTooManyRequests {
                    retry_after_s: None,
                },
                json!({"type": "api_429", "attributes": {"retry_after": null}}),
            ),
        ] {
            let json = serde_json::to_value(&fault).unwrap();
            assert_eq!(json, expected);
            assert_eq!(json["type"], fault.name());
            assert_eq!(serde_json::from_value::<Fault>(json).unwrap(), fault);
        }
        let short: Value = json!({"type": "freeze", "attributes": {}});
        let fault: Fault = serde_json::from_value(short).unwrap();
        assert_eq!(fault, Fault::Freeze { function: None });
    }
}
