//! The plan to link a site: data to be shown, and the changes that it stands for.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use stagelink::Stage;

use crate::error::{Error, ErrorKind};
use crate::link::context_plan::{
    ContextPlan, DesiredVariable, FORMER_CREDENTIALS, desired_variables,
};
use crate::link::diff::{Change, diff};
use crate::link::look_up::{SiteVariables, StageDatabase};
use crate::link::prove::ProvedTokens;
use crate::link::request::LinkRequest;
use crate::netlify::{DeployContext, FUNCTIONS_SCOPE};

/// A plan to link a site. It holds no secret but in its [`changes`](Self::changes), which are not
/// serialized.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LinkPlan {
    /// The site's name.
    pub site: String,
    /// The scope of the variables, where Netlify's plan has scopes.
    pub scopes: Option<&'static str>,
    /// The stages that have a database.
    pub stages: Vec<StageSummary>,
    /// The variables of all linked contexts, and all values that go.
    pub variables: Vec<PlannedVariable>,
    /// Advice for the operator.
    pub notes: Vec<String>,
    #[serde(skip)]
    changes: Vec<Change>,
    #[serde(skip)]
    contexts: Vec<(DeployContext, Stage)>,
}

/// A stage's database, as a plan shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StageSummary {
    /// The stage.
    #[serde(serialize_with = "display")]
    pub stage: Stage,
    /// The database's name.
    pub database: String,
    /// The server, as `host:port`.
    pub server: String,
    /// The origin of the credentials.
    pub credentials: String,
    /// True if the database is marked as this stage's.
    pub is_marked: bool,
    /// The proof of the server's identity.
    pub proved_by: String,
}

/// A variable in one context, as a plan shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedVariable {
    /// The context.
    pub context: DeployContext,
    /// The stage that the context serves, where it is linked.
    #[serde(serialize_with = "display_option")]
    pub stage: Option<Stage>,
    /// The variable's name.
    pub variable: String,
    /// The value. `None` for a secret, and for a value that goes.
    pub value: Option<String>,
    /// True if the value is a secret.
    pub is_secret: bool,
    /// The change to the value.
    pub change: VariableChange,
}

/// The change to a variable's value in one context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VariableChange {
    /// The value stays.
    Unchanged,
    /// The context gets its first value.
    New,
    /// The value becomes another one.
    Changed,
    /// A secret is set again. The old one cannot be read, so it may be the same.
    SetAgain,
    /// The value goes.
    Removed,
}

impl LinkPlan {
    /// Makes the plan, without a request to anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when a secret would have to be sent again that cannot be read, and
    /// [`ErrorKind::Isolation`] when a context other than production's would get a secret of
    /// production's.
    pub fn new(
        request: &LinkRequest,
        site: &SiteVariables,
        databases: &[StageDatabase],
        tokens: &ProvedTokens,
    ) -> Result<Self, Error> {
        let contexts = ContextPlan::all(request, databases, tokens);
        let desired = desired_variables(&contexts, site);
        let mut changes = Vec::new();
        for desired in &desired {
            changes.extend(diff(site.own(desired.key), desired, request.has_scopes)?);
        }
        ensure_no_production_secret(&changes, &production_secrets(request, databases))?;
        Ok(Self {
            site: site.name.clone(),
            scopes: request.has_scopes.then_some(FUNCTIONS_SCOPE),
            stages: databases.iter().map(StageSummary::new).collect(),
            variables: planned_variables(&contexts, &desired, &changes, site),
            notes: notes(&contexts, databases, site, request.has_scopes),
            changes,
            contexts: request.contexts.clone(),
        })
    }

    /// The changes, in the order in which they are made.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The stage that a context serves, where it is linked.
    pub fn stage_of(&self, context: &DeployContext) -> Option<Stage> {
        let own = self.contexts.iter().find(|(own, _)| own == context);
        own.map(|(_, stage)| *stage)
    }
}

impl StageSummary {
    fn new(found: &StageDatabase) -> Self {
        let info = found.info();
        Self {
            stage: info.stage,
            database: info.database.clone(),
            server: info.server.clone(),
            credentials: found.credentials.origin().to_owned(),
            is_marked: found.is_marked(),
            proved_by: info.server_auth.to_string(),
        }
    }
}

