//! The life of one instance: INIT, events one by one or a few at once, the end.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::serve::ListenerExt;
use bytes::Bytes;
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
pub(super) async fn live(
    membership: Membership,
    hand: Hand,
    mut work: mpsc::Receiver<Invocation>,
    first: Invocation,
) {
    let pool = Arc::clone(&membership.pool);
    match Instance::start(membership, hand).await {
        Ok(mut instance) => {
            instance.assigned.push_back(first);
            let end = instance.run(&mut work).await;
            instance.bury(work, end).await;
        }
        Err(error) => {
            first.end(Err(InvokeError::NotStarted(error)));
            // The membership is gone, and with it the way here.
            while let Ok(unseen) = work.try_recv() {
                pool.dispatch(unseen);
            }
        }
    }
}

struct Instance {
    membership: Membership,
    process: Process,
    /// The endpoint's server. It stops when the instance is dropped.
    _server: JoinSet<()>,
    calls: mpsc::Receiver<Call>,
    hand: Hand,
    closing: watch::Receiver<bool>,
    extensions: Arc<Extensions>,

    init_over: bool,
    /// The runtime's request to be restored from its snapshot, while it waits.
    restore: Option<oneshot::Sender<()>>,
    /// The runtime's requests for the next event, while they wait.
    polls: VecDeque<oneshot::Sender<Delivery>>,
    /// Events that the runtime has not fetched yet.
    assigned: VecDeque<Invocation>,
    /// The events that the runtime fetched and has not answered.
    running: Vec<Running>,
    /// When the process is killed while it is in INIT, or being restored. A limit beyond the
    /// clock's range is none, here and for the others.
    init_deadline: Option<Instant>,
    /// When it is killed because it has answered an event and not asked for the next.
    owed: VecDeque<Option<Instant>>,
}

/// An event that the runtime fetched and has not answered.
struct Running {
    invocation: Invocation,
    /// What the answer should bear.
    id: String,
    /// When the process is killed.
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
    async fn start(membership: Membership, hand: Hand) -> Result<Self, Error> {
        let config = &membership.pool.config;
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
        tracing::debug!(
            function = config.name,
            instance = membership.number,
            pid = process.id(),
            "instance started"
        );
        Ok(Self {
            init_deadline: Instant::now().checked_add(config.init_timeout),
            closing: membership.pool.closing(),
            membership,
            process,
            _server: server,
            calls,
            hand,
            extensions,
            init_over: false,
            restore: None,
            polls: VecDeque::new(),
            assigned: VecDeque::new(),
            running: Vec::new(),
            owed: VecDeque::new(),
        })
    }

