//! The credentials of a stage's functions: from deploy time, or from a provider.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::netlify::{DeployContext, FunctionVariable, Variable, function_variables};
use crate::status::deploy::DeployStatus;
use crate::status::lookup::Lookup;
use crate::status::site::SiteFacts;

/// The way in which a stage's functions on Netlify get their credentials, by the names of their
/// variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionCredentials {
    /// `deploy-time`, or the provider that they ask: `heroku`, `neon`, `render`, `url`.
    pub source: String,
    /// The provider that functions ask once credentials from deploy time have gone stale.
    pub renewed_by: Option<String>,
    /// The reason why that provider is not known: variables of the account could not be read, which
    /// may name one.
    pub renewed_by_not_known: Option<String>,
    /// When the variable that holds the credentials was last changed, in the format of RFC 3339, in
    /// whatever context. Only for `deploy-time` and `url`.
    pub changed_at: Option<String>,
    /// True if that was after the stage's deploy was created, which keeps the older value.
    pub is_newer_than_deploy: Option<bool>,
}

/// Returns how functions of a context get their credentials.
pub(super) fn of_functions(
    site: &SiteFacts,
    context: &DeployContext,
    deploy: Option<&DeployStatus>,
) -> Lookup<FunctionCredentials> {
    let own = match &site.own {
        Lookup::Known { value } => value,
        other => return other.without_value(|_| Lookup::absent("")),
    };
    of_variables(context, own, &site.account, deploy)
}

fn of_variables(
    context: &DeployContext,
    own: &[Variable],
    account: &Lookup<Vec<Variable>>,
    deploy: Option<&DeployStatus>,
) -> Lookup<FunctionCredentials> {
    let of_account = account.value().map(Vec::as_slice);
    let variables = function_variables(context, own, of_account.unwrap_or_default());
    let found = FunctionCredentials::of(&variables, deploy);
    match (found, account) {
        // A variable of the account may come before what the site has, but for credentials from
        // deploy time.
        (Some(mut found), account) if found.source == DEPLOY_TIME => {
            if let Lookup::NotKnown { reason } = account
                && !names_provider(&variables)
            {
                found.renewed_by = None;
                found.renewed_by_not_known = Some(reason.clone());
            }
            Lookup::known(found)
        }
        (_, Lookup::NotKnown { reason }) => Lookup::not_known(reason),
        (Some(found), _) => Lookup::known(found),
        (None, _) => Lookup::absent(format!(
            "functions of the context {context} have no variable that leads to a database"
        )),
    }
}

