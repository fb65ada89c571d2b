//! The life of one instance: INIT, events one by one, the end.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::serve::ListenerExt;
use bytes::Bytes;
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::api::{self, Call, Delivery, Verdict};
use super::config::LogStream;
use super::extensions::Extensions;
use super::invocation::{FunctionError, Invocation};
use super::invoke_error::InvokeError;
use super::pool::{Hand, Membership};
use super::process::{Farewell, Process};
use crate::{Error, ErrorKind};

/// Starts a process, gives it `first` and what comes after, until it ends; then
/// answers for what it left behind.
pub(super) async fn live(membership: Membership, first: Invocation) {
    match Instance::start(membership).await {
        Ok(mut instance) => {
            instance.assigned = Some(first);
            let end = instance.run().await;
            instance.bury(end).await;
        }
        Err(error) => first.end(Err(InvokeError::NotStarted(error))),
    }
}

struct Instance {
    membership: Membership,
    process: Process,
    /// The endpoint's server. It stops when the instance is dropped.
    _server: JoinSet<()>,
    calls: mpsc::Receiver<Call>,
    hand: Hand,
    work: mpsc::Receiver<Invocation>,
    closing: watch::Receiver<bool>,
    extensions: Arc<Extensions>,
    arn: HeaderValue,

    init_over: bool,
    /// The runtime's request for the next event, while it waits.
    poll: Option<oneshot::Sender<Delivery>>,
    /// An event that the runtime has not fetched yet.
    assigned: Option<Invocation>,
    /// The event that the runtime fetched and has not answered, and the id that
    /// the answer should bear.
    running: Option<(Invocation, String)>,
    /// When the process is killed: while it is in INIT, or has an event, or has
    /// answered one and not asked for the next. A limit beyond the clock's
    /// range is none.
    deadline: Option<Instant>,
}

/// Why an instance came to its end.
enum End {
    Exited(std::io::Result<ExitStatus>),
    Late,
    InitError(FunctionError),
    Closing,
}

