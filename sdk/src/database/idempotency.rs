//! Writes that happen once, however often they are sent.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join;
use futures_util::future::join3;
use http::{HeaderMap, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::Type;

use crate::database::Database;
use crate::database::retry::OutcomeProbe;
use crate::database::transaction::{Failed, begin, committed_indeed, do_work};
use crate::error::{Error, ErrorKind};
use crate::postgres::{Client, Event, Transaction, WriteOutcome};
use crate::problem::Problem;

/// The key of a request that is to take effect once: its header `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header-07), and a fingerprint of the request.
///
/// A client makes a new key for each new request, such as a UUID, and sends the same key when it
/// repeats the request. The function refuses a key that returns with another method, path or
/// body.
///
/// ```no_run
/// use http::Request;
/// use stagelink::{Database, IdempotencyKey, Problem};
///
/// async fn order(request: Request<Vec<u8>>) -> Result<String, Problem> {
///     let key = IdempotencyKey::from_request(&request)?
///         .ok_or_else(|| Problem::new(http::StatusCode::BAD_REQUEST, "Send an Idempotency-Key."))?;
///     let number: i64 = Database::from_request(&request)
///         .write_once(&key, |db| async move {
///             let row = db.query_typed_one("INSERT INTO orders DEFAULT VALUES RETURNING id", &[]).await?;
///             Ok::<_, Problem>(row.get(0))
///         })
///         .await?;
///     Ok(number.to_string())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    owner: String,
    key: String,
    fingerprint: Vec<u8>,
}

impl IdempotencyKey {
    /// Reads the key of a request; `None` where it has no such header.
    ///
    /// The value may be in quotation marks, as the draft requires, or not, as most clients send
    /// it.
    ///
    /// # Errors
    ///
    /// A 400 when there are two, or one is empty, longer than 255 characters, or
    /// holds anything but visible ASCII.
    pub fn from_request<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Option<Self>, Problem> {
        let Some(key) = Self::in_header(request.headers())? else {
            return Ok(None);
        };
        let fingerprint = fingerprint(request, request.body().as_ref());
        Ok(Some(Self::new(key, fingerprint)))
    }

    /// Makes the key of a queue's message, which may arrive more than once: its id, and a
    /// fingerprint of its body.
    ///
    /// ```
    /// use stagelink::IdempotencyKey;
    ///
    /// let key = IdempotencyKey::for_message("2e1424d4-f796-459a-8184-9c92662be6da", "{\"order\":1}");
    /// # let _ = key;
    /// ```
    ///
    /// An id has to belong to one message of all queues that share the table; where it does not,
    /// [`owned_by`](Self::owned_by) with the queue's name keeps them apart.
    pub fn for_message(id: impl Into<String>, body: impl AsRef<[u8]>) -> Self {
        Self::new(id.into(), Sha256::digest(body.as_ref()).to_vec())
    }

    pub(crate) fn new(key: String, fingerprint: Vec<u8>) -> Self {
        Self {
            owner: String::new(),
            key,
            fingerprint,
        }
    }

    /// Reads the key alone.
    pub(crate) fn in_header(headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .map(str::trim)
            .map(|key| unquoted(key).unwrap_or(key))
            .filter(|key| (1..=KEY_CHARS).contains(&key.len()))
            .filter(|key| key.chars().all(|c| c.is_ascii_graphic()));
        match (key, values.next()) {
            (Some(key), None) => Ok(Some(key.to_owned())),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID.",
            )),
        }
    }

    /// Makes the key one of this owner's, such as a user's id, so that a user who guesses
    /// another's key does not see the answer to that request.
    #[must_use]
    pub fn owned_by(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }
}

/// The SQL of the table in which [`Database::write_once`] keeps its keys, for a migration:
///
/// ```sql
#[doc = include_str!("idempotency.sql")]
/// ```
pub const IDEMPOTENCY_TABLE: &str = include_str!("idempotency.sql");

