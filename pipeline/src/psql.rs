//! A session of psql on a stage's database: which database, with which demands on its server.

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Database, DatabaseInfo, Settings};

use crate::attempts;
use crate::error::{Error, ErrorKind};
use crate::link::ensure_own_stage;

/// A database that psql may be opened on, with the environment that leads it there.
#[derive(Debug)]
#[non_exhaustive]
pub struct PsqlSession {
    /// The database, as the SDK found it.
    pub info: DatabaseInfo,
    /// True if the session's transactions are read-only, unless a statement says otherwise.
    pub is_read_only: bool,
    /// The environment variables for psql, in place of all its own (`PG*`).
    pub variables: Vec<(&'static str, SecretString)>,
    /// Root certificates (PEM) for a file that `PGSSLROOTCERT` names. `None` where the variables have
    /// it, or it is not needed.
    pub roots: PsqlRoots,
}

/// The root certificates that psql needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PsqlRoots {
    /// None, or those that the variables name.
    Named,
    /// Those of the settings, as PEM.
    Pem(String),
    /// Those of the system.
    System,
}

impl PsqlSession {
    /// Connects to a stage's database without its pooler, checks its mark, and prepares the
    /// environment of psql.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be found or used, or proves nothing;
    /// [`ErrorKind::Isolation`] when it is marked as another stage's; [`ErrorKind::Settings`] when a
    /// read-only session is wanted and the URL leads to a pooler.
    pub async fn prepare(settings: Settings, is_read_only: bool) -> Result<Self, Error> {
        let roots = settings.server.roots.clone();
        let database = Database::new(Ok(settings.without_pooler().with_app_names()));
        let found = attempts::look_up(async || database.inspect().await).await;
        database.close().await;
        let failed = |error| {
            let message = "could not connect to the database that psql is to be opened on";
            Error::with_source(ErrorKind::Database, message, error)
        };
        let info = found.map_err(failed)?;
        ensure_own_stage(&info)?;
        if is_read_only && info.is_pooled {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the URL of stage {} leads to a pooler, which takes no read-only setting for a \
                     session: use the URL of the database itself, or add --write",
                    info.stage
                ),
            ));
        }
        let mut variables = info.libpq_variables().map_err(failed)?;
        if is_read_only {
            set_read_only(&mut variables);
        }
        variables.push(("PGAPPNAME", APPLICATION_NAME.into()));
        variables.push(("PGCONNECT_TIMEOUT", "10".into()));
        let value = |name: &str| {
            let mut values = variables.iter().filter(|(of, _)| *of == name);
            values
                .next()
                .map(|(_, value)| value.expose_secret().to_owned())
        };
        let verifies = value("PGSSLMODE").is_some_and(|mode| mode.starts_with("verify"));
        let roots = match (verifies && value("PGSSLROOTCERT").is_none(), roots) {
            (false, _) => PsqlRoots::Named,
            (true, Some(pem)) => PsqlRoots::Pem(pem),
            (true, None) => PsqlRoots::System,
        };
        Ok(Self {
            info,
            is_read_only,
            variables,
            roots,
        })
    }
}

/// Makes the transactions of the session read-only by default, beside the URL's own options.
fn set_read_only(variables: &mut Vec<(&'static str, SecretString)>) {
    let own = variables.iter().position(|(name, _)| *name == "PGOPTIONS");
    let own = own.map(|index| variables.remove(index).1);
    let options = match own {
        Some(own) => format!("{} {READ_ONLY}", own.expose_secret()),
        None => READ_ONLY.to_owned(),
    };
    variables.push(("PGOPTIONS", options.into()));
}

const READ_ONLY: &str = "-c default_transaction_read_only=on";

const APPLICATION_NAME: &str = "stagelink psql";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_setting_comes_after_the_urls_own_options() {
        for (own, expected) in [
            (None, "-c default_transaction_read_only=on"),
            (
                Some("-c search_path=a"),
                "-c search_path=a -c default_transaction_read_only=on",
            ),
        ] {
            let own = own.map(|options| ("PGOPTIONS", options.into()));
            let mut variables: Vec<_> = own.into_iter().collect();
            set_read_only(&mut variables);
            let [(_, options)] = variables.as_slice() else {
                panic!("{variables:?}");
            };
            assert_eq!(options.expose_secret(), expected);
        }
    }
}
