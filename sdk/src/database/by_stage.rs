//! The databases of one process, by the stage that the invoked alias names.

mod alias;

use std::fmt;
use std::sync::{Arc, OnceLock};

use self::alias::{is_version, kind_of_alias, other_alias, qualifier};
use crate::config::Environment;
use crate::database::Database;
use crate::error::{Error, ErrorKind};
use crate::stage::{Stage, StageKind};

/// The databases of one process on AWS Lambda, by the stage of an invocation.
///
/// - **`STAGELINK_STAGE` is set:** that stage, for every invocation. An invocation by another
///   stage's alias is refused. For a stage with a name of its own (`staging/qa`) an alias that is not
///   called by that name (`qa`) is refused, too.
/// - **It is not set:** the kind of stage that the invoked alias is named after. AWS Lambda tells the
///   alias at the end of the invoked function's ARN
///   (`arn:aws:lambda:REGION:ACCOUNT:function:NAME:staging`). An invocation by a version, by
///   `$LATEST`, by an alias that is no kind of stage or without an alias is refused. A client cannot
///   choose the ARN: the operator who set up the URL or the route did, or the caller has AWS's
///   permission to invoke that alias.
///
/// The aliases of several stages may point to one version of a function, so one process may
/// serve them in turn. Each stage has its own pool, made with its first invocation; before that
/// no stage is known, so the start of the process opens no connection. The database's source has
/// to tell stages apart: a Heroku pipeline, or a `STAGELINK_CREDENTIALS` with an entry per stage.
///
/// [`run`](crate::run) does this for each request. Use it in a function with another loop, such
/// as one that takes messages from a queue:
///
/// ```no_run
/// # async fn example(context: lambda_http::Context) -> Result<(), stagelink::Error> {
/// let databases = stagelink::Databases::from_env();
/// // With each invocation:
/// let database = databases
///     .for_function_arn(&context.invoked_function_arn)?
///     .with_deadline(context.deadline());
/// let db = database.client().await?;
/// # let _ = db;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Databases(Arc<Inner>);

enum Inner {
    /// `STAGELINK_STAGE` names the stage.
    Named(Database),
    /// The invoked alias names the stage.
    ByAlias {
        environment: Box<Environment>,
        /// In the order of [`StageKind::ALL`].
        databases: Box<[OnceLock<Database>]>,
    },
}

impl Databases {
    /// Makes the databases from the environment of this process; see
    /// [`Settings`](crate::Settings) for the variables.
    ///
    /// It cannot fail: where the environment is incomplete,
    /// [`for_function_arn`](Self::for_function_arn) or the database returns the reason.
    pub fn from_env() -> Self {
        Self::new(Environment::of_process())
    }

