//! Leaks by context, and findings that show no part of a password.

use super::*;
use crate::api::ApiAccess;
use crate::link::change::shown;
use crate::link::project_stages::ProjectStages;
use crate::link::site_tokens::SiteTokens;
use crate::link::url_owners::UrlOwners;
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
        updated_at: None,
        values: values.collect(),
    }
}

fn site(own: &[Variable], account: &[Variable]) -> SiteVariables {
    SiteVariables {
        site: None,
        name: "shop-site".to_owned(),
        own: own.to_vec(),
        account: Some(account.to_vec()),
    }
}

/// A report for stages whose secrets are `secret-of-STAGE`.
fn report(request: &LinkRequest, own: &[Variable], account: &[Variable]) -> LeakReport {
    report_after(request, &site(own, account), &mut [], &BTreeSet::new())
}

fn report_after(
    request: &LinkRequest,
    site: &SiteVariables,
    changes: &mut [Change],
    desired: &BTreeSet<(&str, &DeployContext)>,
) -> LeakReport {
    let secrets = |kind: &StageKind| {
        let stage = Stage::of_kind(*kind);
        (stage, vec![format!("secret-of-{stage}").into()])
    };
    let urls = UrlOwners::of_secrets(StageKind::ALL.iter().map(secrets).collect());
    let tokens = SiteTokens::of(&[(
        "token-of-both",
        &[StageKind::Production, StageKind::Staging],
    )]);
    let owners = ValueOwners {
        urls: &urls,
        tokens: &tokens,
    };
    LeakReport::new(request, site, changes, desired, owners)
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
    let request = request().with_stages(&[Stage::STAGING], ProjectStages::default(), true);
    let request = request.unwrap();
    let own = [variable("A", &[(DeployPreview, P), (Production, S)])];
    assert_eq!(report_of(&request, &own, &[]), 2);
    // A value of all contexts is no other stage's, so it may go.
    let of_all = report(&request, &[variable("A", &[(All, P)])], &[]);
    assert_eq!(of_all.removals.len(), 2);
}

#[test]
fn branch_that_is_not_linked_is_of_the_stage_that_it_is_given_and_stagings_branch_of_staging() {
    let branch = |name: &str| Branch(name.to_owned());
    let values = ["staging", "given", "feature"].map(|name| (branch(name), S));
    let own = [
        variable("A", &values),
        variable("B_STAGE", &[(branch("feature"), "staging")]),
        variable("STAGELINK_STAGE", &[(branch("given"), "staging")]),
    ];
    let request = request().with_stages(&[Stage::PRODUCTION], ProjectStages::default(), true);
    let report = report(&request.unwrap(), &own, &[]);
    let [leak] = &report.findings[..] else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(leak.reaches, [branch("feature")]);
}

#[test]
fn leak_that_a_linked_context_shares_with_others_goes() {
    let request = request().with_stages(&[Stage::STAGING], ProjectStages::default(), true);
    let own = [variable("A", &[(BranchDeploy, P)])];
    let report = report(&request.unwrap(), &own, &[]);
    assert_eq!(shown(&report.removals), ["unset -branch-deploy"]);
    assert_eq!(report.findings[0].reaches, [staging(), BranchDeploy]);
}

#[test]
fn desired_value_is_not_looked_at_and_a_removed_one_is_gone() {
    let own = [variable("A", &[(All, P), (DeployPreview, P)])];
    let value = own[0].value_for(&All).unwrap();
    let mut changes = [
        Change::unset(&own[0], value).unwrap(),
        Change::Set {
            key: "A".to_owned(),
            is_secret: false,
            context: DeployPreview,
            value: P.into(),
        },
    ];
    let desired = [("A", &DeployPreview)].into();
    let report = report_after(&request(), &site(&own, &[]), &mut changes, &desired);
    assert!(report.findings.is_empty() && report.removals.is_empty());
}

#[test]
fn token_leaves_the_contexts_that_it_reads_too_much_for() {
    let own = [variable("A", &[(All, "token-of-both")])];
    let report = report(&request(), &own, &[]);
    let kept = ["set production=token-of-both", "unset -all"];
    assert_eq!(shown(&report.removals), kept);
    let FindingKind::OtherStage(stages) = &report.findings[0].kind else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(stages.len(), 2);
    let reaches = report.findings[0].reaches.iter().map(ToString::to_string);
    let reached = ["branch:staging", "deploy-preview", "branch-deploy"];
    assert!(reaches.eq(reached), "{:?}", report.findings);
}

#[test]
fn leak_that_a_replacement_would_send_again_leaves_it() {
    let own = [variable("A", &[(DeployPreview, P), (Production, P)])];
    let mut changes = [Change::Replace {
        key: "A".to_owned(),
        is_secret: true,
        values: vec![(Production, P.into()), (DeployPreview, P.into())],
        removed: Vec::new(),
    }];
    let desired = [("A", &Production)].into();
    let report = report_after(&request(), &site(&own, &[]), &mut changes, &desired);
    assert!(report.removals.is_empty());
    assert!(report.findings.len() == 1 && report.findings[0].is_removed);
    let replaced = format!("replace production={P} -deploy-preview");
    assert_eq!(shown(&changes), [replaced]);
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
            let owners = ValueOwners {
                urls: &UrlOwners::unknown(&value),
                tokens: &SiteTokens::default(),
            };
            let site = site(&own, &[]);
            let none = BTreeSet::new();
            let report = LeakReport::new(&request(), &site, &mut [], &none, owners);
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
