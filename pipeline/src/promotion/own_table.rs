//! A table of promotions in a stage's database, beside the history of migrations.

use stagelink::tokio_postgres::Client;
use stagelink::tokio_postgres::types::Type;

use crate::error::{Error, ErrorKind};
use crate::migrations::{History, ReadError, Session, sqlstate};

/// A table of stagelink's own. Comparisons of schemas leave it out, and a database that has no other
/// tables counts as empty.
pub(super) struct OwnTable {
    pub(super) name: &'static str,
    /// The columns, as `CREATE TABLE` takes them.
    pub(super) columns: &'static str,
}

impl OwnTable {
    /// Returns the table's qualified name, quoted; `None` where the database has none.
    ///
    /// # Errors
    ///
    /// Those of the driver; [`ReadError::Unusable`] when the history of migrations is in a schema in
    /// which the role does not look.
    pub(super) async fn find(&self, client: &Client) -> Result<Option<String>, ReadError> {
        let Some(schema) = History::schema(client).await? else {
            return Ok(None);
        };
        let find = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
                    ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                    WHERE pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.=) $1 \
                    AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) $2";
        let parameters = [(&schema as _, Type::TEXT), (&self.name as _, Type::TEXT)];
        let rows = client.query_typed(find, &parameters).await?;
        Ok((!rows.is_empty()).then(|| format!("{schema}.{}", self.name)))
    }

    /// Returns the table's qualified name, quoted. Creates the table where it is missing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the role may not create it, or no schema of its search path exists.
    pub(super) async fn ensure(&self, session: &Session) -> Result<String, Error> {
        let (stage, name) = (session.stage, self.name);
        let what = format!("could not look for the table {name}");
        if let Some(table) = session.answered(&what, self.find(&session.client)).await? {
            return Ok(table);
        }
        let what = format!("could not create the table {name}");
        let schema = session.answered(&what, History::schema(&session.client));
        let Some(schema) = schema.await? else {
            return Err(Error::new(
                ErrorKind::Database,
                format!(
                    "stage {stage}: {what}: no schema of the role's search path exists: create one, or \
                     set a search path (ALTER ROLE … SET search_path)"
                ),
            ));
        };
        let table = format!("{schema}.{name}");
        let create = format!("CREATE TABLE IF NOT EXISTS {table} ({})", self.columns);
        let create = async || {
            match session.client.batch_execute(&create).await {
            // Another session creates it at the same time.
            Err(error) if matches!(sqlstate(&error), Some("23505" | "42P07")) => {
                session.client.batch_execute(&create).await
            }
            // The role may not create tables there.
            Err(error) if sqlstate(&error) == Some("42501") => {
                return Err(ReadError::Unusable(format!(
                    "the role may not create tables in the schema {schema}: let its owner run `GRANT \
                     CREATE ON SCHEMA {schema} TO` the role, or `{create}` and grant the role SELECT, \
                     INSERT, UPDATE and DELETE on the table"
                )));
            }
            created => created,
        }
        .map_err(ReadError::from)
        };
        session.answered(&what, create()).await?;
        Ok(table)
    }
}