    async fn run(&mut self, work: &mut mpsc::Receiver<Invocation>) -> End {
        loop {
            while self.deliver() {}
            let deadline = self.deadline();
            let call = tokio::select! {
                // What the runtime said before it ended counts.
                biased;
                Some(call) = self.calls.recv() => call,
                Some(invocation) = work.recv() => {
                    self.assigned.push_back(invocation);
                    continue;
                }
                status = self.process.exited() => return End::Exited(status),
                () = reached(deadline) => return End::Late,
                () = closed(&mut self.closing) => return End::Closing,
            };
            match call {
                // To drop the poll refuses it: an event waits for its answer.
                Call::Next(_) if self.running.len() >= self.membership.pool.concurrency() => {}
                Call::Next(poll) => self.asked(poll),
                // Once, before the first event.
                Call::Restore(_) if self.init_over || self.restore.is_some() => {}
                Call::Restore(restore) => {
                    self.restore = Some(restore);
                    self.init_deadline = None;
                }
                Call::Streams { request_id, wanted } => {
                    let running = self.running(&request_id);
                    let parts = running.and_then(|at| self.running[at].invocation.parts.clone());
                    let _ = wanted.send(parts);
                }
                Call::Answer {
                    request_id,
                    invocation_id,
                    answer,
                    verdict,
                } => {
                    let _ = verdict.send(match self.running(&request_id) {
                        Some(at) => {
                            let id = &self.running[at].id;
                            if invocation_id.is_none_or(|given| given == *id) {
                                let running = self.running.swap_remove(at);
                                self.answered(running, answer);
                                Verdict::Accepted
                            } else {
                                Verdict::Stale
                            }
                        }
                        None => Verdict::UnknownRequest,
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
        self.init_deadline = None;
        self.owed.pop_front();
        // More requests than it may have events: the last ones count.
        if self.polls.len() + self.running.len() >= self.membership.pool.concurrency() {
            self.polls.pop_front();
        }
        self.polls.push_back(poll);
    }

    /// Where among the running events that one is.
    fn running(&self, request_id: &str) -> Option<usize> {
        self.running
            .iter()
            .position(|running| running.invocation.request_id == request_id)
    }

    /// When the process is killed, unless it does something before.
    fn deadline(&self) -> Option<Instant> {
        let running = self.running.iter().map(|running| running.deadline);
        let owed = self.owed.iter().copied();
        let all = running.chain(owed).chain([self.init_deadline]);
        all.flatten().min()
    }

    /// Brings an event to the runtime, when both are there, and wakes it from its snapshot for
    /// the first one. Returns whether there may be more to bring.
    fn deliver(&mut self) -> bool {
        if self.polls.is_empty() && self.restore.is_none() {
            return false;
        }
        let Some(invocation) = self.assigned.pop_front() else {
            return false;
        };
        let Some(event) = invocation.event.clone() else {
            self.membership.rest(self.hand.clone());
            invocation.end(Ok(Bytes::new()));
            return true;
        };
        if let Some(restore) = self.restore.take() {
            self.assigned.push_front(invocation);
            let limit = self.membership.pool.config.init_timeout;
            self.init_deadline = Instant::now().checked_add(limit);
            let _ = restore.send(());
            return false;
        }
        let Some(poll) = self.polls.pop_front() else {
            self.assigned.push_front(invocation);
            return false;
        };
        let timeout = self.membership.pool.config.timeout;
        let deadline_ms = since_epoch().saturating_add(timeout).as_millis();
        let invocation_id = Uuid::new_v4().to_string();
        let delivery = Delivery {
            event,
            request_id: invocation.request_id.clone(),
            invocation_id: invocation_id.clone(),
            arn: invocation.arn.clone(),
            trace_id: trace_id(),
            deadline_ms,
        };
        let trace_id = delivery.trace_id.clone();
        // From here the runtime has to answer or, if its request broke off, to
        // ask again.
        let deadline = Instant::now().checked_add(timeout);
        if poll.send(delivery).is_err() {
            self.owed.push_back(deadline);
            self.assigned.push_front(invocation);
            return true;
        }
        let arn = invocation.arn.to_str().unwrap_or_default();
        self.extensions
            .invoked(&invocation.request_id, arn, &trace_id, deadline_ms);
        self.running.push(Running {
            invocation,
            id: invocation_id,
            deadline,
        });
        true
    }

    /// The runtime answered. The instance rests before the caller hears of it,
    /// so that the caller's next event finds it. The deadline stays until the
    /// runtime asks for that event.
    fn answered(&mut self, running: Running, answer: Result<Bytes, FunctionError>) {
        let Running {
            invocation,
            deadline,
            ..
        } = running;
        self.owed.push_back(deadline);
        if let Err(error) = &answer {
            self.log_error(&invocation.request_id, error);
        }
        self.membership.rest(self.hand.clone());
        invocation.end(answer.map_err(InvokeError::from));
    }

    /// Ends the process and answers for the events that it had.
    async fn bury(mut self, mut work: mpsc::Receiver<Invocation>, end: End) {
        self.membership.retire();
        self.process
            .end(match &end {
                End::Exited(_) | End::Late => Farewell::None,
                End::InitError(_) => Farewell::Wait,
                End::Closing => Farewell::Terminate,
            })
            .await;
        // Events that the process never saw may run on another instance, but
        // for those that came with a process that failed in its INIT.
        let mut unseen = std::mem::take(&mut self.assigned);
        while let Ok(invocation) = work.try_recv() {
            unseen.push_back(invocation);
        }
        let running = std::mem::take(&mut self.running);
        let mut hit: Vec<_> = running.into_iter().map(|it| it.invocation).collect();
        if !self.init_over {
            hit.extend(unseen.drain(..));
        }
        if hit.is_empty() {
            self.failure(&end, None);
        }
        let fail = |invocation: Invocation| (self.failure(&end, Some(&invocation)), invocation);
        let failed: Vec<_> = hit.into_iter().map(fail).collect();

        let pool = Arc::clone(&self.membership.pool);
        drop(self);
        for (failure, invocation) in failed {
            invocation.end(Err(failure));
        }
        for invocation in unseen {
            pool.dispatch(invocation);
        }
    }

    /// Writes the end to the log and returns the error for the event that it
    /// hit.
    fn failure(&self, end: &End, hit: Option<&Invocation>) -> InvokeError {
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
                self.log_error(id, error);
                error.clone().into()
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
