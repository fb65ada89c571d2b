//! The database of each stage: found, tried as the stage's functions will, and compared with those
//! of the other stages.

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Credentials, Database, DatabaseInfo, Settings, Stage, StageKind, StageMark};

use crate::attempts;
use crate::error::{Error, ErrorKind};
use crate::link::request::LinkRequest;

/// The databases of a request's stages, each of which is another one.
#[derive(Debug, Default)]
pub struct StageDatabases {
    pub(super) linked: Vec<StageDatabase>,
    /// The databases of stages that the request does not link.
    pub(super) compared: Vec<StageDatabase>,
    /// The stages that were not compared, each with the reason.
    pub(super) not_compared: Vec<(Stage, String)>,
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
    /// Connects with the variables that functions get.
    pub(super) database: Database,
}

impl StageDatabases {
    /// Finds and tries the database of each stage that a request links, and compares it with those
    /// of the other linked stages, of production and of staging. A preview's database belongs to
    /// its pull request, so stage review is left out unless its app is named.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when one cannot be found, used or compared, and
    /// [`ErrorKind::Isolation`] when a database is marked as another stage's, or two stages have
    /// the same one. Staging, where the request does not link it, need not be found; nor need
    /// production with [`LinkRequest::without_production`].
    pub async fn find(request: &LinkRequest) -> Result<Self, Error> {
        let mut databases = Self::default();
        let stages = request.stages();
        for &stage in &stages {
            if stage.kind() == StageKind::Review && request.app(stage).is_none() {
                continue;
            }
            let found = StageDatabase::find(request, stage).await?;
            databases.ensure_is_another(&found).await?;
            databases.linked.push(found);
        }
        let compared = request.project.compared().iter().copied();
        for stage in compared.filter(|stage| !stages.contains(stage)) {
            // An app that the stage still has on Heroku would not be its database.
            if let Some(moved) = request.moved_stage(stage) {
                databases.not_compared.push((stage, moved.to_string()));
                continue;
            }
            match databases.compare(request, stage).await {
                Ok(found) => databases.compared.push(found),
                Err(error) if error.kind() == ErrorKind::Isolation => return Err(error),
                Err(error) if stage.kind() == StageKind::Production && request.needs_production => {
                    return Err(error.context(format!(
                        "the database of stage {stage} is not known, so nothing shows that no \
                         other stage gets it: name its app with --app {stage}=APP, or link \
                         without the comparison with --without-production"
                    )));
                }
                Err(error) => databases.not_compared.push((stage, error.report())),
            }
        }
        Ok(databases)
    }

    /// The databases of the stages that the request links.
    pub fn linked(&self) -> &[StageDatabase] {
        &self.linked
    }

    /// The databases of all stages that are known, with those that the request does not link.
    pub fn all(&self) -> impl Iterator<Item = &StageDatabase> {
        self.linked.iter().chain(&self.compared)
    }

    /// The secrets that no context of another stage may have: those of the stage's credentials, and
    /// the token that the request has for the stage.
    pub(super) fn secrets(&self, request: &LinkRequest, stage: Stage) -> Vec<SecretString> {
        let own = self.all().filter(|found| found.stage() == stage);
        let token = request.tokens.get(&stage);
        own.flat_map(|found| found.credentials.secrets())
            .chain(token.map(|access| access.token.clone()))
            .collect()
    }

    /// Finds the database of a stage that is not linked, and compares it with those that are.
    async fn compare(&self, request: &LinkRequest, stage: Stage) -> Result<StageDatabase, Error> {
        let found = StageDatabase::look_up(request, stage)
            .await
            .map_err(|error| error.context(format!("could not compare with stage {stage}")))?;
        self.ensure_is_another(&found).await?;
        Ok(found)
    }

