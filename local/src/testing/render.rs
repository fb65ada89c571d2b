//! A local Render: the part of the Render API that tells how a Postgres is reached, on
//! 127.0.0.1.
//!
//! By <https://api-docs.render.com/reference/retrieve-postgres-connection-info> (2026-11).
//! The state is in memory and ends with the stand-in. A route that is missing is answered
//! with 501 and says so. Dropping a [`Render`] ends it at some later moment;
//! [`Render::stop`] waits for the end.

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

use crate::api::{Control, DatabaseUrl, Server, bearer};
use crate::{Error, ErrorKind};

/// A local Render that runs.
pub struct Render {
    shared: Shared,
    control: Control,
    server: Server,
}

type Shared = Arc<Mutex<Workspace>>;

#[derive(Default)]
struct Workspace {
    databases: HashMap<String, DatabaseUrl>,
    tokens: HashSet<String>,
}

impl Render {
    /// Starts a Render with an empty workspace on 127.0.0.1, at this port or, for 0, at a
    /// free one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] when the port is taken, [`ErrorKind::System`] when it
    /// cannot be opened for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let shared = Shared::default();
        let control = Control::default();
        let routes = Router::new()
            .route("/v1/postgres/{id}/connection-info", get(connection_info))
            .fallback(async || refusal(StatusCode::NOT_IMPLEMENTED))
            .with_state(shared.clone());
        Ok(Self {
            server: Server::start(port, control.wrap(routes, refusal)).await?,
            shared,
            control,
        })
    }

    /// Where it listens, such as `http://127.0.0.1:5001`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Makes it fail, and tells its requests.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Makes a Postgres that is reached from outside at this URL, and tells its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a URL that does not begin with `postgres://` or lacks
    /// user, password, host or database.
    pub fn create_postgres(&self, url: &str) -> Result<String, Error> {
        let url = DatabaseUrl::parse(url)?;
        let id = format!("dpg-{}-a", Uuid::new_v4().simple());
        lock(&self.shared).databases.insert(id.clone(), url);
        Ok(id)
    }

    /// Gives a Postgres another URL, as another default user does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when there is no such Postgres, and for a URL as in
    /// [`create_postgres`](Self::create_postgres).
    pub fn set_database_url(&self, id: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let mut workspace = lock(&self.shared);
        let Some(found) = workspace.databases.get_mut(id) else {
            return Err(Error::new(
                ErrorKind::Input,
                format!("there is no Postgres {id}, so its url cannot be changed"),
            ));
        };
        *found = url;
        Ok(())
    }

    /// Makes an API key.
    pub fn create_token(&self) -> String {
        let token = format!("rnd_{}", Uuid::new_v4().simple());
        lock(&self.shared).tokens.insert(token.clone());
        token
    }

    /// Ends an API key; false when there is no such one.
    pub fn revoke_token(&self, token: &str) -> bool {
        lock(&self.shared).tokens.remove(token)
    }

    /// Ends it: the port is free and every connection closed when this returns.
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
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let workspace = lock(&shared);
    if !bearer(&headers).is_some_and(|token| workspace.tokens.contains(token)) {
        return refusal(StatusCode::UNAUTHORIZED);
    }
    workspace.databases.get(&id).map_or_else(
        || refusal(StatusCode::NOT_FOUND),
        |url| answer(StatusCode::OK, &info(&id, url)),
    )
}

/// All four texts hold the password. The internal host is known inside Render alone.
fn info(id: &str, url: &DatabaseUrl) -> Value {
    let external = url.secret().replacen("postgres://", "postgresql://", 1);
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

/// The answer with a status of failure. Its ids and words are not verified (2026-11).
fn refusal(status: StatusCode) -> Response {
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
            "The local Render does not have this route.",
        ),
        _ => ("internal", "An unexpected server error has occurred."),
    };
    answer(status, &json!({"id": id, "message": message}))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

/// A request that panicked leaves nothing half done that matters to a stand-in.
fn lock(shared: &Shared) -> MutexGuard<'_, Workspace> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::test_client::{Answer, send};

    const URL: &str = "postgres://shop:canary@db.example/shop";

    async fn ask(render: &Render, token: &str, id: &str) -> Answer {
        let path = format!("/v1/postgres/{id}/connection-info");
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        send(render.url(), "GET", &path, headers, "")
            .await
            .expect("an answer")
    }

    #[tokio::test]
    async fn connection_info_tells_both_ways_in() {
        let render = Render::start(0).await.expect("a free port");
        let id = render.create_postgres(URL).expect("a url");
        let token = render.create_token();
        let info = ask(&render, &token, &id).await.json();
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
        render.set_database_url(&id, &other).expect("it is there");
        assert_eq!(ask(&render, &token, &id).await.json()["password"], "other");
        render.stop().await;
    }

    #[tokio::test]
    async fn what_is_not_to_be_had_is_refused_in_the_form_of_render() {
        let render = Render::start(0).await.expect("a free port");
        let id = render.create_postgres(URL).expect("a url");
        let token = render.create_token();
        let unauthorized = (401, "unauthorized".to_owned());
        assert_eq!(ask(&render, "", &id).await.error(), unauthorized);
        let missing = ask(&render, &token, "dpg-0").await.error();
        assert_eq!(missing, (404, "not-found".to_owned()));
        assert!(render.revoke_token(&token));
        assert_eq!(ask(&render, &token, &id).await.error(), unauthorized);
    }
}
