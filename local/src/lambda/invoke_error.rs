//! Why an invocation has no answer.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::Error;

/// Why an invocation has no answer.
///
/// `Display` and `Debug` hold nothing that the function wrote but the type of
/// its error: the message may quote a secret, so it is in the field and in the
/// function's log alone.
#[non_exhaustive]
pub enum InvokeError {
    /// The function answered with an error: it returned one, it panicked, its
    /// INIT reported one, or its answer was larger than Lambda takes.
    Function {
        /// The error's type, by the function's own naming.
        error_type: String,
        /// The error's message. It may hold anything.
        error_message: String,
    },
    /// The process ended before it answered.
    Exited {
        /// How it ended and in which phase, such as
        /// "exit status: 1, while it ran".
        detail: String,
    },
    /// No answer within the function's time limit; the process was killed.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// INIT was not over within its time limit; the process was killed.
    InitTimedOut {
        /// The limit.
        limit: Duration,
    },
    /// No process could be started.
    NotStarted(Error),
    /// The event is larger than Lambda takes.
    EventTooLarge {
        /// The event's size, in bytes.
        size_bytes: usize,
        /// The largest size that is taken, in bytes.
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
                "the function answered with an error of type {error_type}: see its log"
            ),
            Self::Exited { detail } => write!(
                f,
                "the function's process ended before it answered ({detail}): see its log"
            ),
            Self::TimedOut { limit } => write!(
                f,
                "the function did not answer within {:.2} s and was killed",
                limit.as_secs_f64()
            ),
            Self::InitTimedOut { limit } => write!(
                f,
                "the function did not ask for an event within {:.2} s of its start and was \
                 killed: see that it runs a Lambda runtime and does less before",
                limit.as_secs_f64()
            ),
            Self::NotStarted(error) => error.fmt(f),
            Self::EventTooLarge {
                size_bytes,
                limit_bytes,
            } => write!(
                f,
                "the event has {size_bytes} bytes, and Lambda takes at most {limit_bytes}"
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
            // The text is the inner error's own, so its cause comes next.
            Self::NotStarted(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_of_function_is_in_no_text() {
        let error = InvokeError::Function {
            error_type: "ConnectError".to_owned(),
            error_message: "canary".to_owned(),
        };
        let text = format!("{error} {error:?}");
        assert!(text.contains("ConnectError") && !text.contains("canary"));
    }
}
