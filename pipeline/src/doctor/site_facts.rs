//! The facts about a project's Netlify site: its settings, its variables, and what the tokens among
//! them read.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Stage, StageKind};

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
    pub(super) published: Option<Deploy>,
    /// True if the site takes production deploys from its Git repository alone.
    pub(super) refuses_api_deploys: bool,
    pub(super) own: Vec<Variable>,
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
    /// Looks the site up: a request or two for the site, two for the variables.
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
        let (own, account) = tokio::join!(
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
            published: site.published_deploy().map_err(failed)?,
            refuses_api_deploys: site.refuses_api_deploys(),
            own: own.map_err(failed)?,
            account,
            contexts,
            clock: site.clock(),
        })
    }

    pub(super) fn account(&self) -> &[Variable] {
        self.account.as_deref().unwrap_or_default()
    }

    /// The values that a variable has for functions, each once, with the contexts that it reaches.
    pub(super) fn values_of(&self, key: &str) -> Vec<SiteValue> {
        let mut values: Vec<SiteValue> = Vec::new();
        for (context, stage) in &self.contexts {
            let variables = function_variables(context, &self.own, self.account());
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

    /// Returns whether a variable of a context's functions has this value.
    pub(super) fn has_value(&self, context: &DeployContext, key: &str, value: &str) -> bool {
        let variables = function_variables(context, &self.own, self.account());
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
    for (stage, access) in given {
        found.push(TokenFacts {
            origin: format!("the token in {}", access.token_variable),
            stages: BTreeSet::from([*stage]),
            reads: reads(access, apps, stage.kind()).await,
            removal: format!("replace the token in {}", access.token_variable),
        });
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
        let reads = match &value.text {
            None if stages.iter().all(is_given) => continue,
            None => Err(
                "it is a secret, which cannot be read back: name the token with \
                         --token-for STAGE=VARIABLE"
                    .to_owned(),
            ),
            Some(token) => {
                let access = ApiAccess::new(heroku_url, token.clone(), value.place.to_string());
                reads(&access, apps, least).await
            }
        };
        found.push(TokenFacts {
            origin: value.place.to_string(),
            stages,
            reads,
            removal: value.place.removal(),
        });
    }
    found
}

/// Returns the tokens that functions outside of production may have by the site's account, whose
/// variables could not be read. `None` where none of these functions would get such a token.
pub(super) fn unread_token(site: &SiteFacts, given: &[(Stage, ApiAccess)]) -> Option<TokenFacts> {
    let reason = site.account.as_ref().err()?;
    let is_open = |(context, stage): &&(DeployContext, Stage)| {
        let own = function_variables(context, &site.own, &[]);
        stage.kind() != StageKind::Production
            && !given.iter().any(|(of, _)| of == stage)
            && !own.iter().any(|found| found.variable.key == TOKEN)
    };
    let stages = site.contexts.iter().filter(is_open);
    let stages: BTreeSet<_> = stages.map(|(_, stage)| *stage).collect();
    (!stages.is_empty()).then(|| TokenFacts {
        origin: format!("{TOKEN} of the site's account"),
        stages,
        reads: Err(reason.clone()),
        removal: String::new(),
    })
}

/// Returns whether functions outside of production have a token, by the site or by the operator.
pub(super) fn has_tokens(site: Option<&SiteFacts>, given: &[(Stage, ApiAccess)]) -> bool {
    let of_site = site.map(|site| site.values_of(TOKEN)).into_iter().flatten();
    let mut reached = of_site.flat_map(|value| value.reaches);
    !given.is_empty() || reached.any(|(_, stage)| stage.kind() != StageKind::Production)
}

async fn reads(
    access: &ApiAccess,
    apps: &PipelineApps,
    least: StageKind,
) -> Result<Vec<(StageKind, String)>, String> {
    let action = "find out what a token reads";
    let heroku = Heroku::new(access).map_err(|error| error.report())?;
    let mut forbidden = vec![(StageKind::Production, &apps.production)];
    // The author of a pull request may run code with it.
    if least == StageKind::Review {
        forbidden.push((StageKind::Staging, &apps.staging));
    }
    let mut found = Vec::new();
    for (kind, apps) in forbidden {
        let read = within(LIMIT, heroku.find_readable(apps, action)).await;
        let read = read.map_err(|error| error.report())?;
        found.extend(read.map(|app| (kind, app)));
    }
    Ok(found)
}

const TOKEN: &str = "HEROKU_API_KEY";

/// The longest time of one look-up.
pub(super) const LIMIT: Duration = Duration::from_secs(20);
