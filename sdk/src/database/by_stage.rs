//! The databases of one process, by the stage that the invoked alias names.

use std::fmt;
use std::sync::{Arc, OnceLock};

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

/// Returns the kind that the alias is named after. It runs for each request, so it looks at
/// the end of the ARN first.
fn kind_of_alias(arn: &str) -> Option<StageKind> {
    let (_, last) = arn.rsplit_once(':')?;
    let kind = StageKind::named(last)?;
    (qualifier(arn) == Some(last)).then_some(kind)
}

/// Returns the alias in an ARN if it says otherwise than `STAGELINK_STAGE`. An alias that is named
/// after a kind is that stage. Any other one, such as `live`, may stand for a stage that is called
/// after its kind; for a stage with a name of its own it has that name, so that no other stage's
/// alias leads there.
fn other_alias(stage: Stage, arn: &str) -> Option<&str> {
    if !stage.has_own_name() {
        let alias = kind_of_alias(arn).filter(|kind| *kind != stage.kind())?;
        return Some(alias.as_str());
    }
    let is_alias = |alias: &&str| *alias != "$LATEST" && !is_version(alias);
    let alias = qualifier(arn).filter(is_alias);
    alias.filter(|alias| *alias != stage.name())
}

/// Returns whether a qualifier is the number of a version. An alias is never a number.
fn is_version(qualifier: &str) -> bool {
    qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the part behind the function's name: an alias or a version.
fn qualifier(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_function = parts.next() == Some("arn")
        && parts.nth(1) == Some("lambda")
        && parts.nth(2) == Some("function");
    let qualifier = parts.nth(1).filter(|_| is_function)?;
    parts.next().is_none().then_some(qualifier)
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
mod tests {
    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:guestbook";

    const HEROKU: [(&str, &str); 2] = [
        ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
        ("HEROKU_API_KEY", "token-c4n4ry"),
    ];

    const QA: [(&str, &str); 2] = [
        ("STAGELINK_STAGE", "staging/qa"),
        ("STAGELINK_HEROKU_APP", "guestbook-qa"),
    ];

    fn invoked(vars: &[(&'static str, &'static str)], arn: &str) -> Result<Stage, Error> {
        Databases::from_vars(vars.iter().copied())
            .for_function_arn(arn)?
            .stage()
    }

    fn by(qualifier: &str) -> String {
        format!("{FUNCTION}:{qualifier}")
    }

    #[test]
    fn alias_that_is_called_after_a_stage_names_it() {
        for &kind in StageKind::ALL {
            let stage = invoked(&HEROKU, &by(kind.as_str())).unwrap();
            assert_eq!(stage, Stage::of_kind(kind));
        }
    }

    #[test]
    fn stages_in_turn_have_a_database_each_that_stays() {
        let databases = Databases::from_vars(HEROKU);
        let database = |stage| databases.for_function_arn(&by(stage)).unwrap();
        assert_eq!(database("staging").stage().unwrap(), Stage::STAGING);
        assert_eq!(database("production").stage().unwrap(), Stage::PRODUCTION);
        assert!(std::ptr::eq(database("staging"), database("staging")));
        assert!(databases.named().is_none());
        assert_eq!(databases.made().count(), 2);
    }

    #[test]
    fn arn_without_a_stage_is_refused_and_says_what_was_looked_at() {
        for (arn, said) in [
            (FUNCTION.to_owned(), "without an alias"),
            (
                FUNCTION.replace("guestbook", "production"),
                "without an alias",
            ),
            (by("$LATEST"), "by $LATEST"),
            (by("17"), "by version 17"),
            (by("live"), r#"by the alias "live""#),
            (by("Production"), r#"by the alias "Production""#),
            (by("production:x"), "without an alias"),
            (String::new(), "without an alias"),
            ("a:b:c:d:e:f:g:production".to_owned(), "without an alias"),
        ] {
            let error = invoked(&HEROKU, &arn).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stage, "{arn}");
            assert!(error.to_string().contains(said), "{arn}: {error}");
            assert!(error.to_string().contains("set STAGELINK_STAGE, or"));
        }
    }

    #[test]
    fn variable_names_the_stage_unless_the_alias_names_another() {
        let vars = [HEROKU.as_slice(), &[("STAGELINK_STAGE", "staging")]].concat();
        for qualifier in ["staging", "live", "$LATEST", "3"] {
            assert_eq!(invoked(&vars, &by(qualifier)).unwrap(), Stage::STAGING);
        }
        assert_eq!(invoked(&vars, FUNCTION).unwrap(), Stage::STAGING);
        let error = invoked(&vars, &by("production")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stage);
        assert!(error.to_string().contains("STAGELINK_STAGE says staging"));
        assert!(error.to_string().contains("the alias production"));
    }

    #[test]
    fn alias_of_a_stage_with_its_own_name_is_that_name() {
        let vars = [HEROKU.as_slice(), &QA].concat();
        for qualifier in ["qa", "$LATEST", "3"] {
            let stage = invoked(&vars, &by(qualifier)).unwrap();
            assert_eq!(stage.as_str(), "staging/qa");
        }
        assert_eq!(invoked(&vars, FUNCTION).unwrap().name(), "qa");
        for (qualifier, advice) in [
            (
                "staging",
                "remove STAGELINK_STAGE so that the alias decides",
            ),
            ("production", "whose STAGELINK_STAGE is production"),
            ("live", "call the alias qa"),
            ("qa-2", "whose STAGELINK_STAGE is KIND/qa-2"),
        ] {
            let error = invoked(&vars, &by(qualifier)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stage);
            let text = error.to_string();
            assert!(text.contains("STAGELINK_STAGE says staging/qa"), "{text}");
            assert!(text.contains(advice), "{text}");
        }
        // Without the variable nothing says of which kind qa is.
        let error = invoked(&HEROKU, &by("qa")).unwrap_err().to_string();
        assert!(error.contains("needs STAGELINK_STAGE=KIND/NAME"), "{error}");
    }

    #[test]
    fn stage_that_the_caller_names_has_to_be_that_of_the_variable_and_of_the_alias() {
        let named = |vars: &[(&'static str, &'static str)], stage: &str, arn: &str| {
            let databases = Databases::from_vars(vars.iter().copied());
            let database = databases.for_named_stage(stage.parse().unwrap(), arn);
            database.and_then(Database::stage)
        };
        for arn in [by("production"), by("7"), by("live"), FUNCTION.to_owned()] {
            let stage = named(&HEROKU, "production", &arn);
            assert_eq!(stage.unwrap(), Stage::PRODUCTION, "{arn}");
        }
        let production = [HEROKU.as_slice(), &[("STAGELINK_STAGE", "production")]].concat();
        let qa = [HEROKU.as_slice(), &QA].concat();
        assert_eq!(
            named(&production, "production", &by("7")).unwrap(),
            Stage::PRODUCTION
        );
        assert_eq!(named(&qa, "staging/qa", &by("7")).unwrap().name(), "qa");
        for (vars, stage, arn, reason) in [
            (
                &HEROKU[..],
                "production",
                by("staging"),
                "by the alias staging",
            ),
            (&HEROKU, "staging/qa", by("7"), "STAGELINK_STAGE is not set"),
            (
                &production,
                "staging",
                by("7"),
                "STAGELINK_STAGE says production",
            ),
            (
                &production,
                "production",
                by("staging"),
                "two stages are named",
            ),
            (
                &production,
                "staging",
                by("staging"),
                "two stages are named",
            ),
            (&qa, "staging", by("7"), "STAGELINK_STAGE says staging/qa"),
        ] {
            let error = named(vars, stage, &arn).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stage);
            assert!(error.to_string().contains(reason), "{stage} {arn}: {error}");
        }
        let unusable = named(&[("STAGELINK_STAGE", "prod")], "production", &by("7"));
        assert!(unusable.unwrap_err().to_string().contains("unknown stage"));
    }

    #[test]
    fn variable_that_names_no_stage_is_not_made_good_by_an_alias() {
        let vars = [HEROKU.as_slice(), &[("STAGELINK_STAGE", "prod")]].concat();
        let error = invoked(&vars, &by("production")).unwrap_err();
        assert!(error.to_string().contains("unknown stage"), "{error}");
    }

    #[test]
    fn source_that_knows_one_database_is_refused_for_an_alias() {
        let one = "knows one database";
        for vars in [
            [("DATABASE_URL", "postgres://u:c4n4ry@h/d")].as_slice(),
            &[("STAGELINK_HEROKU_APP", "shop"), HEROKU[1]],
            &[
                ("STAGELINK_RENDER_POSTGRES", "dpg-1"),
                ("RENDER_API_KEY", "c4n4ry"),
            ],
            &[
                ("STAGELINK_NEON_PROJECT", "shop"),
                ("STAGELINK_NEON_BRANCH", "br-1"),
                ("STAGELINK_NEON_DATABASE", "shop"),
                ("STAGELINK_NEON_ROLE", "shop"),
                ("NEON_API_KEY", "c4n4ry"),
            ],
        ] {
            let error = invoked(vars, &by("staging")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.to_string().contains(one), "{error}");
            assert!(!format!("{error:?}").contains("c4n4ry"));
            let named = [vars, &[("STAGELINK_STAGE", "staging")]].concat();
            assert_eq!(invoked(&named, &by("staging")).unwrap(), Stage::STAGING);
        }
    }

    #[test]
    fn deploy_time_entry_of_each_stage_is_its_own() {
        const BOTH: &str = "staging=postgres://u:c4n4ry@h/s?sslmode=require\n  \
                            production=postgres://u:c4n4ry@h/p?sslmode=require";
        let deploy_time = [("STAGELINK_CREDENTIALS", BOTH)];
        for stage in ["staging", "production"] {
            assert_eq!(invoked(&deploy_time, &by(stage)).unwrap().name(), stage);
        }
        let error = invoked(&deploy_time, &by("review")).unwrap_err();
        assert!(
            error.to_string().contains("no entry for stage review"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("c4n4ry"));
        // A pipeline may know a stage that has no entry.
        let vars = [HEROKU.as_slice(), &deploy_time].concat();
        assert_eq!(invoked(&vars, &by("review")).unwrap(), Stage::REVIEW);
        // Where the variable names the stage, another stage's entry is a mistake.
        let named = [deploy_time[0], ("STAGELINK_STAGE", "staging")];
        let error = invoked(&named, &by("staging")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("credentials of stage production")
        );
    }
}
