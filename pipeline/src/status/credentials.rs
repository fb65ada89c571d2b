//! The credentials of a stage's functions: from deploy time, or from a provider.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use stagelink::{ProviderChoice, Stage};

use crate::netlify::{DeployContext, FunctionVariable, Variable, function_variables};
use crate::status::deploy::DeployStatus;
use crate::status::lookup::Lookup;
use crate::status::site::SiteFacts;

/// The way in which a stage's functions on Netlify get their credentials, by the variables that a
/// deploy would get now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionCredentials {
    /// `deploy-time`, or the provider that they ask: `heroku`, `neon`, `render`, `url`; `refused` where
    /// functions refuse their variables.
    pub source: String,
    /// The reason why functions refuse their variables.
    pub refusal: Option<String>,
    /// The provider that functions ask once credentials from deploy time have gone stale.
    pub renewed_by: Option<String>,
    /// The reason why that provider is not known: variables of the account could not be read, which
    /// may name one, or the variable that names it is a secret.
    pub renewed_by_not_known: Option<String>,
    /// When the variable that holds the credentials was last changed, in the format of RFC 3339, in
    /// whatever context. Only for `deploy-time` and `url`.
    pub changed_at: Option<String>,
    /// True if that variable has values for several contexts, whose changes Netlify does not tell
    /// apart.
    #[serde(default)]
    pub has_other_contexts: bool,
    /// True if that was after the stage's deploy was created, which keeps the older value. `None` where
    /// it is not known, such as where the value of another context may be the one that was changed.
    pub is_newer_than_deploy: Option<bool>,
}

/// Returns how functions of a stage, in its context, get their credentials.
pub(super) fn of_functions(
    site: &SiteFacts,
    stage: Stage,
    context: &DeployContext,
    deploy: Option<&DeployStatus>,
) -> Lookup<FunctionCredentials> {
    let own = match &site.own {
        Lookup::Known { value } => value,
        other => return other.without_value(|_| Lookup::absent("")),
    };
    of_variables((stage, context), own, &site.account, deploy)
}

/// Returns how functions of a stage, in its context, get their credentials in a new deploy.
pub(crate) fn credentials_of_functions(
    place: (Stage, &DeployContext),
    own: &[Variable],
    account: &Lookup<Vec<Variable>>,
) -> Lookup<FunctionCredentials> {
    of_variables(place, own, account, None)
}

fn of_variables(
    (stage, context): (Stage, &DeployContext),
    own: &[Variable],
    account: &Lookup<Vec<Variable>>,
    deploy: Option<&DeployStatus>,
) -> Lookup<FunctionCredentials> {
    let of_account = account.value().map(Vec::as_slice);
    let mut variables = function_variables(context, own, of_account.unwrap_or_default());
    variables.retain(is_set);
    let named = |name: &str| variables.iter().find(|it| it.variable.key == name);
    let deploy_time = named("STAGELINK_CREDENTIALS");
    // A variable of the account may come before what the site has: no other one chooses beside
    // STAGELINK_PROVIDER, and none replaces the site's own.
    let unread = match account {
        Lookup::NotKnown { reason } => Some(reason),
        _ => None,
    };
    let unread_provider = unread.filter(|_| named("STAGELINK_PROVIDER").is_none());
    let texts = variables.iter().map(|it| {
        let text = it.value.text.as_ref().map(ExposeSecret::expose_secret);
        (it.variable.key.as_str(), text)
    });
    let choice = match (ProviderChoice::of_variables(stage, texts), unread_provider) {
        (Ok(choice), _) => choice,
        (Err(_), Some(reason)) => return Lookup::not_known(reason),
        (Err(error), None) => return Lookup::known(FunctionCredentials::refused(&error)),
    };
    let Some(deploy_time) = deploy_time else {
        return match (unread, choice) {
            (Some(reason), _) => Lookup::not_known(reason),
            (None, ProviderChoice::Asked { provider, .. }) => {
                let holder = named("DATABASE_URL").filter(|_| provider == "url");
                Lookup::known(FunctionCredentials::new(provider, holder, deploy))
            }
            (
                None,
                ProviderChoice::Ignored {
                    variable, provider, ..
                },
            ) => Lookup::absent(format!(
                "functions of the context {context} ignore {variable}, which knows one database \
                     whatever the stage, unless STAGELINK_PROVIDER is {provider}"
            )),
            (None, ProviderChoice::Unknown) => Lookup::not_known(SECRET_PROVIDER),
            (None, _) => Lookup::absent(format!(
                "functions of the context {context} have no variable that leads to a database"
            )),
        };
    };
    let mut found = FunctionCredentials::new(DEPLOY_TIME, Some(deploy_time), deploy);
    match (unread_provider, choice) {
        (Some(reason), _) => found.renewed_by_not_known = Some(reason.clone()),
        (None, ProviderChoice::Unknown) => {
            found.renewed_by_not_known = Some(SECRET_PROVIDER.to_owned());
        }
        (None, ProviderChoice::Asked { provider, .. }) => {
            found.renewed_by = Some(provider.to_owned());
        }
        (None, _) => {}
    }
    Lookup::known(found)
}

