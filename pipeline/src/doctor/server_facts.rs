//! The facts that a stage's server tells by SQL: one read-only transaction in one round trip.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stagelink::DetachedClient;
use stagelink::tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};
use tokio::time::{timeout, timeout_at};

use crate::doctor::verdict::Verdict;
use crate::migrations::describe_driver_error;

/// The facts of a server and its database.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServerFacts {
    /// The server's version, as 150018.
    pub(super) version: i32,
    pub(super) is_follower: bool,
    /// The limits of connections; `None` where there is none.
    pub(super) role_limit: Option<i64>,
    pub(super) database_limit: Option<i64>,
    /// The server's own limit, without the connections that it reserves.
    pub(super) server_limit: i64,
    pub(super) role_sessions: i64,
    pub(super) database_sessions: i64,
    pub(super) server_sessions: i64,
    pub(super) transaction_id_age: i64,
    pub(super) freeze_max_age: i64,
    /// The time by which the server's clock is ahead of this machine's, in seconds.
    pub(super) clock_ahead_secs: f64,
    /// The time that the answer took, within which the clock's reading is not known.
    pub(super) answered_in: Duration,
    /// The shortest time of a few statements that cost the server nothing: a round trip.
    pub(super) statement_in: Duration,
    /// The longest transactions, and the number of others that are too long.
    pub(super) long_transactions: Vec<LongTransaction>,
    pub(super) more_transactions: i64,
    /// The number of sessions whose transactions the role may not see.
    pub(super) hidden_sessions: i64,
    /// The first invalid indexes, and the number of the others.
    pub(super) invalid_indexes: Vec<InvalidIndex>,
    pub(super) more_indexes: i64,
}

/// A transaction that has lasted for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LongTransaction {
    pub(super) holder: TransactionHolder,
    pub(super) lasts: Duration,
}

/// The holder of an open transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TransactionHolder {
    Session {
        pid: i32,
        application_name: String,
        state: String,
    },
    /// No session: the transaction is prepared for a commit in two phases, under this id.
    Prepared(String),
}

/// An index that is not valid and is not being built. Both names are quoted and qualified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvalidIndex {
    pub(super) index: String,
    pub(super) table: String,
}

impl ServerFacts {
    /// Asks the server.
    ///
    /// # Errors
    ///
    /// The reason for which the checks that need the facts are not made.
    pub(super) async fn ask(
        client: &DetachedClient,
        long_transaction: Duration,
    ) -> Result<Self, String> {
        let sql = statements(long_transaction);
        let (started, began) = (SystemTime::now(), Instant::now());
        let answer = timeout(ANSWER, client.simple_query(&sql)).await;
        let answered_in = began.elapsed();
        let messages = match answer {
            Ok(Ok(messages)) => messages,
            Ok(Err(error)) => {
                // The transaction is still open.
                let _ = timeout(ANSWER, client.simple_query("ROLLBACK")).await;
                return Err(format!(
                    "the server refused the question: {}",
                    describe_driver_error(&error)
                ));
            }
            Err(_) => {
                let seconds = ANSWER.as_secs();
                return Err(format!("the server has not answered for {seconds} s"));
            }
        };
        let middle = started + answered_in / 2;
        let statement_in = shortest_statement(client).await.unwrap_or(answered_in);
        Self::read(&results(messages), middle, [answered_in, statement_in])
            .ok_or_else(|| "the server's answer has another form than Postgres's".to_owned())
    }

    fn read(
        results: &[Vec<SimpleQueryRow>],
        asked_at: SystemTime,
        [answered_in, statement_in]: [Duration; 2],
    ) -> Option<Self> {
        // BEGIN and three SETs have no rows.
        let [_, _, _, _, facts, transactions, indexes, ..] = results else {
            return None;
        };
        let [facts] = facts.as_slice() else {
            return None;
        };
        let number = |at: usize| facts.try_get(at).ok()??.parse::<i64>().ok();
        let limit = |at: usize| Some(number(at)?).map(|limit| (limit >= 0).then_some(limit));
        let server_clock: f64 = facts.try_get(2).ok()??.parse().ok()?;
        let own_clock = asked_at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        let more = |rows: &[SimpleQueryRow], at: usize| match rows.first() {
            None => Some(0),
            Some(row) => {
                let all: i64 = row.try_get(at).ok()??.parse().ok()?;
                Some(all - i64::try_from(rows.len()).ok()?)
            }
        };
        let (more_transactions, more_indexes) = (more(transactions, 4)?, more(indexes, 2)?);
        let transactions = transactions.iter().map(|row| {
            let text = |at: usize| Some(row.try_get(at).ok()??.to_owned());
            let name = text(1).unwrap_or_default();
            Some(LongTransaction {
                holder: match text(0) {
                    None => TransactionHolder::Prepared(name),
                    Some(pid) => TransactionHolder::Session {
                        pid: pid.parse().ok()?,
                        application_name: name,
                        state: text(2).unwrap_or_default(),
                    },
                },
                lasts: Duration::from_secs(text(3)?.parse().ok()?),
            })
        });
        let indexes = indexes.iter().map(|row| {
            let text = |at: usize| Some(row.try_get(at).ok()??.to_owned());
            Some(InvalidIndex {
                index: text(0)?,
                table: text(1)?,
            })
        });
        Some(Self {
            version: i32::try_from(number(0)?).ok()?,
            is_follower: facts.try_get(1).ok()?? == "t",
            role_limit: limit(3)?,
            database_limit: limit(4)?,
            server_limit: number(5)?,
            role_sessions: number(6)?,
            database_sessions: number(7)?,
            server_sessions: number(8)?,
            transaction_id_age: number(9)?,
            freeze_max_age: number(10)?,
            hidden_sessions: number(11)?,
            clock_ahead_secs: server_clock - own_clock,
            answered_in,
            statement_in,
            long_transactions: transactions.collect::<Option<_>>()?,
            more_transactions,
            invalid_indexes: indexes.collect::<Option<_>>()?,
            more_indexes,
        })
    }
}

