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
pub(super) fn judge_linked(site: &SiteFacts) -> Vec<Verdict> {
    let (mut unlinked, mut unknown) = (Vec::new(), Vec::new());
    for (context, stage) in &site.contexts {
        if site.has_value(context, STAGE, stage.as_str()) && site.own.is_ok() {
            continue;
        }
        match site.unknown_value(context, STAGE) {
            Some(reason) => unknown.push(reason.to_owned()),
            None => unlinked.push(format!("{context} (stage {stage})")),
        }
    }
    unknown.dedup();
    let finding = || {
        Finding::new(
            Level::Warning,
            format_args!(
                "functions of the site {} have no or another STAGELINK_STAGE in the context {}",
                site.name,
                unlinked.join(", ")
            ),
            "run `stagelink link`, and deploy again",
        )
    };
    let findings = (!unlinked.is_empty()).then(finding);
    let findings = findings.into_iter().collect();
    Verdict::all_of(findings, &unknown, "each context has its stage")
}

const STAGE: &str = "STAGELINK_STAGE";

pub(super) fn judge_lock(site: &SiteFacts) -> Verdict {
    let deploy = match &site.published {
        Ok(Some(deploy)) => deploy,
        Ok(None) => {
            let reason = "the site has no published deploy yet, which could be locked";
            return Verdict::not_checked(reason);
        }
        Err(reason) => return Verdict::not_checked(reason),
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
                "start publishing again on Netlify's page of the deploys{}",
                unlock_command(&deploy.id)
            ),
        ),
    }
}

/// Returns the command that unlocks a deploy, unless the id could end its quotes.
fn unlock_command(id: &str) -> String {
    match id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => format!(", or run `netlify api unlockDeploy --data '{{\"deploy_id\":\"{id}\"}}'`"),
        false => String::new(),
    }
}

pub(super) fn judge_api_deploys(site: &SiteFacts) -> Verdict {
    match site.refuses_api_deploys {
        None => Verdict::not_checked(
            "Netlify does not say whether production takes deploys of the command line",
        ),
        Some(false) => Verdict::sound("production takes deploys of the command line"),
        Some(true) => Verdict::warning(
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
        let message = size_excess(context, site.own(), site.account())?;
        Some(Finding::new(
            Level::Warning,
            message,
            "remove the largest variables that functions do not read, or take the scope Functions \
             from them",
        ))
    });
    let findings: Vec<_> = findings.collect();
    Verdict::all_of(findings, &site.unread(), "within AWS Lambda's 4 kB")
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
    let mut unknown = site.unread();
    for value in site.values_of("DATABASE_URL") {
        let text = value.text.as_ref().map(ExposeSecret::expose_secret);
        let url = text.map(|text| DatabaseUrl::parse(text, "DATABASE_URL").ok());
        let owner = url.as_ref().and_then(|url| {
            let url = url.as_ref()?;
            let server = format!("{}:{}", url.host(), url.port());
            let is_it = |of: &&KnownDatabase| of.server == server && of.database == url.database();
            known.iter().find(is_it).map(|of| of.stage)
        });
        let is_source =
            |(context, stage): &(_, Stage)| site.takes_url(context, *stage) == Some(true);
        let may_be_source =
            |(context, stage): &(_, Stage)| site.takes_url(context, *stage).is_none();
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
                // Functions that have no other source need one.
                match value.reaches.iter().any(is_source) {
                    true => format!(
                        "set DATABASE_URL of each context to the URL of its own stage's database, \
                         then {}",
                        place.removal()
                    ),
                    false => place.removal(),
                },
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
                    Some(Some(_)) => unknown.push(format!(
                        "{place} leads to a database that no stage has by that server and name; \
                         `stagelink link` logs in and compares the databases themselves"
                    )),
                }
            }
            _ if value.reaches.iter().any(may_be_source) => unknown.push(format!(
                "{place} is left over, unless a variable that could not be read chooses it"
            )),
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

/// Judges this machine's clock against those of services. `unread` are the services that should have
/// told theirs and did not. Without any there is no verdict.
pub(super) fn judge_service_clocks(
    clocks: &[(&str, ClockReading)],
    unread: &[&str],
) -> Vec<Verdict> {
    let mut findings = Vec::new();
    for (service, clock) in clocks {
        let verdict = judge_offset(service, clock.ahead_secs, clock.unknown);
        findings.extend(verdict.findings().iter().cloned());
    }
    let names: BTreeSet<_> = clocks.iter().map(|(service, _)| *service).collect();
    let names: Vec<_> = names.into_iter().collect();
    let seen = format!("within 30 s of {}", names.join(" and "));
    let unread = unread.iter();
    let unread: Vec<_> = unread
        .map(|service| format!("not compared with that of {service}, which was not read"))
        .collect();
    match clocks.is_empty() && unread.is_empty() {
        true => Vec::new(),
        false => Verdict::all_of(findings, &unread, seen),
    }
}

#[cfg(test)]
mod tests;
