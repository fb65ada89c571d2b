//! What passes between client and server, seen from beside: its messages, and what came of them.

mod error_response;
mod frames;
mod outcome;
mod tap;

pub(in crate::postgres) use self::error_response::ErrorResponse;
pub(crate) use self::outcome::{Checkpoint, ReturnState, WriteOutcome};
pub(crate) use self::tap::Tap;
pub(in crate::postgres) use self::tap::Tapped;
