//! The Postgres protocol as a connection carries it: messages, errors, prepared statements behind a
//! pooler, and the outcome of writes.

mod client_statements;
mod error_response;
mod frames;
mod outcome;
mod oversize;
#[cfg(feature = "testing")]
mod rehearsal;
mod session_change;
mod tap;

pub(in crate::postgres) use self::client_statements::ClientStatements;
#[cfg(feature = "testing")]
pub(crate) use self::client_statements::rehearse_client_statements;
pub(crate) use self::error_response::{ErrorResponse, Origin, Severity};
pub(crate) use self::outcome::{Checkpoint, ReturnState, WriteOutcome};
#[cfg(feature = "testing")]
pub(crate) use self::rehearsal::rehearse_tap;
pub(crate) use self::tap::Tap;
pub(in crate::postgres) use self::tap::Tapped;
