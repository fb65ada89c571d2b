//! The table of checks, each with a stable id.

/// A check of `stagelink doctor`.
///
/// Its id is stable, and names its section in `docs/guides/troubleshooting.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The id, such as `server-version`.
    pub id: &'static str,
    /// The facts that it looks at.
    pub looks_at: &'static str,
    /// The levels that its findings have: `error`, `warning`, or `error, warning`.
    pub levels: &'static str,
    /// The gist of its advice.
    pub advice: &'static str,
}

impl Check {
    /// Returns the anchor of the check's section in the troubleshooting guide.
    pub fn anchor(&self) -> String {
        format!("doctor-{}", self.id)
    }

    /// Returns the place of the check in the table.
    pub(super) fn position(&self) -> usize {
        let position = CHECKS.iter().position(|check| check == self);
        position.unwrap_or(CHECKS.len())
    }
}

/// Declares the checks and the table of them.
macro_rules! checks {
    ($($name:ident: $id:literal, $levels:literal, $looks_at:literal, $advice:literal;)*) => {
        $(pub(super) const $name: Check = Check {
            id: $id,
            looks_at: $looks_at,
            levels: $levels,
            advice: $advice,
        };)*

        /// All checks, in the order in which a report has them.
        pub const CHECKS: &[Check] = &[$($name),*];
    };
}

checks! {
    SETTINGS: "settings", "error",
        "the variables and `stagelink.toml`, by which the stage's database is found",
        "correct the variable or key that the message names";
    PROVIDER: "provider", "error",
        "the provider's answer",
        "try again later";
    TOKEN: "token", "error",
        "the token, and that the provider takes it",
        "make a new token";
    APPS: "apps", "error",
        "the apps that the stage has in the pipeline: one, unless `app` names it",
        "add the app to the pipeline, or name one of several";
    ATTACHMENTS: "attachments", "error",
        "the config var or answer with the database URL",
        "attach a database, or name the config var";
    CONNECT: "connect", "error",
        "a connection to the database, with its role and password",
        "follow the cause that the message names";
    SERVER_AUTH: "server-auth", "error",
        "TLS, and how the server authenticates itself",
        "pin the server's key, or give its root certificate";
    SSLMODE: "sslmode", "warning",
        "the URL's `sslmode` and `channel_binding`, where the project owns the URL",
        "add the stronger mode, which the server has just passed";
    POOLER: "pooler", "warning",
        "a transaction pooler in the way",
        "give the provider the URL of the database itself, too";
    FOLLOWER: "follower", "error",
        "a database that takes no writes",
        "use the leader's URL, or lift the read-only default";
    MARK: "mark", "error, warning",
        "the stage mark of the database",
        "`stagelink mark set`";
    OWN_DATABASE: "own-database", "error",
        "the databases of all stages, which have to be different ones",
        "give each stage a database of its own";
    ROUND_TRIPS: "round-trips", "warning",
        "the time of a round trip from this machine, the shortest of three: more than 100 ms",
        "run functions in the region of their database";
    CONNECTIONS: "connections", "error, warning",
        "the connection limit, its use, and the instances that functions may have",
        "attach a pooler, or reserve less concurrency for the functions";
    SERVER_VERSION: "server-version", "warning",
        "the server's version and its end of life",
        "upgrade the database";
    CLOCK: "clock", "warning",
        "this machine's clock against the server's and the providers': more than 30 s",
        "synchronise this machine's clock";
    LONG_TRANSACTIONS: "long-transactions", "warning",
        "transactions, also prepared ones, that have lasted longer than five minutes",
        "end the session that forgot to commit";
    TRANSACTION_ID_AGE: "transaction-id-age", "error, warning",
        "the age of the oldest transaction id that is not frozen",
        "end old transactions, and run VACUUM (FREEZE)";
    INVALID_INDEXES: "invalid-indexes", "warning",
        "indexes that a failed CREATE INDEX CONCURRENTLY has left",
        "drop them, and create them again";
    MIGRATION_FILES: "migration-files", "error",
        "the names and numbers of the project's migrations",
        "rename the files as the message says";
    MIGRATIONS: "migrations", "error, warning",
        "the migrations against the database's history: edited, missing, older, pending",
        "`stagelink migrate`";
    ARTIFACTS: "artifacts", "error, warning",
        "the functions that `stagelink build` has left in `dist`, against the database's migrations",
        "`stagelink migrate`, or build from the commit with the migrations that are applied";
    RUNNING_CODE: "running-code", "error, warning",
        "the functions of the stage's deploy, which are asked by their self-check: against the record \
         of the deploy, and against the database's migrations",
        "`stagelink migrate`, or deploy again";
    DRIFT: "drift", "warning",
        "the schema against the one that the last run of migrations left",
        "undo the change or accept it: `stagelink migrate drift STAGE --accept`";
    SITE: "site", "error",
        "the Netlify site, and the token that reads it",
        "correct the site's name, or log in";
    LINKED: "linked", "warning",
        "the stage that functions of each deploy context serve",
        "`stagelink link`, and deploy again";
    TOKEN_REACH: "token-reach", "error",
        "the Heroku tokens of functions outside of production, which must not read production's \
         config vars, nor a preview's staging's",
        "give the stage a token of an account that can access its own apps alone";
    LEFTOVER_URL: "leftover-url", "error, warning",
        "a `DATABASE_URL` that functions of the site still get",
        "remove the value as the message says";
    VARIABLES_SIZE: "variables-size", "warning",
        "the size of the variables of each context: AWS Lambda allows 4 kB",
        "remove what functions do not read";
    DEPLOYS_LOCKED: "deploys-locked", "warning",
        "a lock that keeps new deploys of production from being published",
        "unlock the published deploy";
    DEPLOYS_BY_API: "deploys-by-api", "warning",
        "a site that refuses production deploys by the command line",
        "allow them in the site's settings, or deploy from Git";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_fit_an_anchor() {
        let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(ids.iter().all(|id| id.chars().all(is_plain)));
    }
}
