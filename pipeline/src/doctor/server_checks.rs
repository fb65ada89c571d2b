//! The checks of a stage's server and database: pure.

use std::time::{Duration, SystemTime};

use jiff::ToSpan as _;

use crate::doctor::connection_facts::ConnectionFacts;
use crate::doctor::end_of_life::{day_of, end_of_life};
use crate::doctor::server_facts::{ServerFacts, TransactionHolder};
use crate::doctor::verdict::{Finding, Level, Verdict};

/// Judges whether the database takes writes. `server` is `None` where it was not asked.
pub(super) fn judge_follower(facts: &ConnectionFacts, server: Option<&ServerFacts>) -> Verdict {
    let ConnectionFacts {
        database, origin, ..
    } = facts;
    if server.is_some_and(|server| server.is_follower) {
        return Verdict::error(
            format_args!("{origin} leads to a follower, which takes no writes"),
            "use the URL of the leader: on Heroku `heroku pg:info` names it, and `heroku \
             pg:promote` makes an attachment the app's DATABASE_URL",
        );
    }
    let what = format_args!("database {database} takes no writes: its transactions are read-only");
    match facts.is_read_only {
        false => Verdict::sound("the database takes writes"),
        // Nothing but a fault makes it so there.
        true if facts.options.contains("--local") => Verdict::error(
            what,
            "end the fault that makes it so with `stagelink fault clear`",
        ),
        true => Verdict::error(
            what,
            format_args!(
                "if no migration or move of the data is going on, run `ALTER DATABASE {} RESET \
                 default_transaction_read_only`, or the same for the role",
                quoted(database)
            ),
        ),
    }
}

/// Returns a name as an identifier of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Judges the connection limit, its use, and the instances that functions may have: `None` where no
/// number is known.
pub(super) fn judge_connections(
    facts: &ConnectionFacts,
    server: &ServerFacts,
    concurrency: Option<u32>,
) -> Verdict {
    let limits = [
        ("the role", server.role_limit, server.role_sessions),
        (
            "the database",
            server.database_limit,
            server.database_sessions,
        ),
        (
            "the server",
            Some(server.server_limit),
            server.server_sessions,
        ),
    ];
    let limits = limits
        .into_iter()
        .filter_map(|(owner, limit, used)| Some((owner, limit?, used)));
    // The limit with the fewest connections left is met first; functions alone meet the smallest.
    let nearest = limits.clone().min_by_key(|(_, limit, used)| limit - used);
    let smallest = limits.min_by_key(|(_, limit, _)| *limit);
    let (Some((owner, limit, used)), Some((smallest_owner, smallest, _))) = (nearest, smallest)
    else {
        return Verdict::sound("no limit");
    };
    let mut findings = Vec::new();
    if used * 10 >= limit * 8 {
        findings.push(Finding::new(
            Level::Warning,
            format_args!("{used} of the {limit} connections that {owner} may have are in use"),
            "end the sessions that nothing needs: `SELECT pid, application_name, state FROM \
             pg_stat_activity` shows them, and pg_terminate_backend(pid) ends one",
        ));
    }
    if let Some(concurrency) = concurrency.filter(|_| !facts.is_pooled)
        && i64::from(concurrency) > smallest
    {
        findings.push(Finding::new(
            Level::Warning,
            format_args!(
                "functions may run {concurrency} instances, each with a connection, and \
                 {smallest_owner} may have {smallest}: the others wait, and answer 503 after ten \
                 seconds"
            ),
            format_args!(
                "use a pooler (on Heroku: `heroku pg:connection-pooling:attach`), or limit the \
                 functions' concurrency, and run doctor with --concurrency {smallest}"
            ),
        ));
    }
    let pooled = match facts.is_pooled {
        true => ", behind a pooler",
        false => "",
    };
    if findings.is_empty() && concurrency.is_none() && !facts.is_pooled {
        return Verdict::not_checked(format_args!(
            "the local clouds have no number of instances to hold against the limit of \
             {smallest_owner}, {smallest}: --concurrency names one"
        ));
    }
    Verdict::of(
        findings,
        format_args!("{used} of {limit} in use, the limit of {owner}{pooled}"),
    )
}

/// Judges the version's end of life, half a year ahead.
pub(super) fn judge_version(server: &ServerFacts, is_at_heroku: bool, now: SystemTime) -> Verdict {
    let (major, minor) = (server.version / 10_000, server.version % 10_000);
    let place = match is_at_heroku {
        true => " at Heroku",
        false => "",
    };
    let Some(end) = end_of_life(major, is_at_heroku) else {
        return Verdict::not_checked(format_args!(
            "this version of stagelink does not know the end of life of Postgres {major}"
        ));
    };
    let today = day_of(now);
    if end > today.saturating_add(6.months()) {
        return Verdict::sound(format_args!("Postgres {major}.{minor}, until {end}{place}"));
    }
    let upgrade = match is_at_heroku {
        true => {
            "upgrade the database: `heroku pg:upgrade`, or a new database and `heroku pg:copy` on \
             an Essential plan"
        }
        false => "upgrade the server to a newer major version",
    };
    let ends = match end < today {
        true => "ended",
        false => "ends",
    };
    Verdict::warning(
        format_args!("the support of Postgres {major}{place} {ends} on {end}"),
        upgrade,
    )
}

