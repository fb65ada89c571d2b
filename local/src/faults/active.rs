//! A fault that lasts.

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// A fault that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ActiveFault {
    /// Name of the stage; none for a fault of all stages.
    pub stage: Option<String>,
    /// The fault.
    pub fault: Fault,
    /// Milliseconds until it ends by itself.
    pub ends_in_ms: Option<u64>,
}
