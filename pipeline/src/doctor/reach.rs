//! The checks of the way to a stage's database: those that its provider has on this way, and the
//! SDK's error as the finding.

use stagelink::{ErrorKind, HerokuApp, Phase, ProviderSettings, Settings};

use crate::doctor::check::{
    APPS, ATTACHMENTS, CONNECT, CONNECTIONS, Check, FOLLOWER, MARK, PROVIDER, SERVER_AUTH,
    SETTINGS, TOKEN,
};
use crate::doctor::verdict::Verdict;
use crate::settings_file::StageProvider;

/// The way to a stage's database, by the source of its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// An app of a Heroku pipeline.
    Pipeline,
    /// A Heroku app that the settings name.
    App,
    /// The API of another provider.
    Api,
    /// A URL or credentials in the settings, or a source that this version does not know.
    Fixed,
    /// The settings cannot be used, and no settings file names the source.
    Unknown,
}

impl Way {
    /// Returns the way of a stage whose settings cannot be used, by the provider that the settings file
    /// names.
    pub(super) fn of_file(named: Option<&StageProvider>) -> Self {
        match named {
            None => Self::Unknown,
            Some(StageProvider::Heroku { .. }) => Self::Pipeline,
            Some(StageProvider::Neon { .. } | StageProvider::Render { .. }) => Self::Api,
            Some(StageProvider::Url { .. }) => Self::Fixed,
        }
    }

    /// Returns the way of a stage with these settings.
    pub(super) fn of(settings: &Settings) -> Self {
        match &settings.provider {
            // Credentials from deploy time come first.
            _ if settings.deploy_time.is_some() => Self::Fixed,
            Some(ProviderSettings::Heroku(heroku)) => match &heroku.app {
                HerokuApp::InPipeline { .. } => Self::Pipeline,
                _ => Self::App,
            },
            Some(ProviderSettings::Neon(_) | ProviderSettings::Render(_)) => Self::Api,
            _ => Self::Fixed,
        }
    }

    /// Returns the checks on the way to a connection, in their order.
    pub(super) fn checks(self) -> &'static [Check] {
        match self {
            Self::Pipeline | Self::Unknown => {
                &[SETTINGS, PROVIDER, TOKEN, APPS, ATTACHMENTS, CONNECT]
            }
            Self::App | Self::Api => &[SETTINGS, PROVIDER, TOKEN, ATTACHMENTS, CONNECT],
            Self::Fixed => &[SETTINGS, CONNECT],
        }
    }

    fn is_at_heroku(self) -> bool {
        matches!(self, Self::Pipeline | Self::App)
    }
}

/// Judges the way to a database that was not reached: the check that the error belongs to, and those
/// before it, which are sound.
pub(super) fn judge_failure(error: &stagelink::Error, way: Way) -> Vec<(Check, Verdict)> {
    let (check, advice) = cause(error.kind(), way);
    let failed = Verdict::error(error.report(), advice);
    // The session is there only where its facts are what is wrong.
    let is_connected = [MARK, FOLLOWER].contains(&check);
    let before = way.checks().iter();
    let before = before
        .filter(|before| before.position() < check.position())
        .filter(|before| **before != CONNECT || is_connected);
    let sound = before.map(|before| (*before, Verdict::sound("passed")));
    sound.chain([(check, failed)]).collect()
}

/// Judges the way to a database that was reached.
pub(super) fn judge_success(way: Way, origin: &str, server: &str) -> Vec<(Check, Verdict)> {
    let source = match way.checks().contains(&ATTACHMENTS) {
        true => ATTACHMENTS,
        false => SETTINGS,
    };
    let checks = way.checks().iter();
    checks
        .map(|check| {
            let seen = match *check {
                CONNECT => server,
                check if check == source => origin,
                _ => "passed",
            };
            (*check, Verdict::sound(seen))
        })
        .collect()
}

