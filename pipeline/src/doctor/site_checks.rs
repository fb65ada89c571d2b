//! The checks of a project's Netlify site: pure.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use stagelink::{DatabaseUrl, Stage};

use crate::api::ClockReading;
use crate::doctor::own_database::Reached;
use crate::doctor::server_checks::judge_offset;
use crate::doctor::site_facts::{NoSite, SiteFacts, TokenFacts};
use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::link::size_excess;

/// Judges the way to the site. `None` where the project has no site.
pub(super) fn judge_site(found: &Result<SiteFacts, NoSite>) -> Option<Verdict> {
    match found {
        Ok(site) => Some(Verdict::sound(&site.name)),
        Err(NoSite::None) => None,
        Err(NoSite::NotAsked(reason)) => Some(Verdict::not_checked(reason)),
        Err(NoSite::Refused(reason)) => Some(Verdict::error(
            reason,
            "correct netlify.site in stagelink.toml (or --site), or log in with an account that \
             may see the site (`netlify login`)",
        )),
    }
}

/// Judges whether each context's functions serve the stage that belongs to it.
pub(super) fn judge_linked(site: &SiteFacts) -> Verdict {
    let contexts = site.contexts.iter();
    let unlinked: Vec<_> = contexts
        .filter(|(context, stage)| !site.has_value(context, "STAGELINK_STAGE", stage.as_str()))
        .map(|(context, stage)| format!("{context} (stage {stage})"))
        .collect();
    if unlinked.is_empty() {
        return Verdict::sound("each context has its stage");
    }
    Verdict::warning(
        format_args!(
            "functions of the site {} have no or another STAGELINK_STAGE in the context {}",
            site.name,
            unlinked.join(", ")
        ),
        "run `stagelink link`, and deploy again",
    )
}

pub(super) fn judge_lock(site: &SiteFacts) -> Verdict {
    let Some(deploy) = &site.published else {
        return Verdict::not_checked("the site has no published deploy yet, which could be locked");
    };
    match deploy.locked {
        Some(false) => Verdict::sound("deploys of production are published"),
        None => Verdict::not_checked(format_args!(
            "Netlify does not say whether the published deploy {} is locked",
            deploy.id
        )),
        Some(true) => Verdict::warning(
            format_args!(
                "the site {} is locked at its published deploy {}: new deploys of production are \
                 built and not published",
                site.name, deploy.id
            ),
            format_args!(
                "start publishing again on Netlify's page of the deploys, or run `netlify api \
                 unlockDeploy --data '{{\"deploy_id\":\"{}\"}}'`",
                deploy.id
            ),
        ),
    }
}

pub(super) fn judge_api_deploys(site: &SiteFacts) -> Verdict {
    match site.refuses_api_deploys {
        false => Verdict::sound("production takes deploys of the command line"),
        true => Verdict::warning(
            format_args!(
                "the site {} refuses production deploys that do not come from Git, such as \
                 `netlify deploy --prod`",
                site.name
            ),
            "allow them in the site's build settings on Netlify, or deploy production from Git",
        ),
    }
}

/// Judges the size of the variables that functions of each context get.
pub(super) fn judge_variables_size(site: &SiteFacts) -> Vec<Verdict> {
    let contexts = site.contexts.iter();
    let findings = contexts.filter_map(|(context, _)| {
        let message = size_excess(context, &site.own, site.account())?;
        Some(Finding::new(
            Level::Warning,
            message,
            "remove the largest variables that functions do not read, or take the scope Functions \
             from them",
        ))
    });
    let findings: Vec<_> = findings.collect();
    let unknown: Vec<_> = site.account.as_ref().err().cloned().into_iter().collect();
    Verdict::all_of(findings, &unknown, "within AWS Lambda's 4 kB")
}

/// A stage's database, for the comparison with a URL of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownDatabase {
    pub(super) stage: Stage,
    pub(super) server: String,
    pub(super) database: String,
}

impl KnownDatabase {
    pub(super) fn of(reached: &Reached) -> Self {
        let info = &reached.info;
        Self {
            stage: info.stage,
            server: info.server.clone(),
            database: info.database.clone(),
        }
    }
}