impl FunctionCredentials {
    /// `holder` is the variable that holds the credentials.
    fn new(
        source: &str,
        holder: Option<&FunctionVariable<'_>>,
        deploy: Option<&DeployStatus>,
    ) -> Self {
        let changed_at = holder.and_then(|it| it.variable.updated_at.clone());
        let has_other_contexts = holder.is_some_and(|it| it.variable.values.len() > 1);
        let is_newer = is_after(
            changed_at.as_deref(),
            deploy.and_then(|deploy| deploy.created_at.as_deref()),
        );
        Self {
            source: source.to_owned(),
            refusal: None,
            renewed_by: None,
            renewed_by_not_known: None,
            is_newer_than_deploy: is_newer.filter(|is_newer| !(*is_newer && has_other_contexts)),
            has_other_contexts,
            changed_at,
        }
    }

    fn refused(error: &stagelink::Error) -> Self {
        Self {
            refusal: Some(error.report().to_string()),
            ..Self::new(REFUSED, None, None)
        }
    }
}

/// Returns whether a variable counts as set: functions take an empty one for none.
fn is_set(found: &FunctionVariable<'_>) -> bool {
    let text = found.value.text.as_ref();
    text.is_none_or(|text| !text.expose_secret().trim().is_empty())
}

/// Returns whether one time is after another, where both are known.
fn is_after(one: Option<&str>, other: Option<&str>) -> Option<bool> {
    let one: jiff::Timestamp = one?.parse().ok()?;
    let other: jiff::Timestamp = other?.parse().ok()?;
    Some(one > other)
}

const DEPLOY_TIME: &str = "deploy-time";

const REFUSED: &str = "refused";

