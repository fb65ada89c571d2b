//! The error of a read of the history and of what is kept beside it.

use std::fmt;

use stagelink::tokio_postgres::Error as DriverError;

use crate::migrations::server_words::describe;

/// The reason why the history, or what is kept beside it, could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The server refused a query, or its answer did not come.
    Driver(DriverError),
    /// The history is not where the role looks for it, or holds what no runner writes: the reason, with
    /// what to do.
    Unusable(String),
}

impl From<DriverError> for ReadError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(error) => f.write_str(&describe(error)),
            Self::Unusable(reason) => f.write_str(reason),
        }
    }
}
