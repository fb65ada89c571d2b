//! The facts about a project's Netlify site: its settings, its variables, and what the tokens among
//! them read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use stagelink::{ProviderChoice, Stage, StageKind};

use crate::api::{ApiAccess, ClockReading};
use crate::error::{Error, ErrorKind};
use crate::heroku::{Heroku, PipelineApps};
use crate::link::ValuePlace;
use crate::netlify::{Deploy, DeployContext, Site, Variable, function_variables};
use crate::status::{SiteSource, within};

/// The facts about a site.
#[derive(Clone, Debug)]
pub(super) struct SiteFacts {
    pub(super) name: String,
    /// The published deploy, or the reason why it is not known.
    pub(super) published: Result<Option<Deploy>, String>,
    /// The newest ready deploy of each branch of the contexts, or the reason why it is not known.
    pub(super) branches: BTreeMap<String, Result<Option<Deploy>, String>>,
    /// True if the site takes production deploys from its Git repository alone. `None` where Netlify
    /// does not say.
    pub(super) refuses_api_deploys: Option<bool>,
    /// The site's own variables, or the reason why they are not known.
    pub(super) own: Result<Vec<Variable>, String>,
    /// The variables of its account, or the reason why they are not known.
    pub(super) account: Result<Vec<Variable>, String>,
    /// The contexts that functions run in, each with its stage.
    pub(super) contexts: Vec<(DeployContext, Stage)>,
    pub(super) clock: Option<ClockReading>,
}

/// A site that was not looked up.
#[derive(Clone, Debug)]
pub(super) enum NoSite {
    /// The project has none.
    None,
    /// It could not be asked.
    NotAsked(String),
    /// Netlify refused the token, or has no such site.
    Refused(String),
}

impl SiteFacts {
    /// Looks the site up: a request or two for the site, two for the variables, and one for each branch.
    pub(super) async fn look_up(
        source: &SiteSource,
        contexts: Vec<(DeployContext, Stage)>,
    ) -> Result<Self, NoSite> {
        let (access, site) = match source {
            SiteSource::Site { access, site } => (access, site),
            SiteSource::None(_) => return Err(NoSite::None),
            SiteSource::NotKnown(reason) => return Err(NoSite::NotAsked(reason.clone())),
        };
        let failed = |error: Error| match error.kind() {
            ErrorKind::Unavailable => NoSite::NotAsked(error.report()),
            _ => NoSite::Refused(error.report()),
        };
        let site = within(LIMIT, Site::find(access, site, true)).await;
        let site = site.map_err(failed)?;
        let branches = contexts.iter().filter_map(|(context, _)| match context {
            DeployContext::Branch(branch) => Some(branch),
            _ => None,
        });
        let branches: BTreeSet<_> = branches.collect();
        let deploys = branches.into_iter().map(async |branch| {
            let found = within(LIMIT, site.newest_deploy(branch)).await;
            (branch.clone(), found.map_err(|error| error.report()))
        });
        let (branches, own, account) = tokio::join!(
            join_all(deploys),
            within(LIMIT, site.variables()),
            within(LIMIT, site.account_variables()),
        );
        let account = match account {
            Ok(Some(variables)) => Ok(variables),
            Ok(None) => Err(format!(
                "the token may not read the variables of the account {}",
                site.account()
            )),
            Err(error) => Err(error.report()),
        };
        Ok(Self {
            name: site.name().to_owned(),
            published: site.published_deploy().map_err(|error| error.report()),
            branches: branches.into_iter().collect(),
            refuses_api_deploys: site.refuses_api_deploys(),
            own: own.map_err(|error| error.report()),
            account,
            contexts,
            clock: site.clock(),
        })
    }

    /// Returns the deploy that serves a context; `None` where it has none of its own.
    pub(super) fn deploy_of(&self, context: &DeployContext) -> Result<Option<&Deploy>, String> {
        let found = match context {
            DeployContext::Production => Some(&self.published),
            DeployContext::Branch(branch) => self.branches.get(branch),
            _ => None,
        };
        match found {
            Some(Ok(deploy)) => Ok(deploy.as_ref()),
            Some(Err(reason)) => Err(reason.clone()),
            None => Ok(None),
        }
    }

    /// The site's own variables, as far as they are known.
    pub(super) fn own(&self) -> &[Variable] {
        self.own.as_deref().unwrap_or_default()
    }

    /// The variables of the account, as far as they are known.
    pub(super) fn account(&self) -> &[Variable] {
        self.account.as_deref().unwrap_or_default()
    }

    /// Returns the reasons why variables are not known.
    pub(super) fn unread(&self) -> Vec<String> {
        let reasons = [self.own.as_ref().err(), self.account.as_ref().err()];
        let mut reasons: Vec<_> = reasons.into_iter().flatten().cloned().collect();
        reasons.dedup();
        reasons
    }

