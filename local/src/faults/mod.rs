//! Injected faults: failures of a stage's database, network, provider and instances.
//!
//! [`Cloud::faults`](crate::Cloud::faults) returns the [`FaultControl`] of a running cloud. A
//! [`FaultServer`] offers the same to other programs of this machine's user, and a [`FaultClient`] is
//! their side of it.
//!
//! Names and attributes are those of Toxiproxy where it has them: `latency` (`latency`, `jitter`, in
//! milliseconds), `bandwidth` (`rate`, in KB/s), `reset_peer`. As there, `latency` and `bandwidth` apply
//! to what the database sends.

mod active;
mod client;
mod control;
mod fault;
mod server;
mod shared_server;
mod stage;
#[cfg(test)]
mod tests;

pub use active::ActiveFault;
pub use client::FaultClient;
pub use control::FaultControl;
pub use fault::{Fault, Lasting};
pub use server::FaultServer;
pub use shared_server::SharedServer;

pub(crate) use stage::{FaultyStage, StageNetwork};
