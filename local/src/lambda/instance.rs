//! The life of one instance: INIT, its invocations, the end of its process.

mod deadlines;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::serve::ListenerExt;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use self::deadlines::sleep_until;
use super::config::LogStream;
use super::exit_cause::{ExitCause, Phase};
use super::extensions::Extensions;
use super::invocation::{FunctionError, Invocation};
use super::invoke_error::InvokeError;
use super::observer::{InstanceLog, InstanceStart, InvocationObserver};
use super::process::Process;
use super::registry::{InstanceGuard, InvocationSender, NewInstance};
use super::runtime_api::{self, Delivery, RequestStatus, RuntimeRequest};
use crate::{Error, ErrorKind};

/// Runs one instance: starts its process, delivers `first` and the invocations that follow until
/// the process ends, then fails the invocations that it was running.
///
/// Returns the invocations that were assigned to the instance and never delivered to it.
pub(super) async fn run_instance(
    instance: NewInstance,
    first: Invocation,
) -> impl IntoIterator<Item = Invocation> {
    let NewInstance {
        guard,
        sender,
        mut receiver,
    } = instance;
    match Instance::start(guard, sender, first.observer.as_ref()).await {
        Ok(mut instance) => {
            instance.assigned.push_back(first);
            let cause = instance.run(&mut receiver).await;
            instance.shut_down(receiver, cause).await
        }
        Err(error) => {
            first.finish(Err(InvokeError::NotStarted(error)));
            // `start` dropped the guard, so nothing more arrives.
            drain(&mut receiver)
        }
    }
}

fn drain(receiver: &mut mpsc::Receiver<Invocation>) -> VecDeque<Invocation> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

struct Instance {
    guard: InstanceGuard,
    log: InstanceLog,
    process: Process,
    /// Serves the instance's endpoint. Dropping it stops the server.
    _server: JoinSet<()>,
    requests: mpsc::Receiver<RuntimeRequest>,
    sender: InvocationSender,
    closing: watch::Receiver<bool>,
    extensions: Arc<Extensions>,

    init_over: bool,
    /// Start of the process.
    started: Instant,
    /// Duration of INIT, once it is over.
    init: Option<Duration>,
    /// True once the instance was warmed up, or had an event.
    is_used: bool,
    /// The latest invocation with a response, until the runtime asks for the next event.
    finished: Option<FinishedInvocation>,
    /// The runtime's open request to be restored from its snapshot.
    restore: Option<oneshot::Sender<()>>,
    /// The runtime's open requests for the next event.
    polls: VecDeque<oneshot::Sender<Delivery>>,
    /// Invocations that the runtime has not fetched yet.
    assigned: VecDeque<Invocation>,
    /// Invocations that the runtime has fetched and not answered.
    running: Vec<RunningInvocation>,
    /// Deadline of INIT or of a restore. `None` here and in the other deadlines also stands for a
    /// time limit beyond the clock's range.
    init_deadline: Option<Instant>,
    /// Deadlines, one for each answered invocation, for the runtime to ask for the next event.
    pending_next: VecDeque<Option<Instant>>,
    /// The time of the runtime's latest request for an event.
    polled: Instant,
}

/// An invocation with a response whose observer may learn more.
struct FinishedInvocation {
    request_id: String,
    observer: Arc<dyn InvocationObserver>,
}

/// An invocation that the runtime has fetched and not answered.
struct RunningInvocation {
    invocation: Invocation,
    /// Identifier of this delivery, which the runtime's response should carry.
    invocation_id: String,
    /// Time at which the process is killed.
    deadline: Option<Instant>,
}