    /// Returns the reason why functions of a context may have another value of a variable than is
    /// known, or one where none is known: one that could not be read would come before.
    pub(super) fn unknown_value(&self, context: &DeployContext, key: &str) -> Option<&str> {
        let own = match &self.own {
            Ok(own) => function_variables(context, own, &[]),
            Err(reason) => return Some(reason),
        };
        let is_own = own.iter().any(|found| found.variable.key == key);
        let reason = self.account.as_ref().err().map(String::as_str);
        reason.filter(|_| !is_own)
    }

    /// The values that a variable has for functions, each once, with the contexts that it reaches. Where
    /// the site's own variables are not known there are none: they would come before the account's.
    pub(super) fn values_of(&self, key: &str) -> Vec<SiteValue> {
        let mut values: Vec<SiteValue> = Vec::new();
        let contexts = self.contexts.iter().filter(|_| self.own.is_ok());
        for (context, stage) in contexts {
            let variables = function_variables(context, self.own(), self.account());
            let Some(found) = variables.iter().find(|found| found.variable.key == key) else {
                continue;
            };
            let place = ValuePlace::new(found.variable, &found.value.context, found.is_of_account);
            let reached = (context.clone(), *stage);
            match values.iter_mut().find(|value| value.place == place) {
                Some(value) => value.reaches.push(reached),
                None => values.push(SiteValue {
                    place,
                    text: found.value.text.clone(),
                    reaches: vec![reached],
                }),
            }
        }
        values
    }

    /// Returns whether functions of a context take their database from `DATABASE_URL`, by choice or for
    /// want of another source. `None` where a variable that is not known decides it.
    pub(super) fn takes_url(&self, context: &DeployContext, stage: Stage) -> Option<bool> {
        let variables = function_variables(context, self.own(), self.account());
        let texts = variables.iter().map(|found| {
            let text = found.value.text.as_ref().map(ExposeSecret::expose_secret);
            (found.variable.key.as_str(), text)
        });
        let choice = ProviderChoice::of_variables(stage, texts);
        let takes = matches!(
            choice,
            Ok(ProviderChoice::Asked {
                provider: "url",
                ..
            })
        );
        let is_chosen = takes && variables.iter().any(|found| found.variable.key == PROVIDER);
        match (self.unknown_value(context, PROVIDER), choice) {
            _ if is_chosen => Some(true),
            (Some(_), _) | (None, Ok(ProviderChoice::Unknown)) => None,
            (None, _) => Some(takes),
        }
    }

    /// Returns whether a variable of a context's functions has this value.
    pub(super) fn has_value(&self, context: &DeployContext, key: &str, value: &str) -> bool {
        let variables = function_variables(context, self.own(), self.account());
        variables.iter().any(|found| {
            let text = found.value.text.as_ref().map(ExposeSecret::expose_secret);
            found.variable.key == key && text.is_some_and(|text| text.trim() == value)
        })
    }
}

/// A value of a variable that functions get.
#[derive(Clone, Debug)]
pub(super) struct SiteValue {
    pub(super) place: ValuePlace,
    /// `None` for a secret.
    pub(super) text: Option<SecretString>,
    /// The contexts that it applies in, each with its stage.
    pub(super) reaches: Vec<(DeployContext, Stage)>,
}

/// The facts about a Heroku pipeline.
#[derive(Debug)]
pub(super) struct PipelineFacts {
    pub(super) url: String,
    pub(super) apps: PipelineApps,
    pub(super) clock: Option<ClockReading>,
}

impl PipelineFacts {
    /// Looks the pipeline up, in two requests. `None` where no stage is in one.
    pub(super) async fn look_up(
        heroku: Option<&(ApiAccess, String)>,
    ) -> Option<Result<Self, String>> {
        let (access, pipeline) = heroku?;
        let found = async {
            let heroku = Heroku::new(access)?;
            let apps = within(LIMIT, heroku.apps(pipeline)).await?;
            Ok(Self {
                url: access.url.clone(),
                apps,
                clock: heroku.clock(),
            })
        };
        Some(found.await.map_err(|error: Error| error.report()))
    }
}

/// A token of functions outside of production, and what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenFacts {
    /// The place of the token.
    pub(super) origin: String,
    pub(super) stages: BTreeSet<Stage>,
    /// The apps whose config vars it reads and must not, each with the stage that it serves; or the
    /// reason why that is not known.
    pub(super) reads: Result<Vec<(StageKind, String)>, String>,
    /// The advice that removes the token from its place.
    pub(super) removal: String,
}

