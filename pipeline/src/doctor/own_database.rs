//! Two stages on one database: found by advisory locks on the connections that are open anyway.

use std::collections::BTreeMap;

use stagelink::tokio_postgres::SimpleQueryMessage;
use stagelink::{Database, DatabaseInfo, DetachedClient, Stage};
use tokio::time::timeout;

use crate::doctor::server_facts::ANSWER;
use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::migrations::describe_driver_error;

/// A stage's database that was reached.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) info: DatabaseInfo,
    /// `None` where the mark is another stage's.
    pub(super) client: Option<DetachedClient>,
    pub(super) database: Database,
}

/// The comparison of two stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) stages: [Stage; 2],
    /// Each database with its server and the source of its credentials.
    pub(super) databases: [String; 2],
    pub(super) is_one: Result<bool, String>,
}

/// Compares the databases of all stages, pair by pair.
pub(super) async fn compare(reached: &[Reached]) -> Vec<Pair> {
    let held = hold_locks(reached).await;
    let mut pairs = Vec::new();
    for (at, one) in reached.iter().enumerate() {
        for (other_at, other) in reached.iter().enumerate().skip(at + 1) {
            let is_one_name = (&one.info.server, &one.info.database)
                == (&other.info.server, &other.info.database);
            let is_one = match (held.get(&at), held.get(&other_at)) {
                _ if is_one_name => Ok(true),
                (Some(Ok(lock)), Some(Ok(_))) => sees_lock(other, *lock).await,
                (Some(Err(reason)), _) | (_, Some(Err(reason))) => Err(reason.clone()),
                // A database of another stage's mark has no connection here.
                _ => match one.database.is_same_database_as(&other.database).await {
                    Ok(is_one) => Ok(is_one),
                    Err(error) => Err(error.report().to_string()),
                },
            };
            pairs.push(Pair {
                stages: [one.info.stage, other.info.stage],
                databases: [describe(&one.info), describe(&other.info)],
                is_one,
            });
        }
    }
    for reached in reached {
        if let Some(client) = &reached.client {
            // A connection that has failed holds nothing.
            let _ = timeout(ANSWER, client.simple_query("ROLLBACK")).await;
        }
    }
    pairs
}

/// Takes a lock of its own on each database, in a transaction that stays open.
async fn hold_locks(reached: &[Reached]) -> BTreeMap<usize, Result<i64, String>> {
    let mut held = BTreeMap::new();
    if reached.len() < 2 {
        return held;
    }
    for (at, reached) in reached.iter().enumerate() {
        let Some(client) = &reached.client else {
            continue;
        };
        let lock = fastrand::i64(..);
        let sql = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout TO '10s'; \
             SELECT pg_catalog.pg_try_advisory_xact_lock({lock})"
        );
        let answer = first_value(client, &sql).await;
        let is_held = answer.and_then(|answer| match answer.as_deref() {
            Some("t") => Ok(lock),
            _ => Err(format!("stage {} granted no lock", reached.info.stage)),
        });
        held.insert(at, is_held);
    }
    held
}

/// Returns whether a lock is held in this database.
async fn sees_lock(reached: &Reached, lock: i64) -> Result<bool, String> {
    let Some(client) = &reached.client else {
        return Err("it has no connection".to_owned());
    };
    // The two halves of the number, as the view has them.
    let bits = u64::from_ne_bytes(lock.to_ne_bytes());
    let (high, low) = (bits >> 32, bits & 0xffff_ffff);
    let sql = format!(
        "SELECT count(*) FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted \
         AND l.classid::pg_catalog.int8 = {high} AND l.objid::pg_catalog.int8 = {low} \
         AND l.objsubid = 1 AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database())"
    );
    Ok(first_value(client, &sql).await?.as_deref() == Some("1"))
}

async fn first_value(client: &DetachedClient, sql: &str) -> Result<Option<String>, String> {
    let answer = timeout(ANSWER, client.simple_query(sql)).await;
    let messages = answer.map_err(|_| "the server did not answer in time".to_owned())?;
    let messages = messages.map_err(|error| describe_driver_error(&error))?;
    let mut rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.try_get(0).ok().flatten().map(str::to_owned)),
        _ => None,
    });
    Ok(rows.next().flatten())
}

fn describe(info: &DatabaseInfo) -> String {
    format!("{} on {} ({})", info.database, info.server, info.origin)
}

/// Judges the comparisons of one stage's database with the others'. `unreached` are the stages whose
/// databases were not reached. Without another stage there is no verdict.
pub(super) fn judge(stage: Stage, pairs: &[Pair], unreached: &[Stage]) -> Vec<Verdict> {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    let mut others = Vec::new();
    for pair in pairs {
        let Some(at) = pair.stages.iter().position(|of| *of == stage) else {
            continue;
        };
        let other = pair.stages[1 - at];
        match &pair.is_one {
            Ok(false) => others.push(other.to_string()),
            Ok(true) => findings.push(Finding::new(
                Level::Error,
                format_args!(
                    "stages {stage} and {other} have one database: {} and {} are the same",
                    pair.databases[at],
                    pair.databases[1 - at]
                ),
                "give each stage its own (on Heroku: `heroku addons:create heroku-postgresql --app APP`)",
            )),
            Err(reason) => unknown.push(format!("not compared with {other}: {reason}")),
        }
    }
    for other in unreached {
        unknown.push(format!(
            "not compared with {other}: its database was not reached"
        ));
    }
    match findings.is_empty() && unknown.is_empty() && others.is_empty() {
        true => Vec::new(),
        false => {
            let seen = format!("not that of {}", others.join(", "));
            Verdict::all_of(findings, &unknown, seen)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_is_told_to_both_stages_and_never_sound_in_doubt() {
        let pair = |stages: [Stage; 2], is_one| Pair {
            stages,
            databases: ["a on h".to_owned(), "b on h".to_owned()],
            is_one,
        };
        let (staging, production) = (Stage::STAGING, Stage::PRODUCTION);
        let own = [pair([staging, production], Ok(false))];
        let one = [pair([staging, production], Ok(true))];
        let doubt = [pair([staging, production], Err("it was closed".to_owned()))];
        for stage in [staging, production] {
            let judge = |pairs: &[Pair], unreached: &[Stage]| judge(stage, pairs, unreached);
            assert!(matches!(judge(&own, &[])[..], [Verdict::Sound(_)]));
            assert!(matches!(judge(&doubt, &[])[..], [Verdict::NotChecked(_)]));
            let [Verdict::Findings(findings)] = &judge(&one, &[])[..] else {
                panic!("no finding");
            };
            assert!(findings[0].advice.contains("addons:create"));
            // A stage that was not reached may have the same database.
            let unreached = [Stage::REVIEW];
            let [Verdict::NotChecked(reason)] = &judge(&own, &unreached)[..] else {
                panic!("it was not compared");
            };
            assert!(reason.contains("review: its database was not reached"));
            assert!(matches!(
                judge(&one, &unreached)[..],
                [Verdict::Findings(_), Verdict::NotChecked(_)]
            ));
        }
        assert_eq!(judge(Stage::REVIEW, &own, &[]), []);
    }
}
