//! A local Neon on 127.0.0.1: the part of the Neon API that returns the connection URI of a branch.
//!
//! By <https://neon.com/docs/reference/api/projects/get-connection-uri> (2026-11). The state is in
//! memory. A route that is not implemented is answered with 501. Dropping a [`Neon`] stops its
//! server in the background; [`Neon::stop`] waits for the end.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::api::{Control, DatabaseUrl, Server, bearer_token};
use crate::{Error, ErrorKind};

/// A running local Neon.
pub struct Neon {
    state: SharedState,
    control: Control,
    server: Server,
}

type SharedState = Arc<Mutex<Account>>;

#[derive(Default)]
struct Account {
    /// In the order of their creation. A project's first branch is its default branch.
    branches: Vec<Branch>,
    /// The API keys, each with its project. A key without a project is valid for the account.
    tokens: HashMap<String, Option<String>>,
}

struct Branch {
    project: String,
    id: String,
    url: DatabaseUrl,
}

impl Neon {
    /// Starts a Neon with an empty account on a port of 127.0.0.1; 0 selects a free port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] if the port is taken, [`ErrorKind::System`] if it cannot be opened
    /// for another reason.
    pub async fn start(port: u16) -> Result<Self, Error> {
        let state = SharedState::default();
        let control = Control::default();
        let routes = Router::new()
            .route(
                "/api/v2/projects/{project}/connection_uri",
                get(connection_uri),
            )
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

    /// Creates a branch with one database, with the database name and role of the URL. The first
    /// branch of a project creates the project and is its default branch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the project already has the branch, and for a URL that does not
    /// begin with `postgres://` or lacks user, password, host or database.
    pub fn create_branch(&self, project: &str, branch: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let mut account = lock(&self.state);
        if account.branch(project, branch).is_some() {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not create the branch {branch}: the project {project} already has it"
                ),
            ));
        }
        account.branches.push(Branch {
            project: project.to_owned(),
            id: branch.to_owned(),
            url,
        });
        Ok(())
    }

    /// Changes the URL of a branch's database, as a reset of its password does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if there is no such branch, and for a URL as in
    /// [`create_branch`](Self::create_branch).
    pub fn set_database_url(&self, project: &str, branch: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let mut account = lock(&self.state);
        let found = account
            .branches
            .iter_mut()
            .find(|stored| stored.project == project && stored.id == branch);
        let Some(found) = found else {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not change the url of the branch {branch}: the project {project} has no such \
                     branch"
                ),
            ));
        };
        found.url = url;
        Ok(())
    }

    /// Creates an API key for one project, or for the whole account.
    pub fn create_token(&self, project: Option<&str>) -> String {
        let token = format!("napi_{}", Uuid::new_v4().simple());
        lock(&self.state)
            .tokens
            .insert(token.clone(), project.map(str::to_owned));
        token
    }

    /// Revokes an API key. Returns false if it was not valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        lock(&self.state).tokens.remove(token).is_some()
    }

    /// Stops the server. When it returns, the port is free and every connection is closed.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl fmt::Debug for Neon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neon")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Account {
    fn branch(&self, project: &str, id: &str) -> Option<&Branch> {
        self.branches
            .iter()
            .find(|branch| branch.project == project && branch.id == id)
    }

    fn default_branch(&self, project: &str) -> Option<&Branch> {
        self.branches
            .iter()
            .find(|branch| branch.project == project)
    }
}

#[derive(Deserialize)]
struct ConnectionUriQuery {
    branch_id: Option<String>,
    database_name: Option<String>,
    role_name: Option<String>,
    #[serde(default)]
    pooled: bool,
}

async fn connection_uri(
    State(state): State<SharedState>,
    Path(project): Path<String>,
    Query(query): Query<ConnectionUriQuery>,
    headers: HeaderMap,
) -> Response {
    let account = lock(&state);
    let Some(scope) = bearer_token(&headers).and_then(|token| account.tokens.get(token)) else {
        return error_response(StatusCode::UNAUTHORIZED);
    };
    if scope.as_ref().is_some_and(|scope| *scope != project) {
        return error_response(StatusCode::FORBIDDEN);
    }
    let (Some(database), Some(role)) = (query.database_name, query.role_name) else {
        return error_response(StatusCode::BAD_REQUEST);
    };
    let branch = match query.branch_id {
        Some(id) => account.branch(&project, &id),
        None => account.default_branch(&project),
    };
    branch
        .filter(|branch| branch.url.database == database && branch.url.user == role)
        .map_or_else(
            || error_response(StatusCode::NOT_FOUND),
            |branch| {
                json_response(
                    StatusCode::OK,
                    &json!({"uri": connection_url(&branch.url, query.pooled)}),
                )
            },
        )
}