impl VariableChange {
    /// The change in a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::New => "new",
            Self::Changed => "changed",
            Self::SetAgain => "set again",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for VariableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for VariableChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Makes sure that no secret of production's is sent for a context that does not serve production,
/// as it is or percent-encoded.
fn ensure_no_production_secret(changes: &[Change], secrets: &[SecretString]) -> Result<(), Error> {
    for change in changes {
        for (context, value) in change.sent_values() {
            let value = value.expose_secret();
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            let holds_secret = secrets
                .iter()
                .map(ExposeSecret::expose_secret)
                .any(|secret| {
                    let occurs = value.contains(secret) || decoded.contains(secret);
                    !secret.is_empty() && occurs
                });
            if holds_secret && *context != DeployContext::Production {
                return Err(Error::new(
                    ErrorKind::Isolation,
                    format!(
                        "{} for the context {context} would hold a secret of production's: \
                         nothing was set; check --app and --token-for",
                        change.key()
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The secrets that no context but production's may get.
fn production_secrets(request: &LinkRequest, databases: &[StageDatabase]) -> Vec<SecretString> {
    let production = databases
        .iter()
        .filter(|found| found.stage() == Stage::Production)
        .flat_map(|found| found.credentials.secrets());
    let token = request.tokens.get(&Stage::Production);
    production
        .chain(token.map(|access| access.token.clone()))
        .collect()
}

fn planned_variables(
    contexts: &[ContextPlan<'_>],
    desired: &[DesiredVariable],
    changes: &[Change],
    site: &SiteVariables,
) -> Vec<PlannedVariable> {
    let mut variables = Vec::new();
    for plan in contexts {
        for of in desired {
            let value = of.values.iter().find(|(own, _)| own == plan.context);
            let Some((_, value)) = value else {
                continue;
            };
            let is_sent = changes.iter().any(|change| {
                let mut sent = change.sent_values().into_iter();
                change.key() == of.key && sent.any(|(own, _)| own == plan.context)
            });
            let current = site.own(of.key);
            variables.push(PlannedVariable {
                context: plan.context.clone(),
                stage: Some(plan.stage),
                variable: of.key.to_owned(),
                value: (!of.is_secret).then(|| value.expose_secret().to_owned()),
                is_secret: of.is_secret,
                change: match current.and_then(|variable| variable.value_for(plan.context)) {
                    _ if !is_sent => VariableChange::Unchanged,
                    None => VariableChange::New,
                    Some(_) if of.is_secret => VariableChange::SetAgain,
                    Some(_) => VariableChange::Changed,
                },
            });
        }
    }
    for change in changes {
        for context in change.removed_contexts() {
            let linked = contexts.iter().find(|plan| plan.context == context);
            variables.push(PlannedVariable {
                context: context.clone(),
                stage: linked.map(|plan| plan.stage),
                variable: change.key().to_owned(),
                value: None,
                is_secret: false,
                change: VariableChange::Removed,
            });
        }
    }
    variables
}

fn notes(
    contexts: &[ContextPlan<'_>],
    databases: &[StageDatabase],
    site: &SiteVariables,
    has_scopes: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    for found in databases.iter().filter(|found| !found.is_marked()) {
        let stage = found.stage();
        notes.push(format!(
            "the database of stage {stage} is not marked: run `stagelink mark set --stage {stage}` \
             and link again, and functions refuse any other database"
        ));
    }
    for plan in contexts {
        notes.extend(note_on_token(plan).map(Cow::into_owned));
        let context = plan.context;
        if site.value_in("DATABASE_URL", context).is_some() {
            notes.push(format!(
                "the site also has a DATABASE_URL for the context {context}: which stage's it is, \
                 is not known here, and the functions can read it"
            ));
        }
    }
    if site.account.iter().any(|of| of.key == FORMER_CREDENTIALS) {
        notes.push(format!(
            "the account has a {FORMER_CREDENTIALS}, with which functions refuse to start: remove \
             it, since `stagelink link` changes the site's own variables only"
        ));
    }
    if !has_scopes {
        notes.push("the variables reach the site's builds too, and all that they run".to_owned());
    }
    notes
}

/// Advice for a context whose functions cannot ask for new credentials, or have no database.
fn note_on_token(plan: &ContextPlan<'_>) -> Option<Cow<'static, str>> {
    let stage = plan.stage;
    if *plan.context == DeployContext::BranchDeploy {
        let note = "branches without a stage of their own have no database; give one a stage with \
                    --staging-branch";
        return Some(note.into());
    }
    if plan.has_token() {
        return None;
    }
    Some(match (stage, plan.database) {
        (Stage::Review, None) => "previews have no database: for the review app of each pull \
             request give them a token with --token-for review=VARIABLE"
            .into(),
        _ => format!(
            "stage {stage} has no token: link again after its password was rotated, or give it \
             one with --token-for {stage}=VARIABLE"
        )
        .into(),
    })
}

fn display<S: Serializer>(value: impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value)
}

fn display_option<S: Serializer>(
    value: &Option<impl fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_production_goes_to_production_alone() {
        let secrets = ["c4n4ry!".into()];
        let to = |context, value: &str| {
            let change = Change::Create {
                key: "KEY".to_owned(),
                is_secret: true,
                values: vec![(context, value.into())],
            };
            ensure_no_production_secret(&[change], &secrets)
        };
        for value in [
            "staging=postgres://c4n4ry!@h/d",
            "staging=postgres://c4n4ry%21@h/d",
        ] {
            assert!(to(DeployContext::Production, value).is_ok());
            for context in [
                DeployContext::DeployPreview,
                DeployContext::BranchDeploy,
                DeployContext::All,
                DeployContext::Branch("x".into()),
            ] {
                let error = to(context, value).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Isolation);
                assert!(!format!("{error:?}").contains("c4n4ry"));
            }
        }
        assert!(to(DeployContext::All, "staging=postgres://other@h/d").is_ok());
    }
}
