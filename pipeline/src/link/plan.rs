//! The plan to link a site: data to be shown, and the changes that it stands for.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use stagelink::{Stage, StageKind};

use crate::api::ApiAccess;
use crate::error::{Error, ErrorKind};
use crate::link::change::Change;
use crate::link::context_plan::{
    ContextPlan, DesiredVariable, FORMER_CREDENTIALS, desired_variables,
};
use crate::link::diff::diff;
use crate::link::leak::LeakReport;
use crate::link::planned_variable::{PlannedVariable, planned_variables};
use crate::link::prove::ProvedTokens;
use crate::link::request::LinkRequest;
use crate::link::site_variables::SiteVariables;
use crate::link::stage_database::{StageDatabase, StageDatabases};
use crate::link::url_owners::UrlOwners;
use crate::link::value_finding::{ValueFinding, ensure_no_leak};
use crate::link::value_owners::ValueOwners;
use crate::link::value_place::ValuePlace;
use crate::link::variables_size;
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
    /// The values that lead to another stage's database, and those of which it is not known.
    pub findings: Vec<ValueFinding>,
    /// Advice for the operator.
    pub notes: Vec<String>,
    #[serde(skip)]
    desired: Vec<DesiredVariable>,
    #[serde(skip)]
    changes: Vec<Change>,
    #[serde(skip)]
    contexts: Vec<(DeployContext, Stage)>,
    #[serde(skip)]
    may_remove_leaks: bool,
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

impl LinkPlan {
    /// Makes the plan, without a request to anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when a secret would have to be sent again that cannot be read, or a
    /// stage's database is elsewhere than on Heroku, and
    /// [`ErrorKind::Isolation`] when a context other than production's would get a secret of
    /// production's.
    pub fn new(
        request: &LinkRequest,
        site: &SiteVariables,
        databases: &StageDatabases,
        tokens: &ProvedTokens,
        owners: &UrlOwners,
    ) -> Result<Self, Error> {
        request.ensure_not_moved(site)?;
        let contexts = ContextPlan::all(request, databases.linked(), tokens);
        let desired = desired_variables(&contexts, site);
        let mut changes = Vec::new();
        for desired in &desired {
            changes.extend(diff(site.own(desired.key), desired, request.has_scopes)?);
        }
        let desired_values = desired
            .iter()
            .flat_map(|of| of.values.iter().map(|(context, _)| (of.key, context)))
            .collect();
        let owners = ValueOwners {
            urls: owners,
            tokens: &tokens.of_site,
        };
        let LeakReport { findings, removals } =
            LeakReport::new(request, site, &mut changes, &desired_values, owners);
        // A new site is linked only once no other stage's URL is left.
        let stage = changes.iter().position(|change| change.key() == STAGE);
        let stage = stage.unwrap_or(changes.len());
        changes.splice(stage..stage, removals);
        let stages = request.known_stages().into_iter();
        let of_production = stages.filter(|stage| stage.kind() == StageKind::Production);
        let secrets = of_production.flat_map(|stage| databases.secrets(request, stage));
        let tokens_of_site = tokens.of_site.reading(StageKind::Production).cloned();
        let secrets: Vec<_> = secrets.chain(tokens_of_site).collect();
        ensure_no_production_secret(&changes, &secrets, site)?;
        Ok(Self {
            site: site.name.clone(),
            scopes: request.has_scopes.then_some(FUNCTIONS_SCOPE),
            stages: databases.linked().iter().map(StageSummary::new).collect(),
            variables: planned_variables(&contexts, &desired, &changes, site),
            findings,
            notes: notes(request, &contexts, databases, site, &changes),
            desired,
            changes,
            contexts: request.contexts.clone(),
            may_remove_leaks: request.removes_leaks,
        })
    }

    /// Lets the plan remove the leaks that it shows, which an operator has confirmed.
    pub fn confirm_removals(&mut self) {
        self.may_remove_leaks = true;
    }

    /// Makes sure that after this plan no value leads functions of a stage to another stage's
    /// database, and that the operator wants the values removed that do.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Isolation`] for a leak that the plan does not remove, or removes without
    /// [`LinkRequest::with_leaks_removed`] or [`confirm_removals`](Self::confirm_removals).
    pub fn ensure_no_leak(&self) -> Result<(), Error> {
        ensure_no_leak(&self.findings, self.may_remove_leaks)
    }

    /// Makes the changes of the plan, one after the other, and calls `on_change` before each. A
    /// run that was interrupted is completed by a new plan.
    ///
    /// # Errors
    ///
    /// Those of [`ensure_no_leak`](Self::ensure_no_leak); the error of the first change that fails,
    /// with the number of changes before it; [`ErrorKind::Settings`] when this is not the plan's
    /// site, or Netlify was not asked for it.
    pub async fn apply(
        &self,
        site: &SiteVariables,
        mut on_change: impl FnMut(&Change),
    ) -> Result<(), Error> {
        self.ensure_no_leak()?;
        let site = site.site.as_ref().filter(|site| site.name() == self.site);
        let site = site.ok_or_else(|| {
            let message = format!(
                "could not apply the plan: it is not of the site {}",
                self.site
            );
            Error::new(ErrorKind::Settings, message)
        })?;
        let changes = self.changes();
        for (made, change) in changes.iter().enumerate() {
            on_change(change);
            change
                .apply(site)
                .await
                .map_err(|error| error.context(progress(changes, made)))?;
        }
        Ok(())
    }