/// Returns the shortest time of a few statements that cost the server nothing; `None` if none has an answer.
///
/// Work of this machine or of the server holds up one of them, where distance holds up each.
async fn shortest_statement(client: &DetachedClient) -> Option<Duration> {
    let deadline = tokio::time::Instant::now() + ANSWER;
    let mut shortest: Option<Duration> = None;
    for _ in 0..TIMED_STATEMENTS {
        let began = Instant::now();
        let Ok(Ok(_)) = timeout_at(deadline, client.simple_query("SELECT 1")).await else {
            break;
        };
        let time = began.elapsed();
        shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
    }
    shortest
}

/// Groups the rows by the statement that they answer.
fn results(messages: Vec<SimpleQueryMessage>) -> Vec<Vec<SimpleQueryRow>> {
    let mut results = Vec::new();
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => rows.push(row),
            SimpleQueryMessage::CommandComplete(_) => results.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    results
}

/// The statements: a transaction of its own, which leaves nothing in a session that a pooler lends
/// to others.
fn statements(long_transaction: Duration) -> String {
    let seconds = long_transaction.as_secs();
    format!(
        "BEGIN READ ONLY; SET LOCAL search_path TO pg_catalog; SET LOCAL statement_timeout TO '10s'; \
         SET LOCAL lock_timeout TO '2s'; {FACTS}; \
         SELECT t.pid, t.name, t.state, extract(epoch FROM now() - t.began)::int8, \
         count(*) OVER () FROM (SELECT a.pid, a.application_name AS name, a.state, \
         a.xact_start AS began FROM pg_stat_activity a WHERE a.datname = current_database() \
         AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL \
         UNION ALL SELECT NULL, p.gid, NULL, p.prepared FROM pg_prepared_xacts p \
         WHERE p.database = current_database()) t WHERE t.began < now() - interval '{seconds} s' \
         ORDER BY t.began LIMIT 20; {INVALID_INDEXES}; ROLLBACK"
    )
}

/// A session counts for a limit if it is a client's: others have no role or no database.
const FACTS: &str = "SELECT current_setting('server_version_num'), pg_is_in_recovery(), \
     extract(epoch FROM clock_timestamp()), r.rolconnlimit, d.datconnlimit, \
     current_setting('max_connections')::int \
     - current_setting('superuser_reserved_connections')::int \
     - coalesce(current_setting('reserved_connections', true), '0')::int, \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.datid IS NOT NULL), \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL), \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid IS NOT NULL AND a.datid IS NOT NULL), \
     age(d.datfrozenxid), current_setting('autovacuum_freeze_max_age'), \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL \
     AND a.query = '<insufficient privilege>') \
     FROM pg_roles r, pg_database d \
     WHERE r.rolname = session_user AND d.datname = current_database()";

/// A partitioned index is invalid until each partition has one, which is no fault.
const INVALID_INDEXES: &str = "SELECT format('%I.%I', n.nspname, c.relname), \
     format('%I.%I', tn.nspname, t.relname), count(*) OVER () \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_namespace tn ON tn.oid = t.relnamespace \
     WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname <> 'pg_toast' \
     AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid) \
     ORDER BY 1 LIMIT 20";

/// The number of statements whose time is taken.
const TIMED_STATEMENTS: usize = 3;

/// The longest time that an answer takes.
pub(super) const ANSWER: Duration = Duration::from_secs(20);

/// The facts, or the verdict of each check that needs them.
pub(super) fn known(facts: &Result<ServerFacts, String>) -> Result<&ServerFacts, Verdict> {
    facts.as_ref().map_err(Verdict::not_checked)
}
