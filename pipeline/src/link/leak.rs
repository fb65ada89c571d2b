//! The values of a site that lead functions of one stage to another stage's database: pure.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use stagelink::Stage;

use crate::error::{Error, ErrorKind};
use crate::link::change::Change;
use crate::link::request::LinkRequest;
use crate::link::url_owners::UrlOwners;
use crate::netlify::{DeployContext, Variable};

/// A value of the site or its account that reaches functions of a stage, and that is not shown to
/// be that stage's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ValueFinding {
    /// The variable's name.
    pub variable: String,
    /// The context whose value it is.
    pub context: DeployContext,
    /// True if the variable is the account's and not the site's own.
    pub is_of_account: bool,
    /// The contexts of stages in which the value applies.
    pub reaches: Vec<DeployContext>,
    /// The kind of the finding.
    pub kind: FindingKind,
    /// True if the plan removes the value.
    pub is_removed: bool,
}

/// The kinds of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A leak: the value leads to the database of these stages, or holds their secrets.
    OtherStage(#[serde(serialize_with = "display_each")] BTreeSet<Stage>),
    /// The value leads to these databases, of which no stage is known.
    UnknownDatabase(BTreeSet<String>),
    /// The value is a secret, which cannot be read.
    NotChecked,
}

/// The findings about a site, with the changes that remove leaks.
#[derive(Debug, Default)]
pub(super) struct LeakReport {
    pub(super) findings: Vec<ValueFinding>,
    pub(super) removals: Vec<Change>,
}

/// A context that serves a stage.
#[derive(Debug)]
struct StageContext {
    context: DeployContext,
    stage: Stage,
    /// True if the request links it, or the context from which it has its values.
    is_linked: bool,
}

impl LeakReport {
    /// Reports on the variables of a site as they will be after these changes. Values that the
    /// changes set are not looked at.
    ///
    /// Where a linked context has another stage's value, the value is removed. Contexts that had
    /// it from there and may have it get it as their own: those of its own stage, and a
    /// developer's machine where it is not production's.
    pub(super) fn new(
        request: &LinkRequest,
        own: &[Variable],
        account: &[Variable],
        changes: &[Change],
        owners: &UrlOwners,
    ) -> Self {
        let mut own = own.to_vec();
        let mut sent = BTreeSet::new();
        for change in changes {
            change.apply_to(&mut own);
            let contexts = change.sent_values().into_iter();
            sent.extend(contexts.map(|(context, _)| (change.key().to_owned(), context.clone())));
        }
        let contexts = stage_contexts(request, &own, account);
        let mut report = Self::default();
        loop {
            let findings = findings(&contexts, &own, account, &sent, owners);
            let removable = findings.iter().find(|leak| is_removable(leak, &contexts));
            let Some(leak) = removable else {
                report.findings.extend(findings);
                return report;
            };
            let removals = removals(leak, &contexts, &own, owners);
            if removals.is_empty() {
                // The API has no id for the value.
                report.findings.extend(findings);
                return report;
            }
            for change in &removals {
                change.apply_to(&mut own);
            }
            report.removals.extend(removals);
            report.findings.push(ValueFinding {
                is_removed: true,
                ..leak.clone()
            });
        }
    }
}

