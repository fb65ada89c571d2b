//! The number of connections and the time limits, and the variables that set them.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, ErrorKind};

/// The number of connections of an instance, and the time limit of each step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections per instance. Defaults to 1: an instance of a function
    /// serves one request at a time, and databases count connections. Where Lambda lets
    /// an instance serve several at once, it says how many. 10,000 is the most.
    pub pool_size: NonZeroUsize,
    /// The time without a statement after which the server ends a session. Defaults to 60
    /// seconds: a new connection costs a few round trips, and small databases have 20
    /// connections, which frozen or dead instances would keep for hours. It takes Postgres 14 or
    /// newer, and does not apply to a pooler's sessions, nor where the database, the role or the
    /// URL sets a limit of its own.
    pub idle: Duration,
    /// The time limit of a look-up at the provider, with all of its requests. Defaults to 4
    /// seconds.
    pub resolve: Duration,
    /// The time for each step of opening a connection: the TCP connection with its name look-up,
    /// TLS, and the session's start. Defaults to 4 seconds: a server under many new connections
    /// is slow, and starting over would cost it more.
    pub connect: Duration,
    /// The time limit of the wait for one of the pool's connections, where all are lent. Defaults
    /// to 4 seconds.
    pub wait: Duration,
    /// The time for retries, from the beginning of an outage. Defaults to 10 seconds: longer
    /// than a small database takes to restart, and shorter than people wait for a page. Work
    /// never goes on past the end of its invocation.
    pub retry: Duration,
    /// Bytes of the longest message that the server may send, such as a row. The driver reads a
    /// message into memory as a whole, and its buffer takes up to three times as much as it grows.
    /// Defaults to 64 MiB; from the environment of AWS Lambda, to an eighth of the function's
    /// memory.
    pub message_bytes: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: NonZeroUsize::MIN,
            idle: Duration::from_secs(60),
            resolve: Duration::from_secs(4),
            connect: Duration::from_secs(4),
            wait: Duration::from_secs(4),
            retry: Duration::from_secs(10),
            message_bytes: MESSAGE_BYTES,
        }
    }
}

impl Limits {
    /// Refuses a pool for which no memory is left: its places are allocated at once.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.pool_size > LARGEST_POOL {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the pool size (STAGELINK_POOL_SIZE) is {}, and {LARGEST_POOL} connections is \
                     the most: set it to the number of requests that a process serves at a time",
                    self.pool_size
                ),
            ));
        }
        Ok(())
    }
}

/// Longest message of the server where the function's memory is not known.
const MESSAGE_BYTES: NonZeroUsize = NonZeroUsize::new(64 << 20).expect("it is above zero");

/// Returns an eighth of the memory that Lambda names, in MiB: what the driver's buffer takes at the
/// most leaves more than half of it to the function.
fn share_of_memory(mebibytes: &str) -> Option<NonZeroUsize> {
    let mebibytes: usize = mebibytes.trim().parse().ok()?;
    NonZeroUsize::new(mebibytes.checked_mul(1 << 20)? / 8)
}

/// Databases of the providers take some hundred connections, and their poolers 10,000.
const LARGEST_POOL: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is above zero");

/// The variables of the limits.
#[derive(Clone, Deserialize)]
pub(super) struct LimitVariables {
    stagelink_pool_size: Option<String>,
    aws_lambda_max_concurrency: Option<String>,
    aws_lambda_function_memory_size: Option<String>,
    stagelink_idle_timeout_ms: Option<String>,
    stagelink_resolve_timeout_ms: Option<String>,
    stagelink_connect_timeout_ms: Option<String>,
    stagelink_wait_timeout_ms: Option<String>,
    stagelink_retry_timeout_ms: Option<String>,
    stagelink_max_message_bytes: Option<String>,
}

impl LimitVariables {
    /// Returns whether it is a variable of AWS Lambda's that decides a limit. Those of stagelink
    /// stand in the list of names.
    pub(super) fn knows(name: &str) -> bool {
        name == "AWS_LAMBDA_MAX_CONCURRENCY" || name == "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
    }

    /// Returns the limits, each by default as [`Limits`] says.
    pub(super) fn parse(self) -> Result<Limits, Error> {
        let defaults = Limits::default();
        let concurrency = self.aws_lambda_max_concurrency.as_deref();
        Ok(Limits {
            pool_size: number("STAGELINK_POOL_SIZE", self.stagelink_pool_size.as_deref())?
                // Lambda's own is a number, or something that is not known here.
                .or_else(|| concurrency.and_then(|number| number.trim().parse().ok()))
                .unwrap_or(defaults.pool_size),
            idle: milliseconds(
                "STAGELINK_IDLE_TIMEOUT_MS",
                self.stagelink_idle_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.idle),
            resolve: milliseconds(
                "STAGELINK_RESOLVE_TIMEOUT_MS",
                self.stagelink_resolve_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.resolve),
            connect: milliseconds(
                "STAGELINK_CONNECT_TIMEOUT_MS",
                self.stagelink_connect_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.connect),
            wait: milliseconds(
                "STAGELINK_WAIT_TIMEOUT_MS",
                self.stagelink_wait_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.wait),
            retry: milliseconds(
                "STAGELINK_RETRY_TIMEOUT_MS",
                self.stagelink_retry_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.retry),
            message_bytes: number(
                "STAGELINK_MAX_MESSAGE_BYTES",
                self.stagelink_max_message_bytes.as_deref(),
            )?
            .or_else(|| share_of_memory(self.aws_lambda_function_memory_size.as_deref()?))
            .unwrap_or(defaults.message_bytes),
        })
    }
}

fn number(name: &str, text: Option<&str>) -> Result<Option<NonZeroUsize>, Error> {
    text.map(|text| {
        text.trim().parse().map_err(|_| {
            Error::new(
                ErrorKind::Settings,
                format!("{name} is not a whole number above zero"),
            )
        })
    })
    .transpose()
}

fn milliseconds(name: &str, text: Option<&str>) -> Result<Option<Duration>, Error> {
    Ok(number(name, text)?.map(|number| Duration::from_millis(number.get() as u64)))
}