    /// Makes sure that no linked stage has this stage's database, by whatever name.
    async fn ensure_is_another(&self, found: &StageDatabase) -> Result<(), Error> {
        for linked in &self.linked {
            let (one, other) = (&linked.info, &found.info);
            let is_same_name = (&one.server, &one.database) == (&other.server, &other.database);
            let is_same = is_same_name || linked.is_same_as(found).await?;
            if is_same {
                return Err(Error::new(
                    ErrorKind::Isolation,
                    format!(
                        "stages {} and {} have one database: {} on {} ({}) and {} on {} ({}) are the \
                         same; give each stage its own (`heroku addons:create heroku-postgresql`)",
                        one.stage,
                        other.stage,
                        one.database,
                        one.server,
                        linked.credentials.origin(),
                        other.database,
                        other.server,
                        found.credentials.origin(),
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl StageDatabase {
    /// Finds a stage's database as the operator, and tries it with the variables of functions.
    async fn find(request: &LinkRequest, stage: Stage) -> Result<Self, Error> {
        let action = format!("could not link stage {stage}");
        let found = Self::look_up(request, stage)
            .await
            .map_err(|error| error.context(&action))?;
        let Self {
            credentials, info, ..
        } = found;
        let mut proof = Vec::new();
        if info.mark == StageMark::Of(stage) {
            proof.push(("STAGELINK_REQUIRE_MARK", "true".to_owned()));
        }
        // A pooler proves itself by the key of the database behind it, and functions get the
        // pooler's URL alone.
        let needs_pin = request.pins_servers || credentials.direct().is_some();
        if let Some(pin) = info.pin.filter(|_| needs_pin) {
            proof.push(("STAGELINK_SERVER_PIN", pin.to_string()));
        }
        if info.direct_tls {
            proof.push(("STAGELINK_DIRECT_TLS", "true".to_owned()));
        }
        let value = credentials.to_variable(stage);
        let as_a_function = |proof: &[(&'static str, String)]| {
            let variables = [
                ("STAGELINK_STAGE", stage.as_str()),
                ("STAGELINK_CREDENTIALS", value.expose_secret()),
            ];
            let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
            let variables = variables.into_iter().chain(proof);
            Database::new(Settings::from_vars(
                variables.chain(request.shared_settings()),
            ))
        };
        let mut database = as_a_function(&proof);
        let mut inspected = database.inspect().await;
        // A failure of another kind may be over by then, and functions without the library would not start.
        if let (Err(error), Some((name, library))) = (&inspected, request.tls_library())
            && error.kind() == stagelink::ErrorKind::ServerNotAuthenticated
        {
            proof.push((name, library.to_owned()));
            database = as_a_function(&proof);
            inspected = database.inspect().await;
        }
        let info = inspected.map_err(|error| {
            let message = format!("functions of stage {stage} could not use their database");
            Error::with_source(ErrorKind::Database, message, error).context(&action)
        })?;
        Ok(Self {
            credentials,
            info,
            proof,
            database,
        })
    }

    /// Finds a stage's database as the operator.
    async fn look_up(request: &LinkRequest, stage: Stage) -> Result<Self, Error> {
        let settings = request.settings_of(stage, &request.heroku.token);
        let database = Database::new(settings.map(Settings::with_app_names));
        let info = attempts::look_up(async || database.inspect().await).await;
        let info = info.map_err(|error| {
            let advice = match error.kind() {
                stagelink::ErrorKind::App => format!(" (--app {stage}=APP names its app)"),
                _ => String::new(),
            };
            let message = format!("could not find and try the database of stage {stage}{advice}");
            Error::with_source(ErrorKind::Database, message, error)
        })?;
        ensure_own_stage(&info)?;
        Ok(Self {
            credentials: info.credentials.clone(),
            info,
            proof: Vec::new(),
            database,
        })
    }

    async fn is_same_as(&self, other: &Self) -> Result<bool, Error> {
        let compared = self.database.is_same_database_as(&other.database).await;
        compared.map_err(|error| {
            let message = format!(
                "could not compare the databases of stages {} and {}",
                self.stage(),
                other.stage()
            );
            Error::with_source(ErrorKind::Database, message, error)
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
