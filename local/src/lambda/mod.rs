//! AWS Lambda on this machine: the Runtime API, and the processes that speak it.
//!
//! A [`Function`] is an executable. Each *instance* of it is a process of its
//! own with a Runtime API endpoint of its own on 127.0.0.1, so the endpoint
//! says which instance is calling, as on Lambda, and a runtime of any language
//! works unchanged.
//!
//! # Behaviour
//!
//! - **Lazy.** No process runs before the first [`Function::invoke`] or
//!   [`Function::warm_up`].
//! - **One invocation at a time per instance**, but for those of Managed Instances
//!   ([`concurrency`](FunctionConfig::concurrency)): such a process is told in
//!   `AWS_LAMBDA_MAX_CONCURRENCY` how many it may have, and gets one for each request for the
//!   next event that it has open. An instance that has answered
//!   stays warm; the most recently used one gets the next event. Events that
//!   come at the same time and find no instance with room get one of their own, up to
//!   [`max_instances`](FunctionConfig::max_instances); beyond it they wait in
//!   line, first come first served, and the wait does not count as run time.
//! - **INIT** lasts from the start of the process until it first asks for an
//!   event. One that fails is not tried again within the same invocation
//!   (Lambda would, once): the caller gets the error, and the next invocation
//!   gets a new process. Nobody is helped by seeing the same failure twice.
//! - **A time-out kills** the process and all that it started. The limit runs
//!   from the delivery of the event until the runtime asks for the next one:
//!   a process that answers and then hangs is killed too.
//! - **An event is delivered at most once.** If an instance dies after an event
//!   was meant for it, but before it fetched it, another instance gets it.
//! - **A caller that goes away** leaves the line; an event that an instance
//!   already has is run to its end, as on Lambda, and the instance is reused.
//! - **Aliases.** [`Function::by_alias`] is the same function by another ARN, which each
//!   event carries with it: as on Lambda, where several aliases may stand for one version.
//! - **Streamed answers** are collected, and given in the form of those that are not;
//!   [`Function::invoke_streaming`] hands their parts on as they come, too.
//! - **SnapStart** ([`snap_start`](FunctionConfig::snap_start)): a process that asks to be
//!   restored (`/runtime/restore/next`) has its INIT behind it and waits as its snapshot
//!   would, until there is an event. Nothing is copied: it is the same process that goes on,
//!   and connections that it left open are open still.
//! - **Environment:** what Lambda sets, and the function's own variables.
//!   Nothing of this process's environment reaches it.
//! - **The end.** [`Function::shutdown`] sends SIGTERM, waits, and kills. So
//!   does dropping the last clone, though nobody waits for it then. If this
//!   process is killed, a runtime finds its endpoint gone and ends by itself.
//!
//! Not here: memory and CPU limits, freezing between invocations, external extensions, and the Telemetry and Logs APIs.

mod api;
mod config;
mod environment;
mod extensions;
mod function;
mod instance;
mod invocation;
mod invoke_error;
mod lines;
mod payload;
mod pool;
mod process;
mod streaming;
#[cfg(test)]
mod tests;

pub use config::{FunctionConfig, LogLine, LogSink, LogStream};
pub use function::Function;
pub use invoke_error::InvokeError;