impl FunctionCredentials {
    fn of(variables: &[FunctionVariable<'_>], deploy: Option<&DeployStatus>) -> Option<Self> {
        let named = |name: &str| variables.iter().find(|it| it.variable.key == name);
        let text = |name: &str| {
            let value = named(name)?.value.text.as_ref()?.expose_secret();
            Some(value.trim().to_ascii_lowercase())
        };
        let chosen = text("STAGELINK_PROVIDER").filter(|name| is_provider(name));
        let located = LOCATIONS.iter().filter(|(_, names)| {
            let mut names = names.iter();
            names.any(|name| named(name).is_some())
        });
        let located = located.map(|(provider, _)| (*provider).to_owned());
        let deploy_time = named("STAGELINK_CREDENTIALS");
        // Beside credentials from deploy time a fixed URL is ignored unless it is chosen.
        let provider = chosen.or_else(|| {
            let mut asked = located.filter(|name| deploy_time.is_none() || name == "heroku");
            asked.next()
        });
        let (source, renewed_by) = match deploy_time {
            Some(_) => (DEPLOY_TIME.to_owned(), provider),
            None => (provider?, None),
        };
        let holder = match source.as_str() {
            DEPLOY_TIME => deploy_time,
            "url" => named("DATABASE_URL"),
            _ => None,
        };
        let changed_at = holder.and_then(|it| it.variable.updated_at.clone());
        Some(Self {
            is_newer_than_deploy: is_after(
                changed_at.as_deref(),
                deploy.and_then(|deploy| deploy.created_at.as_deref()),
            ),
            source,
            renewed_by,
            renewed_by_not_known: None,
            changed_at,
        })
    }
}

/// Returns whether `STAGELINK_PROVIDER` is among these variables, so that no other one chooses.
fn names_provider(variables: &[FunctionVariable<'_>]) -> bool {
    let mut variables = variables.iter();
    variables.any(|it| it.variable.key == "STAGELINK_PROVIDER")
}

fn is_provider(name: &str) -> bool {
    LOCATIONS.iter().any(|(provider, _)| *provider == name)
}

/// Returns whether one time is after another, where both are known.
fn is_after(one: Option<&str>, other: Option<&str>) -> Option<bool> {
    let one: jiff::Timestamp = one?.parse().ok()?;
    let other: jiff::Timestamp = other?.parse().ok()?;
    Some(one > other)
}

const DEPLOY_TIME: &str = "deploy-time";

/// The variables by which each provider finds a database.
const LOCATIONS: [(&str, &[&str]); 4] = [
    (
        "heroku",
        &["STAGELINK_HEROKU_PIPELINE", "STAGELINK_HEROKU_APP"],
    ),
    ("neon", &["STAGELINK_NEON_PROJECT"]),
    ("render", &["STAGELINK_RENDER_POSTGRES"]),
    ("url", &["DATABASE_URL"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlify::VariableValue;

    fn of_site(variables: &[(&str, Option<&str>)]) -> Vec<Variable> {
        variables
            .iter()
            .map(|(key, text)| Variable {
                key: (*key).to_owned(),
                scopes: Vec::new(),
                is_secret: text.is_none(),
                updated_at: Some("2026-11-20T08:00:00.123Z".to_owned()),
                values: vec![VariableValue {
                    id: None,
                    context: DeployContext::Production,
                    text: text.map(Into::into),
                }],
            })
            .collect()
    }

    fn credentials(
        variables: &[(&str, Option<&str>)],
        created_at: Option<&str>,
    ) -> Option<FunctionCredentials> {
        let variables = of_site(variables);
        let found = function_variables(&DeployContext::Production, &variables, &[]);
        let json = format!(
            r#"{{"id":"1","created_at":"{}"}}"#,
            created_at.unwrap_or("")
        );
        let deploy = DeployStatus::of(serde_json::from_str(&json).unwrap());
        FunctionCredentials::of(&found, Some(&deploy))
    }

    #[test]
    fn source_is_told_by_the_names_of_variables() {
        let pipeline = ("STAGELINK_HEROKU_PIPELINE", Some("shop"));
        let deploy_time = ("STAGELINK_CREDENTIALS", None);
        let url = ("DATABASE_URL", None);
        let neon = ("STAGELINK_NEON_PROJECT", Some("p"));
        let chosen = ("STAGELINK_PROVIDER", Some("url"));
        for (variables, source, renewed_by) in [
            (&[pipeline][..], "heroku", None),
            (&[deploy_time], "deploy-time", None),
            (&[deploy_time, pipeline, url], "deploy-time", Some("heroku")),
            (&[deploy_time, url], "deploy-time", None),
            (&[deploy_time, neon], "deploy-time", None),
            (&[deploy_time, url, chosen], "deploy-time", Some("url")),
            (&[neon], "neon", None),
            (&[url], "url", None),
        ] {
            let found = credentials(variables, None).unwrap();
            assert_eq!(found.source, source);
            assert_eq!(found.renewed_by.as_deref(), renewed_by, "{source}");
        }
        assert_eq!(credentials(&[("OTHER", Some("x"))], None), None);
    }

    #[test]
    fn source_is_not_known_where_the_account_may_have_another() {
        let deploy_time = || of_site(&[("STAGELINK_CREDENTIALS", None)]);
        let url = || of_site(&[("DATABASE_URL", None)]);
        let unread = || Lookup::not_known("no access");
        for (own, account, expected) in [
            (url(), unread(), Err("no access")),
            (Vec::new(), unread(), Err("no access")),
            (deploy_time(), unread(), Ok("deploy-time")),
            (url(), Lookup::known(deploy_time()), Ok("deploy-time")),
            (url(), Lookup::known(Vec::new()), Ok("url")),
        ] {
            let found = of_variables(&DeployContext::Production, &own, &account, None);
            match (&found, expected) {
                (Lookup::Known { value }, Ok(source)) => assert_eq!(value.source, source),
                (Lookup::NotKnown { reason }, Err(expected)) => assert_eq!(reason, expected),
                _ => panic!("{found:?}"),
            }
        }
    }

    #[test]
    fn provider_that_renews_is_not_known_where_the_account_may_name_one() {
        let deploy_time = ("STAGELINK_CREDENTIALS", None);
        let pipeline = ("STAGELINK_HEROKU_PIPELINE", Some("shop"));
        let chosen = ("STAGELINK_PROVIDER", Some("heroku"));
        let unread = Lookup::not_known("no access");
        let none = Lookup::known(Vec::new());
        for (own, account, renewed_by, reason) in [
            (&[deploy_time][..], &unread, None, Some("no access")),
            (&[deploy_time, pipeline], &unread, None, Some("no access")),
            (
                &[deploy_time, pipeline, chosen],
                &unread,
                Some("heroku"),
                None,
            ),
            (&[deploy_time, pipeline], &none, Some("heroku"), None),
            (&[deploy_time], &none, None, None),
        ] {
            let own = of_site(own);
            let found = of_variables(&DeployContext::Production, &own, account, None);
            let found = found.value().expect("it is known");
            assert_eq!(found.source, DEPLOY_TIME);
            assert_eq!(found.renewed_by.as_deref(), renewed_by, "{own:?}");
            assert_eq!(found.renewed_by_not_known.as_deref(), reason, "{own:?}");
        }
    }

    #[test]
    fn change_after_the_deploy_is_told() {
        let deploy_time = [("STAGELINK_CREDENTIALS", None)];
        for (created_at, expected) in [
            (Some("2026-11-19T08:00:00Z"), Some(true)),
            (Some("2026-11-21T08:00:00Z"), Some(false)),
            (None, None),
        ] {
            let found = credentials(&deploy_time, created_at).unwrap();
            assert_eq!(found.is_newer_than_deploy, expected, "{created_at:?}");
        }
    }
}
