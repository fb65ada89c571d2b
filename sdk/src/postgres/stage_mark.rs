//! The stage mark: the stage that a database belongs to, kept in the database itself.
//!
//! The mark is the database's default `application_name`. Its owner may set it, and the server
//! reports it when a session starts (ParameterStatus of
//! postgresql.org/docs/18/protocol-flow.html), so that reading it costs no round trip.

use std::fmt;
use std::sync::Once;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
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
    /// Reads the mark from the `application_name` that the server reported. `None` if that does
    /// not tell the mark: a pooler may not report it, and another name may hide it.
    pub(super) fn reported(application_name: Option<&str>) -> Option<Self> {
        match application_name? {
            "" => Some(Self::None),
            name => Self::parse(name),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let stage = name.strip_prefix(PREFIX)?;
        Some(match stage.parse() {
            Ok(stage) => Self::Of(stage),
            Err(_) => Self::Unknown(stage.to_owned()),
        })
    }

    /// Reads the mark from the database's settings, in one round trip.
    pub(super) async fn query(client: &Client) -> Result<Self, Error> {
        let messages = client.simple_query(SETTING).await.map_err(|error| {
            Error::with_source(
                ErrorKind::DatabaseUnreachable,
                "could not read the stage mark of the database",
                error,
            )
        })?;
        let found = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).and_then(Self::parse),
            _ => None,
        });
        Ok(found.unwrap_or(Self::None))
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
                static ONCE: Once = Once::new();
                ONCE.call_once(|| {
                    tracing::warn!(
                        "{database} has no stage mark, so nothing shows that it belongs to stage \
                         {stage}: run `stagelink mark set --stage {stage}`, and set \
                         STAGELINK_REQUIRE_MARK=true"
                    );
                });
                Ok(())
            }
        }
    }
}

/// Builds the statement that sets or clears the mark of a database.
pub(super) fn set_statement(database: &str, stage: Option<Stage>) -> String {
    let database = database.replace('"', "\"\"");
    match stage {
        Some(stage) => {
            format!("ALTER DATABASE \"{database}\" SET application_name TO '{PREFIX}{stage}'")
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

const PREFIX: &str = "stagelink:";

/// The query for the database's own setting, which every role may read.
const SETTING: &str = "SELECT substr(setting, length('application_name=') + 1) \
    FROM pg_catalog.pg_database d \
    JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0, \
    unnest(s.setconfig) setting \
    WHERE d.datname = current_database() AND setting LIKE 'application\\_name=%'";

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> DatabaseUrl {
        DatabaseUrl::parse("postgres://u:p@h/d", "a test").unwrap()
    }

    #[test]
    fn reported_name_is_a_mark_or_no_mark_or_tells_nothing() {
        for (name, expected) in [
            (
                Some("stagelink:staging"),
                Some(StageMark::Of(Stage::Staging)),
            ),
            (
                Some("stagelink:prod"),
                Some(StageMark::Unknown("prod".to_owned())),
            ),
            (Some(""), Some(StageMark::None)),
            (Some("psql"), None),
            (None, None),
        ] {
            assert_eq!(StageMark::reported(name), expected, "{name:?}");
        }
    }

    #[test]
    fn mark_of_another_stage_is_refused_both_ways() {
        for (mark, stage) in [
            (Stage::Production, Stage::Staging),
            (Stage::Staging, Stage::Production),
        ] {
            for required in [false, true] {
                let error = StageMark::Of(mark).check(stage, required, &url());
                assert_eq!(error.unwrap_err().kind(), ErrorKind::WrongDatabase);
                StageMark::Of(stage).check(stage, required, &url()).unwrap();
            }
        }
        let unknown = StageMark::Unknown("test".to_owned());
        unknown.check(Stage::Staging, false, &url()).unwrap_err();
    }

    #[test]
    fn unmarked_database_is_accepted_unless_a_mark_is_required() {
        let check = |required| StageMark::None.check(Stage::Staging, required, &url());
        check(false).unwrap();
        assert!(check(true).unwrap_err().to_string().contains("mark set"));
    }

    #[test]
    fn statement_quotes_the_name_of_the_database() {
        assert_eq!(
            set_statement("a\"b", Some(Stage::Review)),
            "ALTER DATABASE \"a\"\"b\" SET application_name TO 'stagelink:review'"
        );
    }
}