impl Database {
    /// Does work once for a key, in one transaction, and returns the same answer when the key
    /// returns.
    ///
    /// The transaction of the work also keeps the key and the answer, so that neither is ever
    /// there without the other. That makes it safe to do the work again whenever the connection
    /// is lost, even during the COMMIT; and safe for the client to repeat its request after an
    /// error. Two requests with one key at the same time wait for each other.
    ///
    /// It needs the table of [`IDEMPOTENCY_TABLE`]. A key is kept for 24 hours; later requests
    /// remove it. An error of the work rolls everything back and keeps nothing, so the client
    /// may use the same key again. Costs three round trips, including that of one statement of
    /// work, and two where the answer is there already.
    ///
    /// # Errors
    ///
    /// Those of the work; as [`read`](Self::read) otherwise; [`ErrorKind::IdempotencyKeyReused`]
    /// when the key was used for another request; [`ErrorKind::Query`] when the table is
    /// missing, or the answer does not serialize as JSON.
    ///
    /// # Cancel safety
    ///
    /// All of it takes effect or nothing; the next request with this key sees which.
    pub async fn write_once<T, E, W, F>(&self, key: &IdempotencyKey, work: W) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        W: Fn(Transaction) -> F,
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let mut retry = self.retry()?;
        loop {
            let (client, outcome) = retry.connection_to_write().await?;
            let answered = retry
                .work(answer(client, &outcome, self.time_left(), key, &work))
                .await?;
            let failure = outcome.failed_transaction(&retry);
            match (answered, failure) {
                (Ok(value), _) => {
                    retry.record(Event::WriteSucceeded);
                    return Ok(value);
                }
                // Applied or not: the next attempt will see.
                (Err(_), Some(failure)) => retry.backoff(failure).await?,
                (Err(Failed::Work(error)), None) => {
                    retry.record(Event::WriteSucceeded);
                    return Err(error);
                }
                (Err(Failed::Commit(error)), None) => return Err(error.into()),
            }
        }
    }
}

/// Makes one attempt to answer: with the kept answer, or by doing the work.
async fn answer<T, E, W, F>(
    client: Client,
    outcome: &OutcomeProbe,
    left: Option<Duration>,
    key: &IdempotencyKey,
    work: &W,
) -> Result<T, Failed<E>>
where
    T: Serialize + DeserializeOwned,
    W: Fn(Transaction) -> F,
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let kept = match claim(&client, left, key).await {
        Ok(kept) => kept,
        Err(error) => {
            // Where this fails too, the connection is not lent again.
            client.batch_execute("ROLLBACK").await.ok();
            return Err(Failed::Work(error.into()));
        }
    };
    if let Some(answer) = kept {
        client.batch_execute("ROLLBACK").await.ok();
        return serde_json::from_str(&answer)
            .map_err(|error| Failed::Work(not_the_form(error).into()));
    }
    let (client, value) = do_work(client, work).await.map_err(Failed::Work)?;
    let answer =
        serde_json::to_string(&value).map_err(|error| Failed::Work(not_the_form(error).into()));
    let answer = match answer {
        Ok(answer) => answer,
        Err(failed) => {
            client.batch_execute("ROLLBACK").await.ok();
            return Err(failed);
        }
    };
    keep(&client, outcome, key, &answer)
        .await
        .map_err(Failed::Commit)?;
    committed_indeed(outcome)?;
    Ok(value)
}

/// Begins a transaction and takes the key, or waits for the transaction that has it. Returns the
/// answer that is kept for it. One round trip.
async fn claim(
    client: &Client,
    left: Option<Duration>,
    key: &IdempotencyKey,
) -> Result<Option<String>, Error> {
    let begin = begin(client, left);
    let (begun, claimed) = join(
        client.batch_execute(&begin),
        client.query_typed_one(
            CLAIM,
            &[
                (&key.owner, Type::TEXT),
                (&key.key, Type::TEXT),
                (&key.fingerprint, Type::BYTEA),
            ],
        ),
    )
    .await;
    begun?;
    let row = claimed.map_err(|error| {
        if error.code().is_some_and(|code| code.code() == "42P01") {
            return Error::with_source(
                ErrorKind::Query,
                "the database has no table stagelink_idempotency: add a migration with the SQL of \
                 stagelink::IDEMPOTENCY_TABLE",
                error,
            );
        }
        error.into()
    })?;
    let fingerprint: Vec<u8> = row.try_get(0)?;
    let answer: Option<String> = row.try_get(1)?;
    if fingerprint != key.fingerprint {
        return Err(Error::new(
            ErrorKind::IdempotencyKeyReused,
            "an idempotency key came again with another request than the first time",
        ));
    }
    Ok(answer)
}

