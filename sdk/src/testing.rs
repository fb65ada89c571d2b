//! For tests, with the cargo feature `testing`: a conformance check for implementations of [`Provider`],
//! and functions in the process of their test.
//!
//! [`Provider`]: crate::Provider

mod conformance;
#[cfg(feature = "testing")]
mod rehearsal;

#[cfg(all(feature = "testing", feature = "lambda"))]
use std::time::Duration;

#[cfg(all(feature = "testing", feature = "lambda"))]
use crate::database::Database;

pub use self::conformance::Conformance;
#[cfg(all(feature = "testing", feature = "lambda"))]
pub use self::rehearsal::rehearse_event;
#[cfg(feature = "testing")]
pub use self::rehearsal::{
    rehearse_certificate, rehearse_client_statements, rehearse_credentials, rehearse_session,
    rehearse_tap,
};
#[cfg(all(feature = "testing", feature = "lambda"))]
pub use crate::lambda::{InProcessFunction, InProcessResponse, InProcessStreamingFunction};

/// Lets time pass for the idle connections of a database, as for those of an instance that AWS Lambda
/// freezes between two invocations.
///
/// The time passes in this process alone. A server ends a session that sent no statement for 60 s; a
/// test that freezes a database for longer ends its sessions too.
#[cfg(all(feature = "testing", feature = "lambda"))]
pub fn freeze(database: &Database, duration: Duration) {
    database.freeze(duration);
}
