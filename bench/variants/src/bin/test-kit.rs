//! Compares `stagelink_test::test` with `sqlx::test`: what a test with a database of its own takes.
//!
//!     test-kit [--ahead] [SOURCE…]        such as npm:18 local; the default is both. With --ahead it measures
//!                                         the tests whose clones were made ahead, and no other
//!
//! Both run the same 200 tests, four at a time, against the same server, in turns: a test gets a fresh
//! database with the migrations of the guestbook, inserts a row and reads it. Each runs in a process of
//! its own. The time of a test is from its first line to its last, with the end of its database. It exits
//! with 1 where the p95 of the tests whose clones were made ahead is over the goal.

use std::borrow::Cow;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::testing::{TestArgs, TestFn as _};
use stagelink_local_postgres::tokio_postgres::Client;
use stagelink_local_postgres::{Server, ServerOptions, random_password};
use stagelink_test::{Flavor, TestOptions, TestStage};
use tokio::runtime::Runtime;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<ExitCode> {
    if let Ok(way) = std::env::var(WAY) {
        return run_way(&way).map(|()| ExitCode::SUCCESS);
    }
    let mut sources: Vec<String> = std::env::args().skip(1).collect();
    let is_ahead_alone = sources.first().is_some_and(|word| word == "--ahead");
    sources.drain(..usize::from(is_ahead_alone));
    let ways = if is_ahead_alone {
        &WAYS[..1]
    } else {
        &WAYS[..]
    };
    if sources.is_empty() {
        sources = vec!["local".to_owned(), "npm:18".to_owned()];
    }
    println!("{TESTS} tests, {AT_A_TIME} at a time, {ROUNDS} rounds\n");
    println!("| server | a test by | median | p95 | slowest | all tests |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let runtime = Runtime::new()?;
    let mut missed = Vec::new();
    for source in sources {
        missed.extend(runtime.block_on(compare(&source, ways))?);
    }
    for goal in &missed {
        println!("\nmissed: {goal}");
    }
    Ok(ExitCode::from(u8::from(!missed.is_empty())))
}

/// Runs the tests in each way on one server, and prints a row for each. Returns a sentence where the goal is
/// missed.
async fn compare(source: &str, ways: &[(&str, &str)]) -> Outcome<Option<String>> {
    let server = Server::start(ServerOptions::new().source(source.parse()?)).await?;
    let password = random_password();
    let client = server.connect_as_superuser().await?;
    let role = format!("CREATE ROLE bench SUPERUSER LOGIN PASSWORD '{password}'");
    client.batch_execute(&role).await?;
    let url = format!(
        "postgres://bench:{password}@127.0.0.1:{}/postgres?sslmode=require",
        server.port()
    );
    let mut times = vec![Vec::new(); ways.len()];
    let mut totals = vec![Duration::ZERO; ways.len()];
    for _ in 0..ROUNDS {
        for (index, (way, _)) in ways.iter().enumerate() {
            let output = Command::new(std::env::current_exe()?)
                .env(WAY, way)
                .env("DATABASE_URL", &url)
                .env("STAGELINK_POSTGRES", &url)
                .output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
            let text = String::from_utf8(output.stdout)?;
            let mut micros = text.lines().filter_map(|line| line.parse::<u64>().ok());
            totals[index] += Duration::from_micros(micros.next().unwrap_or_default());
            times[index].extend(micros);
            // The next way finds none of this one's databases.
            drop_databases(&client).await?;
        }
    }
    let version = server.description().split(' ').take(2).collect::<Vec<_>>();
    let mut missed = None;
    for (((way, name), times), total) in ways.iter().zip(&mut times).zip(totals) {
        times.sort_unstable();
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            times[index.min(times.len() - 1)] as f64 / 1000.0
        };
        println!(
            "| {} | {name} | {:.0} ms | {:.0} ms | {:.0} ms | {:.1} s |",
            version.join(" "),
            at(0.5),
            at(0.95),
            at(1.0),
            total.as_secs_f64() / f64::from(ROUNDS)
        );
        if *way == "ahead" {
            missed = missed_goal(&version.join(" "), at(0.95));
        }
    }
    server.stop().await?;
    Ok(missed)
}

/// Returns a sentence where the p95 of the tests whose clones were made ahead is over the goal.
fn missed_goal(server: &str, p95_ms: f64) -> Option<String> {
    (p95_ms > GOAL_MS).then(|| {
        format!(
            "on {server} the p95 with clones made ahead is {p95_ms:.1} ms, the goal is {GOAL_MS} ms"
        )
    })
}

