//! The waits of a reader and a writer while statements of each class are applied for good, beside a
//! transaction that holds the table. It prints the longest of each class.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stagelink_pipeline::Class;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::shop::Shop;

/// The longest wait that is allowed. A strong lock is held for milliseconds; the rest is for a
/// machine that does other things meanwhile.
const LONGEST_WAIT: Duration = Duration::from_millis(1500);

/// The measurements that have to show a wait that is too long before it counts. A statement that keeps sessions waiting
/// does so each time; the pause of a busy machine comes once.
const MEASUREMENTS: usize = 3;

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

/// Statements of *after*, of *ask* and of *stop*: nothing bounds the waits of the last two.
const LATER: [(&str, Class); 6] = [
    ("ALTER TABLE big DROP COLUMN c1", Class::After),
    ("ALTER TABLE big RENAME COLUMN c2 TO c3", Class::After),
    (
        "ALTER TABLE big ADD CONSTRAINT c3_positive CHECK (c3 > 0) NOT VALID",
        Class::After,
    ),
    ("DROP INDEX CONCURRENTLY big_a", Class::After),
    (
        "DO $$ BEGIN UPDATE big SET a = a WHERE id BETWEEN 1000 AND 20000; END $$",
        Class::Ask,
    ),
    (
        "ALTER TABLE big ADD COLUMN c9 uuid DEFAULT gen_random_uuid()",
        Class::Stop,
    ),
];

const READ: &str = "SELECT id, a, b FROM big WHERE id = 5";
const WRITE: &str = "UPDATE big SET a = 'x' WHERE id = 6";

/// A transaction that holds the table as it is: a statement that wants it strongly has to wait, and others
/// wait behind that.
const HOLD: &str = "BEGIN; SELECT count(*) FROM big WHERE id = 7; SELECT pg_sleep(0.1); COMMIT";

/// The lock time-out of a run: a statement gives up, and begins again after a pause.
const LOCK_TIME_OUT: Duration = Duration::from_secs(1);

pub(crate) async fn check(shop: &Shop<'_>) {
    let mut too_long = Vec::new();
    for number in 0..MEASUREMENTS {
        // The statements can be applied once.
        let fresh = match number {
            0 => None,
            _ => Some(shop.fresh().await),
        };
        let found = measure_all(fresh.as_ref().unwrap_or(shop)).await;
        if found.is_empty() {
            return;
        }
        too_long.extend(found);
    }
    panic!("Postgres {}:\n{}", shop.major, too_long.join("\n"));
}

/// Measures each class, and returns the waits that are too long.
async fn measure_all(shop: &Shop<'_>) -> Vec<String> {
    let mut waits = vec![(
        Class::Before,
        measure(shop, &STATEMENTS, Class::Before).await,
    )];
    for class in [Class::After, Class::Ask, Class::Stop] {
        let statements = LATER.iter().filter(|(_, one)| *one == class);
        let statements: Vec<_> = statements.map(|(sql, _)| *sql).collect();
        waits.push((class, measure(shop, &statements, class).await));
    }
    for (class, waits) in &waits {
        println!(
            "Postgres {}: {class}: the longest wait of a reader {:?}, of a writer {:?}",
            shop.major, waits.reader, waits.writer
        );
    }
    let bounded = waits[..2].iter();
    let too_long = bounded.filter(|(_, waits)| waits.reader.max(waits.writer) >= LONGEST_WAIT);
    let told = too_long.map(|(class, waits)| format!("{class}: {waits:?}"));
    told.collect()
}

/// The longest waits while statements are applied.
#[derive(Debug)]
struct Waits {
    reader: Duration,
    writer: Duration,
}

/// Applies statements of a class while sessions want the table, and one holds it.
async fn measure(shop: &Shop<'_>, statements: &[&str], class: Class) -> Waits {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut sessions = Vec::new();
    for sql in [READ, WRITE, HOLD] {
        let client = shop.client().await;
        sessions.push(tokio::spawn(work(client, sql, is_over.clone())));
    }
    let client = shop.client().await;
    for sql in statements {
        let (_, judged) = shop.judge(sql);
        assert_eq!(judged.class, class, "{sql}");
        apply(&client, sql, shop.major).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for session in sessions {
        waits.push(session.await.expect("a session"));
    }
    Waits {
        reader: waits[0],
        writer: waits[1],
    }
}

/// Applies a statement as a run does: it waits for its lock for a second at most, and begins again. One
/// that keeps no session waiting has no such limit.
async fn apply(client: &Client, sql: &str, major: u32) {
    let limit = match sql.contains("CONCURRENTLY") {
        true => 0,
        false => LOCK_TIME_OUT.as_millis(),
    };
    let limit = format!("SET lock_timeout = {limit}");
    client.batch_execute(&limit).await.expect("a limit");
    for _ in 0..10 {
        match client.batch_execute(sql).await {
            Ok(()) => return,
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
            Err(error) => panic!("{major}: {sql}: {error:?}"),
        }
    }
    panic!("{major}: {sql}: the table was never free");
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
