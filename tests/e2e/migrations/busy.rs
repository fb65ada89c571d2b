//! A table that other sessions use while a migration wants it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use stagelink_pipeline::ErrorKind;
use tokio::time::sleep;

use super::{Project, names, options, until};

/// The time for which the table stays busy after the migration has met that.
const BUSY: Duration = Duration::from_secs(15);

/// The longest wait of a reader: the lock time-out of a second, and slack for a loaded machine. A reader
/// behind a run that stays in the queue waits for nearly all of `BUSY`.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

#[tokio::test]
async fn busy_table_keeps_no_reader_waiting_and_is_migrated_when_it_is_free() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int)"),
        (
            "V2__b.sql",
            "ALTER TABLE a ADD COLUMN c int; ALTER TABLE a ADD COLUMN d int;",
        ),
    ])
    .await;
    project.run("CREATE TABLE ready ()").await;
    let mut options = options();
    options.wait = Duration::ZERO;
    // Only the first file.
    project.remove("V2__b.sql");
    project.apply_with(&options).await.expect("a table");
    project.write(
        "V2__b.sql",
        "ALTER TABLE a ADD COLUMN c int; ALTER TABLE a ADD COLUMN d int;",
    );

    let long = project.session().await;
    let named = "SET application_name = 'report'; BEGIN; SELECT * FROM a";
    long.batch_execute(named).await.expect("a lock");
    let reader = project.session().await;
    let is_over = Cell::new(false);
    let reading = async {
        let mut longest = Duration::ZERO;
        while !is_over.get() {
            let before = Instant::now();
            reader
                .batch_execute("SELECT count(*) FROM a")
                .await
                .expect("a count");
            longest = longest.max(before.elapsed());
            sleep(Duration::from_millis(5)).await;
        }
        longest
    };
    let releasing = async {
        until("the event", async || project.has_event("the table is busy")).await;
        sleep(BUSY).await;
        long.batch_execute("COMMIT").await.expect("an end");
        sleep(Duration::from_secs(3)).await;
        is_over.set(true);
    };
    let (longest, applied, ()) = tokio::join!(reading, project.applied(), releasing);
    println!(
        "a reader waited for {longest:?} at most; {:?}",
        project.events()
    );
    assert!(longest < LONGEST_WAIT, "{longest:?}");
    // Else the migration was never in the way.
    assert!(longest > Duration::from_millis(300), "{longest:?}");
    assert_eq!(applied, ["V2__b"]);
    assert!(
        project.has_event("(report, idle in transaction, for "),
        "{:?}",
        project.events()
    );
}

#[tokio::test]
async fn table_that_stays_busy_is_an_error_that_names_its_user() {
    let project = Project::with(&[
        (
            "V1__a.sql",
            "CREATE TABLE b ();\nALTER TABLE a ADD COLUMN c int;",
        ),
        ("V2__b.sql", "SELECT 1"),
    ])
    .await;
    project.run("CREATE TABLE a ()").await;
    let long = project.session().await;
    let named = "SET application_name = 'report'; BEGIN; SELECT * FROM a";
    long.batch_execute(named).await.expect("a lock");
    let mut options = options();
    options.wait = Duration::from_secs(2);
    // The wait for the lock is looked at meanwhile, which takes its time on a busy machine.
    options.lock_timeout = Duration::from_secs(5);
    let error = project.apply_with(&options).await.expect_err("it is busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    let text = error.to_string();
    for part in [
        "V1__a.sql line 2: the table was busy",
        "(report, idle in tr",
        "left nothing",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(project.tables().await, ["a"]);
    // What waits without a transaction ends in the same way.
    project.write(
        "V1__a.sql",
        "-- stagelink: no transaction\nALTER TABLE a ADD COLUMN c int;",
    );
    let error = project.apply_with(&options).await.expect_err("it is busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("report"), "{error}");
    drop(long);
    assert_eq!(project.applied().await.len(), 2);
}

#[tokio::test]
async fn deadlock_with_the_site_is_tried_again() {
    let project = Project::with(&[(
        "V1__a.sql",
        "DO $$ BEGIN LOCK TABLE a; PERFORM pg_sleep(5); LOCK TABLE b; END $$;",
    )])
    .await;
    project.run("CREATE TABLE a (); CREATE TABLE b ()").await;
    let site = project.session().await;
    let working = async {
        project.wait_for_statement("pg_sleep").await;
        // The server ends the transaction whose wait closes the circle: the migration's.
        let locked = site.batch_execute("BEGIN; LOCK TABLE b; LOCK TABLE a; COMMIT");
        locked.await.is_ok()
    };
    let mut options = options();
    options.lock_timeout = Duration::from_secs(30);
    let (applied, _) = tokio::join!(project.apply_with(&options), working);
    let applied = applied.expect("it is tried again");
    assert_eq!(names(&applied), ["V1__a"]);
}

#[tokio::test]
async fn table_that_is_locked_entirely_is_busy() {
    let project = Project::with(&[("V1__a.sql", "ALTER TABLE a ADD COLUMN b int")]).await;
    project.run("CREATE TABLE a ()").await;
    let other = project.session().await;
    other
        .batch_execute("BEGIN; LOCK TABLE a")
        .await
        .expect("a lock");
    let mut options = options();
    options.wait = Duration::from_secs(2);
    let error = project.apply_with(&options).await;
    let error = error.expect_err("it is locked");
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.is_retryable());
    drop(other);
    assert_eq!(project.applied().await, ["V1__a"]);
}