impl Instance {
    async fn start(membership: Membership) -> Result<Self, Error> {
        let config = &membership.pool.config;
        let arn = HeaderValue::from_str(&config.arn()).map_err(|cause| {
            let message = "could not form an ARN from the function's name: use letters, digits, - \
                           and _";
            Error::new(ErrorKind::Input, message).because(cause)
        })?;
        let unbound = |cause| {
            let name = &config.name;
            let message = format!("could not listen on 127.0.0.1 for an instance of {name}");
            Error::new(ErrorKind::System, message).because(cause)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unbound)?;
        let endpoint = listener.local_addr().map_err(unbound)?.to_string();
        let process = Process::start(config, membership.number, &endpoint)?;
        membership.process_started(process.id());

        let extensions = Arc::new(Extensions::default());
        let (sender, calls) = mpsc::channel(1);
        let router = api::router(Arc::clone(config), sender, Arc::clone(&extensions));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let listener = listener.tap_io(|connection| {
                // Without it a small answer may wait for an acknowledgement.
                let _ = connection.set_nodelay(true);
            });
            // It accepts for ever; errors of single connections are its own.
            let _ = axum::serve(listener, router).await;
        });
        let (hand, work) = mpsc::channel(1);
        tracing::debug!(
            function = config.name,
            instance = membership.number,
            pid = process.id(),
            "instance started"
        );
        Ok(Self {
            deadline: Instant::now().checked_add(config.init_timeout),
            closing: membership.pool.closing(),
            membership,
            process,
            _server: server,
            calls,
            hand,
            work,
            extensions,
            arn,
            init_over: false,
            poll: None,
            assigned: None,
            running: None,
        })
    }

    async fn run(&mut self) -> End {
        loop {
            self.deliver();
            let call = tokio::select! {
                // What the runtime said before it ended counts.
                biased;
                Some(call) = self.calls.recv() => call,
                Some(invocation) = self.work.recv() => {
                    self.assigned = Some(invocation);
                    continue;
                }
                status = self.process.exited() => return End::Exited(status),
                () = reached(self.deadline) => return End::Late,
                () = closed(&mut self.closing) => return End::Closing,
            };
            match call {
                // To drop the poll refuses it: an event waits for its answer.
                Call::Next(_) if self.running.is_some() => {}
                Call::Next(poll) => self.asked(poll),
                Call::Answer {
                    request_id,
                    invocation_id,
                    answer,
                    verdict,
                } => {
                    let _ = verdict.send(match self.running.take() {
                        Some((invocation, id)) if invocation.request_id == request_id => {
                            if invocation_id.is_none_or(|given| given == id) {
                                self.answered(invocation, answer);
                                Verdict::Accepted
                            } else {
                                self.running = Some((invocation, id));
                                Verdict::Stale
                            }
                        }
                        other => {
                            self.running = other;
                            Verdict::UnknownRequest
                        }
                    });
                }
                Call::InitError { verdict, .. } if self.init_over => {
                    let _ = verdict.send(Verdict::WrongPhase);
                }
                Call::InitError { error, verdict } => {
                    let _ = verdict.send(Verdict::Accepted);
                    return End::InitError(error);
                }
            }
        }
    }

    /// The runtime wants an event.
    fn asked(&mut self, poll: oneshot::Sender<Delivery>) {
        self.init_over = true;
        self.extensions.init_is_over();
        self.poll = Some(poll);
        self.deadline = None;
    }

    /// Brings the event to the runtime, when both are there.
    fn deliver(&mut self) {
        let (poll, invocation) = match (self.poll.take(), self.assigned.take()) {
            (Some(poll), Some(invocation)) => (poll, invocation),
            (poll, assigned) => {
                (self.poll, self.assigned) = (poll, assigned);
                return;
            }
        };
        let Some(event) = invocation.event.clone() else {
            self.poll = Some(poll);
            self.membership.rest(self.hand.clone());
            return invocation.end(Ok(Bytes::new()));
        };
        let timeout = self.membership.pool.config.timeout;
        let deadline_ms = since_epoch().saturating_add(timeout).as_millis();
        let invocation_id = Uuid::new_v4().to_string();
        let delivery = Delivery {
            event,
            request_id: invocation.request_id.clone(),
            invocation_id: invocation_id.clone(),
            arn: self.arn.clone(),
            trace_id: trace_id(),
            deadline_ms,
        };
        let trace_id = delivery.trace_id.clone();
        // From here the runtime has to answer or, if its request broke off, to
        // ask again.
        self.deadline = Instant::now().checked_add(timeout);
        if poll.send(delivery).is_err() {
            self.assigned = Some(invocation);
            return;
        }
        let arn = self.membership.pool.config.arn();
        self.extensions
            .invoked(&invocation.request_id, &arn, &trace_id, deadline_ms);
        self.running = Some((invocation, invocation_id));
    }

    /// The runtime answered. The instance rests before the caller hears of it,
    /// so that the caller's next event finds it. The deadline stays until the
    /// runtime asks for that event.
    fn answered(&self, invocation: Invocation, answer: Result<Bytes, FunctionError>) {
        if let Err(error) = &answer {
            self.log_error(&invocation.request_id, error);
        }
        self.membership.rest(self.hand.clone());
        invocation.end(answer.map_err(InvokeError::from));
    }

    /// Ends the process and answers for the events that it had.
    async fn bury(mut self, end: End) {
        self.membership.retire();
        self.process
            .end(match end {
                End::Exited(_) | End::Late => Farewell::None,
                End::InitError(_) => Farewell::Wait,
                End::Closing => Farewell::Terminate,
            })
            .await;
        // An event that the process never saw may run on another instance, but
        // for one that came with a process that failed in its INIT.
        let assigned = self.assigned.take().or_else(|| self.work.try_recv().ok());
        let (hit, unseen) = match self.running.take() {
            Some((invocation, _)) => (Some(invocation), assigned),
            None if self.init_over => (None, assigned),
            None => (assigned, None),
        };
        let failure = self.failure(end, hit.as_ref());

        let pool = Arc::clone(&self.membership.pool);
        drop(self);
        if let Some(invocation) = hit {
            invocation.end(Err(failure));
        }
        if let Some(invocation) = unseen {
            pool.dispatch(invocation);
        }
    }

    /// Writes the end to the log and returns the error for the event that it
    /// hit.
    fn failure(&self, end: End, hit: Option<&Invocation>) -> InvokeError {
        let config = &self.membership.pool.config;
        let id = hit.map_or("-", |invocation| &invocation.request_id);
        match end {
            End::Exited(status) => {
                let phase = match hit {
                    _ if !self.init_over => "during its INIT",
                    Some(_) => "while it ran",
                    None => "while it was idle",
                };
                let status = match status {
                    Ok(status) => status.to_string(),
                    Err(cause) => format!("its exit status could not be read: {cause}"),
                };
                self.log(format!(
                    "RequestId: {id} Error: Runtime exited {phase}: {status}"
                ));
                InvokeError::Exited {
                    detail: format!("{status}, {phase}"),
                }
            }
            End::Late if self.init_over => {
                let limit = config.timeout;
                let seconds = limit.as_secs_f64();
                self.log(format!(
                    "RequestId: {id} Task timed out after {seconds:.2} seconds"
                ));
                InvokeError::TimedOut { limit }
            }
            End::Late => {
                let limit = config.init_timeout;
                let seconds = limit.as_secs_f64();
                self.log(format!(
                    "RequestId: {id} INIT timed out after {seconds:.2} seconds"
                ));
                InvokeError::InitTimedOut { limit }
            }
            End::InitError(error) => {
                self.log_error(id, &error);
                error.into()
            }
            End::Closing => InvokeError::ShutDown,
        }
    }

    fn log_error(&self, id: &str, error: &FunctionError) {
        let FunctionError {
            error_type,
            error_message,
        } = error;
        self.log(format!(
            "RequestId: {id} Error: {error_type}: {error_message}"
        ));
    }

    fn log(&self, line: String) {
        let Membership { pool, number } = &self.membership;
        pool.config.log(*number, LogStream::Platform, line);
    }
}

/// Waits until the deadline; without one, for ever.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // The sender cannot be gone: the instance holds the pool that has it.
    let _ = closing.wait_for(|&closing| closing).await;
}

fn since_epoch() -> Duration {
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A new X-Ray trace header, not sampled.
fn trace_id() -> String {
    let seconds = since_epoch().as_secs();
    let root = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        &root[..24],
        &parent[..16]
    )
}
