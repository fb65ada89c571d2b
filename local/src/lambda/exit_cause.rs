//! The cause of an instance's end, with its log line and the error of the invocations.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::invocation::FunctionError;
use super::invoke_error::InvokeError;
use super::process::Shutdown;

/// The cause of an instance's end.
pub(super) enum ExitCause {
    /// The process exited by itself.
    Exited(io::Result<ExitStatus>),
    /// INIT, a restore or an invocation took longer than this limit.
    TimedOut(Duration),
    /// The runtime reported that INIT failed.
    InitError(FunctionError),
    /// The instance had no event for as long as the function's instances may be idle.
    IdleTimedOut,
    /// The function is being shut down.
    Closing,
}

/// Phase of an instance when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Init,
    Invocation,
    Idle,
}

impl ExitCause {
    /// The way to end the process after this cause.
    pub(super) fn shutdown(&self) -> Shutdown {
        match self {
            Self::Exited(_) | Self::TimedOut(_) => Shutdown::Kill,
            Self::InitError(_) => Shutdown::Wait,
            Self::IdleTimedOut | Self::Closing => Shutdown::Terminate,
        }
    }

    /// Returns the text for the function's log, if the cause is worth a line.
    pub(super) fn log_line(&self, phase: Phase) -> Option<String> {
        match self {
            Self::Exited(status) => {
                let (phase, status) = (phase.describe(), describe_status(status));
                Some(format!("Error: Runtime exited {phase}: {status}"))
            }
            Self::TimedOut(limit) => {
                let subject = match phase {
                    Phase::Init => "INIT",
                    Phase::Invocation | Phase::Idle => "Task",
                };
                let seconds = limit.as_secs_f64();
                Some(format!("{subject} timed out after {seconds:.2} seconds"))
            }
            Self::InitError(error) => Some(error.log_line()),
            Self::IdleTimedOut | Self::Closing => None,
        }
    }

    /// Returns the error of an invocation that the end of the instance failed.
    pub(super) fn to_invoke_error(&self, phase: Phase) -> InvokeError {
        match self {
            Self::Exited(status) => InvokeError::Exited {
                detail: format!("{}, {}", describe_status(status), phase.describe()),
            },
            Self::TimedOut(limit) if phase == Phase::Init => {
                InvokeError::InitTimedOut { limit: *limit }
            }
            Self::TimedOut(limit) => InvokeError::TimedOut { limit: *limit },
            Self::InitError(error) => error.clone().into(),
            // No invocation fails by the end of an idle instance.
            Self::IdleTimedOut | Self::Closing => InvokeError::ShutDown,
        }
    }
}

impl Phase {
    fn describe(self) -> &'static str {
        match self {
            Self::Init => "during its INIT",
            Self::Invocation => "while it ran",
            Self::Idle => "while it was idle",
        }
    }
}

fn describe_status(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(cause) => format!("its exit status could not be read: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_out_of_init_and_of_an_invocation_have_different_errors() {
        let limit = Duration::from_millis(1500);
        let cause = ExitCause::TimedOut(limit);
        for (phase, line) in [
            (Phase::Init, "INIT timed out after 1.50 seconds"),
            (Phase::Invocation, "Task timed out after 1.50 seconds"),
            (Phase::Idle, "Task timed out after 1.50 seconds"),
        ] {
            assert_eq!(cause.log_line(phase).as_deref(), Some(line));
            let error = cause.to_invoke_error(phase);
            let is_init = matches!(error, InvokeError::InitTimedOut { .. });
            assert_eq!(is_init, phase == Phase::Init, "{error}");
        }
    }

    #[test]
    fn shutdown_is_not_logged() {
        assert_eq!(ExitCause::Closing.log_line(Phase::Idle), None);
    }
}