    /// The changes, in the order in which they are made.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The variables that the site should have after the changes, in the order in which they are
    /// set. Where the site is not known, the changes are those of a site without variables, and
    /// these say besides which values it must not have.
    pub fn desired_variables(&self) -> &[DesiredVariable] {
        &self.desired
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

/// Tells which changes were made before one failed, and which are still to be made.
fn progress(changes: &[Change], made: usize) -> String {
    let names = |changes: &[Change]| {
        let names: Vec<_> = changes.iter().map(Change::label).collect();
        match names.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        }
    };
    format!(
        "{made} of {} changes were made before this ({}), and these were not: {}; link again to \
         make all",
        changes.len(),
        names(&changes[..made]),
        names(&changes[made..])
    )
}

/// Makes sure that no secret of production's is sent for a context that does not serve production,
/// as it is or percent-encoded.
fn ensure_no_production_secret(
    changes: &[Change],
    secrets: &[SecretString],
    site: &SiteVariables,
) -> Result<(), Error> {
    for change in changes {
        let sent = change.sent_values().into_iter();
        for (context, value) in sent.filter(|(of, _)| **of != DeployContext::Production) {
            let value = value.expose_secret();
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            let mut secrets = secrets.iter().map(ExposeSecret::expose_secret);
            let holds_secret = secrets.any(|secret| {
                let occurs = value.contains(secret) || decoded.contains(secret);
                !secret.is_empty() && occurs
            });
            if !holds_secret {
                continue;
            }
            let key = change.key();
            let own = site.own(key).and_then(|own| {
                let text = own.value_for(context)?.text.as_ref()?;
                let place = ValuePlace::new(own, context, false);
                (text.expose_secret() == value).then_some(place)
            });
            return Err(Error::new(
                ErrorKind::Isolation,
                match own {
                    Some(place) => format!(
                        "{place} holds a secret of production's, and would be sent again, since \
                         {key} needs the scope of functions alone: nothing was set; {}",
                        place.removal()
                    ),
                    None => format!(
                        "{key} for the context {context} would hold a secret of production's: \
                         nothing was set; check --app and --token-for"
                    ),
                },
            ));
        }
    }
    Ok(())
}

fn notes(
    request: &LinkRequest,
    contexts: &[ContextPlan<'_>],
    databases: &StageDatabases,
    site: &SiteVariables,
    changes: &[Change],
) -> Vec<String> {
    let linked = contexts.iter().map(|plan| plan.context);
    let mut notes = variables_size::warnings(linked, site, changes);
    let left_out = |moved| format!("{moved}, so its variables are left as they are");
    notes.extend(request.moved.iter().map(left_out));
    for (stage, reason) in &databases.not_compared {
        notes.push(format!(
            "stage {stage} was not compared with the linked ones: {reason}"
        ));
    }
    for found in databases.linked().iter().filter(|found| !found.is_marked()) {
        let stage = found.stage();
        notes.push(format!(
            "the database of stage {stage} is not marked: run `stagelink mark set --stage {stage}` \
             and link again, and functions refuse any other database"
        ));
    }
    for plan in contexts {
        notes.extend(note_on_token(plan).map(Cow::into_owned));
    }
    if !site.is_known() {
        notes.push(
            "the site's variables were not read, so none of them was checked for the database URL \
             of another stage"
                .to_owned(),
        );
    } else if site.account.is_none() {
        notes.push(
            "the account's variables cannot be read with this token, so none of them was checked \
             for the database URL of another stage"
                .to_owned(),
        );
    }
    if site
        .of_account()
        .iter()
        .any(|of| of.key == FORMER_CREDENTIALS)
    {
        notes.push(format!(
            "the account has a {FORMER_CREDENTIALS}, with which functions refuse to start: remove \
             it, since `stagelink link` changes the site's own variables only"
        ));
    }
    let own = site.own.iter().chain(site.of_account());
    let names = own.map(|of| (&of.key, "set"));
    let unknown = stagelink::unknown_names(names.clone());
    if let Err(misspelled) = stagelink::ensure_known_names(names) {
        notes.push(format!("functions of the site do not start: {misspelled}"));
    }
    if !unknown.is_empty() {
        notes.push(format!(
            "functions of the site ignore variables that this version of stagelink does not know: {}",
            unknown.join(", ")
        ));
    }
    let netlify = request.netlify.as_ref();
    if request.heroku.is_on_this_machine() && !netlify.is_some_and(ApiAccess::is_on_this_machine) {
        notes.push(
            "STAGELINK_HEROKU_API_URL leads to this machine, which functions at Netlify do not \
             reach: unset it to link a site of Netlify's"
                .to_owned(),
        );
    }
    if !request.has_scopes {
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
    Some(match (stage.kind(), plan.database) {
        (StageKind::Review, None) => "previews have no database: for the review app of each pull \
             request give them a token with --token-for review=VARIABLE"
            .into(),
        _ => format!(
            "stage {stage} has no token: link again after its password was rotated, or give it \
             one with --token-for {stage}=VARIABLE"
        )
        .into(),
    })
}

/// The variable of a context's stage, which is set last.
const STAGE: &str = "STAGELINK_STAGE";

fn display<S: Serializer>(value: impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_production_goes_to_production_alone() {
        let secrets = ["c4n4ry!".into()];
        let site = SiteVariables {
            site: None,
            name: "shop-site".to_owned(),
            own: Vec::new(),
            account: None,
        };
        let to = |context, value: &str| {
            let change = Change::Create {
                key: "KEY".to_owned(),
                is_secret: true,
                values: vec![(context, value.into())],
            };
            ensure_no_production_secret(&[change], &secrets, &site)
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