const SECRET_PROVIDER: &str =
    "STAGELINK_PROVIDER is a secret on Netlify, which does not show its value";

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

    const PRODUCTION: (Stage, &DeployContext) = (Stage::PRODUCTION, &DeployContext::Production);

    const KEY: (&str, Option<&str>) = ("HEROKU_API_KEY", None);

    /// The credentials of production's functions on a site whose account has no variables.
    fn credentials(
        variables: &[Variable],
        created_at: Option<&str>,
    ) -> Lookup<FunctionCredentials> {
        let json = format!(
            r#"{{"id":"1","created_at":"{}"}}"#,
            created_at.unwrap_or("")
        );
        let deploy = DeployStatus::of(serde_json::from_str(&json).unwrap());
        of_variables(
            PRODUCTION,
            variables,
            &Lookup::known(Vec::new()),
            Some(&deploy),
        )
    }

    #[test]
    fn source_is_told_by_the_variables() {
        let pipeline = ("STAGELINK_HEROKU_PIPELINE", Some("shop"));
        let deploy_time = ("STAGELINK_CREDENTIALS", None);
        let url = ("DATABASE_URL", None);
        let chosen = ("STAGELINK_PROVIDER", Some("url"));
        let branch = ("STAGELINK_NEON_BRANCH", Some("br-1"));
        for (variables, source, renewed_by) in [
            (&[pipeline, KEY][..], "heroku", None),
            (&[deploy_time], "deploy-time", None),
            (&[deploy_time, pipeline, KEY], "deploy-time", Some("heroku")),
            (&[deploy_time, url], "deploy-time", None),
            (&[deploy_time, branch], "deploy-time", None),
            (&[deploy_time, url, chosen], "deploy-time", Some("url")),
            (&[url], "url", None),
            // What functions refuse is no source of theirs.
            (&[pipeline, KEY, url], "refused", None),
            (&[deploy_time, pipeline, KEY, url], "refused", None),
            (
                &[pipeline, KEY, ("STAGELINK_PROVIDER", Some("Heroku"))],
                "refused",
                None,
            ),
            (&[branch], "refused", None),
            (&[pipeline], "refused", None),
        ] {
            let found = credentials(&of_site(variables), None);
            let found = found
                .value()
                .unwrap_or_else(|| panic!("{variables:?}: {found:?}"));
            assert_eq!(found.source, source, "{variables:?}");
            assert_eq!(found.renewed_by.as_deref(), renewed_by, "{variables:?}");
            assert_eq!(found.refusal.is_some(), source == "refused");
        }
        for variables in [&[("OTHER", Some("x"))][..], &[("DATABASE_URL", Some(" "))]] {
            let found = credentials(&of_site(variables), None);
            assert!(matches!(found, Lookup::Absent { .. }), "{found:?}");
        }
    }

    #[test]
    fn url_that_previews_ignore_is_no_source_of_theirs() {
        let mut url = of_site(&[("DATABASE_URL", None)]);
        url[0].values[0].context = DeployContext::All;
        let preview = (Stage::REVIEW, &DeployContext::DeployPreview);
        let found = of_variables(preview, &url, &Lookup::known(Vec::new()), None);
        let Lookup::Absent { reason } = found else {
            panic!("{found:?}");
        };
        assert!(reason.contains("ignore DATABASE_URL"), "{reason}");
    }

    #[test]
    fn provider_whose_name_is_a_secret_is_not_known() {
        let secret = ("STAGELINK_PROVIDER", None);
        let found = credentials(&of_site(&[secret, ("DATABASE_URL", None)]), None);
        assert_eq!(found, Lookup::not_known(SECRET_PROVIDER));
        let found = credentials(&of_site(&[secret, ("STAGELINK_CREDENTIALS", None)]), None);
        let found = found.value().unwrap();
        assert_eq!(found.renewed_by_not_known.as_deref(), Some(SECRET_PROVIDER));
    }

    #[test]
    fn change_of_another_contexts_value_is_no_change_of_this_one() {
        let mut variables = of_site(&[("STAGELINK_CREDENTIALS", None)]);
        let other = VariableValue {
            context: DeployContext::Branch("staging".to_owned()),
            ..variables[0].values[0].clone()
        };
        variables[0].values.push(other);
        for (created_at, expected) in [
            ("2026-11-19T08:00:00Z", None),
            // No value was changed since.
            ("2026-11-21T08:00:00Z", Some(false)),
        ] {
            let found = credentials(&variables, Some(created_at));
            let found = found.value().unwrap();
            assert!(found.has_other_contexts);
            assert_eq!(found.is_newer_than_deploy, expected, "{created_at}");
        }
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
            let found = of_variables(PRODUCTION, &own, &account, None);
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
            (
                &[deploy_time, pipeline, KEY],
                &unread,
                None,
                Some("no access"),
            ),
            (
                &[deploy_time, pipeline, KEY, chosen],
                &unread,
                Some("heroku"),
                None,
            ),
            (&[deploy_time, pipeline, KEY], &none, Some("heroku"), None),
            (&[deploy_time], &none, None, None),
        ] {
            let own = of_site(own);
            let found = of_variables(PRODUCTION, &own, account, None);
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
            let found = credentials(&of_site(&deploy_time), created_at);
            let found = found.value().unwrap();
            assert_eq!(found.is_newer_than_deploy, expected, "{created_at:?}");
        }
    }
}
