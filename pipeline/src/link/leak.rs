//! The values of a site that lead functions of one stage to another stage's database: pure.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Stage, StageKind};

use crate::link::change::Change;
use crate::link::request::LinkRequest;
use crate::link::site_variables::SiteVariables;
use crate::link::value_finding::{FindingKind, ValueFinding};
use crate::link::value_owners::ValueOwners;
use crate::link::value_place::ValuePlace;
use crate::netlify::{DeployContext, Variable};

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
    /// Reports on the variables of a site as they will be after these changes. The values that are
    /// `desired`, by the names of their variables, are not looked at.
    ///
    /// Where a linked context has another stage's value, the value is removed. Contexts that had
    /// it from there and may have it get it as their own: those of its own stage, and a
    /// developer's machine where it is not production's. A value that one of the changes would send
    /// again leaves that change.
    pub(super) fn new(
        request: &LinkRequest,
        site: &SiteVariables,
        changes: &mut [Change],
        desired: &BTreeSet<(&str, &DeployContext)>,
        owners: ValueOwners<'_>,
    ) -> Self {
        let mut own = site.own.clone();
        for change in changes.iter() {
            change.apply_to(&mut own);
        }
        let contexts = stage_contexts(request, &own, site.of_account());
        let mut report = Self::default();
        loop {
            let findings = findings(&contexts, &own, site, desired, owners);
            let removable = findings.iter().find(|leak| is_removable(leak));
            let Some(leak) = removable else {
                report.findings.extend(findings);
                return report;
            };
            let kept = kept_values(leak, &contexts, &own, owners);
            let removals = removals(leak, &own, &kept);
            if removals.is_empty() {
                let mut changes = changes.iter_mut();
                let is_left_out = kept.is_empty() && changes.any(|of| of.leave_out(leak, &mut own));
                if !is_left_out {
                    // The API has no id for the value.
                    report.findings.extend(findings);
                    return report;
                }
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

/// The contexts of all stages: those of the request, Netlify's own, and the branches and other
/// contexts, such as `dev-server`, that have a value of their own of any variable.
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
    let is_served = |context: &DeployContext| match context {
        DeployContext::Branch(_) => true,
        // Such as `dev-server`. A developer's machine, `dev`, serves no stage.
        DeployContext::Other(name) => name != "dev",
        _ => false,
    };
    let with_value = values.map(|value| value.context.clone());
    contexts.extend(with_value.filter(is_served));
    let mut known = BTreeSet::new();
    contexts.retain(|context| known.insert(context.clone()));
    let linked = |context: &DeployContext| request.contexts.iter().find(|of| of.0 == *context);
    let with_stage = contexts.into_iter().map(|context| StageContext {
        stage: match linked(&context) {
            Some((_, stage)) => *stage,
            None => stage_of(&context, request, own),
        },
        is_linked: linked(&context).is_some()
            || matches!(context, DeployContext::Branch(_))
                && linked(&DeployContext::BranchDeploy).is_some(),
        context,
    });
    with_stage.collect()
}

/// The stage of a context that is not linked: the one that it has been given, or else its own.
fn stage_of(context: &DeployContext, request: &LinkRequest, own: &[Variable]) -> Stage {
    let given = own.iter().find(|of| of.key == "STAGELINK_STAGE");
    let given = given.and_then(|variable| variable.value_in(context)?.text.as_ref());
    let given = given.and_then(|text| text.expose_secret().parse::<Stage>().ok());
    let of_branch = |context: &DeployContext| match context {
        DeployContext::Branch(branch) => request.project.stage_of_branch(branch),
        _ => None,
    };
    match context {
        DeployContext::Production => {
            let mut own = request.project.productions();
            let given = given.filter(|given| request.project.productions().any(|of| of == *given));
            given.or_else(|| own.next()).unwrap_or(Stage::PRODUCTION)
        }
        // No other context may have what is production's, whatever stage it is given.
        _ => of_branch(context)
            .or(given.filter(|stage| stage.kind() != StageKind::Production))
            .unwrap_or(Stage::REVIEW),
    }
}

/// The findings about all values that apply in these contexts.
fn findings(
    contexts: &[StageContext],
    own: &[Variable],
    site: &SiteVariables,
    desired: &BTreeSet<(&str, &DeployContext)>,
    owners: ValueOwners<'_>,
) -> Vec<ValueFinding> {
    let account = site.of_account();
    let keys: BTreeSet<&String> = own.iter().chain(account).map(|of| &of.key).collect();
    let mut findings: Vec<ValueFinding> = Vec::new();
    for key in keys {
        let of_site = own.iter().find(|variable| variable.key == *key);
        let of_account = account.iter().find(|variable| variable.key == *key);
        for of_stage in contexts {
            let StageContext { context, stage, .. } = of_stage;
            let own_value = of_site.and_then(|variable| variable.value_in(context));
            let is_of_account = own_value.is_none();
            let value = own_value.or_else(|| of_account?.value_in(context));
            let Some(value) = value else { continue };
            if !is_of_account && desired.contains(&(key.as_str(), &value.context)) {
                continue;
            }
            let Some(kind) = owners.finding(value.text.as_ref(), *stage) else {
                continue;
            };
            let known = findings.iter_mut().find(|finding| {
                (&finding.variable, &finding.context) == (key, &value.context)
                    && finding.is_of_account == is_of_account
                    && std::mem::discriminant(&finding.kind) == std::mem::discriminant(&kind)
            });
            let Some(known) = known else {
                // What an operator can remove is there before the changes.
                let before = match is_of_account {
                    true => of_account,
                    false => site.own(key).or(of_site),
                };
                let Some(variable) = before else { continue };
                findings.push(ValueFinding {
                    variable: key.clone(),
                    context: value.context.clone(),
                    is_of_account,
                    reaches: vec![context.clone()],
                    kind,
                    is_removed: false,
                    reaches_linked: of_stage.is_linked,
                    place: ValuePlace::new(variable, &value.context, is_of_account),
                });
                continue;
            };
            known.reaches.push(context.clone());
            known.reaches_linked |= of_stage.is_linked;
            if let (FindingKind::OtherStage(known), FindingKind::OtherStage(more)) =
                (&mut known.kind, kind)
            {
                known.extend(more);
            }
        }
    }
    findings
}

/// Returns whether the plan may remove a leak: one of the site's own values that a linked context
/// has, or that is the value of all contexts.
fn is_removable(leak: &ValueFinding) -> bool {
    let is_wanted = leak.context == DeployContext::All || leak.reaches_linked;
    leak.is_leak() && !leak.is_of_account && is_wanted
}

/// The contexts that have a leaked value from another one and may have it, each with the value.
fn kept_values(
    leak: &ValueFinding,
    contexts: &[StageContext],
    own: &[Variable],
    owners: ValueOwners<'_>,
) -> Vec<(DeployContext, SecretString)> {
    let variable = own.iter().find(|variable| variable.key == leak.variable);
    let found = variable.and_then(|variable| {
        let text = variable.value_for(&leak.context)?.text.as_ref()?;
        Some((variable, text))
    });
    let Some((variable, text)) = found else {
        return Vec::new();
    };
    let has_it = |context: &&DeployContext| {
        let value = variable.value_in(context);
        **context != leak.context && value.is_some_and(|value| value.context == leak.context)
    };
    let developer = DeployContext::Other("dev".to_owned());
    let stages = owners.stages_of(text.expose_secret(), None);
    let is_productions = stages.iter().any(|of| of.kind() == StageKind::Production);
    let may_have_it = contexts.iter().map(|of| &of.context);
    let may_have_it = may_have_it
        .filter(|context| !leak.reaches.contains(context))
        .chain((!is_productions).then_some(&developer));
    let kept = may_have_it.filter(has_it);
    kept.map(|context| (context.clone(), text.clone()))
        .collect()
}

/// The changes that remove a leak and keep the value for these contexts. None where the API has no
/// id for the value.
fn removals(
    leak: &ValueFinding,
    own: &[Variable],
    kept: &[(DeployContext, SecretString)],
) -> Vec<Change> {
    let variable = own.iter().find(|variable| variable.key == leak.variable);
    let found = variable.and_then(|variable| Some((variable, variable.value_for(&leak.context)?)));
    let Some((variable, value)) = found else {
        return Vec::new();
    };
    let kept = kept.iter().map(|(context, text)| Change::Set {
        key: leak.variable.clone(),
        is_secret: variable.is_secret,
        context: context.clone(),
        value: text.clone(),
    });
    let mut changes: Vec<Change> = kept.collect();
    match Change::unset(variable, value) {
        Some(removal) => changes.push(removal),
        None => changes.clear(),
    }
    changes
}

#[cfg(test)]
mod tests;
