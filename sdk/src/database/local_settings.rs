//! Settings that hold for one transaction, such as the tenant of row-level security.

use std::fmt;

use futures_util::future::join;
use tokio_postgres::types::Type;

use crate::error::{Error, ErrorKind};
use crate::postgres::Client;

/// Settings that hold for one transaction: Postgres's `SET LOCAL`.
///
/// They are for row-level security, whose policies read the tenant or user of a request with
/// `current_setting`. Other transactions never see them, behind a transaction pooler neither:
/// the end of the transaction removes them.
///
/// [`Database::transaction_with`](crate::Database::transaction_with) sends them beside its BEGIN,
/// so they cost no round trip. Values are bound as parameters and never become part of a
/// statement, so they may be any text that a client sent. Names are fixed in the program.
///
/// ```
/// use stagelink::LocalSettings;
///
/// let tenant = "acme".to_owned();
/// let settings = LocalSettings::new().set("app.tenant", tenant).role("app_user");
/// # assert_eq!(format!("{settings:?}"), r#"LocalSettings { names: ["app.tenant"], .. }"#);
/// ```
#[derive(Clone, Default)]
pub struct LocalSettings {
    names: Vec<&'static str>,
    values: Vec<String>,
    role: Option<String>,
}

impl LocalSettings {
    /// Creates a set without settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting: one of Postgres's own, or one with a prefix, such as `app.tenant`.
    ///
    /// Later settings win over earlier ones of the same name. After the transaction
    /// `current_setting('app.tenant', true)` is an empty string in that session, and no longer
    /// null: a policy has to allow nothing to either.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.names.push(name);
        self.values.push(value.into());
        self
    }

    /// Adds the role that the transaction runs as: Postgres's `SET LOCAL ROLE`.
    ///
    /// The role of the database URL has to be a member of it. It is taken on after all settings
    /// are made.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Checks what the server would misunderstand.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] for a NUL character, which no text of Postgres has, and for the role
    /// `none`, which would be the URL's own role.
    pub(super) fn check(&self) -> Result<(), Error> {
        let values = self.names.iter().copied().zip(&self.values);
        let role = self.role.iter().map(|role| ("role", role));
        for (name, value) in values.chain(role) {
            if value.contains('\0') {
                return Err(Error::new(
                    ErrorKind::Query,
                    format!("the value of the local setting {name} has a NUL character"),
                ));
            }
            if name.eq_ignore_ascii_case("role") && value == "none" {
                return Err(Error::new(
                    ErrorKind::Query,
                    "the local role is \"none\", which Postgres takes for the role of the database \
                     URL: name a role",
                ));
            }
        }
        Ok(())
    }

    /// Begins a transaction by this statement and makes the settings in it, in one round trip.
    pub(super) async fn begin(&self, client: &Client, begin: &str) -> Result<(), Error> {
        let mut names = self.names.clone();
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        if let Some(role) = &self.role {
            names.push("role");
            values.push(role);
        }
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&names, Type::TEXT_ARRAY), (&values, Type::TEXT_ARRAY)];
        let (begun, set) = join(
            client.batch_execute(begin),
            client.execute_typed(SET_LOCAL, &parameters),
        )
        .await;
        begun?;
        set?;
        Ok(())
    }
}

impl fmt::Debug for LocalSettings {
    /// Leaves out the values, which are a client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSettings")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// The scan of a function keeps the order of its rows, so the role comes last. Outside of a
/// transaction, where BEGIN failed, a local setting has no effect.
const SET_LOCAL: &str =
    "SELECT pg_catalog.set_config(name, value, true) FROM unnest($1, $2) AS setting (name, value)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_that_the_server_would_misunderstand_is_refused() {
        let good = LocalSettings::new()
            .set("app.tenant", "it's \\ none")
            .role("None");
        good.check().unwrap();
        for (settings, expected) in [
            (
                LocalSettings::new().set("app.tenant", "a\0b"),
                "app.tenant has a NUL",
            ),
            (LocalSettings::new().role("a\0b"), "role has a NUL"),
            (LocalSettings::new().role("none"), "\"none\""),
            (LocalSettings::new().set("Role", "none"), "\"none\""),
        ] {
            let error = settings.check().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn debug_output_has_no_values() {
        let settings = LocalSettings::new().set("app.tenant", "acme").role("ada");
        assert_eq!(
            format!("{settings:?}"),
            r#"LocalSettings { names: ["app.tenant"], .. }"#
        );
    }
}
