//! AWS Lambda on this machine: the Runtime API, and the processes that use it.
//!
//! A [`Function`] is an executable. Each *instance* of it is a process with a Runtime API endpoint
//! of its own on 127.0.0.1, so the endpoint identifies the instance, as on Lambda. A runtime in any
//! language works unchanged.
//!
//! # Behaviour
//!
//! - **Lazy start.** No process runs before the first [`Function::invoke`] or
//!   [`Function::warm_up`].
//! - **One invocation at a time per instance**, except with Managed Instances
//!   ([`concurrency`](FunctionConfig::concurrency)): there the process reads its limit in
//!   `AWS_LAMBDA_MAX_CONCURRENCY` and gets one event for each open request for the next event.
//!   An instance that has responded stays warm; the most recently used instance gets the next
//!   event. Concurrent events that find no free instance start new ones, up to
//!   [`max_instances`](FunctionConfig::max_instances). Beyond that they wait in a first-in,
//!   first-out queue, and the wait does not count as run time.
//! - **INIT** lasts from the start of the process until its first request for an event. After a
//!   failed INIT the caller gets the error, and the next invocation gets a new process. (Lambda
//!   would retry INIT once within the invocation, and the caller would see the second failure.)
//! - **A time-out kills** the process and its child processes. The limit runs from the delivery of
//!   the event until the runtime asks for the next one: a process that responds and then hangs is
//!   killed, too.
//! - **An event is delivered at most once.** If an instance ends before it fetched an event that
//!   was assigned to it, another instance gets the event.
//! - **A cancelled call** leaves the queue. An event that an instance already has runs to its end,
//!   as on Lambda, and the instance is reused.
//! - **Aliases.** [`Function::with_alias`] invokes the same function by another ARN, which comes
//!   with each event: on Lambda, too, several aliases may point to one version.
//! - **Streamed responses** are collected and returned in the buffered format.
//!   [`Function::invoke_streaming`] also sends their chunks as they come.
//! - **SnapStart** ([`snap_start`](FunctionConfig::snap_start)): a process that asks to be restored
//!   (`/runtime/restore/next`) has finished its INIT and waits, as its snapshot would, until there
//!   is an event. Nothing is copied: the same process goes on, and its open connections stay open.
//! - **Environment:** the variables that Lambda sets and the function's own, and nothing of this
//!   process's environment.
//! - **Shutdown.** [`Function::shutdown`] sends SIGTERM, waits, and kills. Dropping the last clone
//!   does so, too, in the background. If this process is killed, a runtime finds its endpoint gone
//!   and ends by itself.
//!
//! Not implemented: memory and CPU limits, freezing between invocations, external extensions, and
//! the Telemetry and Logs APIs.

mod config;
mod environment;
mod exit_cause;
mod extensions;
mod function;
mod instance;
mod invocation;
mod invoke_error;
mod lines;
mod observer;
mod payload;
mod pool;
mod process;
mod registry;
mod runtime_api;
mod spans;
mod streaming;
#[cfg(test)]
pub(crate) mod tests;

pub use config::{FunctionConfig, LogLine, LogSink, LogStream};
pub use function::Function;
pub(crate) use invocation::PAYLOAD_LIMIT_BYTES;
pub use invoke_error::InvokeError;
pub use observer::{InstanceStart, InvocationObserver, InvokeOptions};
pub(crate) use payload::Payload;
pub use spans::{Phase, Span, SpanReport};
pub(crate) use streaming::stream_head;
