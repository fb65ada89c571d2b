//! The locks and the work of a statement, as the server tells them within its transaction.

use std::collections::BTreeMap;

use stagelink_pipeline::{LockMode, TableLock};
use tokio_postgres::Client;

/// The relations with 100,000 rows.
const LARGE: [&str; 7] = [
    "big", "books", "copies", "keyless", "later", "spent", "worn",
];

/// The database before a statement.
#[derive(Debug)]
pub(crate) struct Before {
    /// The relations by their numbers.
    relations: BTreeMap<u32, Relation>,
    rows_read: BTreeMap<String, i64>,
}

#[derive(Debug)]
struct Relation {
    name: String,
    kind: String,
    file: Option<u32>,
}

/// The effect of a statement within its transaction.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The strongest lock on each relation that exists before, by name.
    pub(crate) locks: BTreeMap<String, LockMode>,
    /// The relations with another file than before.
    pub(crate) rewritten: Vec<String>,
    /// The rows of each relation that were read one after the other.
    pub(crate) rows_read: BTreeMap<String, i64>,
}

impl Evidence {
    /// Returns whether readers or writers wait while the statement goes through many rows.
    pub(crate) fn is_long_under_a_strong_lock(&self, many: i64) -> bool {
        let reads_many = self.rows_read.values().any(|rows| *rows >= many);
        let mut strong = self.locks.iter().filter(|(name, mode)| {
            // A materialized view has no writers.
            mode.is_strong() && (**mode == LockMode::AccessExclusive || *name != "copies")
        });
        strong.any(|(name, _)| {
            let is_rewritten = self.rewritten.contains(name) && LARGE.contains(&name.as_str());
            is_rewritten || reads_many
        })
    }
}

/// Looks at the database in the transaction in which the statement will run.
pub(crate) async fn look_before(client: &Client) -> Before {
    let mut before = Before {
        relations: relations(client).await,
        rows_read: BTreeMap::new(),
    };
    before.rows_read = rows_read(client, &before.relations).await;
    before
}

/// Looks at the session's own transaction.
pub(crate) async fn look(client: &Client, before: &Before) -> Evidence {
    let mut locks = BTreeMap::new();
    for row in client.query(LOCKS, &[]).await.expect("the locks") {
        let (oid, mode): (u32, &str) = (row.get(0), row.get(1));
        let Some(relation) = before.relations.get(&oid) else {
            continue;
        };
        let mode = LockMode::ALL
            .into_iter()
            .find(|one| one.catalog_name() == mode);
        let mode = mode.expect("a mode of tables");
        let strongest = locks.entry(relation.name.clone()).or_insert(mode);
        *strongest = mode.max(*strongest);
    }
    let after = relations(client).await;
    let rewritten = before.relations.iter().filter(|(oid, relation)| {
        let now = after.get(oid).map(|now| now.file);
        relation.file.is_some()
            && relation.kind != "p"
            && now.is_some_and(|now| now != relation.file)
    });
    let rewritten = rewritten
        .map(|(_, relation)| relation.name.clone())
        .collect();
    // The counts go on from transaction to transaction until the server collects them.
    let mut rows = rows_read(client, &before.relations).await;
    for (name, count) in &mut rows {
        *count -= before.rows_read.get(name).copied().unwrap_or_default();
    }
    Evidence {
        rewritten,
        rows_read: rows,
        locks,
    }
}

async fn relations(client: &Client) -> BTreeMap<u32, Relation> {
    let rows = client.query(RELATIONS, &[]).await.expect("the relations");
    let relation = |row: &tokio_postgres::Row| Relation {
        name: row.get(1),
        kind: row.get(2),
        file: row.get(3),
    };
    rows.iter().map(|row| (row.get(0), relation(row))).collect()
}

async fn rows_read(client: &Client, relations: &BTreeMap<u32, Relation>) -> BTreeMap<String, i64> {
    let rows = client.query(ROWS_READ, &[]).await.expect("the rows");
    let rows = rows.iter().filter_map(|row| {
        let relation = relations.get(&row.get::<_, u32>(0))?;
        Some((relation.name.clone(), row.get::<_, i64>(1)))
    });
    rows.collect()
}

/// Returns the locks from `SHARE UPDATE EXCLUSIVE` on, by which DDL differs from queries.
pub(crate) fn of_ddl(locks: &BTreeMap<String, LockMode>) -> BTreeMap<String, LockMode> {
    let strong = locks
        .iter()
        .filter(|(_, mode)| **mode >= LockMode::ShareUpdateExclusive);
    strong.map(|(name, mode)| (name.clone(), *mode)).collect()
}

/// Returns the foretold locks in the same form.
pub(crate) fn foretold<'a>(
    locks: impl Iterator<Item = &'a TableLock>,
) -> BTreeMap<String, LockMode> {
    let mut found = BTreeMap::new();
    for lock in locks {
        let strongest = found.entry(lock.table.name.clone()).or_insert(lock.mode);
        *strongest = lock.mode.max(*strongest);
    }
    of_ddl(&found)
}

const RELATIONS: &str = "\
SELECT c.oid, c.relname::text, c.relkind::text, NULLIF(pg_relation_filenode(c.oid), 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname = 'public'";

const LOCKS: &str = "\
SELECT relation, mode FROM pg_locks
WHERE locktype = 'relation' AND granted AND pid = pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

const ROWS_READ: &str = "\
SELECT c.oid, pg_stat_get_xact_tuples_returned(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname = 'public'";
