//! The stage mark: the stage that a database belongs to, kept in the database itself.
//!
//! The mark is the database's default `application_name`, which only the database's owner may set.
//! It is read from the catalog. The `application_name` that a session begins with proves nothing:
//! the URL's options and a setting of the role take precedence there, and any role may set its own.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::DataRowBody;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::meaning::Meaning;
use crate::one_line::one_line;
use crate::postgres::sqlstate::{Cause, cause_in_session, response_of};
use crate::stage::Stage;

/// The stage that a database says it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageMark {
    /// The database has no mark.
    None,
    /// The database belongs to this stage.
    Of(Stage),
    /// The mark names a stage that this version does not know.
    Unknown(String),
}

impl StageMark {
    /// Reads the mark from the database's own settings, a line each.
    pub(crate) fn of_settings(settings: Option<&str>) -> Self {
        let mut settings = settings.unwrap_or_default().lines();
        match settings.find_map(|setting| setting.strip_prefix(PREFIX)) {
            None => Self::None,
            Some(stage) => match Stage::written(stage) {
                Some(stage) => Self::Of(stage),
                None => Self::Unknown(stage.to_owned()),
            },
        }
    }

    /// Reads the mark from a row whose first column is the answer to [`SETTINGS`]. `None` where the
    /// row has no column.
    pub(super) fn of_row(row: &DataRowBody) -> Option<Self> {
        let first = row.ranges().next().ok()??;
        let value = first.map(|range| String::from_utf8_lossy(&row.buffer()[range]));
        Some(Self::of_settings(value.as_deref()))
    }

    /// Asks the database for its mark, in one round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongDatabase`] where the role may not read the mark, or the server has no
    /// such catalog; else the kind of the failure that ended the session.
    pub(super) async fn query(client: &Client, url: &DatabaseUrl) -> Result<Self, Error> {
        let query = format!("SELECT ({SETTINGS})");
        let answer = client.simple_query(&query).await;
        let answer = answer.map_err(|error| unreadable(error, url))?;
        let found = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(Self::of_settings(row.try_get(0).ok()?)),
            _ => None,
        });
        found.ok_or_else(|| unreadable("the server sent no row", url))
    }

    /// Checks that a function of the stage may use a database with this mark.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongDatabase`] for the mark of another stage, or where a mark is required and
    /// missing.
    pub(super) fn check(
        &self,
        stage: Stage,
        required: bool,
        url: &DatabaseUrl,
    ) -> Result<(), Error> {
        let database = format!("database {} on {}:{}", url.database, url.host, url.port);
        let refuse = |reason: String| Err(Error::new(ErrorKind::WrongDatabase, reason));
        match self {
            Self::Of(own) if *own == stage => Ok(()),
            Self::Of(_) | Self::Unknown(_) => refuse(format!(
                "{database} is marked as stage {self}'s, and this function serves stage {stage}: \
                 configure the URL of its own database, or where the mark is wrong, as after a \
                 copy, replace it with `stagelink mark set --stage {stage} --replace`"
            )),
            Self::None if required => refuse(format!(
                "{database} has no stage mark, and STAGELINK_REQUIRE_MARK requires one: if the \
                 database belongs to stage {stage}, run `stagelink mark set --stage {stage}`"
            )),
            Self::None => {
                if is_first_warning(stage) {
                    let database = one_line(database);
                    tracing::warn!(
                        "{database} has no stage mark, so nothing shows that it belongs to stage \
                         {stage}: run `stagelink mark set --stage {stage}`, and set \
                         STAGELINK_REQUIRE_MARK=true"
                    );
                }
                Ok(())
            }
        }
    }
}

/// Returns whether this process has not warned of this stage's database yet.
fn is_first_warning(stage: Stage) -> bool {
    static WARNED: Mutex<Vec<Stage>> = Mutex::new(Vec::new());
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = !warned.contains(&stage);
    if is_first {
        warned.push(stage);
    }
    is_first
}

/// Builds the query for the server's version as a number, and for the database's own settings, of
/// which [`StageMark::of_settings`] reads the mark.
#[cfg(feature = "lambda")]
pub(crate) fn version_and_settings_query() -> String {
    format!("SELECT pg_catalog.current_setting('server_version_num'), ({SETTINGS})")
}