/// Makes sure that no leak stays, and that each removal is wanted.
///
/// # Errors
///
/// [`ErrorKind::Isolation`] for a leak that the plan does not remove, or removes without consent.
pub(super) fn ensure_no_leak(findings: &[ValueFinding], may_remove: bool) -> Result<(), Error> {
    let leaks = |is_wanted: fn(&ValueFinding) -> bool| {
        let leaks = findings
            .iter()
            .filter(|finding| finding.is_leak() && is_wanted(finding));
        let leaks: Vec<_> = leaks.map(ValueFinding::to_string).collect();
        leaks.join("; ")
    };
    let refused = |message: String| Err(Error::new(ErrorKind::Isolation, message));
    let of_account = leaks(|leak| leak.is_of_account);
    if !of_account.is_empty() {
        return refused(format!(
            "{of_account}: nothing was set, and `stagelink link` changes the site's own variables \
             only: remove it from the account's environment variables at Netlify"
        ));
    }
    let left = leaks(|leak| !leak.is_removed);
    if !left.is_empty() {
        return refused(format!(
            "{left}: nothing was set: link that stage too, which removes it, or remove it with \
             `netlify env:unset`"
        ));
    }
    let removed = leaks(|leak| leak.is_removed);
    if !removed.is_empty() && !may_remove {
        return refused(format!(
            "{removed}: nothing was set: add --remove-leaks to remove it as the plan shows, or \
             remove it with `netlify env:unset`"
        ));
    }
    Ok(())
}

impl ValueFinding {
    /// Returns whether the value leads functions to another stage's database.
    pub fn is_leak(&self) -> bool {
        matches!(self.kind, FindingKind::OtherStage(_))
    }
}

impl fmt::Display for ValueFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = if self.is_of_account {
            "account"
        } else {
            "site"
        };
        let (variable, context) = (&self.variable, &self.context);
        write!(f, "{variable} of the {owner} for the context {context} ")?;
        match &self.kind {
            FindingKind::OtherStage(stages) => {
                let stages = joined(stages, " and ");
                write!(f, "holds the database URL or a secret of stage {stages}")?;
            }
            FindingKind::UnknownDatabase(databases) => {
                let databases = joined(databases, ", ");
                write!(
                    f,
                    "leads to a database of which no stage is known: {databases},"
                )?;
            }
            FindingKind::NotChecked => f.write_str("was not checked, since it is a secret,")?,
        }
        write!(f, " and reaches {}", joined(&self.reaches, ", "))
    }
}

/// The contexts of all stages: those of the request, Netlify's own, and the branches that have a
/// value of their own of any variable.
fn stage_contexts(
    request: &LinkRequest,
    own: &[Variable],
    account: &[Variable],
) -> Vec<StageContext> {
    let mut contexts: Vec<DeployContext> = request.contexts.iter().map(|of| of.0.clone()).collect();
    contexts.extend([
        DeployContext::Production,
        DeployContext::DeployPreview,
        DeployContext::BranchDeploy,
    ]);
    let values = own
        .iter()
        .chain(account)
        .flat_map(|variable| &variable.values);
    let branches = values.map(|value| value.context.clone());
    contexts.extend(branches.filter(|context| matches!(context, DeployContext::Branch(_))));
    let mut known = BTreeSet::new();
    contexts.retain(|context| known.insert(context.clone()));
    let is_linked = |context: &DeployContext| request.contexts.iter().any(|of| of.0 == *context);
    let with_stage = contexts.into_iter().map(|context| {
        let named = own
            .iter()
            .find(|variable| variable.key == "STAGELINK_STAGE");
        let named = named.and_then(|variable| variable.value_in(&context)?.text.as_ref());
        let named = named.and_then(|text| text.expose_secret().parse().ok());
        StageContext {
            stage: named.unwrap_or(match context {
                DeployContext::Production => Stage::Production,
                _ => Stage::Review,
            }),
            is_linked: is_linked(&context)
                || matches!(context, DeployContext::Branch(_))
                    && is_linked(&DeployContext::BranchDeploy),
            context,
        }
    });
    with_stage.collect()
}

