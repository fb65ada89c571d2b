//! The statements that Postgres refuses in a transaction, and no others.

use crate::shop::Shop;

const REFUSED: [&str; 14] = [
    "CREATE INDEX CONCURRENTLY i ON big (a)",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON big (nn)",
    "DROP INDEX CONCURRENTLY big_v",
    "REINDEX INDEX CONCURRENTLY big_v",
    "REINDEX (CONCURRENTLY) TABLE big",
    "REINDEX (CONCURRENTLY ON, VERBOSE) TABLE big",
    "REINDEX SCHEMA public",
    "ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY",
    "VACUUM big",
    "VACUUM (FULL) big",
    "CLUSTER",
    "CREATE DATABASE other",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "DISCARD ALL",
];

const ACCEPTED: [&str; 8] = [
    "CREATE INDEX i ON small (name)",
    "REINDEX (CONCURRENTLY FALSE) TABLE small",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY copies",
    "ALTER TYPE mood ADD VALUE 'meh'",
    "CLUSTER small USING small_pkey",
    "DISCARD PLANS",
    "ALTER TABLE parts DETACH PARTITION parts_1",
    "COMMENT ON TABLE big IS 'vacuum'",
];

pub(crate) async fn check(shop: &Shop<'_>) {
    let client = shop.client().await;
    for (sql, is_refused) in REFUSED
        .iter()
        .map(|sql| (sql, true))
        .chain(ACCEPTED.iter().map(|sql| (sql, false)))
    {
        let (statements, _) = shop.judge(sql);
        let told = statements[0].needs_no_transaction();
        assert_eq!(told.is_some(), is_refused, "{sql}: {told:?}");
        client.batch_execute("BEGIN").await.expect("a transaction");
        let done = client.batch_execute(sql).await;
        let code = done.err().and_then(|error| error.code().cloned());
        let code = code.as_ref().map(tokio_postgres::error::SqlState::code);
        // 42501: a role that owns one database may not, and is told so first.
        let expected: &[Option<&str>] = match is_refused {
            true => &[Some("25001"), Some("42501")],
            false => &[None],
        };
        assert!(expected.contains(&code), "{}: {sql}: {code:?}", shop.major);
        client.batch_execute("ROLLBACK").await.expect("the end");
    }
}
