//! What passes between client and server, seen from beside: its messages, and what came of them.

mod frames;
mod outcome;
mod tap;

pub(crate) use self::outcome::{Checkpoint, ReturnState, WriteOutcome};
pub(crate) use self::tap::Tap;
pub(in crate::postgres) use self::tap::Tapped;
