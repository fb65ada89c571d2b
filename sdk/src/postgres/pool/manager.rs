//! The connections of a pool: how each is made, lent, taken back, and lent again or not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::SuspendAwareInstant;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::connector::{Connector, NewConnection};
use crate::postgres::connect::socket::SocketProbe;
use crate::postgres::connect::startup::{Pipelined, session_params};
use crate::postgres::pool::health::CredentialHealth;
use crate::postgres::pool::reset::ResetTasks;
use crate::postgres::pool::statements::Statements;
use crate::postgres::protocol::{Checkpoint, ReturnState, Tap};
use crate::postgres::sqlstate::{Staleness, of_query};

/// A connection that the pool has lent.
pub(in crate::postgres) type Connection = Object<ConnectionManager>;

/// A session in the pool.
pub(in crate::postgres) struct PooledConnection {
    pub(in crate::postgres) client: ClientWrapper,
    pub(in crate::postgres) tap: Tap,
    pub(in crate::postgres) statements: Statements,
    pub(in crate::postgres) health: Arc<CredentialHealth>,
    pub(in crate::postgres) reset_tasks: Arc<ResetTasks>,
    /// Taken when the session is ended.
    task: Option<JoinHandle<()>>,
    socket: SocketProbe,
    cancel_token: CancelToken,
    /// A pooler's session has none.
    ahead: Option<Pipelined>,
    /// Whether the server ends what goes on for longer than an invocation may last.
    is_bounded: bool,
    /// When the server was last asked whether there is room for others.
    counted: SuspendAwareInstant,
    is_first_loan: bool,
    /// After how long without a use it is not taken any more.
    trusted: Duration,
    is_pooled: bool,
    round_trip: Duration,
    lent_at: Checkpoint,
    /// When it came back.
    used: SuspendAwareInstant,
    /// Whether the server said at the start that it takes no writes. That may change,
    /// so it counts for the first loan alone.
    reported_read_only: bool,
}

impl PooledConnection {
    /// Whether its server changes from one transaction to the next.
    pub(in crate::postgres) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// Whether it is known before anything is sent that this connection takes no
    /// writes. Who asks takes that for the answer to a write.
    pub(in crate::postgres) fn take_reported_read_only(&mut self) -> bool {
        let reported = std::mem::take(&mut self.reported_read_only);
        if reported {
            self.health.read_only.store(true, Ordering::Relaxed);
        }
        reported
    }

    /// Has the server end what goes on for longer than an invocation may last. It goes ahead
    /// of the first statement, and once.
    pub(in crate::postgres) fn serves_invocations(&mut self, that_last: Duration) {
        if self.is_bounded {
            return;
        }
        self.is_bounded = true;
        if let Some(ahead) = &self.ahead
            && self.tap.is_quiet()
        {
            ahead.add(&session_params::for_invocations(that_last));
        }
    }

    /// It is given back.
    pub(in crate::postgres) fn comes_back(&mut self) -> ReturnState {
        self.used = SuspendAwareInstant::now();
        if self.ahead.as_ref().is_some_and(Pipelined::take_near_limit) {
            self.health.crowded.store(true, Ordering::Relaxed);
        }
        self.tell()
    }

    /// What the time since it was lent tells of the credentials, and how it is left.
    fn tell(&self) -> ReturnState {
        let rest = self.tap.return_state_since(&self.lent_at);
        let meaning = rest.error.as_deref().and_then(of_query);
        if let Some((ErrorKind::DatabaseReadOnly, _)) = meaning {
            self.health.read_only.store(true, Ordering::Relaxed);
        }
        let is_innocent = matches!(meaning, Some((_, Staleness::Unaffected)));
        if rest.has_ended && !is_innocent {
            self.health.doubt.store(true, Ordering::Relaxed);
        }
        rest
    }

    /// Brings a session to rest in which a statement runs or a transaction is open. Returns
    /// whether it may be lent again: nothing runs any more, and the server has said so.
    pub(in crate::postgres) async fn comes_to_rest(&self) -> bool {
        // What runs may be about to end: the driver has sent a ROLLBACK, or an answer is on
        // its way. The answer to a Sync comes behind it.
        let quiet = self.client.check_connection();
        tokio::pin!(quiet);
        let patience = (self.round_trip * 2 + AT_ONCE).min(LONGEST_ROUND_TRIPS);
        let is_quiet = match timeout(patience, &mut quiet).await {
            Ok(answer) => answer.is_ok(),
            Err(_) => self.cancel_token.cancel().await.is_ok() && quiet.await.is_ok(),
        };
        if is_quiet && self.tap.is_in_transaction() {
            self.client.batch_execute("ROLLBACK").await.ok();
        }
        is_quiet && self.tap.is_idle()
    }

    /// Whether it was opened for the one who has it.
    pub(in crate::postgres) fn is_first_loan(&self) -> bool {
        self.is_first_loan
    }

    /// Has the server asked, ahead of the next statement, whether there is room for others.
    pub(in crate::postgres) fn check_connection_headroom(&mut self) {
        if let Some(ahead) = &self.ahead
            && self.tap.is_quiet()
        {
            self.counted = SuspendAwareInstant::now();
            ahead.add(&session_params::connection_headroom());
        }
    }

