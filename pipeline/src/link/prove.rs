//! The proof that no token of a linked context outside of production reads production's config vars.

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Provider as _, ProviderSettings, ResolveRequest, Stage, StageKind};

use crate::api::ApiAccess;
use crate::attempts;
use crate::error::{Error, ErrorKind};
use crate::heroku::Heroku;
use crate::link::request::LinkRequest;
use crate::link::site_tokens::{SiteTokens, TOKEN};
use crate::link::site_variables::SiteVariables;
use crate::link::stage_database::StageDatabases;
use crate::link::value_place::ValuePlace;
use crate::netlify::DeployContext;

/// The tokens of all contexts, which were proved not to read production's config vars.
#[derive(Debug)]
pub struct ProvedTokens {
    /// For each linked context, in the request's order.
    pub(super) of_contexts: Vec<ContextToken>,
    /// The tokens among all values of the site, also of contexts that are not linked.
    pub(super) of_site: SiteTokens,
    proofs: usize,
}

/// The token with which a context's functions ask Heroku once their credentials are stale.
#[derive(Clone, Debug)]
pub(super) enum ContextToken {
    /// No token: the functions have their credentials alone, or no database.
    None,
    /// A token of the request, which is set.
    Given(SecretString),
    /// A token that the site has already.
    Kept,
}

impl ProvedTokens {
    /// Proves of each token that a linked context other than production's has, or is to get, that it
    /// does not read production's config vars; and of each token that is to be set that it finds its
    /// stage's database. Of the tokens in all other values that can be read it finds out what they
    /// read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Isolation`] when a token reads production's config vars, or the site has a
    /// secret one that cannot be tried; [`ErrorKind::Database`] when a token does not find its
    /// stage's database; the errors of the requests.
    pub async fn prove(
        request: &LinkRequest,
        site: &SiteVariables,
        databases: &StageDatabases,
    ) -> Result<Self, Error> {
        let of_contexts: Vec<_> = request
            .contexts
            .iter()
            .map(|(context, stage)| match request.tokens.get(stage) {
                Some(access) => ContextToken::Given(access.token.clone()),
                None if site.value_in(TOKEN, context).is_some() => ContextToken::Kept,
                None => ContextToken::None,
            })
            .collect();
        let own = Heroku::new(&request.heroku)?;
        let mut apps = own.apps(&request.pipeline).await?;
        for stage in request.known_stages() {
            let named = request.app(stage).map(str::to_owned);
            match stage.kind() {
                StageKind::Production => apps.production.extend(named),
                StageKind::Staging => apps.staging.extend(named),
                _ => {}
            }
        }
        let mut proved: Vec<(Stage, ApiAccess)> = Vec::new();
        for ((context, stage), token) in request.contexts.iter().zip(&of_contexts) {
            let stage = *stage;
            let access = match token {
                ContextToken::None => continue,
                ContextToken::Given(_) => request.tokens[&stage].clone(),
                ContextToken::Kept if stage.kind() == StageKind::Production => continue,
                ContextToken::Kept => kept_token(request, site, context, stage)?,
            };
            let is_same = |(of, other): &(Stage, ApiAccess)| {
                *of == stage && other.token.expose_secret() == access.token.expose_secret()
            };
            if proved.iter().any(is_same) {
                continue;
            }
            let heroku = Heroku::new(&access)?;
            if stage.kind() != StageKind::Production {
                let production = StageKind::Production;
                heroku
                    .ensure_cannot_read(&apps.production, production, stage)
                    .await?;
            }
            // The author of a pull request may run code with it.
            if stage.kind() == StageKind::Review {
                let staging = StageKind::Staging;
                heroku
                    .ensure_cannot_read(&apps.staging, staging, stage)
                    .await?;
                heroku.ensure_reads_review_apps(&request.pipeline).await?;
            }
            if databases
                .linked()
                .iter()
                .any(|found| found.stage() == stage)
            {
                ensure_finds_database(request, stage, &access).await?;
            }
            proved.push((stage, access));
        }
        let proofs = proved
            .iter()
            .filter(|(stage, _)| stage.kind() != StageKind::Production);
        Ok(Self {
            proofs: proofs.count(),
            of_site: SiteTokens::find(request, site, &apps).await?,
            of_contexts,
        })
    }

    /// The number of tokens that were proved.
    pub fn count(&self) -> usize {
        self.proofs
    }
}

/// The token that the site has for a context.
fn kept_token(
    request: &LinkRequest,
    site: &SiteVariables,
    context: &DeployContext,
    stage: Stage,
) -> Result<ApiAccess, Error> {
    let value = site.value_in(TOKEN, context);
    let place = site.place_in(TOKEN, context);
    let origin = place.as_ref().map(ValuePlace::to_string);
    let origin = origin.unwrap_or_else(|| format!("{TOKEN} of the site"));
    let Some(token) = value.and_then(|value| value.text.clone()) else {
        let removal = place.map(|place| place.removal()).unwrap_or_default();
        return Err(Error::new(
            ErrorKind::Isolation,
            format!(
                "{origin} is a secret that cannot be read, so nothing proves that it does not read \
                 production's config vars: give the token of stage {stage} with --token-for, or \
                 {removal}"
            ),
        ));
    };
    Ok(ApiAccess::new(&request.heroku.url, token, origin))
}

/// Makes sure that functions of the stage find their database with this token. The request's own
/// token has found it already.
async fn ensure_finds_database(
    request: &LinkRequest,
    stage: Stage,
    access: &ApiAccess,
) -> Result<(), Error> {
    if access.token.expose_secret() == request.heroku.token.expose_secret() {
        return Ok(());
    }
    let failed = |error| {
        let variable = &access.token_variable;
        let message =
            format!("the token of stage {stage} (in {variable}) does not find its database");
        Error::with_source(ErrorKind::Database, message, error)
    };
    let settings = request.settings_of(stage, &access.token).map_err(failed)?;
    if let Some(ProviderSettings::Heroku(settings)) = settings.provider {
        let heroku = stagelink::Heroku::new(settings).map_err(failed)?;
        let question = ResolveRequest::new(stage);
        attempts::look_up(async || heroku.resolve(&question).await)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
impl ProvedTokens {
    /// Tokens that no proof was made of, for tests of what comes after.
    pub(super) fn of(of_contexts: Vec<ContextToken>) -> Self {
        Self {
            of_contexts,
            of_site: SiteTokens::default(),
            proofs: 0,
        }
    }
}
