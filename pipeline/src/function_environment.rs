//! The environment variables that a stage's functions get on Netlify: names, origins and sizes.

use secrecy::ExposeSecret;
use serde::Serialize;

use crate::api::ApiAccess;
use crate::error::Error;
use crate::netlify::{DeployContext, FunctionVariable, Site, function_variables};
use crate::settings_file::is_secret_text;

/// The variables that functions of a context get, without the values of secrets.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FunctionEnvironment {
    /// The site's name.
    pub site: String,
    /// The deploy context, as the Netlify command line takes it.
    pub context: String,
    /// The variables, by their names.
    pub variables: Vec<FunctionVariableInfo>,
    /// The bytes of all names, and of all values that can be read.
    pub total_bytes: usize,
    /// The number of values that cannot be read, and so are not in the total.
    pub unreadable_values: usize,
    /// The limit of AWS Lambda for all names and values of a function.
    pub limit_bytes: usize,
    /// False where the account's variables could not be read, so that some may be missing.
    pub is_account_known: bool,
    /// Remarks on what the list cannot show.
    pub notes: Vec<String>,
}

/// A variable that functions of a context get.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FunctionVariableInfo {
    /// The name.
    pub name: String,
    /// `site`, or `account NAME` for one that all sites of the account have.
    pub origin: String,
    /// The context whose value counts, which may be a wider one, such as `all`.
    pub context: String,
    /// The scopes. Empty where the site's plan has none, so that builds get it too.
    pub scopes: Vec<String>,
    /// True for a secret, whose value Netlify does not show.
    pub is_secret: bool,
    /// The bytes of the value, where it can be read.
    pub value_bytes: Option<usize>,
    /// When one of its values was last changed, in the format of RFC 3339.
    pub updated_at: Option<String>,
    /// The value, only for settings of stagelink's that are no secret.
    pub value: Option<String>,
}

impl FunctionEnvironment {
    /// Looks up the variables that functions of a context get, in three requests.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) when Netlify does not find the site or
    /// refuses the token, [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when it does not
    /// answer.
    pub async fn look_up(
        access: &ApiAccess,
        site: &str,
        context: &DeployContext,
    ) -> Result<Self, Error> {
        let site = Site::find(access, site, true).await?;
        let (own, account) = tokio::join!(site.variables(), site.account_variables());
        let own = own?;
        // Without the account's, the site's own are a list that says what it lacks.
        let (account, unread) = match account {
            Ok(Some(account)) => (Some(account), None),
            Ok(None) => (
                None,
                Some(format!(
                    "the token has no access to the variables of the account {}, which functions get too",
                    site.account()
                )),
            ),
            Err(error) => (
                None,
                Some(format!(
                    "the variables of the account are not known, which functions get too: {}",
                    error.report()
                )),
            ),
        };
        let found = function_variables(context, &own, account.as_deref().unwrap_or_default());
        let mut environment = Self::of(&found, site.account(), account.is_some());
        environment.site = site.name().to_owned();
        environment.context = context.to_string();
        environment.notes.extend(unread);
        Ok(environment)
    }

    /// Returns whether all variables could be looked up.
    pub fn is_complete(&self) -> bool {
        self.is_account_known
    }

    fn of(found: &[FunctionVariable<'_>], account: &str, is_account_known: bool) -> Self {
        let variables: Vec<_> = found
            .iter()
            .map(|found| FunctionVariableInfo::of(found, account))
            .collect();
        let bytes = variables
            .iter()
            .map(|variable| variable.name.len() + variable.value_bytes.unwrap_or_default());
        let unreadable = variables.iter().filter(|it| it.value_bytes.is_none());
        Self {
            site: String::new(),
            context: String::new(),
            total_bytes: bytes.sum(),
            unreadable_values: unreadable.count(),
            limit_bytes: LIMIT_BYTES,
            is_account_known,
            notes: NOTES.iter().map(|&note| note.to_owned()).collect(),
            variables,
        }
    }
}

impl FunctionVariableInfo {
    fn of(found: &FunctionVariable<'_>, account: &str) -> Self {
        let variable = found.variable;
        let text = found.value.text.as_ref().map(ExposeSecret::expose_secret);
        let is_shown = |text: &&str| !variable.is_secret && is_harmless(&variable.key, text);
        Self {
            name: variable.key.clone(),
            origin: match found.is_of_account {
                true => format!("account {account}"),
                false => "site".to_owned(),
            },
            context: found.value.context.to_string(),
            scopes: variable.scopes.clone(),
            is_secret: variable.is_secret,
            value_bytes: text.map(str::len),
            updated_at: variable.updated_at.clone(),
            value: text.filter(is_shown).map(str::to_owned),
        }
    }
}

/// Returns whether a value is that of a setting which is no secret, and looks like one.
fn is_harmless(key: &str, text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=;,".contains(c);
    SHOWN.contains(&key)
        && text.len() <= MOST_SHOWN_BYTES
        && text.chars().all(is_plain)
        && !is_secret_text(text)
}

/// The settings of stagelink's whose values are shown.
const SHOWN: &[&str] = &[
    "STAGELINK_STAGE",
    "STAGELINK_PROVIDER",
    "STAGELINK_HEROKU_PIPELINE",
    "STAGELINK_HEROKU_APP",
    "STAGELINK_CONFIG_VAR",
    "STAGELINK_NEON_PROJECT",
    "STAGELINK_NEON_BRANCH",
    "STAGELINK_RENDER_POSTGRES",
    "STAGELINK_REQUIRE_MARK",
    "STAGELINK_SERVER_PIN",
    "STAGELINK_DIRECT_TLS",
    "STAGELINK_EARLY_SCRAM",
    "STAGELINK_POOLER",
    "STAGELINK_POOL_SIZE",
    "STAGELINK_IDLE_TIMEOUT_MS",
    "STAGELINK_RESOLVE_TIMEOUT_MS",
    "STAGELINK_CONNECT_TIMEOUT_MS",
    "STAGELINK_WAIT_TIMEOUT_MS",
    "STAGELINK_RETRY_TIMEOUT_MS",
    "STAGELINK_LOG_DETAIL",
];

/// The remarks on what Netlify's API does not tell.
const NOTES: [&str; 2] = [
    "Netlify sets URL, SITE_NAME, SITE_ID and others of its own, whose size is not known",
    "a deploy keeps the values that it was made with, and may have further ones of its own",
];

const MOST_SHOWN_BYTES: usize = 120;

/// The limit of AWS Lambda for all variables of a function, names and values
/// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, 2026-11). Netlify lifted it in
/// 2026 for functions on its current runtime; whether for Rust too is not known.
const LIMIT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_values_of_known_settings_are_shown() {
        for (key, text, expected) in [
            ("STAGELINK_STAGE", "staging", true),
            ("STAGELINK_SERVER_PIN", "sha256//AbC+/=", true),
            ("STAGELINK_STAGE", "postgres://u:c4n4ry@h/d", false),
            ("STAGELINK_HEROKU_APP", "HRKU-c4n4ryc4n4ryc4n4ry", false),
            ("STAGELINK_HEROKU_APP", "a b", false),
            ("STAGELINK_CREDENTIALS", "staging", false),
            ("OTHER", "staging", false),
        ] {
            assert_eq!(is_harmless(key, text), expected, "{key} {text}");
        }
    }
}
