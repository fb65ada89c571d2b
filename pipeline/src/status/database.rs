//! The database of a stage, and whether its credentials work.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagelink::{Database, DatabaseInfo, ErrorKind, StageMark};

use crate::attempts;
use crate::error::{Error, ErrorKind as Kind};
use crate::promotion::{DeployRecord, Lease, UnfinishedChange};
use crate::status::lookup::{Lookup, within};

/// A stage's database, as a connection to it found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseStatus {
    /// The database's name.
    pub database: String,
    /// The role that logged in.
    pub role: String,
    /// The server, as `host:port`.
    pub server: String,
    /// The kind of the host by its name, such as `Amazon RDS`.
    pub host_kind: String,
    /// The source of the credentials.
    pub origin: String,
    /// True if the way leads through a pooler that lends its sessions.
    pub is_pooled: bool,
    /// The version that the server reports.
    pub server_version: Option<String>,
    /// True if the server refuses writes.
    pub is_read_only: bool,
    /// The stage that the database is marked with.
    pub mark: Option<String>,
    /// True if the mark is another stage's, so that functions refuse the database.
    pub is_of_another_stage: bool,
}

/// A login with a stage's credentials, over TLS, as its functions do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoginStatus {
    /// True if the server took the credentials, and proved itself.
    pub works: bool,
    /// The proof of the server, such as SCRAM channel binding.
    pub proved_by: Option<String>,
    /// The refusal.
    pub reason: Option<String>,
}

/// Connects to a stage's database, and reports what it found and whether the credentials work.
pub(super) async fn connect(
    database: &Database,
) -> Result<(Lookup<DatabaseStatus>, Lookup<LoginStatus>), Error> {
    let error = match attempts::look_up(async || database.inspect().await).await {
        Ok(info) => {
            let login = LoginStatus {
                works: true,
                proved_by: Some(info.server_auth.to_string()),
                reason: None,
            };
            let found = DatabaseStatus::of(info);
            return Ok((Lookup::known(found), Lookup::known(login)));
        }
        Err(error) => error,
    };
    let kind = error.kind();
    let error = Error::with_source(
        Kind::Database,
        "could not connect to the stage's database",
        error,
    );
    let reason = error.report();
    let login = match kind {
        ErrorKind::DatabaseRefused
        | ErrorKind::DatabaseMissing
        | ErrorKind::ServerNotAuthenticated => Lookup::known(LoginStatus {
            works: false,
            proved_by: None,
            reason: Some(reason.clone()),
        }),
        ErrorKind::NoDatabase => Lookup::absent(reason.clone()),
        _ => Lookup::not_known(&reason),
    };
    let found = match kind {
        ErrorKind::NoDatabase => Lookup::absent(reason),
        _ => Lookup::not_known(reason),
    };
    Ok((found, login))
}

impl DatabaseStatus {
    fn of(info: DatabaseInfo) -> Self {
        Self {
            is_of_another_stage: info.is_of_another_stage(),
            is_pooled: info.is_pooled,
            host_kind: host_kind(info.credentials.url().host()).to_owned(),
            mark: match &info.mark {
                StageMark::None => None,
                mark => Some(mark.to_string()),
            },
            database: info.database,
            role: info.role,
            server: info.server,
            origin: info.origin,
            server_version: info.server_version,
            is_read_only: info.is_read_only,
        }
    }
}

/// Looks for a change of the stage that did not come to its end, or still runs.
pub(super) async fn unfinished(
    database: &Database,
    records: &Result<Vec<DeployRecord>, String>,
    limit: Duration,
) -> Lookup<UnfinishedChange> {
    let records = match records {
        Ok(records) => records,
        Err(reason) => return Lookup::not_known(reason),
    };
    match within(limit, Lease::look(database)).await {
        Ok(row) => match UnfinishedChange::of(row.as_ref(), records) {
            Some(change) => Lookup::known(change),
            None => Lookup::absent("no change of the stage is unfinished"),
        },
        Err(error) => Lookup::not_known(error.report()),
    }
}

/// Returns the look-up of a change that a status of an older version lacks.
pub(super) fn not_looked_up() -> Lookup<UnfinishedChange> {
    Lookup::absent("an older version of stagelink made the status")
}

/// Returns the kind of a host by its name.
fn host_kind(host: &str) -> &'static str {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = host == "localhost"
        || host.starts_with("127.")
        || host.starts_with('/')
        || host.trim_matches(['[', ']']) == "::1";
    if is_local {
        return "this machine";
    }
    let known = HOST_KINDS.iter().find(|(suffix, _)| host.ends_with(suffix));
    known.map_or("other", |(_, kind)| kind)
}

/// Suffixes of the names of hosts.
const HOST_KINDS: &[(&str, &str)] = &[
    (".rds.amazonaws.com", "Amazon RDS"),
    (".amazonaws.com", "Amazon EC2"),
    (".neon.tech", "Neon"),
    (".render.com", "Render"),
    (".herokuapp.com", "Heroku"),
    (".herokuspace.com", "Heroku"),
    (".supabase.com", "Supabase"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_of_a_host_is_that_of_its_name() {
        for (host, kind) in [
            ("ec2-1-2-3-4.compute-1.amazonaws.com", "Amazon EC2"),
            ("c1.cluster-x.us-east-1.rds.amazonaws.com.", "Amazon RDS"),
            ("EP-a.eu-central-1.aws.neon.tech", "Neon"),
            ("127.0.0.1", "this machine"),
            ("[::1]", "this machine"),
            ("amazonaws.com.example", "other"),
            ("db.example.com", "other"),
        ] {
            assert_eq!(host_kind(host), kind, "{host}");
        }
    }
}
