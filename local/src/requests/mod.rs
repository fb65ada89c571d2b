//! The requests of a project that runs on this machine: their events, results, and phases of time.
//!
//! # Behaviour
//!
//! - A record begins with its request and is finished a moment after the runtime has asked for its
//!   next event, so that it has the function's last log lines. Its duration ends with the response.
//! - [`RequestLog`] keeps the last records, 2,000 of them and 64 MiB at most, and sends each change to
//!   its subscribers.
//! - A record has the path without the query, which may hold a secret. The event has all that the
//!   client sent: it stays in memory, and is for the eyes of the person who sent it.
//! - *Cold* says that the request waited for the INIT of an instance that was started for it.
//! - The phases of the work with the database are known of a runtime that reports them, as the SDK's
//!   does. Of others they are unknown, which is not zero.

mod active;
mod log;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use self::active::{ActiveRequest, Recorder};
pub use self::log::{RequestEvent, RequestLog};
pub use self::record::{RequestRecord, Trigger};