/// Judges this machine's clock against the server's.
pub(super) fn judge_clock(server: &ServerFacts) -> Verdict {
    judge_offset(
        "the database server",
        server.clock_ahead_secs,
        server.answered_in,
    )
}

/// Judges this machine's clock against another one, whose reading is known up to `unknown`.
pub(super) fn judge_offset(whose: &str, ahead_secs: f64, unknown: Duration) -> Verdict {
    let surely = (ahead_secs.abs() - unknown.as_secs_f64() / 2.0).max(0.0);
    if surely <= MOST_CLOCK_SECS {
        return Verdict::sound(format_args!("within {surely:.1} s of that of {whose}"));
    }
    let direction = match ahead_secs > 0.0 {
        true => "behind",
        false => "ahead of",
    };
    Verdict::warning(
        format_args!("this machine's clock is {surely:.0} s {direction} that of {whose}"),
        "synchronise it (`timedatectl set-ntp true`): certificates and tokens are judged by it",
    )
}

pub(super) fn judge_long_transactions(server: &ServerFacts) -> Vec<Verdict> {
    let findings = server.long_transactions.iter().map(|found| {
        let lasts = duration(found.lasts);
        match &found.holder {
            TransactionHolder::Session {
                pid,
                application_name,
                state,
            } => {
                let name = match application_name.as_str() {
                    "" => String::new(),
                    name => format!(" of {name}"),
                };
                Finding::new(
                    Level::Warning,
                    format_args!(
                        "session {pid}{name} has had a transaction open for {lasts} \
                         ({state}), and keeps locks and dead rows"
                    ),
                    format_args!(
                        "end it with `SELECT pg_terminate_backend({pid})`, and set \
                         idle_in_transaction_session_timeout for its role"
                    ),
                )
            }
            TransactionHolder::Prepared(id) => Finding::new(
                Level::Warning,
                format_args!(
                    "transaction {id} has been prepared for {lasts}, and keeps locks and \
                     dead rows until it is committed or rolled back, also without a session"
                ),
                format_args!(
                    "end it in its database with `ROLLBACK PREPARED '{id}'`, or COMMIT PREPARED",
                    id = id.replace('\'', "''")
                ),
            ),
        }
    });
    let findings = findings.chain(more(server.more_transactions, "long transactions"));
    let unknown = match server.hidden_sessions {
        hidden @ 1.. => vec![format!(
            "{hidden} sessions are other roles', whose transactions this role may not see"
        )],
        _ => Vec::new(),
    };
    Verdict::all_of(findings.collect(), &unknown, "none")
}

/// Returns a duration in seconds below two minutes, else in minutes.
fn duration(lasts: Duration) -> String {
    match lasts.as_secs() {
        1 => "1 second".to_owned(),
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    }
}

/// The finding for what a list has no room for.
fn more(count: i64, what: &str) -> Option<Finding> {
    (count > 0).then(|| {
        Finding::new(
            Level::Warning,
            format_args!("{count} more {what} are not shown here"),
            "mend these, and run `stagelink doctor` again for the rest",
        )
    })
}

pub(super) fn judge_transaction_id_age(facts: &ConnectionFacts, server: &ServerFacts) -> Verdict {
    let (age, limit) = (server.transaction_id_age, server.freeze_max_age);
    let level = match age {
        age if age >= FAILSAFE_AGE => Level::Error,
        // Autovacuum begins at the limit, and had half of it for its work.
        age if age > limit + limit / 2 => Level::Warning,
        age => return Verdict::sound(format_args!("{age} of about 2 billion")),
    };
    let finding = Finding::new(
        level,
        format_args!(
            "the oldest transaction id of database {} is {age} transactions old, and autovacuum \
             should have frozen it at {limit}: at about 2 billion the server takes no more writes",
            facts.database
        ),
        "end old transactions, prepared ones and unused replication slots, then run `VACUUM \
         (FREEZE)` in the database",
    );
    Verdict::Findings(vec![finding])
}

pub(super) fn judge_invalid_indexes(server: &ServerFacts) -> Verdict {
    let findings = server.invalid_indexes.iter().map(|found| {
        let (index, table) = (&found.index, &found.table);
        Finding::new(
            Level::Warning,
            format_args!(
                "index {index} of table {table} is invalid: writes keep it up to date, and no query \
                 uses it"
            ),
            format_args!(
                "run `DROP INDEX CONCURRENTLY {index}`, and create it again; if a pending migration \
                 makes it, `stagelink migrate` does both"
            ),
        )
    });
    let findings = findings.chain(more(server.more_indexes, "invalid indexes"));
    Verdict::of(findings.collect(), "none")
}

/// Tokens and certificates are issued with less.
const MOST_CLOCK_SECS: f64 = 30.0;

/// The default of `vacuum_failsafe_age`: from there on the server vacuums at any price.
const FAILSAFE_AGE: i64 = 1_600_000_000;

#[cfg(test)]
mod tests;