/// The check that an error belongs to, with advice where the error's own text may have none.
fn cause(kind: ErrorKind, way: Way) -> (Check, &'static str) {
    match kind {
        ErrorKind::Settings | ErrorKind::Stage => (SETTINGS, CORRECT_SETTINGS),
        ErrorKind::DatabaseUrl | ErrorKind::NoDatabase if way == Way::Fixed => {
            (SETTINGS, CORRECT_SETTINGS)
        }
        ErrorKind::App => (
            APPS,
            "give the stage one app in the pipeline, or name one of several as `app` in \
             stagelink.toml",
        ),
        ErrorKind::DatabaseUrl | ErrorKind::NoDatabase if way.is_at_heroku() => (
            ATTACHMENTS,
            "attach a database to the app (`heroku addons:attach`, `heroku addons:create \
             heroku-postgresql`), or name its config var as `heroku.config_var` in stagelink.toml",
        ),
        ErrorKind::DatabaseUrl | ErrorKind::NoDatabase => (
            ATTACHMENTS,
            "create the database at the provider, or correct its name, or that of its project, \
             branch or role, in stagelink.toml",
        ),
        ErrorKind::ProviderRefused if way.is_at_heroku() => (
            TOKEN,
            "log in (`heroku login`), or set a token that reads the stage: `heroku \
             authorizations:create --scope read-protected`; if Heroku did not find a pipeline or \
             app, correct its name in stagelink.toml",
        ),
        ErrorKind::ProviderRefused => (
            TOKEN,
            "set the provider's API key that the message names to one that reads the stage's \
             database; if the provider did not find something, correct its name or id in \
             stagelink.toml",
        ),
        ErrorKind::RateLimited
        | ErrorKind::ProviderUnavailable
        | ErrorKind::Timeout(Phase::Resolve) => (
            PROVIDER,
            "try again in a few minutes; the provider's status page says more",
        ),
        ErrorKind::ServerNotAuthenticated => (
            SERVER_AUTH,
            "do what the message says; where it says nothing else, set STAGELINK_ROOT_CERTIFICATES to the \
             server's root certificate, or STAGELINK_SERVER_PIN to its key",
        ),
        ErrorKind::TooManyConnections if way.is_at_heroku() => (
            CONNECTIONS,
            "end sessions that nothing needs (`heroku pg:killall` ends all), attach a pooler, or \
             take a larger plan",
        ),
        ErrorKind::TooManyConnections => (
            CONNECTIONS,
            "end sessions that nothing needs, put a pooler before the server, or raise its limit",
        ),
        ErrorKind::WrongDatabase => (MARK, "let the role read pg_catalog.pg_db_role_setting"),
        ErrorKind::DatabaseReadOnly => (FOLLOWER, "use the URL of the leader"),
        ErrorKind::DatabaseRefused => (
            CONNECT,
            "take the current password from the provider: for a fixed URL, set the variable anew",
        ),
        ErrorKind::DatabaseMissing if way == Way::Fixed => {
            (CONNECT, "correct the database's name in the URL")
        }
        ErrorKind::DatabaseMissing => (
            CONNECT,
            "attach another database, or correct its name at the provider: its URL leads to none",
        ),
        _ => (
            CONNECT,
            "check that the server runs and that its address is reachable from this machine",
        ),
    }
}

const CORRECT_SETTINGS: &str = "correct the variable or key that the message names";

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ErrorKind, way: Way) -> Vec<(Check, Verdict)> {
        judge_failure(&stagelink::Error::new(kind, "it failed"), way)
    }

    #[test]
    fn checks_before_the_failed_one_are_sound_if_the_way_has_them() {
        use ErrorKind::{
            App, DatabaseReadOnly, DatabaseUnreachable, DatabaseUrl, ProviderRefused,
            ServerNotAuthenticated, Timeout, TooManyConnections,
        };
        let to_attachments = "settings provider token apps attachments";
        for (kind, way, expected) in [
            (ErrorKind::Settings, Way::Pipeline, "settings".to_owned()),
            (
                ProviderRefused,
                Way::Pipeline,
                "settings provider token".to_owned(),
            ),
            (
                App,
                Way::Pipeline,
                "settings provider token apps".to_owned(),
            ),
            (
                DatabaseUnreachable,
                Way::Pipeline,
                format!("{to_attachments} connect"),
            ),
            // No session was opened.
            (
                TooManyConnections,
                Way::Pipeline,
                format!("{to_attachments} connections"),
            ),
            (
                ServerNotAuthenticated,
                Way::Pipeline,
                format!("{to_attachments} server-auth"),
            ),
            (
                DatabaseReadOnly,
                Way::Pipeline,
                format!("{to_attachments} connect follower"),
            ),
            (
                DatabaseUnreachable,
                Way::Fixed,
                "settings connect".to_owned(),
            ),
            (
                TooManyConnections,
                Way::Fixed,
                "settings connections".to_owned(),
            ),
            (DatabaseUrl, Way::Fixed, "settings".to_owned()),
            (
                DatabaseUrl,
                Way::Api,
                "settings provider token attachments".to_owned(),
            ),
            (
                Timeout(Phase::Resolve),
                Way::Api,
                "settings provider".to_owned(),
            ),
            (App, Way::App, "settings provider token apps".to_owned()),
        ] {
            let found = failed(kind, way);
            let ids: Vec<_> = found.iter().map(|(check, _)| check.id).collect();
            assert_eq!(ids.join(" "), expected);
            let (last, before) = found.split_last().unwrap();
            assert_eq!(last.1.findings().len(), 1);
            let mut before = before.iter();
            assert!(before.all(|(_, verdict)| matches!(verdict, Verdict::Sound(_))));
        }
    }

    #[test]
    fn advice_is_for_the_stages_own_provider() {
        for kind in [
            ErrorKind::DatabaseUrl,
            ErrorKind::ProviderRefused,
            ErrorKind::TooManyConnections,
        ] {
            for (way, is_at_heroku) in [
                (Way::Pipeline, true),
                (Way::App, true),
                (Way::Api, false),
                (Way::Fixed, false),
            ] {
                let found = failed(kind, way);
                let advice = &found.last().unwrap().1.findings()[0].advice;
                assert_eq!(advice.contains("heroku"), is_at_heroku, "{advice}");
            }
        }
    }

    #[test]
    fn success_names_the_checks_of_the_way_alone() {
        for (way, expected) in [
            (
                Way::Pipeline,
                "settings provider token apps attachments connect",
            ),
            (Way::App, "settings provider token attachments connect"),
            (Way::Fixed, "settings connect"),
        ] {
            let found = judge_success(way, "STAGING_URL", "h:5432");
            let ids: Vec<_> = found.iter().map(|(check, _)| check.id).collect();
            assert_eq!(ids.join(" "), expected);
            let origin = Verdict::sound("STAGING_URL");
            assert!(found.iter().any(|(_, verdict)| *verdict == origin));
        }
    }
}