/// Returns the URL in Neon's format. The pooler's URL has another host.
fn connection_url(url: &DatabaseUrl, pooled: bool) -> String {
    let uri = url
        .expose_secret()
        .replacen("postgres://", "postgresql://", 1);
    match uri.rsplit_once('@') {
        Some((before, after)) if pooled => {
            let pooler = format!("{}-pooler", url.host);
            format!("{before}@{}", after.replacen(&url.host, &pooler, 1))
        }
        _ => uri,
    }
}

/// Returns an error response. The status 403 for a key of another project, and all messages but
/// that of 401, are not verified (2026-11).
fn error_response(status: StatusCode) -> Response {
    let message = match status.as_u16() {
        400 => "database_name and role_name are required",
        401 => "supplied credentials do not pass authentication",
        403 => "this api key has no access to the project",
        404 => "project, branch, database or role not found",
        429 => "too many requests",
        501 => "the local neon does not implement this route",
        _ => "internal error",
    };
    let body = json!({"request_id": Uuid::new_v4(), "code": "", "message": message});
    json_response(status, &body)
}

/// Returns a JSON response with the unnecessary escapes that Neon's JSON library writes.
fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let text = body.to_string().replace('&', "\\u0026");
    (status, json, text).into_response()
}

/// Locks the state. Poison is ignored: a request that panicked leaves no state that a stand-in
/// could not go on with.
fn lock(state: &SharedState) -> MutexGuard<'_, Account> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::test_client::{TestResponse, send};
    use crate::api::{Failure, Fault};

    const MAIN: &str =
        "postgres://shop:canary@main.example/shop?sslmode=require&channel_binding=require";
    const STAGING: &str =
        "postgres://shop:canary@staging.example/shop?sslmode=require&channel_binding=require";

    async fn start() -> Neon {
        let neon = Neon::start(0).await.expect("a free port");
        neon.create_branch("p-1", "br-main", MAIN)
            .expect("a branch");
        neon.create_branch("p-1", "br-staging", STAGING)
            .expect("a branch");
        neon
    }

    async fn get(neon: &Neon, token: &str, query: &str) -> TestResponse {
        let path = format!("/api/v2/projects/p-1/connection_uri?{query}");
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        send(neon.url(), "GET", &path, headers, "")
            .await
            .expect("a response")
    }

    #[tokio::test]
    async fn uri_is_of_the_given_branch_or_the_default_branch() {
        let neon = start().await;
        let token = neon.create_token(Some("p-1"));
        let uri = async |query: &str| get(&neon, &token, query).await.json()["uri"].take();
        let any = "database_name=shop&role_name=shop";
        let staging = &format!("branch_id=br-staging&{any}");
        let in_neons_format = |url: &str| url.replace("postgres:", "postgresql:");
        assert_eq!(uri(staging).await, in_neons_format(STAGING));
        let pooled = STAGING.replace(".example", ".example-pooler");
        let query = format!("{staging}&pooled=true");
        assert_eq!(uri(&query).await, in_neons_format(&pooled));
        assert_eq!(uri(any).await, in_neons_format(MAIN));
        let other = STAGING.replace("canary", "other");
        neon.set_database_url("p-1", "br-staging", &other)
            .expect("a database");
        assert_eq!(uri(staging).await, in_neons_format(&other));
        neon.stop().await;
    }

    #[tokio::test]
    async fn errors_have_the_format_of_neon() {
        let neon = start().await;
        let token = neon.create_token(None);
        let other_project = neon.create_token(Some("p-2"));
        let revoked = neon.create_token(None);
        assert!(neon.revoke_token(&revoked));
        let good = "branch_id=br-staging&database_name=shop&role_name=shop";
        for (token, query, status) in [
            ("", good, 401),
            (&*revoked, good, 401),
            (&*other_project, good, 403),
            (&*token, "branch_id=br-staging&database_name=shop", 400),
            (
                &*token,
                "branch_id=br-0&database_name=shop&role_name=shop",
                404,
            ),
            (&*token, "database_name=shop&role_name=other", 404),
        ] {
            let response = get(&neon, token, query).await;
            assert_eq!(response.error(), (status, String::new()), "{query}");
        }
        let other = send(neon.url(), "GET", "/api/v2/projects", [], "").await;
        assert_eq!(other.expect("a response").status, 501);
    }

    #[tokio::test]
    async fn faults_are_injected_and_requests_recorded() {
        let neon = start().await;
        let failure = Failure::Status {
            status: 429,
            retry_after: None,
        };
        neon.control().inject(Fault::new(failure).times(1));
        assert_eq!(get(&neon, "", "").await.error(), (429, String::new()));
        assert_eq!(get(&neon, "", "").await.status, 401);
        let statuses: Vec<_> = neon
            .control()
            .requests()
            .iter()
            .map(|request| request.status)
            .collect();
        assert_eq!(statuses, [Some(429), Some(401)]);
    }
}