/// The error of a database whose mark could not be read. Only an answered query shows that a
/// database has no mark.
fn unreadable(error: impl Into<Source>, url: &DatabaseUrl) -> Error {
    let source: Source = error.into();
    let driver = source.downcast_ref::<tokio_postgres::Error>();
    let response = driver
        .and_then(|error| error.as_db_error())
        .map(response_of);
    let (kind, meaning, advice) = match response.as_ref().map(cause_in_session) {
        Some(Some(Cause::LostRace)) => (ErrorKind::DatabaseUnreachable, Meaning::LostRace, None),
        Some(Some(cause)) => (cause.kind(), cause.meaning(), cause.advice()),
        Some(None) => (ErrorKind::WrongDatabase, Meaning::Final, None),
        None => (ErrorKind::DatabaseUnreachable, Meaning::Suspect, None),
    };
    let DatabaseUrl {
        database,
        host,
        port,
        user,
        ..
    } = url;
    let advice = match kind {
        ErrorKind::WrongDatabase => format!(
            ": give role {user} the right to SELECT from pg_catalog.pg_db_role_setting, which \
             every role has by default; a server without that catalog is not supported"
        ),
        _ => advice.map_or_else(String::new, |advice| format!(": it reached {advice}")),
    };
    let message = format!(
        "could not read the stage mark of database {database} on {host}:{port}, so nothing shows \
         which stage's it is{advice}"
    );
    Error::with_source(kind, message, source).with_meaning(meaning)
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Asks for the name that the database of a session has on its server. A pooler may have an alias
/// for it, which is then the name in the URL.
pub(super) async fn database_name(
    client: &Client,
) -> Result<Option<String>, tokio_postgres::Error> {
    let answer = client.simple_query("SELECT pg_catalog.current_database()");
    let rows = answer.await?.into_iter();
    let mut names = rows.filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(names.next())
}

/// Builds the statement that sets or clears the mark of a database.
pub(super) fn set_statement(database: &str, stage: Option<Stage>) -> String {
    let database = database.replace('"', "\"\"");
    match stage {
        Some(stage) => {
            format!("ALTER DATABASE \"{database}\" SET application_name TO 'stagelink:{stage}'")
        }
        None => format!("ALTER DATABASE \"{database}\" RESET application_name"),
    }
}

impl fmt::Display for StageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Of(stage) => stage.fmt(f),
            Self::Unknown(stage) => write!(f, "{:?}", stage.chars().take(40).collect::<String>()),
        }
    }
}

const PREFIX: &str = "application_name=stagelink:";

