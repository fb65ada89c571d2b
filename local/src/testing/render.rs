//! A local Render on 127.0.0.1: the part of the Render API that returns the connection info of a
//! Postgres.
//!
//! By <https://api-docs.render.com/reference/retrieve-postgres-connection-info> (2026-11). The
//! state is in memory. A route that is not implemented is answered with 501. Dropping a [`Render`]
//! stops its server in the background; [`Render::stop`] waits for the end.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Control, DatabaseUrl, Server, bearer_token};
use crate::{Error, ErrorKind};

/// A running local Render.
pub struct Render {
    state: SharedState,
    control: Control,
    server: Server,
}

type SharedState = Arc<Mutex<Workspace>>;

#[derive(Default)]
struct Workspace {
    databases: HashMap<String, DatabaseUrl>,
    tokens: HashSet<String>,
}

impl Render {
    /// Starts a Render with an empty workspace on a port of 127.0.0.1; 0 selects a free port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] if the port is taken, [`ErrorKind::System`] if it cannot be opened
    /// for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let state = SharedState::default();
        let control = Control::default();
        let routes = Router::new()
            .route("/v1/postgres/{id}/connection-info", get(connection_info))
            .fallback(async || error_response(StatusCode::NOT_IMPLEMENTED))
            .with_state(state.clone());
        Ok(Self {
            server: Server::start(port, control.wrap(routes, error_response)).await?,
            state,
            control,
        })
    }

    /// Base URL of the API, such as `http://127.0.0.1:5001`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Handle to inject faults and to list the received requests.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Creates a Postgres with this external URL, and returns its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a URL that does not begin with `postgres://` or lacks
    /// user, password, host or database.
    pub fn create_postgres(&self, url: &str) -> Result<String, Error> {
        let url = DatabaseUrl::parse(url)?;
        let id = format!("dpg-{}-a", Uuid::new_v4().simple());
        lock(&self.state).databases.insert(id.clone(), url);
        Ok(id)
    }

    /// Changes the URL of a Postgres, as a change of the default user does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if there is no such Postgres, and for a URL as in
    /// [`create_postgres`](Self::create_postgres).
    pub fn set_database_url(&self, id: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let mut workspace = lock(&self.state);
        let Some(found) = workspace.databases.get_mut(id) else {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not change the url of the Postgres {id}: it does not exist"),
            ));
        };
        *found = url;
        Ok(())
    }

    /// Creates an API key.
    pub fn create_token(&self) -> String {
        let token = format!("rnd_{}", Uuid::new_v4().simple());
        lock(&self.state).tokens.insert(token.clone());
        token
    }

    /// Revokes an API key. Returns false if it was not valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        lock(&self.state).tokens.remove(token)
    }

    /// Stops the server. When it returns, the port is free and every connection is closed.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl fmt::Debug for Render {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Render")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

async fn connection_info(
    State(state): State<SharedState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let workspace = lock(&state);
    if !bearer_token(&headers).is_some_and(|token| workspace.tokens.contains(token)) {
        return error_response(StatusCode::UNAUTHORIZED);
    }
    workspace.databases.get(&id).map_or_else(
        || error_response(StatusCode::NOT_FOUND),
        |url| json_response(StatusCode::OK, &connection_info_json(&id, url)),
    )
}

/// Returns the connection info. Each of its fields holds the password. The internal host resolves
/// only inside Render.
fn connection_info_json(id: &str, url: &DatabaseUrl) -> Value {
    let external = url
        .expose_secret()
        .replacen("postgres://", "postgresql://", 1);
    let userinfo = external.rsplit_once('@').map_or("", |(before, _)| before);
    let DatabaseUrl {
        host,
        port,
        user,
        password,
        database,
        ..
    } = url;
    json!({
        "password": password,
        "internalConnectionString": format!("{userinfo}@{id}/{database}"),
        "externalConnectionString": external,
        "psqlCommand": format!(
            "PGPASSWORD={password} psql -h {host} -p {port} -U {user} {database}"
        ),
    })
}

/// Returns an error response. Its ids and messages are not verified (2026-11).
fn error_response(status: StatusCode) -> Response {
    let (id, message) = match status.as_u16() {
        401 => ("unauthorized", "Unauthorized"),
        403 => (
            "forbidden",
            "You do not have permissions for the requested resource.",
        ),
        404 => ("not-found", "Unable to find the requested resource."),
        429 => ("rate-limited", "Rate limit has been surpassed."),
        501 => (
            "not-implemented",
            "The local Render does not implement this route.",
        ),
        _ => ("internal", "An unexpected server error has occurred."),
    };
    json_response(status, &json!({"id": id, "message": message}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

/// Locks the state. Poison is ignored: a request that panicked leaves no state that a stand-in
/// could not go on with.
fn lock(state: &SharedState) -> MutexGuard<'_, Workspace> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::test_client::{TestResponse, send};

    const URL: &str = "postgres://shop:canary@db.example/shop";

    async fn get(render: &Render, token: &str, id: &str) -> TestResponse {
        let path = format!("/v1/postgres/{id}/connection-info");
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        send(render.url(), "GET", &path, headers, "")
            .await
            .expect("a response")
    }

    #[tokio::test]
    async fn connection_info_has_the_internal_and_external_url() {
        let render = Render::start(0).await.expect("a free port");
        let id = render.create_postgres(URL).expect("a url");
        let token = render.create_token();
        let info = get(&render, &token, &id).await.json();
        assert_eq!(info["password"], "canary");
        assert_eq!(
            info["externalConnectionString"],
            "postgresql://shop:canary@db.example/shop"
        );
        assert_eq!(
            info["internalConnectionString"],
            format!("postgresql://shop:canary@{id}/shop")
        );
        let other = URL.replace("canary", "other");
        render.set_database_url(&id, &other).expect("a database");
        assert_eq!(get(&render, &token, &id).await.json()["password"], "other");
        render.stop().await;
    }

    #[tokio::test]
    async fn errors_have_the_format_of_render() {
        let render = Render::start(0).await.expect("a free port");
        let id = render.create_postgres(URL).expect("a url");
        let token = render.create_token();
        let unauthorized = (401, "unauthorized".to_owned());
        assert_eq!(get(&render, "", &id).await.error(), unauthorized);
        let missing = get(&render, &token, "dpg-0").await.error();
        assert_eq!(missing, (404, "not-found".to_owned()));
        assert!(render.revoke_token(&token));
        assert_eq!(get(&render, &token, &id).await.error(), unauthorized);
    }
}