    /// Makes the databases from any set of variables, as [`from_env`](Self::from_env) does from
    /// the environment.
    pub fn from_vars<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        Self::new(Environment::of_vars(vars))
    }

    fn new(environment: Result<Environment, Error>) -> Self {
        match environment {
            Ok(environment) if !environment.names_stage() => Self(Arc::new(Inner::ByAlias {
                environment: Box::new(environment),
                databases: StageKind::ALL.iter().map(|_| OnceLock::new()).collect(),
            })),
            environment => Self::from(Database::new(environment.and_then(Environment::settings))),
        }
    }

    /// Returns the database for an invocation of the function by that ARN.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] when neither the ARN nor `STAGELINK_STAGE` names a stage, or when
    /// they name different ones.
    pub fn for_function_arn(&self, invoked_function_arn: &str) -> Result<&Database, Error> {
        match &*self.0 {
            Inner::Named(database) => {
                let stage = database.stage_if_known();
                let alias = stage.and_then(|stage| other_alias(stage, invoked_function_arn));
                match (stage, alias) {
                    (Some(stage), Some(alias)) => Err(contradiction(stage, alias)),
                    _ => Ok(database),
                }
            }
            Inner::ByAlias {
                environment,
                databases,
            } => match kind_of_alias(invoked_function_arn) {
                Some(kind) => Ok(of_kind(environment, databases, kind)),
                None => Err(no_stage(qualifier(invoked_function_arn))),
            },
        }
    }

    /// Returns the database of a stage that the caller of an invocation names, as an invocation by
    /// that stage's alias gets it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] when the invoked alias or `STAGELINK_STAGE` names another stage, and for
    /// a stage with a name of its own without `STAGELINK_STAGE`.
    pub(crate) fn for_named_stage(
        &self,
        stage: Stage,
        invoked_function_arn: &str,
    ) -> Result<&Database, Error> {
        let refuse = |named: &str| {
            Err(Error::new(
                ErrorKind::Stage,
                format!("the caller asked for the database of stage {stage}, and {named}"),
            ))
        };
        match &*self.0 {
            Inner::Named(database) => {
                let database_of_arn = self.for_function_arn(invoked_function_arn)?;
                match database.stage_if_known() {
                    Some(own) if own != stage => refuse(&format!("STAGELINK_STAGE says {own}")),
                    _ => Ok(database_of_arn),
                }
            }
            Inner::ByAlias { .. } if stage.has_own_name() => {
                refuse("STAGELINK_STAGE is not set, which a stage with a name of its own needs")
            }
            Inner::ByAlias {
                environment,
                databases,
            } => match kind_of_alias(invoked_function_arn) {
                Some(kind) if kind != stage.kind() => {
                    refuse(&format!("invoked the function by the alias {kind}"))
                }
                _ => Ok(of_kind(environment, databases, stage.kind())),
            },
        }
    }

    /// Returns the database whose stage is known before the first invocation, if it is.
    pub(crate) fn named(&self) -> Option<&Database> {
        match &*self.0 {
            Inner::Named(database) => Some(database),
            Inner::ByAlias { .. } => None,
        }
    }

    /// Closes all idle connections in good order, as [`Database::close`].
    pub async fn close(&self) {
        for database in self.made() {
            database.close().await;
        }
    }

    /// Closes all connections and reuses none of them, as [`Database::discard_connections`].
    pub async fn discard_connections(&self) {
        for database in self.made() {
            database.discard_connections().await;
        }
    }

    fn made(&self) -> impl Iterator<Item = &Database> {
        let (named, by_alias) = match &*self.0 {
            Inner::Named(database) => (Some(database), [].as_slice()),
            Inner::ByAlias { databases, .. } => (None, &**databases),
        };
        named
            .into_iter()
            .chain(by_alias.iter().filter_map(OnceLock::get))
    }
}

impl From<Database> for Databases {
    /// Serves every invocation with one database, but for those by another stage's alias.
    fn from(database: Database) -> Self {
        Self(Arc::new(Inner::Named(database)))
    }
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.made()).finish()
    }
}

/// Returns the database of a stage that is called after its kind, made with its first use.
fn of_kind<'a>(
    environment: &Environment,
    databases: &'a [OnceLock<Database>],
    kind: StageKind,
) -> &'a Database {
    databases[kind as usize].get_or_init(|| {
        let settings = Environment::clone(environment).settings_of_alias(kind.into());
        Database::new(settings)
    })
}

fn no_stage(qualifier: Option<&str>) -> Error {
    let invoked = match qualifier {
        None => "without an alias".to_owned(),
        Some("$LATEST") => "by $LATEST, which is no alias".to_owned(),
        Some(version) if is_version(version) => {
            format!("by version {version}, which is no alias")
        }
        Some(alias) => {
            let shown: String = alias.chars().take(40).collect();
            format!(
                "by the alias {shown:?}, which is no kind of stage: a stage with a name of its own \
                 needs STAGELINK_STAGE=KIND/NAME"
            )
        }
    };
    Error::new(
        ErrorKind::Stage,
        format!(
            "no stage is known: STAGELINK_STAGE is not set, and the function was invoked {invoked} \
             (the end of the invoked function's ARN); set STAGELINK_STAGE, or invoke the function \
             by an alias that is called review, development, staging or production"
        ),
    )
}

fn contradiction(stage: Stage, alias: &str) -> Error {
    let shown: String = alias.chars().take(40).collect();
    let (alias, advice) = match StageKind::named(alias) {
        Some(kind) => (
            kind.as_str(),
            format!(
                "remove STAGELINK_STAGE so that the alias decides, or let the alias {kind} stand for \
                 a version whose STAGELINK_STAGE is {kind}"
            ),
        ),
        None => (
            &*shown,
            format!(
                "call the alias {}, or let it stand for a version whose STAGELINK_STAGE is \
                 KIND/{shown}",
                stage.name()
            ),
        ),
    };
    Error::new(
        ErrorKind::Stage,
        format!(
            "two stages are named: STAGELINK_STAGE says {stage}, and the function was invoked by \
             the alias {alias} (the end of the invoked function's ARN); {advice}"
        ),
    )
}

#[cfg(test)]
mod tests;
