//! An error of a command's arguments, which has the exit code that clap gives one.

use std::error::Error;
use std::fmt;

use stagelink_pipeline::Error as PipelineError;

/// An error of the arguments of a command. It reads as the error that it wraps.
#[derive(Debug)]
struct UsageError(anyhow::Error);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for UsageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let inner: &(dyn Error + 'static) = self.0.as_ref();
        inner.source()
    }
}

/// Marks an error as one of the arguments.
pub(crate) fn of_usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    UsageError(error.into()).into()
}

/// Returns the pipeline's error that an error is, also beneath a context or marked as one of the arguments.
pub(crate) fn pipeline_error(error: &anyhow::Error) -> Option<&PipelineError> {
    let marked = || error.downcast_ref::<UsageError>();
    let found = error.downcast_ref::<PipelineError>();
    found.or_else(|| marked()?.0.downcast_ref())
}

/// Returns the pipeline's error that an error is itself, whose text is that of the error.
pub(crate) fn outermost_pipeline_error(error: &anyhow::Error) -> Option<&PipelineError> {
    let outermost = error.chain().next()?;
    match outermost.downcast_ref::<UsageError>() {
        Some(marked) => marked.0.chain().next()?.downcast_ref(),
        None => outermost.downcast_ref(),
    }
}

/// Returns the exit code of an error: 2 for one of the arguments, as clap has it, else that of the
/// command.
pub fn exit_code(error: &anyhow::Error, of_command: u8) -> u8 {
    match error.downcast_ref::<UsageError>() {
        Some(_) => 2,
        None => of_command,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn error_of_usage_reads_as_it_did_and_has_its_own_code() {
        let error = || {
            let inner: anyhow::Result<()> = Err(anyhow!("no such stage"));
            inner.context("could not use the stage").unwrap_err()
        };
        assert_eq!(exit_code(&error(), 1), 1);
        let marked = of_usage(error());
        assert_eq!(exit_code(&marked, 1), 2);
        assert_eq!(format!("{marked:#}"), format!("{:#}", error()));
        let beneath: anyhow::Result<()> = Err(marked);
        let beneath = beneath.context("could not begin").unwrap_err();
        assert_eq!(exit_code(&beneath, 1), 2);
    }
}
