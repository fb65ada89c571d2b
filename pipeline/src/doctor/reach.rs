//! The checks that a stage's database was not reached for: the SDK's error is the finding.

use stagelink::ErrorKind;

use crate::doctor::check::{
    APPS, ATTACHMENTS, CONNECT, CONNECTIONS, Check, FOLLOWER, MARK, PROVIDER, SERVER_AUTH,
    SETTINGS, TOKEN,
};
use crate::doctor::verdict::Verdict;

/// The checks of the way to a stage's database, in their order.
const WAY: [Check; 7] = [
    SETTINGS,
    PROVIDER,
    TOKEN,
    APPS,
    ATTACHMENTS,
    CONNECT,
    SERVER_AUTH,
];

/// Judges the way to a database that was not reached: the check that the error belongs to, and those
/// before it, which are sound.
pub(super) fn judge_failure(error: &stagelink::Error) -> Vec<(Check, Verdict)> {
    let (check, advice) = cause(error.kind());
    let failed = Verdict::error(error.report(), advice);
    // The server's proof comes last, and no failure beyond it is on this way.
    let before = WAY
        .iter()
        .take_while(|before| **before != check && **before != SERVER_AUTH);
    let sound = before.map(|before| (*before, Verdict::sound("passed")));
    sound.chain([(check, failed)]).collect()
}

/// Judges the way to a database that was reached.
pub(super) fn judge_success(origin: &str, server: &str) -> Vec<(Check, Verdict)> {
    let sound = |seen: &str| Verdict::sound(seen);
    let way = WAY.iter().filter(|check| **check != SERVER_AUTH);
    way.map(|check| {
        let seen = match *check {
            ATTACHMENTS => origin,
            CONNECT => server,
            _ => "passed",
        };
        (*check, sound(seen))
    })
    .collect()
}

/// The check that an error belongs to, with advice where the error's own text may have none.
fn cause(kind: ErrorKind) -> (Check, &'static str) {
    match kind {
        ErrorKind::Settings | ErrorKind::Stage => (
            SETTINGS,
            "correct the variable or key that the message names",
        ),
        ErrorKind::App => (
            APPS,
            "give the stage one app in the pipeline, or name one of several as `app` in \
             stagelink.toml",
        ),
        ErrorKind::DatabaseUrl | ErrorKind::NoDatabase => (
            ATTACHMENTS,
            "attach a database to the app (`heroku addons:attach`, `heroku addons:create \
             heroku-postgresql`), or name its config var as `heroku.config_var` in stagelink.toml",
        ),
        ErrorKind::ProviderRefused => (
            TOKEN,
            "log in (`heroku login`), or set a token that reads the stage: `heroku \
             authorizations:create --scope read-protected`",
        ),
        ErrorKind::RateLimited | ErrorKind::ProviderUnavailable => (
            PROVIDER,
            "try again in a few minutes; the provider's status page says more",
        ),
        ErrorKind::ServerNotAuthenticated => (
            SERVER_AUTH,
            "set STAGELINK_ROOT_CERTIFICATES to the server's root certificate, or \
             STAGELINK_SERVER_PIN to its key",
        ),
        ErrorKind::TooManyConnections => (
            CONNECTIONS,
            "end sessions that nothing needs (`heroku pg:killall` ends all), attach a pooler, or \
             take a larger plan",
        ),
        ErrorKind::WrongDatabase => (MARK, "let the role read pg_catalog.pg_db_role_setting"),
        ErrorKind::DatabaseReadOnly => (FOLLOWER, "use the URL of the leader"),
        ErrorKind::DatabaseRefused => (
            CONNECT,
            "take the current password from the provider: for a fixed URL, set the variable anew",
        ),
        ErrorKind::DatabaseMissing => (CONNECT, "correct the database's name in the URL"),
        _ => (
            CONNECT,
            "check that the server runs and that its address is reachable from this machine",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_before_the_failed_one_are_sound() {
        for (kind, expected) in [
            (ErrorKind::Settings, vec!["settings"]),
            (
                ErrorKind::ProviderRefused,
                vec!["settings", "provider", "token"],
            ),
            (
                ErrorKind::App,
                vec!["settings", "provider", "token", "apps"],
            ),
            (
                ErrorKind::DatabaseUnreachable,
                vec![
                    "settings",
                    "provider",
                    "token",
                    "apps",
                    "attachments",
                    "connect",
                ],
            ),
            (
                ErrorKind::TooManyConnections,
                vec![
                    "settings",
                    "provider",
                    "token",
                    "apps",
                    "attachments",
                    "connect",
                    "connections",
                ],
            ),
        ] {
            let found = judge_failure(&stagelink::Error::new(kind, "it failed"));
            let ids: Vec<_> = found.iter().map(|(check, _)| check.id).collect();
            assert_eq!(ids, expected);
            let (last, before) = found.split_last().unwrap();
            assert_eq!(last.1.findings().len(), 1);
            assert!(
                before
                    .iter()
                    .all(|(_, verdict)| verdict.findings().is_empty())
            );
        }
    }
}