/// The findings about all values that apply in these contexts.
fn findings(
    contexts: &[StageContext],
    own: &[Variable],
    account: &[Variable],
    sent: &BTreeSet<(String, DeployContext)>,
    owners: &UrlOwners,
) -> Vec<ValueFinding> {
    let keys: BTreeSet<&String> = own.iter().chain(account).map(|of| &of.key).collect();
    let mut findings: Vec<ValueFinding> = Vec::new();
    for key in keys {
        let of_site = own.iter().find(|variable| variable.key == *key);
        let of_account = account.iter().find(|variable| variable.key == *key);
        for StageContext { context, stage, .. } in contexts {
            let own_value = of_site.and_then(|variable| variable.value_in(context));
            let is_of_account = own_value.is_none();
            let value = own_value.or_else(|| of_account?.value_in(context));
            let Some(value) = value else { continue };
            if !is_of_account && sent.contains(&(key.clone(), value.context.clone())) {
                continue;
            }
            let Some(kind) = kind_of(value.text.as_ref(), *stage, owners) else {
                continue;
            };
            let known = findings.iter_mut().find(|finding| {
                (&finding.variable, &finding.context) == (key, &value.context)
                    && finding.is_of_account == is_of_account
                    && std::mem::discriminant(&finding.kind) == std::mem::discriminant(&kind)
            });
            let Some(known) = known else {
                findings.push(ValueFinding {
                    variable: key.clone(),
                    context: value.context.clone(),
                    is_of_account,
                    reaches: vec![context.clone()],
                    kind,
                    is_removed: false,
                });
                continue;
            };
            known.reaches.push(context.clone());
            if let (FindingKind::OtherStage(known), FindingKind::OtherStage(more)) =
                (&mut known.kind, kind)
            {
                known.extend(more);
            }
        }
    }
    findings
}

/// The finding about a value in a context of a stage, if there is one.
fn kind_of(text: Option<&SecretString>, stage: Stage, owners: &UrlOwners) -> Option<FindingKind> {
    let Some(text) = text else {
        return Some(FindingKind::NotChecked);
    };
    let mut others = owners.stages_of(text.expose_secret(), Some(stage));
    others.remove(&stage);
    if !others.is_empty() {
        return Some(FindingKind::OtherStage(others));
    }
    let unknown = owners.unknown_in(text.expose_secret());
    (!unknown.is_empty()).then_some(FindingKind::UnknownDatabase(unknown))
}

/// Returns whether the plan may remove a leak: one of the site's own values that a linked context
/// has, or that is the value of all contexts.
fn is_removable(leak: &ValueFinding, contexts: &[StageContext]) -> bool {
    let is_linked =
        |context: &StageContext| context.is_linked && leak.reaches.contains(&context.context);
    let reaches_linked = leak.context == DeployContext::All || contexts.iter().any(is_linked);
    leak.is_leak() && !leak.is_of_account && reaches_linked
}

/// The changes that remove a leak and keep the value where it may be.
fn removals(
    leak: &ValueFinding,
    contexts: &[StageContext],
    own: &[Variable],
    owners: &UrlOwners,
) -> Vec<Change> {
    let variable = own.iter().find(|variable| variable.key == leak.variable);
    let found = variable.and_then(|variable| Some((variable, variable.value_for(&leak.context)?)));
    let Some((variable, value)) = found else {
        return Vec::new();
    };
    let (Some(removal), Some(text)) = (Change::unset(variable, value, &[]), &value.text) else {
        return Vec::new();
    };
    let has_it = |context: &&DeployContext| {
        let value = variable.value_in(context);
        **context != leak.context && value.is_some_and(|value| value.context == leak.context)
    };
    let developer = DeployContext::Other("dev".to_owned());
    let stages = owners.stages_of(text.expose_secret(), None);
    let may_have_it = contexts.iter().map(|of| &of.context);
    let may_have_it = may_have_it
        .filter(|context| !leak.reaches.contains(context))
        .chain((!stages.contains(&Stage::Production)).then_some(&developer));
    let kept = may_have_it.filter(has_it).map(|context| Change::Set {
        key: leak.variable.clone(),
        is_secret: variable.is_secret,
        context: context.clone(),
        value: text.clone(),
    });
    kept.chain([removal]).collect()
}

fn joined(items: impl IntoIterator<Item = impl fmt::Display>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

fn display_each<S: Serializer>(stages: &BTreeSet<Stage>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(stages.iter().map(|stage| stage.as_str()))
}