/// Keeps the answer beside the key, and commits. One round trip.
async fn keep(
    client: &Client,
    outcome: &OutcomeProbe,
    key: &IdempotencyKey,
    answer: &str,
) -> Result<(), Error> {
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&answer, Type::TEXT),
        (&key.owner, Type::TEXT),
        (&key.key, Type::TEXT),
    ];
    let (kept, cleared, committed) = join3(
        client.execute_typed(KEEP, &parameters),
        client.batch_execute(CLEAR),
        client.batch_execute("COMMIT"),
    )
    .await;
    // A COMMIT after a failed statement rolls back, and is no error.
    if outcome.write_outcome() != WriteOutcome::Applied {
        kept?;
        cleared?;
    }
    Ok(committed?)
}

/// Hashes a request's method, path and body, by which another request with its key differs.
pub(crate) fn fingerprint<B>(request: &Request<B>, body: &[u8]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in [request.method().as_str(), path(request)] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().to_vec()
}

/// Returns the path as the client sent it: without the stage that `lambda_http` puts before it for
/// API Gateway, and with the prefix that axum takes from it for a nested router.
fn path<B>(request: &Request<B>) -> &str {
    #[cfg(feature = "lambda")]
    {
        let raw = lambda_http::RequestExt::raw_http_path(request);
        if !raw.is_empty() {
            return raw;
        }
    }
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions().get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    request.uri().path()
}

/// A string of a structured field (RFC 9651), without its quotation marks.
fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

fn not_the_form(error: serde_json::Error) -> Error {
    Error::with_source(
        ErrorKind::Query,
        "the answer that is kept for an idempotency key is not what this function answers",
        error,
    )
}

const HEADER: &str = "idempotency-key";
const KEY_CHARS: usize = 255;

/// Two requests with one key meet in the row: the second waits until the first
/// has committed or rolled back. The answer is null for the first.
const CLAIM: &str = "\
    INSERT INTO stagelink_idempotency AS kept (owner, key, fingerprint) VALUES ($1, $2, $3) \
    ON CONFLICT (owner, key) DO UPDATE SET \
        fingerprint = CASE WHEN kept.kept_until < now() OR kept.answer IS NULL \
            THEN excluded.fingerprint ELSE kept.fingerprint END, \
        answer = CASE WHEN kept.kept_until < now() THEN NULL ELSE kept.answer END, \
        kept_until = CASE WHEN kept.kept_until < now() \
            THEN excluded.kept_until ELSE kept.kept_until END \
    RETURNING fingerprint, answer";

const KEEP: &str = "UPDATE stagelink_idempotency SET answer = $1 WHERE owner = $2 AND key = $3";

/// Each new key removes two old ones at most, so that the table stays small and
/// no request has much to do.
const CLEAR: &str = "\
    DELETE FROM stagelink_idempotency WHERE (owner, key) IN ( \
        SELECT owner, key FROM stagelink_idempotency WHERE kept_until < now() \
        LIMIT 2 FOR UPDATE SKIP LOCKED)";

#[cfg(test)]
mod tests {
    use super::*;

    fn request(keys: &[&str], body: &'static str) -> Request<&'static str> {
        let mut request = Request::new(body);
        for key in keys {
            request.headers_mut().append(HEADER, key.parse().unwrap());
        }
        request
    }

    fn key(keys: &[&str], body: &'static str) -> IdempotencyKey {
        IdempotencyKey::from_request(&request(keys, body))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn request_without_the_header_has_no_key() {
        assert_eq!(
            IdempotencyKey::from_request(&request(&[], "")).unwrap(),
            None
        );
    }

    #[test]
    fn key_in_quotation_marks_is_the_same() {
        assert_eq!(key(&["\"abc-1\""], ""), key(&[" abc-1 "], ""));
    }

    #[test]
    fn other_method_path_body_or_owner_is_another_request() {
        assert_ne!(key(&["a"], "1"), key(&["a"], "2"));
        assert_ne!(key(&["a"], "1"), key(&["a"], "1").owned_by("ada"));
        let of = |method: &str, path: &str| {
            let mut request = request(&["a"], "1");
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = path.parse().unwrap();
            IdempotencyKey::from_request(&request).unwrap().unwrap()
        };
        assert_eq!(of("POST", "/a"), of("POST", "/a"));
        assert_ne!(of("POST", "/a"), of("PUT", "/a"));
        assert_ne!(of("POST", "/a"), of("POST", "/b"));
    }

    #[test]
    fn key_that_is_none_is_refused() {
        let long = "x".repeat(256);
        for keys in [
            &["\"\""][..],
            &[""],
            &["a b"],
            &["a", "b"],
            &[&long],
            &["é"],
        ] {
            let problem = IdempotencyKey::from_request(&request(keys, "")).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{keys:?}");
        }
    }
}
