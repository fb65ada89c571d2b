//! A new table with a foreign key, and a row of it, in one file: the row waits for the one that it references, while
//! the table of that one is locked.

use stagelink_local_postgres::{Database, Server};
use stagelink_pipeline::{Class, Refusal, TargetFacts, judge_files, split_statements};
use tokio_postgres::Client;

const TABLE: &str =
    "CREATE TABLE stock (id int PRIMARY KEY, n int); INSERT INTO stock VALUES (1, 5);";
const NEW_TABLE: &str = "CREATE TABLE sold (id int, stock_id int REFERENCES stock)";
const ROW: &str = "INSERT INTO sold (id, stock_id) VALUES (1, 1)";
const OTHER_ROW: &str = "INSERT INTO sold (id) VALUES (1)";

pub(super) async fn check(server: &Server, database: &Database) {
    let client = server.connect(database).await.expect("a session");
    client.batch_execute(TABLE).await.expect(TABLE);
    for (row, class) in [(ROW, Class::Stop), (OTHER_ROW, Class::Before)] {
        let facts = TargetFacts::ask(&client).await.expect("the facts");
        let file = split_statements(&format!("{NEW_TABLE}; {row}")).expect("statements");
        let judged = judge_files(&[&file], &facts).remove(0);
        assert_eq!(judged.class, class, "{row}: {judged:?}");
        let refusals: &[Refusal] = &judged.refusals;
        assert_eq!(refusals, [], "{row}");
        let keeps_waiting = keeps_a_writer_waiting(server, database, row).await;
        assert_eq!(keeps_waiting, class == Class::Stop, "{row}");
    }
    let gone = "DROP TABLE stock";
    client.batch_execute(gone).await.expect(gone);
}

/// Returns whether a session that holds a row, as by `SELECT … FOR UPDATE`, cannot change it while the file runs.
async fn keeps_a_writer_waiting(server: &Server, database: &Database, row: &'static str) -> bool {
    let session = async || server.connect(database).await.expect("a session");
    let (writer, runner) = (session().await, session().await);
    let hold = "BEGIN; SELECT n FROM stock WHERE id = 1 FOR UPDATE";
    writer.batch_execute(hold).await.expect(hold);
    let begin = format!("BEGIN; {NEW_TABLE}");
    runner.batch_execute(&begin).await.expect(NEW_TABLE);
    let pid: i32 = runner
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .expect("a session")
        .get(0);
    let insert = tokio::spawn(async move {
        let done = runner.batch_execute(row).await;
        let end = runner.batch_execute("ROLLBACK").await;
        (done, end)
    });
    let watch = session().await;
    let waits = !insert_is_done(&watch, pid).await;
    let change = "SET LOCAL lock_timeout = '100ms'; UPDATE stock SET n = 4 WHERE id = 1";
    let is_refused = match waits {
        true => writer.batch_execute(change).await.is_err(),
        false => false,
    };
    writer.batch_execute("ROLLBACK").await.expect("the end");
    let (done, end) = insert.await.expect("the insert");
    done.expect("a row");
    end.expect("the end");
    waits && is_refused
}

/// Waits until the session has its row, or waits for a lock. Returns whether it has the row.
async fn insert_is_done(watch: &Client, pid: i32) -> bool {
    let state = "SELECT state, wait_event_type FROM pg_stat_activity WHERE pid = $1";
    loop {
        let rows = watch.query(state, &[&pid]).await.expect("the sessions");
        let Some(row) = rows.first() else {
            return true;
        };
        let waits: Option<String> = row.get(1);
        let is_idle = row.get::<_, Option<String>>(0).as_deref() == Some("idle");
        if waits.as_deref() == Some("Lock") {
            return false;
        }
        if is_idle {
            return true;
        }
        tokio::task::yield_now().await;
    }
}
