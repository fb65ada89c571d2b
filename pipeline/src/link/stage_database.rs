//! The look-up before a plan: the site's variables, and the database of each stage.

use secrecy::ExposeSecret;
use stagelink::{Credentials, Database, DatabaseInfo, Settings, Stage, StageMark};

use crate::error::{Error, ErrorKind};
use crate::link::request::LinkRequest;
use crate::netlify::{DeployContext, Site, Variable, VariableValue};

/// A site and its variables when it was looked up.
#[derive(Debug)]
pub struct SiteVariables {
    /// `None` where Netlify was not asked: the site counts as new.
    pub(super) site: Option<Site>,
    pub(super) name: String,
    /// The site's own variables.
    pub(super) own: Vec<Variable>,
    /// The variables of its account.
    pub(super) account: Vec<Variable>,
}

impl SiteVariables {
    /// Looks up the site of a request at Netlify.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for an unusable URL, [`ErrorKind::Refused`] when Netlify does not
    /// find the site or refuses the token, [`ErrorKind::Unavailable`] when it does not answer.
    pub async fn look_up(request: &LinkRequest) -> Result<Self, Error> {
        let Some(netlify) = &request.netlify else {
            return Ok(Self {
                site: None,
                name: request.site.clone(),
                own: Vec::new(),
                account: Vec::new(),
            });
        };
        let site = Site::find(netlify, &request.site, request.has_scopes).await?;
        Ok(Self {
            name: site.name().to_owned(),
            own: site.variables().await?,
            account: site.account_variables().await?,
            site: Some(site),
        })
    }

    /// The site's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the site's own variables.
    pub fn count(&self) -> usize {
        self.own.len()
    }

    /// The site's own variable of this name.
    pub(super) fn own(&self, key: &str) -> Option<&Variable> {
        self.own.iter().find(|variable| variable.key == key)
    }

    /// The value that a variable has in a context, from the site or else from its account.
    pub(super) fn value_in(&self, key: &str, context: &DeployContext) -> Option<&VariableValue> {
        let account = self.account.iter().find(|variable| variable.key == key);
        let own = self.own(key).and_then(|own| own.value_in(context));
        own.or_else(|| account?.value_in(context))
    }
}

/// A stage's database, found and tried as the stage's functions will.
#[derive(Debug)]
pub struct StageDatabase {
    /// The credentials that functions get.
    pub(super) credentials: Credentials,
    /// The inspection with the variables that functions get.
    pub(super) info: DatabaseInfo,
    /// The variables beside the credentials by which functions prove the database and its server.
    pub(super) proof: Vec<(&'static str, String)>,
}

impl StageDatabase {
    /// Finds and tries the database of each stage of a request. A preview's database belongs to
    /// its pull request, so stage review is left out unless its app is named.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when one cannot be found or used, [`ErrorKind::Isolation`] when a
    /// database is marked as another stage's, or two stages have the same one.
    pub async fn find_all(request: &LinkRequest) -> Result<Vec<Self>, Error> {
        let mut found = Vec::new();
        for stage in request.stages() {
            if stage == Stage::Review && request.app(stage).is_none() {
                continue;
            }
            found.push(Self::find(request, stage).await?);
        }
        ensure_distinct(&found)?;
        Ok(found)
    }

    async fn find(request: &LinkRequest, stage: Stage) -> Result<Self, Error> {
        let action = format!("could not link stage {stage}");
        let found = Database::new(request.settings_of(stage, &request.heroku.token))
            .inspect()
            .await
            .map_err(|error| Error::with_source(ErrorKind::Database, &action, error))?;
        ensure_own_stage(&found).map_err(|error| error.context(&action))?;
        let mut proof = Vec::new();
        if found.mark == StageMark::Of(stage) {
            proof.push(("STAGELINK_REQUIRE_MARK", "true".to_owned()));
        }
        // A pooler proves itself by the key of the database behind it, and functions get the
        // pooler's URL alone.
        let needs_pin = request.pins_servers || found.credentials.direct().is_some();
        if let Some(pin) = found.pin.filter(|_| needs_pin) {
            proof.push(("STAGELINK_SERVER_PIN", pin.to_string()));
        }
        if found.direct_tls {
            proof.push(("STAGELINK_DIRECT_TLS", "true".to_owned()));
        }
        let value = found.credentials.to_variable(stage);
        let variables = [
            ("STAGELINK_STAGE", stage.as_str()),
            ("STAGELINK_CREDENTIALS", value.expose_secret()),
        ];
        let variables = variables
            .into_iter()
            .chain(proof.iter().map(|(name, value)| (*name, value.as_str())))
            .chain(request.shared_settings());
        let info = Database::new(Settings::from_vars(variables))
            .inspect()
            .await
            .map_err(|error| {
                let message = format!("functions of stage {stage} could not use their database");
                Error::with_source(ErrorKind::Database, message, error).context(&action)
            })?;
        Ok(Self {
            credentials: found.credentials,
            info,
            proof,
        })
    }

    /// The stage.
    pub fn stage(&self) -> Stage {
        self.info.stage
    }

    /// The credentials that the stage's functions get.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The database and its server, as functions find them.
    pub fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// Returns whether the database is marked as this stage's.
    pub fn is_marked(&self) -> bool {
        self.info.mark == StageMark::Of(self.info.stage)
    }
}

/// Makes sure that a stage's credentials do not lead to another stage's database.
///
/// # Errors
///
/// [`ErrorKind::Isolation`] when the database is marked as another stage's.
pub fn ensure_own_stage(found: &DatabaseInfo) -> Result<(), Error> {
    let stage = found.stage;
    if found.is_of_another_stage() {
        return Err(Error::new(
            ErrorKind::Isolation,
            format!(
                "the database of stage {stage} ({} of {}) is marked as stage {}'s: correct the \
                 URL there, or the mark with `stagelink mark set --stage {stage} --replace`",
                found.database, found.origin, found.mark
            ),
        ));
    }
    Ok(())
}

/// Makes sure that no two stages have the same database.
fn ensure_distinct(found: &[StageDatabase]) -> Result<(), Error> {
    for (number, one) in found.iter().enumerate() {
        for other in &found[..number] {
            let (one, other) = (&one.info, &other.info);
            if (&one.server, &one.database) == (&other.server, &other.database) {
                return Err(Error::new(
                    ErrorKind::Isolation,
                    format!(
                        "stages {} and {} have one database, {} on {}: give each stage its own \
                         (`heroku addons:create heroku-postgresql`)",
                        other.stage, one.stage, one.database, one.server
                    ),
                ));
            }
        }
    }
    Ok(())
}