/// The query for the database's own settings, which every role may read: no row without any. Most
/// of its time goes into catalogs that a new session has not read yet, so it takes few of them,
/// and the client finds the mark among the settings.
///
/// All names are qualified, since the role or the URL may set a search path on which other
/// functions and operators come first. A row of a role has its `setrole`, also where it holds for
/// this database alone.
pub(super) const SETTINGS: &str = "SELECT pg_catalog.array_to_string(s.setconfig, E'\\n') \
    FROM pg_catalog.pg_db_role_setting s \
    WHERE s.setdatabase OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d \
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) \
    AND s.setrole OPERATOR(pg_catalog.=) 0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::query_server::{Reply, connect};

    fn url() -> DatabaseUrl {
        DatabaseUrl::parse("postgres://u:p@h/d", "a test").unwrap()
    }

    #[test]
    fn database_without_a_mark_is_told_once_for_each_stage() {
        // No other test has these stages.
        for stage in ["staging/told-a", "staging/told-b"] {
            let stage = stage.parse().unwrap();
            assert!(is_first_warning(stage));
            assert!(!is_first_warning(stage));
        }
    }

    #[test]
    fn settings_hold_a_mark_or_none() {
        for (settings, expected) in [
            (
                Some("application_name=stagelink:staging"),
                StageMark::Of(Stage::STAGING),
            ),
            (
                Some("TimeZone=UTC\napplication_name=stagelink:production\nwork_mem=8MB"),
                StageMark::Of(Stage::PRODUCTION),
            ),
            (
                Some("application_name=stagelink:staging/qa"),
                StageMark::Of("staging/qa".parse().unwrap()),
            ),
            (
                Some("application_name=stagelink:qa"),
                StageMark::Unknown("qa".to_owned()),
            ),
            (
                Some("application_name=stagelink:prod"),
                StageMark::Unknown("prod".to_owned()),
            ),
            (
                Some("application_name=stagelink:"),
                StageMark::Unknown(String::new()),
            ),
            (Some("application_name=psql"), StageMark::None),
            (
                Some("search_path=application_name=stagelink:staging"),
                StageMark::None,
            ),
            (Some(""), StageMark::None),
            (None, StageMark::None),
        ] {
            assert_eq!(StageMark::of_settings(settings), expected, "{settings:?}");
        }
    }

    #[test]
    fn mark_of_another_stage_is_refused_both_ways() {
        let qa = "staging/qa".parse().unwrap();
        for (mark, stage) in [
            (Stage::PRODUCTION, Stage::STAGING),
            (Stage::STAGING, Stage::PRODUCTION),
            (Stage::STAGING, qa),
            (qa, Stage::STAGING),
            (qa, "staging/qa-2".parse().unwrap()),
        ] {
            for required in [false, true] {
                let error = StageMark::Of(mark).check(stage, required, &url());
                assert_eq!(error.unwrap_err().kind(), ErrorKind::WrongDatabase);
                StageMark::Of(stage).check(stage, required, &url()).unwrap();
            }
        }
        let unknown = StageMark::Unknown("test".to_owned());
        unknown.check(Stage::STAGING, false, &url()).unwrap_err();
    }

    #[test]
    fn unmarked_database_is_accepted_unless_a_mark_is_required() {
        let check = |required| StageMark::None.check(Stage::STAGING, required, &url());
        check(false).unwrap();
        assert!(check(true).unwrap_err().to_string().contains("mark set"));
    }

    #[test]
    fn refusal_quotes_a_mark_that_is_no_stage_without_its_control_characters() {
        for (mark, shown) in [
            (StageMark::None, "none"),
            (StageMark::Of(Stage::REVIEW), "review"),
            (StageMark::Unknown("a \"b\"\n".to_owned()), r#""a \"b\"\n""#),
            (
                StageMark::Unknown("x".repeat(90)),
                &format!("{:?}", "x".repeat(40)),
            ),
        ] {
            assert_eq!(mark.to_string(), shown);
            let Err(error) = mark.check(Stage::STAGING, false, &url()) else {
                continue;
            };
            assert!(
                error.to_string().contains(&format!("stage {shown}'s")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn mark_is_read_from_the_row_of_an_answered_query_and_from_nothing_else() {
        let marked = Reply::Row(Some("application_name=stagelink:review"));
        let query = async |reply: Reply| {
            let mut reply = Some(reply);
            let (client, _) = connect(move |_| reply.take().unwrap()).await;
            StageMark::query(&client, &url()).await
        };
        assert_eq!(query(marked).await.unwrap(), StageMark::Of(Stage::REVIEW));
        assert_eq!(query(Reply::Row(None)).await.unwrap(), StageMark::None);
        let error = query(Reply::Empty).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable, "{error}");
    }

    #[tokio::test]
    async fn mark_that_the_role_may_not_read_is_an_error_that_names_the_right() {
        for (code, kind, advice) in [
            // insufficient_privilege, undefined_table
            ("42501", ErrorKind::WrongDatabase, "give role u the right"),
            ("42P01", ErrorKind::WrongDatabase, "give role u the right"),
            // admin_shutdown
            ("57P01", ErrorKind::DatabaseUnreachable, "nothing shows"),
        ] {
            let (client, _) = connect(move |_| Reply::Refused(code)).await;
            let error = StageMark::query(&client, &url()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let text = error.to_string();
            assert!(text.contains(advice), "{text}");
            assert_eq!(
                text.contains("give role"),
                kind == ErrorKind::WrongDatabase,
                "{text}"
            );
        }
    }

    #[test]
    fn statement_quotes_the_name_of_the_database() {
        assert_eq!(
            set_statement("a\"b", Some(Stage::REVIEW)),
            "ALTER DATABASE \"a\"\"b\" SET application_name TO 'stagelink:review'"
        );
    }
}