/// Judges a `DATABASE_URL` that functions of the site get, beside the source that stagelink has set.
/// `unreached` are the stages whose databases are not known, so that any URL may lead to one of them.
pub(super) fn judge_leftover_url(
    site: &SiteFacts,
    known: &[KnownDatabase],
    unreached: &[Stage],
) -> Vec<Verdict> {
    let mut findings = Vec::new();
    let mut unknown: Vec<_> = site.account.as_ref().err().cloned().into_iter().collect();
    for value in site.values_of("DATABASE_URL") {
        let text = value.text.as_ref().map(ExposeSecret::expose_secret);
        let url = text.map(|text| DatabaseUrl::parse(text, "DATABASE_URL").ok());
        let owner = url.as_ref().and_then(|url| {
            let url = url.as_ref()?;
            let server = format!("{}:{}", url.host(), url.port());
            let is_it = |of: &&KnownDatabase| of.server == server && of.database == url.database();
            known.iter().find(is_it).map(|of| of.stage)
        });
        let is_source = |(context, _): &_| site.has_value(context, "STAGELINK_PROVIDER", "url");
        let leaks = value
            .reaches
            .iter()
            .find(|(_, stage)| owner.is_some_and(|own| own != *stage));
        let contexts: Vec<_> = value.reaches.iter().map(|(of, _)| of.to_string()).collect();
        let reaches = contexts.join(", ");
        let place = &value.place;
        match (leaks, owner) {
            (Some(_), Some(owner)) => findings.push(Finding::new(
                Level::Error,
                format_args!(
                    "{place} leads to the database of stage {owner}, and reaches {reaches}"
                ),
                place.removal(),
            )),
            (_, owner) if value.reaches.iter().all(is_source) => {
                let stages: Vec<_> = unreached.iter().map(ToString::to_string).collect();
                match url {
                    _ if owner.is_some() => {}
                    None => unknown.push(format!("{place} is a secret, which cannot be read back")),
                    Some(None) => unknown.push(format!("{place} is no URL of a database")),
                    Some(Some(_)) if !stages.is_empty() => unknown.push(format!(
                        "{place} leads to none of the databases that were reached, and that of \
                         stage {} was not",
                        stages.join(" and ")
                    )),
                    Some(Some(_)) => {}
                }
            }
            _ => findings.push(Finding::new(
                Level::Warning,
                format_args!(
                    "{place} is left over, and reaches {reaches}: other libraries read it, and it \
                     dies with the next rotation of the password"
                ),
                place.removal(),
            )),
        }
    }
    Verdict::all_of(findings, &unknown, "none")
}

/// Judges what the tokens of functions outside of production read.
pub(super) fn judge_token_reach(tokens: &[TokenFacts]) -> Vec<Verdict> {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    for token in tokens {
        let TokenFacts {
            origin, removal, ..
        } = token;
        let stages: Vec<_> = token.stages.iter().map(ToString::to_string).collect();
        let stages = stages.join(" and ");
        match &token.reads {
            Err(reason) => unknown.push(format!("{origin}: {reason}")),
            Ok(apps) => findings.extend(apps.iter().map(|(kind, app)| {
                Finding::new(
                    Level::Error,
                    format_args!(
                        "{origin}, which functions of stage {stages} have, reads {kind}'s config \
                         vars (app {app})"
                    ),
                    format_args!(
                        "{removal}; give the stage the token of an account that can access its own \
                         apps alone (`heroku access:add`), with `stagelink link --token-for`"
                    ),
                )
            })),
        }
    }
    let seen = match tokens.len() {
        0 => "functions outside of production have no token".to_owned(),
        count => format!("{count} tried: none reads production's config vars"),
    };
    Verdict::all_of(findings, &unknown, seen)
}