/// Tries what the tokens of functions outside of production read. `given` are the tokens that the
/// operator names for stages, since those of a site are mostly secrets.
pub(super) async fn try_tokens(
    site: Option<&SiteFacts>,
    given: &[(Stage, ApiAccess)],
    heroku_url: &str,
    apps: &PipelineApps,
) -> Vec<TokenFacts> {
    let mut found = Vec::new();
    let given_to_others = given
        .iter()
        .filter(|(stage, _)| stage.kind() != StageKind::Production);
    for (stage, access) in given_to_others {
        let token = Token {
            origin: format!("the token in {}", access.token_variable),
            stages: BTreeSet::from([*stage]),
            removal: format!("replace the token in {}", access.token_variable),
        };
        found.extend(token.try_it(access, apps, stage.kind()).await);
    }
    for value in site.map(|site| site.values_of(TOKEN)).into_iter().flatten() {
        let stages = value.reaches.iter().map(|(_, stage)| *stage);
        let stages: BTreeSet<_> = stages
            .filter(|stage| stage.kind() != StageKind::Production)
            .collect();
        let is_given = |stage: &Stage| given.iter().any(|(of, _)| of == stage);
        let Some(least) = stages.iter().map(Stage::kind).min() else {
            continue;
        };
        let are_given = stages.iter().all(is_given);
        let token = Token {
            origin: value.place.to_string(),
            stages,
            removal: value.place.removal(),
        };
        match &value.text {
            None if are_given => {}
            None => found.push(
                token.facts(Err(
                    "it is a secret, which cannot be read back: name the token with --token-for \
                     STAGE=VARIABLE"
                        .to_owned(),
                )),
            ),
            Some(text) => {
                let access = ApiAccess::new(heroku_url, text.clone(), value.place.to_string());
                found.extend(token.try_it(&access, apps, least).await);
            }
        }
    }
    found
}

/// A token of functions outside of production.
struct Token {
    origin: String,
    stages: BTreeSet<Stage>,
    removal: String,
}

impl Token {
    fn facts(&self, reads: Result<Vec<(StageKind, String)>, String>) -> TokenFacts {
        TokenFacts {
            origin: self.origin.clone(),
            stages: self.stages.clone(),
            reads,
            removal: self.removal.clone(),
        }
    }

    /// Tries what it reads and must not, where the least of its stages is of this kind. What it was
    /// seen to read is told whether the rest could be tried or not.
    async fn try_it(
        &self,
        access: &ApiAccess,
        apps: &PipelineApps,
        least: StageKind,
    ) -> Vec<TokenFacts> {
        let action = "find out what a token reads";
        let heroku = match Heroku::new(access) {
            Ok(heroku) => heroku,
            Err(error) => return vec![self.facts(Err(error.report()))],
        };
        let mut forbidden = vec![(StageKind::Production, &apps.production)];
        // The author of a pull request may run code with it.
        if least == StageKind::Review {
            forbidden.push((StageKind::Staging, &apps.staging));
        }
        let (mut found, mut failed) = (Vec::new(), None);
        for (kind, apps) in forbidden {
            // No app that is seen is no proof: the pipeline may be another, or the account see a part.
            if apps.is_empty() {
                failed = Some(format!(
                    "not tried on {kind}'s config vars, since no app of stage {kind} is visible in \
                     the pipeline"
                ));
                continue;
            }
            match within(LIMIT, heroku.find_readable(apps, action)).await {
                Ok(read) => found.extend(read.map(|app| (kind, app))),
                Err(error) => failed = Some(error.report()),
            }
        }
        let is_told = failed.is_none() || !found.is_empty();
        let found = is_told.then(|| self.facts(Ok(found)));
        let failed = failed.map(|reason| self.facts(Err(reason)));
        found.into_iter().chain(failed).collect()
    }
}

/// Returns the tokens that functions outside of production may have by variables of the site or its
/// account that could not be read. `None` where none of these functions would get such a token.
pub(super) fn unread_token(site: &SiteFacts, given: &[(Stage, ApiAccess)]) -> Option<TokenFacts> {
    let mut reason = None;
    let mut stages = BTreeSet::new();
    for (context, stage) in &site.contexts {
        let is_given = given.iter().any(|(of, _)| of == stage);
        if stage.kind() == StageKind::Production || is_given {
            continue;
        }
        if let Some(unread) = site.unknown_value(context, TOKEN) {
            reason = Some(unread.to_owned());
            stages.insert(*stage);
        }
    }
    let owner = match site.own {
        Ok(_) => "the site's account",
        Err(_) => "the site",
    };
    reason.map(|reason| TokenFacts {
        origin: format!("{TOKEN} of {owner}"),
        stages,
        reads: Err(reason),
        removal: String::new(),
    })
}

/// Returns whether functions outside of production have a token, by the site or by the operator.
pub(super) fn has_tokens(site: Option<&SiteFacts>, given: &[(Stage, ApiAccess)]) -> bool {
    let of_site = site.map(|site| site.values_of(TOKEN)).into_iter().flatten();
    let mut reached = of_site.flat_map(|value| value.reaches);
    !given.is_empty() || reached.any(|(_, stage)| stage.kind() != StageKind::Production)
}

const TOKEN: &str = "HEROKU_API_KEY";
const PROVIDER: &str = "STAGELINK_PROVIDER";

/// The longest time of one look-up.
pub(super) const LIMIT: Duration = Duration::from_secs(20);