    /// Whether it still works after a time without use.
    async fn has_kept_well(&self, now: &SuspendAwareInstant) -> bool {
        let slept = self.used.until(now);
        if slept >= self.trusted {
            return false;
        }
        if slept < FRESH {
            return true;
        }
        let patience = self.round_trip * 4 + PROBE;
        let answered = timeout(patience, self.client.check_connection()).await;
        matches!(answered, Ok(Ok(())))
    }

    /// Ends it in good order: returns when the server has been told.
    pub(in crate::postgres) async fn end(mut self: Box<Self>) {
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
        // The server is told in good order as soon as the client is dropped, unless something
        // runs: then the task would wait for its end.
        if let Some(task) = self.task.take()
            && !self.tap.is_idle()
        {
            task.abort();
        }
    }
}

/// Makes connections for the pool, and judges those that come back.
pub(in crate::postgres) struct ConnectionManager {
    connector: Connector,
    health: Arc<CredentialHealth>,
    reset_tasks: Arc<ResetTasks>,
    /// After how long without a statement the server ends a session.
    idle: Duration,
}

impl ConnectionManager {
    pub(in crate::postgres) fn new(
        connector: Connector,
        health: Arc<CredentialHealth>,
        reset_tasks: Arc<ResetTasks>,
        idle: Duration,
    ) -> Self {
        Self {
            connector,
            health,
            reset_tasks,
            idle,
        }
    }
}

impl Manager for ConnectionManager {
    // In a box, since the pool moves it about with each loan.
    type Type = Box<PooledConnection>;
    type Error = Error;

    async fn create(&self) -> Result<Box<PooledConnection>, Error> {
        // Large and rare: what only takes a connection that is there does not carry it.
        let NewConnection {
            client,
            task,
            tap,
            socket,
            cancel_token,
            pipelined: ahead,
            info: facts,
        } = Box::pin(self.connector.open()).await?;
        self.health.opened();
        Ok(Box::new(PooledConnection {
            client,
            statements: Statements::new(!facts.is_pooled),
            task: Some(task),
            lent_at: tap.checkpoint(),
            tap,
            socket,
            cancel_token,
            trusted: match ahead {
                // The server's clock began to count a little earlier.
                Some(_) => (self.idle - self.idle / 10).min(LONGEST_IDLE),
                None => LONGEST_IDLE,
            },
            ahead,
            is_bounded: false,
            counted: SuspendAwareInstant::never(),
            is_first_loan: true,
            is_pooled: facts.is_pooled,
            round_trip: facts.round_trip,
            used: SuspendAwareInstant::now(),
            reported_read_only: facts.is_read_only,
            health: Arc::clone(&self.health),
            reset_tasks: Arc::clone(&self.reset_tasks),
        }))
    }

    /// No ping for what was used a moment ago: a warm request pays for its query alone. What
    /// the server has said meanwhile costs nothing to know.
    async fn recycle(
        &self,
        session: &mut Box<PooledConnection>,
        _: &Metrics,
    ) -> RecycleResult<Error> {
        // What has come and was not looked at yet: the connection's own task has to
        // see whether the server has ended it.
        if session.socket.is_readable() {
            tokio::task::yield_now().await;
        }
        let rest = session.tell();
        if session.client.is_closed() || rest.has_ended {
            return Err(RecycleError::message("the connection has ended"));
        }
        if !rest.is_idle {
            return Err(RecycleError::message(
                "it was left with a statement running or a transaction open",
            ));
        }
        let now = SuspendAwareInstant::now();
        if !session.has_kept_well(&now).await {
            return Err(RecycleError::message("it has not been used for too long"));
        }
        // Not for a function's first request, which has enough to do.
        if session.counted.until(&now) >= CENSUS && !session.tap.is_new() {
            session.check_connection_headroom();
        }
        session.is_first_loan = false;
        session.lent_at = rest.checkpoint;
        session.reported_read_only = false;
        Ok(())
    }
}

impl fmt::Debug for ConnectionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionManager")
            .field(&self.connector)
            .finish()
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection")
            .field("tap", &self.tap)
            .finish_non_exhaustive()
    }
}

/// A connection that was used this short a time ago is taken as it is. To look at it costs a
/// round trip, which is nothing beside a wait of seconds, and much beside a stream of requests.
const FRESH: Duration = Duration::from_secs(5);

/// How long to wait for the answer to a look, beside four round trips. It comes within one, or
/// never; but a process that was frozen may have little CPU at first.
const PROBE: Duration = Duration::from_millis(250);

/// AWS's NAT gateways and load balancers forget a connection after 350 s without use, and
/// answer nothing afterwards (docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html,
/// 2026-02).
const LONGEST_IDLE: Duration = Duration::from_secs(300);

/// How often a connection that is used asks whether there is room for others.
const CENSUS: Duration = Duration::from_secs(10);

/// What a server takes to end what is about to end anyway, beside the way there and back.
const AT_ONCE: Duration = Duration::from_millis(10);
const LONGEST_ROUND_TRIPS: Duration = Duration::from_millis(100);

/// To say goodbye to a server.
const FAREWELL: Duration = Duration::from_millis(100);