/// Judges this machine's clock against those of services.
pub(super) fn judge_service_clocks(clocks: &[(&str, ClockReading)]) -> Option<Verdict> {
    let mut findings = Vec::new();
    for (service, clock) in clocks {
        let verdict = judge_offset(service, clock.ahead_secs, clock.unknown);
        findings.extend(verdict.findings().iter().cloned());
    }
    let names: BTreeSet<_> = clocks.iter().map(|(service, _)| *service).collect();
    let names: Vec<_> = names.into_iter().collect();
    let seen = format!("within 30 s of {}", names.join(" and "));
    (!clocks.is_empty()).then(|| Verdict::of(findings, seen))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stagelink::StageKind;

    use super::*;
    use crate::doctor::site_facts::unread_token;
    use crate::netlify::{Deploy, DeployContext, Variable, VariableValue};

    fn variable(key: &str, values: &[(DeployContext, Option<&str>)]) -> Variable {
        let values = values.iter().map(|(context, text)| VariableValue {
            id: None,
            context: context.clone(),
            text: text.map(Into::into),
        });
        Variable {
            key: key.to_owned(),
            scopes: Vec::new(),
            is_secret: false,
            updated_at: None,
            values: values.collect(),
        }
    }

    fn staging() -> DeployContext {
        DeployContext::Branch("staging".to_owned())
    }

    /// A site whose contexts are linked, with these variables besides.
    fn site(more: &[Variable]) -> SiteFacts {
        let stage = variable(
            "STAGELINK_STAGE",
            &[
                (DeployContext::Production, Some("production")),
                (staging(), Some("staging")),
            ],
        );
        SiteFacts {
            name: "shop-site".to_owned(),
            published: None,
            refuses_api_deploys: false,
            own: [&[stage], more].concat(),
            account: Ok(Vec::new()),
            contexts: vec![
                (DeployContext::Production, Stage::PRODUCTION),
                (staging(), Stage::STAGING),
            ],
            clock: None,
        }
    }

    fn assert_finds(verdict: &Verdict, expected: Option<(Level, &str)>) {
        let found = verdict.findings().first();
        match (found, expected) {
            (None, None) => assert!(matches!(verdict, Verdict::Sound(_)), "{verdict:?}"),
            (Some(found), Some((level, word))) => {
                assert_eq!(found.level, level, "{verdict:?}");
                assert!(found.message.contains(word), "{verdict:?}");
            }
            _ => panic!("{verdict:?}, expected {expected:?}"),
        }
    }

    fn assert_not_checked(verdict: &Verdict, expected: &str) {
        match verdict {
            Verdict::NotChecked(reason) => assert!(reason.contains(expected), "{reason}"),
            _ => panic!("{verdict:?}, expected that it was not checked: {expected}"),
        }
    }

    /// The only verdict of a check.
    fn single(verdicts: Vec<Verdict>) -> Verdict {
        let [verdict] = verdicts.as_slice() else {
            panic!("{verdicts:?}");
        };
        verdict.clone()
    }

    #[test]
    fn site_is_sound_refused_or_not_asked() {
        let refused = NoSite::Refused("it is refused".to_owned());
        let not_asked = NoSite::NotAsked("no token".to_owned());
        assert_finds(&judge_site(&Ok(site(&[]))).unwrap(), None);
        assert_finds(
            &judge_site(&Err(refused)).unwrap(),
            Some((Level::Error, "it is refused")),
        );
        let verdict = judge_site(&Err(not_asked)).unwrap();
        assert_eq!(verdict, Verdict::NotChecked("no token".to_owned()));
        assert_eq!(judge_site(&Err(NoSite::None)), None);
    }

    #[test]
    fn context_without_its_stage_is_not_linked() {
        assert_finds(&judge_linked(&site(&[])), None);
        let mut other = site(&[]);
        other
            .contexts
            .push((DeployContext::DeployPreview, Stage::REVIEW));
        assert_finds(
            &judge_linked(&other),
            Some((Level::Warning, "the context deploy-preview (stage review)")),
        );
    }

    #[test]
    fn lock_and_setting_that_keep_deploys_out_are_warnings() {
        let published = |locked| SiteFacts {
            published: Some(Deploy {
                id: "d1".to_owned(),
                locked,
                ..Deploy::default()
            }),
            ..site(&[])
        };
        for (locked, expected) in [
            (Some(false), None),
            (Some(true), Some((Level::Warning, "deploy d1"))),
        ] {
            assert_finds(&judge_lock(&published(locked)), expected);
        }
        for (site, reason) in [
            (published(None), "whether the published deploy d1 is locked"),
            (site(&[]), "no published deploy"),
        ] {
            assert_not_checked(&judge_lock(&site), reason);
        }
        for (refuses_api_deploys, expected) in [
            (false, None),
            (true, Some((Level::Warning, "refuses production deploys"))),
        ] {
            let site = SiteFacts {
                refuses_api_deploys,
                ..site(&[])
            };
            assert_finds(&judge_api_deploys(&site), expected);
        }
    }

    #[test]
    fn leftover_url_is_an_error_where_it_leads_to_another_stage() {
        let known = [(Stage::STAGING, "s"), (Stage::PRODUCTION, "p")];
        let known = known.map(|(stage, database)| KnownDatabase {
            stage,
            server: "h:5432".to_owned(),
            database: database.to_owned(),
        });
        let url = |context, text| variable("DATABASE_URL", &[(context, text)]);
        let chosen = variable("STAGELINK_PROVIDER", &[(staging(), Some("url"))]);
        let to_staging = || url(staging(), Some("postgres://u:p@h:5432/s"));
        let to_production = || {
            url(
                DeployContext::All,
                Some("postgres://u:p@h/p?sslmode=require"),
            )
        };
        for (variables, expected) in [
            (vec![], None),
            (
                vec![to_production()],
                Some((Level::Error, "database of stage production")),
            ),
            (vec![to_staging()], Some((Level::Warning, "is left over"))),
            (vec![to_staging(), chosen.clone()], None),
            (
                vec![url(staging(), None)],
                Some((Level::Warning, "is left over")),
            ),
            (
                vec![to_production(), chosen],
                Some((Level::Error, "database of stage production")),
            ),
        ] {
            let verdict = judge_leftover_url(&site(&variables), &known, &[]);
            assert_finds(&single(verdict), expected);
        }
        let unknown = SiteFacts {
            account: Err("no access".to_owned()),
            ..site(&[])
        };
        let verdict = judge_leftover_url(&unknown, &known, &[]);
        assert_not_checked(&single(verdict), "no access");
    }

    #[test]
    fn fixed_url_that_may_lead_anywhere_is_not_called_sound() {
        let known = |stage, database: &str| KnownDatabase {
            stage,
            server: "h:5432".to_owned(),
            database: database.to_owned(),
        };
        let site = |text| {
            let url = variable("DATABASE_URL", &[(staging(), text)]);
            let chosen = variable("STAGELINK_PROVIDER", &[(staging(), Some("url"))]);
            site(&[url, chosen])
        };
        let all = [known(Stage::STAGING, "s"), known(Stage::PRODUCTION, "p")];
        let of_production = Some("postgres://u:p@h/p");
        for (text, known, unreached, expected) in [
            // `stagelink doctor staging`, or production's server is down.
            (
                of_production,
                &all[..1],
                &[Stage::PRODUCTION][..],
                "that of stage production was not",
            ),
            (None, &all[..], &[][..], "is a secret"),
            (Some("soon"), &all[..], &[][..], "is no URL"),
        ] {
            let verdict = judge_leftover_url(&site(text), known, unreached);
            assert_not_checked(&single(verdict), expected);
        }
        for (text, known, unreached) in [
            (
                Some("postgres://u:p@h/s"),
                &all[..1],
                &[Stage::PRODUCTION][..],
            ),
            (Some("postgres://u:p@h/other"), &all[..], &[][..]),
        ] {
            let verdict = judge_leftover_url(&site(text), known, unreached);
            assert_finds(&single(verdict), None);
        }
    }

    #[test]
    fn token_of_an_account_that_cannot_be_read_is_not_known() {
        let key = |context| variable("HEROKU_API_KEY", &[(context, Some("t"))]);
        let given = || {
            let access = crate::api::ApiAccess::new("", "t".into(), "STAGING_TOKEN");
            vec![(Stage::STAGING, access)]
        };
        let unread = |own: &[Variable]| SiteFacts {
            account: Err("no access".to_owned()),
            ..site(own)
        };
        assert_eq!(unread_token(&site(&[]), &[]), None);
        for (site, given, is_known) in [
            (unread(&[]), vec![], false),
            (unread(&[key(DeployContext::Production)]), vec![], false),
            (unread(&[key(staging())]), vec![], true),
            (unread(&[]), given(), true),
        ] {
            let found = unread_token(&site, &given);
            assert_eq!(found.is_none(), is_known, "{found:?}");
            if let Some(found) = found {
                assert_not_checked(&single(judge_token_reach(&[found])), "account: no access");
            }
        }
    }

    #[test]
    fn variables_beyond_four_kilobytes_are_a_warning() {
        let long = "x".repeat(5000);
        let page = variable("PAGE", &[(staging(), Some(&long))]);
        assert_finds(&single(judge_variables_size(&site(&[]))), None);
        let large = site(&[page]);
        let expected = Some((Level::Warning, "the context branch:staging"));
        assert_finds(&single(judge_variables_size(&large)), expected);
        let unread = SiteFacts {
            account: Err("no access".to_owned()),
            ..large
        };
        let verdicts = judge_variables_size(&unread);
        assert_finds(&verdicts[0], expected);
        assert_not_checked(&verdicts[1], "no access");
    }

    #[test]
    fn token_that_was_not_tried_is_not_called_sound() {
        let token = |reads| TokenFacts {
            origin: "the token in A".to_owned(),
            stages: BTreeSet::from([Stage::STAGING]),
            reads,
            removal: "replace it".to_owned(),
        };
        let wide = token(Ok(vec![(StageKind::Production, "shop".to_owned())]));
        let secret = token(Err("it is a secret".to_owned()));
        let narrow = token(Ok(Vec::new()));
        assert_finds(&single(judge_token_reach(&[])), None);
        let tried = judge_token_reach(std::slice::from_ref(&narrow));
        assert_finds(&single(tried), None);
        let expected = Some((Level::Error, "reads production's config vars (app shop)"));
        let verdicts = judge_token_reach(&[narrow.clone(), wide, secret.clone()]);
        assert_finds(&verdicts[0], expected);
        assert_not_checked(&verdicts[1], "it is a secret");
        let verdict = single(judge_token_reach(&[narrow, secret]));
        assert_not_checked(&verdict, "it is a secret");
    }

    #[test]
    fn clocks_of_services_are_told_apart() {
        let clock = |ahead_secs| ClockReading {
            ahead_secs,
            unknown: Duration::from_secs(1),
        };
        assert_eq!(judge_service_clocks(&[]), None);
        let verdict = judge_service_clocks(&[("Netlify", clock(0.2)), ("Heroku", clock(3600.0))]);
        assert_finds(
            &verdict.unwrap(),
            Some((Level::Warning, "s behind that of Heroku")),
        );
    }
}