impl Instance {
    /// Starts the process. What it logs before its first event belongs to the invocation that it is
    /// started for.
    async fn start(
        guard: InstanceGuard,
        sender: InvocationSender,
        started_for: Option<&Arc<dyn InvocationObserver>>,
    ) -> Result<Self, Error> {
        let config = &guard.registry.config;
        let bind_error = |cause| {
            let name = &config.name;
            let message = format!("could not listen on 127.0.0.1 for an instance of {name}");
            Error::new(ErrorKind::System, message).with_source(cause)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(bind_error)?;
        let endpoint = listener.local_addr().map_err(bind_error)?.to_string();
        let log = InstanceLog::new(config, guard.number);
        log.set_invocation(started_for);
        let started = Instant::now();
        let process = Process::start(&log, &endpoint).await?;
        guard.record_process(process.id());

        let extensions = Arc::new(Extensions::default());
        let (request_sender, requests) = mpsc::channel(1);
        let router =
            runtime_api::router(Arc::clone(config), request_sender, Arc::clone(&extensions));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let listener = listener.tap_io(|connection| {
                // Without it a small response may wait for an acknowledgement.
                let _ = connection.set_nodelay(true);
            });
            // `serve` runs for ever: a connection's error ends that connection only.
            let _ = axum::serve(listener, router).await;
        });
        tracing::debug!(
            function = config.name,
            instance = guard.number,
            pid = process.id(),
            "instance started"
        );
        Ok(Self {
            init_deadline: Instant::now().checked_add(config.init_timeout),
            closing: guard.registry.closing(),
            guard,
            log,
            process,
            _server: server,
            requests,
            sender,
            extensions,
            init_over: false,
            started,
            init: None,
            is_used: false,
            finished: None,
            restore: None,
            polls: VecDeque::new(),
            assigned: VecDeque::new(),
            running: Vec::new(),
            pending_next: VecDeque::new(),
            polled: started,
        })
    }

    async fn run(&mut self, invocations: &mut mpsc::Receiver<Invocation>) -> ExitCause {
        loop {
            while self.deliver() {}
            let (deadline, idle_deadline) = (self.deadline(), self.idle_deadline());
            let request = tokio::select! {
                // Requests that the runtime sent before it ended come first.
                biased;
                Some(request) = self.requests.recv() => request,
                Some(invocation) = invocations.recv() => {
                    self.assigned.push_back(invocation);
                    continue;
                }
                status = self.process.exited() => return ExitCause::Exited(status),
                () = sleep_until(deadline) => return ExitCause::TimedOut(self.time_limit()),
                () = sleep_until(idle_deadline) => return ExitCause::IdleTimedOut,
                () = wait_for_closing(&mut self.closing) => return ExitCause::Closing,
            };
            let is_poll = matches!(request, RuntimeRequest::Next(_));
            if is_poll && self.guard.registry.concurrency() <= 1 {
                // What the process has logged by now belongs to the invocation before.
                self.process.output_is_read().await;
            }
            if let Some(error) = self.handle(request) {
                return ExitCause::InitError(error);
            }
        }
    }

    /// Handles a request of the runtime. Returns the error when the runtime reports that its INIT
    /// failed.
    fn handle(&mut self, request: RuntimeRequest) -> Option<FunctionError> {
        match request {
            // Dropping the poll refuses it: the runtime has to answer an event first.
            RuntimeRequest::Next(_) if self.running.len() >= self.guard.registry.concurrency() => {}
            RuntimeRequest::Next(poll) => self.accept_poll(poll),
            // A runtime is restored once, before its first event.
            RuntimeRequest::RestoreNext(_) if self.init_over || self.restore.is_some() => {}
            RuntimeRequest::RestoreNext(restore) => {
                self.restore = Some(restore);
                self.init_deadline = None;
            }
            RuntimeRequest::StreamStart { request_id, chunks } => {
                let running = self.running_index(&request_id);
                let wanted = running.and_then(|at| self.running[at].invocation.chunks.clone());
                let _ = chunks.send(wanted);
            }
            RuntimeRequest::Response {
                request_id,
                invocation_id,
                response,
                status,
            } => {
                let _ = status.send(self.accept_response(&request_id, invocation_id, response));
            }
            RuntimeRequest::Spans {
                request_id,
                report,
                status,
            } => {
                let finished = self.finished.as_ref();
                let finished = finished.filter(|finished| finished.request_id == request_id);
                let reply = match finished {
                    Some(finished) => {
                        finished.observer.reported(report);
                        RequestStatus::Accepted
                    }
                    None => RequestStatus::UnknownRequestId,
                };
                let _ = status.send(reply);
            }
            RuntimeRequest::InitError { status, .. } if self.init_over => {
                let _ = status.send(RequestStatus::InvalidState);
            }
            RuntimeRequest::InitError { error, status } => {
                let _ = status.send(RequestStatus::Accepted);
                return Some(error);
            }
        }
        None
    }

    /// Accepts the runtime's request for the next event, which ends INIT.
    fn accept_poll(&mut self, poll: oneshot::Sender<Delivery>) {
        self.release_finished();
        self.init.get_or_insert_with(|| self.started.elapsed());
        self.init_over = true;
        self.extensions.close_registration();
        self.init_deadline = None;
        self.pending_next.pop_front();
        // With more requests than events that the runtime may have, the newest requests count.
        if self.polls.len() + self.running.len() >= self.guard.registry.concurrency() {
            self.polls.pop_front();
        }
        self.polls.push_back(poll);
        self.polled = Instant::now();
    }

    /// Accepts the runtime's response to an event, if that event is running.
    fn accept_response(
        &mut self,
        request_id: &str,
        invocation_id: Option<String>,
        response: Result<Bytes, FunctionError>,
    ) -> RequestStatus {
        let Some(index) = self.running_index(request_id) else {
            return RequestStatus::UnknownRequestId;
        };
        let expected = &self.running[index].invocation_id;
        if invocation_id.is_some_and(|given| given != *expected) {
            return RequestStatus::StaleInvocation;
        }
        let running = self.running.swap_remove(index);
        self.finish_invocation(running, response);
        RequestStatus::Accepted
    }

    fn running_index(&self, request_id: &str) -> Option<usize> {
        self.running
            .iter()
            .position(|running| running.invocation.request_id == request_id)
    }

    /// Delivers an assigned invocation to the runtime if the runtime asked for one. Before the
    /// first invocation it restores the runtime from its snapshot. Returns whether there may be
    /// more to deliver.
    fn deliver(&mut self) -> bool {
        if self.polls.is_empty() && self.restore.is_none() {
            return false;
        }
        let Some(invocation) = self.assigned.pop_front() else {
            return false;
        };
        let Some(event) = invocation.event.clone() else {
            self.is_used = true;
            self.guard.add_ready_slot(self.sender.clone());
            invocation.finish(Ok(Bytes::new()));
            return true;
        };
        if let Some(restore) = self.restore.take() {
            self.assigned.push_front(invocation);
            let limit = self.guard.registry.config.init_timeout;
            self.init_deadline = Instant::now().checked_add(limit);
            let _ = restore.send(());
            return false;
        }
        let Some(poll) = self.polls.pop_front() else {
            self.assigned.push_front(invocation);
            return false;
        };
        let timeout = self.guard.registry.config.timeout;
        let deadline_ms = since_epoch().saturating_add(timeout).as_millis();
        let invocation_id = Uuid::new_v4().to_string();
        let delivery = Delivery {
            event,
            request_id: invocation.request_id.clone(),
            invocation_id: invocation_id.clone(),
            arn: invocation.arn.clone(),
            client_context: invocation.client_context.clone(),
            trace_id: new_trace_id(),
            deadline_ms,
        };
        let trace_id = delivery.trace_id.clone();
        // From here on the runtime has to respond or, if its request was aborted, to ask again.
        let deadline = Instant::now().checked_add(timeout);
        // The function may log as soon as the runtime has the event.
        let before = self.log.set_invocation(invocation.observer.as_ref());
        if poll.send(delivery).is_err() {
            self.log.set_back(before);
            self.pending_next.push_back(deadline);
            self.assigned.push_front(invocation);
            return true;
        }
        if let Some(observer) = &invocation.observer {
            observer.delivered(self.guard.number, self.instance_start());
        }
        self.is_used = true;
        let arn = invocation.arn.to_str().unwrap_or_default();
        self.extensions
            .notify_invoke(&invocation.request_id, arn, &trace_id, deadline_ms);
        self.running.push(RunningInvocation {
            invocation,
            invocation_id,
            deadline,
        });
        true
    }

    /// Passes the runtime's response to the caller. The instance becomes ready before that, so
    /// that the caller's next event finds it. The deadline holds until the runtime asks for the
    /// next event.
    fn finish_invocation(
        &mut self,
        running: RunningInvocation,
        response: Result<Bytes, FunctionError>,
    ) {
        let RunningInvocation {
            invocation,
            deadline,
            ..
        } = running;
        self.pending_next.push_back(deadline);
        if let Err(error) = &response {
            self.log(&invocation.request_id, &error.log_line());
        }
        self.guard.add_ready_slot(self.sender.clone());
        self.finished = invocation
            .observer
            .clone()
            .map(|observer| FinishedInvocation {
                request_id: invocation.request_id.clone(),
                observer,
            });
        invocation.finish(response.map_err(InvokeError::from));
    }

    /// Drops the observer of the latest invocation a moment later: the last lines of its log may
    /// still be on their way through the pipes.
    fn release_finished(&mut self) {
        if let Some(finished) = self.finished.take() {
            tokio::spawn(async move {
                tokio::time::sleep(LAST_LINES_PAUSE).await;
                drop(finished);
            });
        }
    }

    fn instance_start(&self) -> InstanceStart {
        match self.init {
            Some(init) if !self.is_used => InstanceStart::Cold { init },
            _ => InstanceStart::Warm,
        }
    }

    /// Ends the process, fails the invocations that it was running, and returns those that it
    /// never received.
    async fn shut_down(
        mut self,
        mut receiver: mpsc::Receiver<Invocation>,
        cause: ExitCause,
    ) -> VecDeque<Invocation> {
        self.guard.remove_ready_slots();
        self.process.shut_down(cause.shutdown()).await;
        let mut undelivered = std::mem::take(&mut self.assigned);
        undelivered.extend(drain(&mut receiver));
        let running = std::mem::take(&mut self.running);
        let mut failed: Vec<_> = running.into_iter().map(|it| it.invocation).collect();
        // Another instance may run the undelivered invocations, unless INIT failed: then they
        // fail too.
        if !self.init_over {
            failed.extend(undelivered.drain(..));
        }
        if failed.is_empty() {
            self.log_failure(&cause, None);
        }
        let fail = |invocation| (self.log_failure(&cause, Some(&invocation)), invocation);
        let failed: Vec<_> = failed.into_iter().map(fail).collect();

        // The instance is unregistered before a caller gets its error.
        drop(self);
        for (error, invocation) in failed {
            invocation.finish(Err(error));
        }
        undelivered
    }

    /// Logs the end of the instance, and returns the error for the invocation that failed by it.
    fn log_failure(&self, cause: &ExitCause, failed: Option<&Invocation>) -> InvokeError {
        let phase = match failed {
            _ if !self.init_over => Phase::Init,
            Some(_) => Phase::Invocation,
            None => Phase::Idle,
        };
        let id = failed.map_or("-", |invocation| &invocation.request_id);
        if let Some(line) = cause.log_line(phase) {
            self.log(id, &line);
        }
        cause.to_invoke_error(phase)
    }

    fn log(&self, request_id: &str, text: &str) {
        let line = format!("RequestId: {request_id} {text}");
        self.log.line(LogStream::Platform, line);
    }
}

/// Time that the last lines of an invocation have to be read.
const LAST_LINES_PAUSE: Duration = Duration::from_millis(20);

async fn wait_for_closing(closing: &mut watch::Receiver<bool>) {
    // The sender exists: the instance's guard holds the registry that owns it.
    let _ = closing.wait_for(|&closing| closing).await;
}

fn since_epoch() -> Duration {
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Creates an X-Ray trace header that is not sampled.
fn new_trace_id() -> String {
    let seconds = since_epoch().as_secs();
    let root = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        &root[..24],
        &parent[..16]
    )
}
