//! The arguments of `stagelink fault`.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use stagelink_local::faults::Fault;

use crate::args::LocalOptions;

/// The options of `stagelink fault`.
#[derive(Clone, Debug, Parser)]
#[command(
    mut_arg("project", |arg| arg.global(true)),
    mut_arg("local", |arg| arg.global(true).help(
        "PORT is the port of the running `stagelink dev`, needed only if several run in the project"
    ))
)]
pub struct FaultOptions {
    /// The fault, or what to do with those that last.
    #[command(subcommand)]
    pub command: FaultCommand,

    /// Local stage. Needed only if several run, and not for a fault of all stages.
    #[arg(long, value_name = "STAGE", global = true)]
    pub stage: Option<String>,

    /// Ends the fault after this time, such as 5s or 500ms [default: until `stagelink fault clear`]
    #[arg(long = "for", value_name = "TIME", global = true, value_parser = duration)]
    pub duration: Option<Duration>,

    /// Prints one line of JSON in place of the text, also for an error.
    #[arg(long, global = true)]
    pub json: bool,

    /// The running `stagelink dev`.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// A command of `stagelink fault`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum FaultCommand {
    /// Lists the active faults.
    List,
    /// Ends all faults; with --stage, those of that stage and of all stages.
    Clear,
    /// Rotates the credentials: a new password, all sessions end, and the config var gets the new
    /// URL. Happens once.
    #[command(alias = "rotate", alias = "rotate_credentials")]
    RotateCredentials,
    /// Moves the database to another address, as in a failover: connections are reset, the old
    /// address refuses connections, and the config var gets the new URL. The data stays. Happens
    /// once.
    #[command(alias = "failover", alias = "fail_over")]
    FailOver,
    /// Restarts the Postgres server of all stages; with --for, it stays down for that time.
    Restart,
    /// Delays the data that the database sends.
    Latency {
        /// Latency, in milliseconds.
        #[arg(long, value_name = "MS")]
        latency: u64,
        /// Random variation of the latency, up and down, in milliseconds.
        #[arg(long, value_name = "MS", default_value_t = 0)]
        jitter: u64,
    },
    /// Limits the rate at which the database sends data, per connection.
    Bandwidth {
        /// Rate, in KB per second.
        #[arg(long, value_name = "KB")]
        rate: NonZeroU64,
    },
    /// Resets the connections to the database; with --for new ones, too.
    #[command(alias = "reset", alias = "reset_peer")]
    ResetPeer,
    /// Stops all data to and from the database, and keeps the connections open.
    Stall,
    /// Takes all connections that the database's role may have, as they become free.
    #[command(alias = "full", alias = "connections_full")]
    ConnectionsFull,
    /// Makes the database read-only.
    #[command(alias = "read_only")]
    ReadOnly,
    /// Makes the provider refuse the token of the stage's functions with 401.
    #[command(alias = "expired_token")]
    ExpiredToken,
    /// Makes the provider's API answer each request of all stages with 429.
    #[command(name = "api-429", alias = "api_429")]
    ApiTooManyRequests {
        /// Seconds in the header Retry-After [default: no header]
        #[arg(long, value_name = "SECONDS")]
        retry_after: Option<u32>,
    },
    /// Makes the provider's API answer each request of all stages with 500.
    #[command(name = "api-500", alias = "api_500")]
    ApiError,
    /// Makes the provider's API leave each request of all stages without an answer.
    #[command(alias = "api_hang")]
    ApiHang,
    /// Stops the newest instance of each function (SIGSTOP).
    Freeze {
        /// Function [default: each]
        #[arg(long, value_name = "NAME")]
        function: Option<String>,
    },
    /// Resumes frozen instances (SIGCONT), as `clear` does.
    Thaw,
    /// Kills the newest instance of each function (SIGKILL), with the request that it may have.
    /// Happens once.
    Kill {
        /// Function [default: each]
        #[arg(long, value_name = "NAME")]
        function: Option<String>,
    },
}

impl FaultCommand {
    /// Returns the fault that the command injects, if it injects one.
    pub(crate) fn fault(&self) -> Option<Fault> {
        Some(match self {
            Self::List | Self::Clear | Self::Thaw => return None,
            Self::RotateCredentials => Fault::RotateCredentials,
            Self::FailOver => Fault::FailOver,
            Self::Restart => Fault::Restart,
            Self::Latency { latency, jitter } => Fault::Latency {
                latency_ms: *latency,
                jitter_ms: *jitter,
            },
            Self::Bandwidth { rate } => Fault::Bandwidth { rate_kb: *rate },
            Self::ResetPeer => Fault::ResetPeer,
            Self::Stall => Fault::Stall,
            Self::ConnectionsFull => Fault::ConnectionsFull,
            Self::ReadOnly => Fault::ReadOnly,
            Self::ExpiredToken => Fault::ExpiredToken,
            Self::ApiTooManyRequests { retry_after } => Fault::ApiTooManyRequests {
                retry_after_s: *retry_after,
            },
            Self::ApiError => Fault::ApiError,
            Self::ApiHang => Fault::ApiHang,
            Self::Freeze { function } => Fault::Freeze {
                function: function.clone(),
            },
            Self::Kill { function } => Fault::Kill {
                function: function.clone(),
            },
        })
    }
}

/// Parses a duration with its unit, such as `5s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "a time with a unit is wanted, such as 5s or 500ms";
    let parsed: SignedDuration = text.parse().map_err(|_| wanted.to_owned())?;
    match Duration::try_from(parsed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(wanted.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_a_unit_and_is_not_zero() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "5", "0s", "-1s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_may_stand_after_the_fault_and_names_be_those_of_toxiproxy() {
        let words = [
            "fault",
            "reset_peer",
            "--stage",
            "staging",
            "--for",
            "5s",
            "--local=8889",
        ];
        let options = FaultOptions::parse_from(words);
        assert_eq!(options.command.fault(), Some(Fault::ResetPeer));
        assert_eq!(options.stage.as_deref(), Some("staging"));
        assert_eq!(options.duration, Some(Duration::from_secs(5)));
        assert_eq!(options.local.local, Some(8889));
    }
}
