//! Errors as JSON, for `--json`.

use serde::Serialize;
use stagelink_pipeline::{Error, ErrorKind};

use crate::called_as::as_called;
use crate::output::{note, print_json};
use crate::usage_error::pipeline_error;

/// An error and its causes.
#[derive(Serialize)]
pub(crate) struct Failure {
    error: String,
    /// The parts of an error that has several, such as the statements that are refused.
    details: Vec<String>,
    because: Vec<String>,
    /// True if the same command may succeed later.
    is_retryable: bool,
}

impl Failure {
    pub(crate) fn new(error: &anyhow::Error) -> Self {
        let of_pipeline = pipeline_error(error);
        let kind = of_pipeline.map(Error::kind);
        let called = |text: String| as_called(&text).into_owned();
        let details = of_pipeline.map_or_else(Vec::new, |error| error.details().collect());
        Self {
            error: called(error.to_string()),
            details: details.into_iter().map(called).collect(),
            because: error
                .chain()
                .skip(1)
                .map(|cause| called(cause.to_string()))
                .collect(),
            is_retryable: matches!(kind, Some(ErrorKind::Busy | ErrorKind::Unavailable)),
        }
    }
}

/// Prints a failure as one line of JSON beside the error itself, which goes to standard error.
pub(crate) fn print_failure(failure: &impl Serialize) {
    if let Err(unprinted) = print_json(failure) {
        // The command's own error is the one to show.
        note(format_args!("note: {unprinted:#}"));
    }
}
