//! One session in the pool: its state, its checks, and its orderly end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::SuspendAwareInstant;
use crate::meaning::Meaning;
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::connector::NewConnection;
use crate::postgres::connect::socket::SocketProbe;
use crate::postgres::connect::startup::{Pipelined, SessionReset, session_params};
use crate::postgres::connect::turns::Turns;
use crate::postgres::pool::health::{Action, Event};
use crate::postgres::pool::loans::{Loan, Loans};
use crate::postgres::pool::reset::{Caution, ResetTasks};
use crate::postgres::pool::rest_times::{Rest, RestTimes};
use crate::postgres::pool::shared_health::SharedHealth;
use crate::postgres::pool::statements::{StatementRunner, Statements};
use crate::postgres::protocol::{Checkpoint, ReturnState, Tap};
use crate::postgres::sqlstate::cause_in_session;

/// A session in the pool.
pub(in crate::postgres) struct PooledConnection {
    pub(in crate::postgres) client: ClientWrapper,
    pub(in crate::postgres) tap: Tap,
    statements: Statements,
    /// For the reset at the end of a loan.
    pub(in crate::postgres) reset_tasks: Arc<ResetTasks>,
    health: Arc<SharedHealth>,
    /// Number of the generation of credentials that opened it.
    generation: u64,
    /// Taken when the session is ended.
    task: Option<JoinHandle<()>>,
    /// The turns of the task.
    turns: Arc<Turns>,
    socket: SocketProbe,
    cancel_token: CancelToken,
    /// Statements to be sent ahead of the next one; `None` behind a pooler.
    pipelined: Option<Pipelined>,
    session_reset: SessionReset,
    /// The tap's count of work up to which the session is as it was opened.
    clean_work_count: u64,
    /// The time after which the server ends statements, since no invocation takes longer; `None`
    /// before the first invocation.
    bound: Option<Duration>,
    /// True if a loan without a deadline has lifted the bound. The next reset sets it again.
    is_unbounded: bool,
    /// Time of the last check of the server's connection headroom, if there was one.
    headroom_checked_at: Option<SuspendAwareInstant>,
    is_first_loan: bool,
    /// Reported by the server at the start of the session.
    is_read_only: bool,
    wants_read_only: bool,
    rest: RestTimes,
    is_pooled: bool,
    round_trip: Duration,
    opened_at: SuspendAwareInstant,
    lent_at: Checkpoint,
    loan: Arc<Loan>,
    /// True once it is of no more use to the pool.
    is_discarded: bool,
    /// Time of its opening, then of the end of its last loan.
    rests_since: SuspendAwareInstant,
    /// The time that a test has let pass since then.
    #[cfg(feature = "testing")]
    frozen: std::sync::Mutex<Duration>,
}

impl PooledConnection {
    /// Wraps a new session. `idle` is the time after which the server ends it for want of a
    /// statement.
    pub(in crate::postgres) fn new(
        opened: NewConnection,
        generation: u64,
        health: Arc<SharedHealth>,
        reset_tasks: Arc<ResetTasks>,
        loans: &Loans,
        idle: Duration,
    ) -> Self {
        let NewConnection {
            client,
            task,
            turns,
            tap,
            socket,
            cancel_token,
            pipelined,
            session_reset,
            info,
        } = opened;
        if let Some(pipelined) = &pipelined {
            pipelined.attach_tap(&tap);
        }
        if info.is_pooled {
            tap.warn_of_session_changes();
        }
        let opened_at = SuspendAwareInstant::now();
        Self {
            client,
            statements: Statements::default(),
            reset_tasks,
            health,
            generation,
            task: Some(task),
            turns,
            lent_at: tap.checkpoint(),
            clean_work_count: tap.work_count(),
            tap,
            socket,
            cancel_token,
            rest: RestTimes::new(idle, pipelined.is_some()),
            pipelined,
            session_reset,
            bound: None,
            is_unbounded: false,
            headroom_checked_at: None,
            is_first_loan: true,
            is_read_only: info.is_read_only,
            wants_read_only: info.wants_read_only,
            is_pooled: info.is_pooled,
            round_trip: info.round_trip,
            loan: loans.add(opened_at),
            is_discarded: false,
            opened_at,
            rests_since: opened_at,
            #[cfg(feature = "testing")]
            frozen: std::sync::Mutex::default(),
        }
    }

