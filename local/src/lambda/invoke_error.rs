//! The error of an invocation.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::Error;

/// The error of an invocation without a response.
///
/// Of the text that the function wrote, `Display` and `Debug` show the error's type only. The
/// message may quote a secret, so it is only in the field and in the function's log.
#[non_exhaustive]
pub enum InvokeError {
    /// The function reported an error: its handler returned one or panicked, its INIT failed, or
    /// its response was larger than Lambda accepts.
    Function {
        /// The error's type, as the function names it.
        error_type: String,
        /// The error's message. It may hold a secret.
        error_message: String,
    },
    /// The process ended before it responded.
    Exited {
        /// The exit status and the phase, such as "exit status: 1, while it ran".
        detail: String,
    },
    /// The function did not respond within its time limit. The process was killed.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// INIT did not end within its time limit. The process was killed.
    InitTimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The process could not be started.
    NotStarted(Error),
    /// The event is larger than Lambda accepts.
    EventTooLarge {
        /// Size of the event in bytes.
        size_bytes: usize,
        /// Largest accepted size in bytes.
        limit_bytes: usize,
    },
    /// The function was shut down.
    ShutDown,
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function { error_type, .. } => write!(
                f,
                "the function returned an error of type {error_type}: see its log"
            ),
            Self::Exited { detail } => write!(
                f,
                "the function's process ended before it responded ({detail}): see its log"
            ),
            Self::TimedOut { limit } => write!(
                f,
                "the function timed out after {:.2} s and was killed",
                limit.as_secs_f64()
            ),
            Self::InitTimedOut { limit } => write!(
                f,
                "the function did not ask for an event within {:.2} s of its start and was \
                 killed: check that it runs a Lambda runtime and that its initialization is short",
                limit.as_secs_f64()
            ),
            Self::NotStarted(error) => error.fmt(f),
            Self::EventTooLarge {
                size_bytes,
                limit_bytes,
            } => write!(
                f,
                "the event is too large: it has {size_bytes} bytes, and Lambda accepts {limit_bytes}"
            ),
            Self::ShutDown => f.write_str("the function was shut down"),
        }
    }
}

impl fmt::Debug for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => f.debug_tuple("NotStarted").field(error).finish(),
            other => write!(f, "InvokeError({other})"),
        }
    }
}

impl StdError for InvokeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            // `Display` shows the inner error's text, so the source is the inner error's.
            Self::NotStarted(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_of_function_is_not_displayed() {
        let error = InvokeError::Function {
            error_type: "ConnectError".to_owned(),
            error_message: "canary".to_owned(),
        };
        let text = format!("{error} {error:?}");
        assert!(text.contains("ConnectError") && !text.contains("canary"));
    }
}