async fn drop_databases(client: &Client) -> Outcome {
    let all = "SELECT quote_ident(datname) FROM pg_database \
               WHERE datname ~ '^(_sqlx_test|stagelink_test)'";
    for row in client.query(all, &[]).await? {
        let name: &str = row.get(0);
        let open = format!("ALTER DATABASE {name} WITH IS_TEMPLATE false");
        client.batch_execute(&open).await?;
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        client.batch_execute(&drop).await?;
    }
    let clear = "DROP SCHEMA IF EXISTS _sqlx_test CASCADE";
    client.batch_execute(clear).await?;
    Ok(())
}

/// Runs the tests in one way, in this process, and prints the time of all and of each in microseconds.
fn run_way(way: &str) -> Outcome {
    let options = TestOptions::new().migrations(migrations());
    // The migrations are applied to the template before, as with the first test of all on a machine.
    if way != "sqlx" {
        let count = if way == "ahead" { TESTS } else { 1 };
        let prepared = TestStage::prepare(options.clone(), u32::try_from(count)?);
        Runtime::new()?.block_on(prepared)?;
    }
    let migrator = migrator()?;
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let work = || {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= TESTS {
                    return times;
                }
                let began = Instant::now();
                match way {
                    "sqlx" => {
                        // Its databases are named after the path of the test.
                        let path = format!("test-kit::test_{number}").leak();
                        let mut arguments = TestArgs::new(path);
                        arguments.migrator(migrator);
                        (with_sqlx as fn(PgPool) -> _).run_test(arguments);
                    }
                    _ => stagelink_test::run(options.clone(), Flavor::CurrentThread, with_kit),
                }
                times.push(began.elapsed());
            }
        };
        let threads: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(ScopedJoinHandle::join);
        joined
            .flat_map(|times| times.expect("the tests pass"))
            .collect()
    });
    println!("{}", began.elapsed().as_micros());
    for time in times {
        println!("{}", time.as_micros());
    }
    Ok(())
}

async fn with_kit(stage: TestStage) {
    let client = stage.database().client().await.expect("a connection");
    client.execute(INSERT, &[]).await.expect("a row");
    let count = client.query_one(COUNT, &[]).await.expect("a count");
    assert_eq!(count.get::<_, i64>(0), 1);
}

async fn with_sqlx(pool: PgPool) {
    sqlx::query(INSERT).execute(&pool).await.expect("a row");
    let count = sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&pool);
    assert_eq!(count.await.expect("a count"), 1);
}

fn migrator() -> Outcome<&'static Migrator> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(migrations())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut all = Vec::new();
    for (file, version) in files.iter().zip(1..) {
        let sql = Cow::Owned(std::fs::read_to_string(file)?);
        let kind = MigrationType::Simple;
        all.push(Migration::new(
            version,
            Cow::Borrowed("a file"),
            kind,
            sql,
            false,
        ));
    }
    let mut migrator = Migrator::DEFAULT;
    migrator.migrations = Cow::Owned(all);
    Ok(Box::leak(Box::new(migrator)))
}

fn migrations() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations")
}

const INSERT: &str = "INSERT INTO guestbook (name, message) VALUES ('Ada', 'hello')";
const COUNT: &str = "SELECT count(*) FROM guestbook";

const TESTS: usize = 200;
const AT_A_TIME: usize = 4;
const ROUNDS: u32 = 3;

/// The goal for the p95 of the tests whose clones were made ahead, on two quiet processors.
const GOAL_MS: f64 = 100.0;

/// The ways to test, in the order of a round, with their names.
const WAYS: [(&str, &str); 3] = [
    ("ahead", "`stagelink_test::test`, clones made ahead"),
    ("first", "`stagelink_test::test`, none made ahead"),
    ("sqlx", "`sqlx::test`"),
];

/// Says to a process of this program in which way it tests.
const WAY: &str = "TEST_KIT_WAY";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p95_over_the_goal_is_told_and_one_at_it_is_not() {
        assert_eq!(missed_goal("Postgres 18", 100.0), None);
        let missed = missed_goal("Postgres 18", 100.2).expect("it is missed");
        assert!(missed.contains("Postgres 18"), "{missed}");
        assert!(
            missed.ends_with("is 100.2 ms, the goal is 100 ms"),
            "{missed}"
        );
    }
}
