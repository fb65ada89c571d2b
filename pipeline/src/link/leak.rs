//! The values of a site that lead functions of one stage to another stage's database: pure.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use stagelink::Stage;

use crate::link::change::Change;
use crate::link::request::LinkRequest;
use crate::link::url_owners::UrlOwners;
use crate::link::value_finding::{FindingKind, ValueFinding};
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
    /// developer's machine where it is not production's.
    pub(super) fn new(
        request: &LinkRequest,
        own: &[Variable],
        account: &[Variable],
        changes: &[Change],
        desired: &BTreeSet<(&str, &DeployContext)>,
        owners: &UrlOwners,
    ) -> Self {
        let mut own = own.to_vec();
        for change in changes {
            change.apply_to(&mut own);
        }
        let contexts = stage_contexts(request, &own, account);
        let mut report = Self::default();
        loop {
            let findings = findings(&contexts, &own, account, desired, owners);
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
    let given = given.and_then(|text| text.expose_secret().parse().ok());
    match context {
        DeployContext::Production => Stage::Production,
        // No other context may have what is production's, whatever stage it is given.
        DeployContext::Branch(branch) if *branch == request.staging_branch => Stage::Staging,
        _ => given
            .filter(|stage| *stage != Stage::Production)
            .unwrap_or(Stage::Review),
    }
}

/// The findings about all values that apply in these contexts.
fn findings(
    contexts: &[StageContext],
    own: &[Variable],
    account: &[Variable],
    desired: &BTreeSet<(&str, &DeployContext)>,
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
            if !is_of_account && desired.contains(&(key.as_str(), &value.context)) {
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
    let Some(text) = &value.text else {
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
    let mut changes: Vec<Change> = kept.collect();
    // The removal comes after the kept values, which have to survive it.
    let mut before = vec![variable.clone()];
    for change in &changes {
        change.apply_to(&mut before);
    }
    match Change::unset(&before[0], value, &[]) {
        Some(removal) => changes.push(removal),
        None => changes.clear(),
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiAccess;
    use crate::link::change::shown;
    use crate::netlify::VariableValue;

    use DeployContext::{All, Branch, BranchDeploy, DeployPreview, Production};

    fn request() -> LinkRequest {
        let heroku = ApiAccess::new("https://h", "t".into(), "HEROKU_API_KEY");
        LinkRequest::new("shop-site", "shop", heroku)
    }

    fn variable(key: &str, values: &[(DeployContext, &str)]) -> Variable {
        let values = values.iter().map(|(context, text)| VariableValue {
            id: Some(format!("{key}-{context}")),
            context: context.clone(),
            // An empty text stands for a secret.
            text: (!text.is_empty()).then(|| (*text).into()),
        });
        Variable {
            key: key.to_owned(),
            scopes: Vec::new(),
            is_secret: false,
            values: values.collect(),
        }
    }

    /// A report for stages whose secrets are `secret-of-STAGE`.
    fn report(request: &LinkRequest, own: &[Variable], account: &[Variable]) -> LeakReport {
        let secrets = |stage: &Stage| (*stage, vec![format!("secret-of-{stage}").into()]);
        let owners = UrlOwners::of_secrets(Stage::ALL.iter().map(secrets).collect());
        LeakReport::new(request, own, account, &[], &BTreeSet::new(), &owners)
    }

    /// The changes that remove the leaks of one variable from the site, and the findings, one line
    /// each.
    fn removed(values: &[(DeployContext, &str)]) -> (Vec<String>, Vec<String>) {
        let report = report(&request(), &[variable("A", values)], &[]);
        let findings = report.findings.iter().map(|finding| {
            let verb = if finding.is_removed { "-" } else { "" };
            let reaches: Vec<_> = finding
                .reaches
                .iter()
                .map(DeployContext::to_string)
                .collect();
            format!("{verb}{} {}", finding.context, reaches.join(" "))
        });
        (shown(&report.removals), findings.collect())
    }

    fn staging() -> DeployContext {
        Branch("staging".to_owned())
    }

    const P: &str = "secret-of-production";
    const S: &str = "secret-of-staging";

    #[test]
    fn value_of_all_contexts_goes_and_its_own_stage_keeps_it() {
        let (changes, findings) = removed(&[(All, P)]);
        assert_eq!(
            changes,
            [format!("set production={P}"), "unset -all".to_owned()]
        );
        assert_eq!(
            findings,
            ["-all branch:staging deploy-preview branch-deploy"]
        );
        let (changes, _) = removed(&[(All, S)]);
        let kept = [
            format!("set branch:staging={S}"),
            format!("set dev={S}"),
            "unset -all".to_owned(),
        ];
        assert_eq!(changes, kept);
    }

    #[test]
    fn value_that_a_removed_one_has_hidden_goes_too() {
        let (changes, findings) = removed(&[(All, P), (DeployPreview, S)]);
        assert_eq!(
            changes,
            [
                format!("set production={P}"),
                "unset -all".to_owned(),
                "unset -deploy-preview".to_owned()
            ]
        );
        assert_eq!(findings.len(), 2);
        // The branch of staging falls back on the value of other branches, and then of all.
        let (changes, _) = removed(&[(BranchDeploy, P), (All, S)]);
        assert_eq!(changes.last().unwrap(), "unset -branch-deploy");
        assert!(changes.contains(&format!("set dev={S}")), "{changes:?}");
    }

    #[test]
    fn value_of_several_stages_stays_nowhere() {
        let (changes, _) = removed(&[(All, "secret-of-production secret-of-staging")]);
        assert_eq!(changes, ["unset -all"]);
    }

    #[test]
    fn removal_names_the_values_that_were_kept_before_it() {
        let rest_of = |values: &[(DeployContext, &str)]| {
            let report = report(&request(), &[variable("A", values)], &[]);
            let Some(Change::Unset { rest, .. }) = report.removals.last() else {
                panic!("{:?}", shown(&report.removals));
            };
            let contexts = rest.iter().map(|(context, _)| context.to_string());
            contexts.collect::<Vec<_>>()
        };
        assert_eq!(rest_of(&[(All, P)]), ["production"]);
        assert_eq!(
            rest_of(&[(BranchDeploy, S), (All, "none")]),
            ["all", "branch:staging"]
        );
    }

    #[test]
    fn other_context_is_of_stage_review_and_not_linked() {
        let server = DeployContext::Other("dev-server".to_owned());
        let developer = DeployContext::Other("dev".to_owned());
        let own = [variable("A", &[(server.clone(), P), (developer, P)])];
        let report = report(&request(), &own, &[]);
        let [finding] = &report.findings[..] else {
            panic!("{:?}", report.findings);
        };
        assert!(finding.is_leak() && !finding.is_removed);
        assert_eq!(finding.reaches, [server]);
    }

    #[test]
    fn own_value_stays_and_a_secret_is_listed() {
        let (changes, findings) = removed(&[(Production, P), (staging(), S), (DeployPreview, "")]);
        assert!(changes.is_empty(), "{changes:?}");
        assert_eq!(findings, ["deploy-preview deploy-preview"]);
    }

    #[test]
    fn branch_never_has_what_is_productions_whatever_its_stage() {
        let main = Branch("main".to_owned());
        let own = [
            variable("STAGELINK_STAGE", &[(main.clone(), "production")]),
            variable("A", &[(main.clone(), P)]),
        ];
        let report = report(&request(), &own, &[]);
        assert_eq!(shown(&report.removals), ["unset -branch:main"]);
        assert_eq!(report.findings[0].reaches, [main]);
    }

    #[test]
    fn leak_of_the_account_or_of_a_stage_that_is_not_linked_stays() {
        let account = [variable("A", &[(All, P)])];
        let report_of = |request: &LinkRequest, own: &[Variable], account: &[Variable]| {
            let report = report(request, own, account);
            assert!(report.removals.is_empty());
            assert!(
                report
                    .findings
                    .iter()
                    .all(|of| of.is_leak() && !of.is_removed)
            );
            report.findings.len()
        };
        assert_eq!(report_of(&request(), &[], &account), 1);
        let request = request().with_stages(&[Stage::Staging], "staging", true);
        let request = request.unwrap();
        let own = [variable("A", &[(DeployPreview, P), (Production, S)])];
        assert_eq!(report_of(&request, &own, &[]), 2);
        // A value of all contexts is no other stage's, so it may go.
        let of_all = report(&request, &[variable("A", &[(All, P)])], &[]);
        assert_eq!(of_all.removals.len(), 2);
    }

    #[test]
    fn desired_value_is_not_looked_at_and_a_removed_one_is_gone() {
        let own = [variable("A", &[(All, P), (DeployPreview, P)])];
        let value = own[0].value_for(&All).unwrap();
        let changes = [
            Change::unset(&own[0], value, &[]).unwrap(),
            Change::Set {
                key: "A".to_owned(),
                is_secret: false,
                context: DeployPreview,
                value: P.into(),
            },
        ];
        let owners = UrlOwners::of_secrets(vec![(Stage::Production, vec![P.into()])]);
        let desired = [("A", &DeployPreview)].into();
        let report = LeakReport::new(&request(), &own, &[], &changes, &desired, &owners);
        assert!(report.findings.is_empty() && report.removals.is_empty());
    }

    /// Passwords of many kinds, the same ones in each run. Their letters occur in no message.
    fn passwords() -> Vec<String> {
        let chars: Vec<char> = "QXZWJqxzwj0123456789/?#@:%&=+,;.-_~!$*()[]{}<>|^`\\'\" \tßé"
            .chars()
            .collect();
        let mut state: u64 = 88_172_645_463_325_252;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % 1_000_003).unwrap() % below
        };
        let mut passwords = Vec::new();
        for _ in 0..300 {
            let length = 4 + random(16);
            passwords.push((0..length).map(|_| chars[random(chars.len())]).collect());
        }
        let odd = [
            "/QXZW",
            "@QXZW/JQXZ",
            "1234/QXZW",
            "Q:XZWJ@1234:5678/ZWJQ",
            "a' host=QXZW port=1234",
        ];
        passwords.extend(odd.map(str::to_owned));
        passwords
    }

    #[test]
    fn finding_shows_no_part_of_a_password() {
        use base64::Engine as _;
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        for password in passwords() {
            let encoded = encode(&password);
            let url = format!("postgres://u:{encoded}@h/d");
            let raw = format!("postgres://u:{password}@h/d");
            let quoted = password.replace('\\', r"\\").replace('\'', r"\'");
            let doubled = password.replace('"', "\"\"");
            let mut values = vec![
                encode(&url),
                format!("A={url}\nB={raw}"),
                format!("postgres://h/d?user=u&password={encoded}"),
                format!("host=h user=u password='{quoted}' dbname=d"),
                format!("Host=h;Password=\"{doubled}\";Database=d"),
                serde_json::json!({"url": raw, "other": url}).to_string(),
                base64::prelude::BASE64_STANDARD.encode(&raw),
            ];
            values.extend([url, raw]);
            for value in values {
                let own = [variable("A", &[(All, value.as_str())])];
                let owners = UrlOwners::unknown(&value);
                let report = LeakReport::new(&request(), &own, &[], &[], &BTreeSet::new(), &owners);
                let shown: String = report
                    .findings
                    .iter()
                    .map(ValueFinding::to_string)
                    .collect();
                let json = serde_json::to_string(&report.findings).unwrap();
                let shown = format!("{shown}\n{json}").to_lowercase();
                for secret in [&password, &encoded] {
                    let chars: Vec<char> = secret.to_lowercase().chars().collect();
                    for part in chars.windows(4) {
                        let part: String = part.iter().collect();
                        let is_sign = !part.contains(char::is_alphanumeric);
                        assert!(
                            is_sign || !shown.contains(&part),
                            "{part:?} of {value:?}: {shown}"
                        );
                    }
                }
            }
        }
    }
}