    /// The parts of the session that a cached statement runs on.
    pub(in crate::postgres) fn runner(&self) -> StatementRunner<'_> {
        StatementRunner {
            statements: &self.statements,
            can_prepare: !self.is_pooled,
            client: &self.client,
            tap: &self.tap,
        }
    }

    /// Returns whether its server changes from one transaction to the next.
    pub(in crate::postgres) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// Returns whether this loan is the first, right after the connection was opened.
    pub(in crate::postgres) fn is_first_loan(&self) -> bool {
        self.is_first_loan
    }

    /// Returns whether the server reported, just now and unasked, that it refuses writes. That
    /// may change, so it counts for the first loan alone.
    pub(in crate::postgres) fn is_reported_read_only(&self) -> bool {
        self.is_first_loan && self.is_read_only && !self.wants_read_only
    }

    /// Returns whether the URL asked for a read-only session: a refused write says nothing of the server.
    pub(in crate::postgres) fn wants_read_only(&self) -> bool {
        self.wants_read_only
    }

    /// Takes note that the report was the answer to a write.
    pub(in crate::postgres) fn record_read_only(&self) {
        let generation = self.generation;
        self.health.observe(Event::ReadOnly { generation });
    }

    /// Has the server end what outlasts the longest invocation so far; nothing in a loan without a
    /// deadline. A statement that changes this goes ahead of the loan's first one.
    pub(in crate::postgres) fn serve_invocations(&mut self, longest: Option<Duration>) {
        let Some(pipelined) = &self.pipelined else {
            return;
        };
        match (longest, self.bound) {
            (None, None) => {}
            (None, Some(_)) => {
                self.is_unbounded = true;
                pipelined.add(session_params::WITHOUT_INVOCATION);
            }
            (Some(longest), Some(bound)) if longest <= bound && !self.is_unbounded => {}
            (Some(longest), earlier) => {
                let longest = earlier.map_or(longest, |bound| bound.max(longest));
                if earlier.is_some() {
                    pipelined.add(session_params::WITHOUT_INVOCATION);
                }
                pipelined.add(&session_params::for_invocations(longest));
                if earlier != Some(longest) {
                    self.session_reset.limit_invocations(longest);
                }
                self.bound = Some(longest);
                self.is_unbounded = false;
            }
        }
    }

    /// Has the server's connection headroom checked, ahead of the next statement.
    pub(in crate::postgres) fn check_connection_headroom(&mut self) {
        if let Some(pipelined) = &self.pipelined {
            self.headroom_checked_at = Some(SuspendAwareInstant::now());
            pipelined.add(&session_params::connection_headroom());
        }
    }

    /// Ends a loan. Returns the state in which it leaves the session.
    pub(in crate::postgres) fn end_loan(&mut self) -> ReturnState {
        self.rests_since = SuspendAwareInstant::now();
        self.loan.end();
        if self
            .pipelined
            .as_ref()
            .is_some_and(Pipelined::take_near_limit)
        {
            let generation = self.generation;
            self.health.observe(Event::NearLimit { generation });
        }
        self.record_failed_reset();
        self.send_params_of_unused_session();
        let state = self.report();
        if state.has_refused_write && !self.wants_read_only {
            self.record_refused_write();
        }
        state
    }

    /// Sends the parameters of a session whose first loan has sent nothing, such as the limit
    /// after which the server ends it: the process may be frozen before there is a statement.
    /// Nothing waits for the response.
    fn send_params_of_unused_session(&self) {
        let pipelined = self.pipelined.as_ref();
        if self.is_first_loan && pipelined.is_some_and(Pipelined::is_pending) {
            // They go ahead of a Sync, which the first poll hands to the driver.
            let _ = self.client.check_connection().now_or_never();
        }
    }

    /// Ends a loan of a connection that leaves the pool.
    pub(in crate::postgres) fn leave_pool(&self) {
        self.loan.end();
    }

    /// Returns whether the pool must not lend it again.
    pub(in crate::postgres) fn is_discarded(&self) -> bool {
        self.is_discarded
    }

    /// Reports a write of this loan that the server refused because the session is read-only.
    /// Another session may take writes: the server was replaced, or takes them again.
    fn record_refused_write(&mut self) {
        let action = self.health.observe(Event::WriteRefused {
            generation: self.generation,
            session_opened_at: self.opened_at,
            random: fastrand::f64(),
        });
        self.is_discarded |= action == Action::CloseSession;
    }

    /// Reports to the pool's health what the server said since the loan began. Returns the
    /// state of the session.
    fn report(&self) -> ReturnState {
        let state = self.tap.return_state_since(&self.lent_at);
        if state.has_ended {
            let cause = state.error.as_ref().and_then(cause_in_session);
            let meaning = match cause {
                // The SDK itself has closed the connection.
                _ if self.tap.oversize().is_some() || self.tap.is_out_of_step() => Meaning::Final,
                Some(cause) => cause.meaning(),
                None => Meaning::Suspect,
            };
            self.health.observe(Event::Ended {
                generation: self.generation,
                meaning,
            });
        }
        state
    }

    /// Returns the time since the end of the last loan.
    #[cfg(not(feature = "testing"))]
    fn rested(&self, now: &SuspendAwareInstant) -> Duration {
        self.rests_since.until(now)
    }

    /// Returns the time since the end of the last loan, with that which a test has let pass.
    #[cfg(feature = "testing")]
    fn rested(&mut self, now: &SuspendAwareInstant) -> Duration {
        let frozen = self.frozen.get_mut();
        let frozen = std::mem::take(frozen.unwrap_or_else(std::sync::PoisonError::into_inner));
        self.rests_since.until(now) + frozen
    }

    /// Lets time pass until the next loan, as for an instance that is frozen.
    #[cfg(all(feature = "testing", feature = "lambda"))]
    pub(in crate::postgres) fn freeze(&self, duration: Duration) {
        let frozen = self.frozen.lock();
        *frozen.unwrap_or_else(std::sync::PoisonError::into_inner) += duration;
    }

    /// Begins another loan, or says why the session is of no use any more.
    ///
    /// A connection that was used a moment ago is not pinged: a warm request pays for its query
    /// alone. What the server has sent meanwhile is looked at without a round trip.
    pub(in crate::postgres) async fn begin_loan(&mut self) -> Result<(), &'static str> {
        let now = SuspendAwareInstant::now();
        let rested = self.rested(&now);
        // The connection's own task has to read what has arrived, to see whether the server has
        // ended the session; and to send a statement that a handler gave up before it was sent.
        if self.socket.is_readable() {
            tokio::task::yield_now().await;
        }
        if !self.turns.is_at_rest() && timeout(TURN, self.turns.come_to_rest()).await.is_err() {
            return Err("its task had no turn in time");
        }
        let state = self.report();
        if self.client.is_closed() || state.has_ended {
            return Err("the connection has ended");
        }
        if self.is_discarded {
            return Err("it refused a write");
        }
        if state.may_be_answered_twice {
            return Err("a COPY failed, and the server may answer it a second time");
        }
        if !state.is_idle {
            return Err("it was left with a statement running or a transaction open");
        }
        if state.has_lost_statements && !self.is_pooled {
            return Err("a request has deallocated its prepared statements");
        }
        let mut rest = self.rest.after(rested);
        if rest == Rest::Expired {
            return Err("it has not been used for too long");
        }
        // Not for a function's first request, which has enough to do.
        let is_due = self
            .headroom_checked_at
            .is_none_or(|checked| checked.until(&now) >= HEADROOM_INTERVAL);
        if is_due && !self.tap.is_new() {
            self.check_connection_headroom();
        }
        let is_reset = self.reset_session(state.work_count);
        if is_reset {
            match self.reset_tasks.caution() {
                Caution::None => {}
                Caution::Confirm => rest = Rest::Uncertain,
                Caution::DoNotTry => return Err("its session cannot be reset"),
            }
        }
        // What goes ahead of the next statement goes ahead of the ping.
        if rest == Rest::Uncertain {
            if !self.ping().await {
                self.record_failed_reset();
                return Err("it did not answer in time");
            }
            if is_reset {
                self.reset_tasks.record_success();
            }
        }
        self.is_first_loan = false;
        self.loan.begin(&now);
        self.lent_at = state.checkpoint;
        Ok(())
    }

    /// Has the session reset ahead of the next message, where a request of the last loan may have
    /// changed it. Returns whether that is so.
    ///
    /// Any statement may, by a function, a trigger or a view, so each one counts; a connection
    /// that was lent and not used has nothing to reset, nor has one that was pinged. `work_count`
    /// is the tap's count of work.
    fn reset_session(&mut self, work_count: u64) -> bool {
        let Some(pipelined) = &self.pipelined else {
            return false;
        };
        if work_count == self.clean_work_count {
            return false;
        }
        pipelined.add_reset(self.session_reset.next_messages());
        self.clean_work_count = work_count;
        true
    }

    /// Has the resets to come confirmed before their loans, if this session's has failed.
    fn record_failed_reset(&self) {
        let error = self.pipelined.as_ref().and_then(Pipelined::reset_error);
        if let Some(error) = error
            && self.reset_tasks.record_failure()
        {
            tracing::warn!(
                code = error.code,
                error = error.message,
                "could not reset a database session between two requests, so its connection was \
                 closed"
            );
        }
    }

    /// Returns whether the server answers, in one round trip.
    async fn ping(&self) -> bool {
        let limit = self.round_trip * 4 + PING;
        let answered = timeout(limit, self.client.check_connection()).await;
        matches!(answered, Ok(Ok(())))
    }

    /// Stops the statement that runs in the session and rolls back its transaction. Returns
    /// whether the server has confirmed it, so that the session may be lent again.
    pub(in crate::postgres) async fn reset(&self) -> bool {
        // The statement may be about to end: the driver has sent a ROLLBACK, or an answer is on
        // its way. The answer to a Sync comes behind it.
        let quiet = self.client.check_connection();
        tokio::pin!(quiet);
        let patience = (self.round_trip * 2 + ABOUT_TO_END).min(LONGEST_ROUND_TRIPS);
        let is_quiet = match timeout(patience, &mut quiet).await {
            Ok(answer) => answer.is_ok(),
            Err(_) => self.cancel_token.cancel().await.is_ok() && quiet.await.is_ok(),
        };
        if is_quiet && self.tap.is_in_transaction() {
            self.client.batch_execute("ROLLBACK").await.ok();
        }
        is_quiet && self.tap.is_idle()
    }

    /// Closes the session, and returns when the server has been told.
    pub(in crate::postgres) async fn close(mut self: Box<Self>) {
        let task = self.task.take();
        drop(self);
        if let Some(mut task) = task
            && timeout(FAREWELL, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        // The server is told as soon as the client is dropped, unless a statement runs: then
        // the task would wait for its end.
        if let Some(task) = self.task.take()
            && !self.tap.is_idle()
        {
            task.abort();
        }
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection")
            .field("tap", &self.tap)
            .finish_non_exhaustive()
    }
}

/// Limit for the connection's own task to come to rest. It has at most a few messages to move, and
/// waits for a thread of the runtime at most.
const TURN: Duration = Duration::from_millis(100);

/// Limit for the answer to a ping, beside four round trips. It comes within one, or never; but a
/// process that was frozen may have little CPU at first.
const PING: Duration = Duration::from_millis(250);

/// Interval between two checks of the server's connection headroom.
const HEADROOM_INTERVAL: Duration = Duration::from_secs(10);

/// Time for the server to end what is about to end anyway, beside the way there and back.
const ABOUT_TO_END: Duration = Duration::from_millis(10);
const LONGEST_ROUND_TRIPS: Duration = Duration::from_millis(100);

/// Time to say goodbye to a server.
const FAREWELL: Duration = Duration::from_millis(100);
