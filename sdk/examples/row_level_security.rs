//! A function with row-level security: each request sees and adds the notes of its own tenant
//! alone. It works the same behind a transaction pooler.
//!
//! ```sql
//! CREATE TABLE tenant_notes (tenant text NOT NULL, text text NOT NULL);
//! ALTER TABLE tenant_notes ENABLE ROW LEVEL SECURITY;
//! -- The owner of a table, as whom functions often log in, is exempt without this.
//! ALTER TABLE tenant_notes FORCE ROW LEVEL SECURITY;
//! -- Neither null nor an empty string is a tenant, so a request without one sees nothing.
//! CREATE POLICY own_tenant ON tenant_notes
//!     USING (tenant <> '' AND tenant = current_setting('app.tenant', true));
//! ```

use axum::extract::{FromRequestParts, Path};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::request::Parts;
use stagelink::{Database, LocalSettings, Problem, params};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    let router = Router::new()
        .route("/api/notes", get(list))
        .route("/api/notes/{text}", get(list_like).post(add));
    stagelink::run(router).await
}

/// The tenant of a request.
struct Tenant(String);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    /// Stands for your own authentication, which takes the tenant from what it has verified: a
    /// signed token or a session, never a plain header.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let tenant = parts.headers.get("x-tenant");
        let tenant = tenant.and_then(|tenant| tenant.to_str().ok());
        let unknown = || Problem::new(StatusCode::UNAUTHORIZED, "Log in first.");
        Ok(Self(tenant.ok_or_else(unknown)?.to_owned()))
    }
}

impl Tenant {
    fn settings(&self) -> LocalSettings {
        LocalSettings::new().set("app.tenant", &self.0)
    }
}

async fn list(database: Database, tenant: Tenant) -> Result<Json<Vec<String>>, Problem> {
    list_like(database, tenant, Path("%".to_owned())).await
}

async fn list_like(
    database: Database,
    tenant: Tenant,
    Path(pattern): Path<String>,
) -> Result<Json<Vec<String>>, Problem> {
    let pattern = &pattern;
    let notes = database.transaction_with(tenant.settings(), |db| async move {
        let sql = "SELECT text FROM tenant_notes WHERE text LIKE $1 ORDER BY text";
        let rows = db.query_typed(sql, &params![pattern]).await?;
        Ok::<_, Problem>(rows.iter().map(|row| row.get(0)).collect())
    });
    Ok(Json(notes.await?))
}

async fn add(
    database: Database,
    tenant: Tenant,
    Path(text): Path<String>,
) -> Result<StatusCode, Problem> {
    let text = &text;
    let added = database.transaction_with(tenant.settings(), |db| async move {
        let sql = "INSERT INTO tenant_notes VALUES (current_setting('app.tenant'), $1)";
        Ok::<_, Problem>(db.execute_typed(sql, &params![text]).await?)
    });
    added.await?;
    Ok(StatusCode::CREATED)
}
