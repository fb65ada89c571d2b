//! The waits of a reader and a writer while statements of *before* are applied for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stagelink_pipeline::Class;
use tokio_postgres::Client;

use crate::shop::Shop;

/// The longest wait that is allowed. A strong lock is held for milliseconds; the rest is for a
/// machine that does other things meanwhile.
const LONGEST_WAIT: Duration = Duration::from_millis(1500);

/// They are applied one after the other, on the table that the sessions use.
const STATEMENTS: [&str; 12] = [
    "ALTER TABLE big ADD COLUMN c1 text",
    "ALTER TABLE big ADD COLUMN c2 int NOT NULL DEFAULT 5",
    "CREATE INDEX CONCURRENTLY big_a ON big (a)",
    "REINDEX INDEX CONCURRENTLY big_a",
    "ALTER TABLE big VALIDATE CONSTRAINT b_positive",
    "ALTER TABLE big VALIDATE CONSTRAINT big_small",
    "ALTER TABLE big ALTER COLUMN v TYPE varchar(200)",
    "ALTER TABLE big ALTER COLUMN nn DROP NOT NULL",
    "CREATE STATISTICS st ON a, b FROM big",
    "CREATE TABLE t3 (id bigint PRIMARY KEY, big_id bigint REFERENCES big (id))",
    "VACUUM big",
    "ANALYZE big",
];

const READ: &str = "SELECT id, a, b FROM big WHERE id = 5";
const WRITE: &str = "UPDATE big SET a = 'x' WHERE id = 6";

pub(crate) async fn check(shop: &Shop<'_>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let sessions = [(shop.client().await, READ), (shop.client().await, WRITE)];
    let sessions = sessions.map(|(client, sql)| tokio::spawn(work(client, sql, is_over.clone())));
    let client = shop.client().await;
    for sql in STATEMENTS {
        let (_, judged) = shop.judge(sql);
        assert_eq!(judged.class, Class::Before, "{sql}");
        let done = client.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", shop.major));
    }
    is_over.store(true, Ordering::Relaxed);
    let [reader, writer] = sessions;
    let (reader, writer) = (
        reader.await.expect("a reader"),
        writer.await.expect("a writer"),
    );
    println!(
        "Postgres {}: before: the longest wait of a reader {reader:?}, of a writer {writer:?}",
        shop.major
    );
    assert!(reader < LONGEST_WAIT, "{reader:?}");
    assert!(writer < LONGEST_WAIT, "{writer:?}");

    // The same sessions behind a statement that stops.
    let is_over = Arc::new(AtomicBool::new(false));
    let sessions = [(shop.client().await, READ), (shop.client().await, WRITE)];
    let sessions = sessions.map(|(client, sql)| tokio::spawn(work(client, sql, is_over.clone())));
    let began = Instant::now();
    let rewrite = "ALTER TABLE big ADD COLUMN c9 uuid DEFAULT gen_random_uuid()";
    client.batch_execute(rewrite).await.expect("a rewrite");
    let took = began.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let [reader, writer] = sessions;
    let (reader, writer) = (
        reader.await.expect("a reader"),
        writer.await.expect("a writer"),
    );
    println!(
        "Postgres {}: stop: a rewrite of {took:?}: the longest wait of a reader {reader:?}, of a \
         writer {writer:?}",
        shop.major
    );
}

/// Runs a statement again and again. Returns the longest time of one.
async fn work(client: Client, sql: &'static str, is_over: Arc<AtomicBool>) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.batch_execute(sql).await.expect(sql);
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    longest
}
