//! A local Neon: the part of the Neon API that tells the connection URI of a branch, on
//! 127.0.0.1.
//!
//! By <https://neon.com/docs/reference/api/projects/get-connection-uri> (2026-11). The
//! state is in memory and ends with the stand-in. A route that is missing is answered
//! with 501 and says so. Dropping a [`Neon`] ends it at some later moment;
//! [`Neon::stop`] waits for the end.

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

use crate::api::{Control, DatabaseUrl, Server, bearer};
use crate::{Error, ErrorKind};

/// A local Neon that runs.
pub struct Neon {
    shared: Shared,
    control: Control,
    server: Server,
}

type Shared = Arc<Mutex<Account>>;

#[derive(Default)]
struct Account {
    /// In the order in which they were made: a project's first branch is its default one.
    branches: Vec<Branch>,
    /// The API keys, each with the project that it is scoped to, if it is.
    tokens: HashMap<String, Option<String>>,
}

struct Branch {
    project: String,
    id: String,
    url: DatabaseUrl,
}

impl Neon {
    /// Starts a Neon with an empty account on 127.0.0.1, at this port or, for 0, at a
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
            .route(
                "/api/v2/projects/{project}/connection_uri",
                get(connection_uri),
            )
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

    /// Makes a branch with one database, whose name and role are those of the URL. The
    /// first branch of a project makes the project, and is its default branch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when the project has such a branch, and for a URL that does
    /// not begin with `postgres://` or lacks user, password, host or database.
    pub fn create_branch(&self, project: &str, branch: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let mut account = lock(&self.shared);
        if account.branch(project, branch).is_some() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not make branch {branch}: project {project} has it already"),
            ));
        }
        account.branches.push(Branch {
            project: project.to_owned(),
            id: branch.to_owned(),
            url,
        });
        Ok(())
    }

    /// Gives the database of a branch another URL, as a reset of its password does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when there is no such branch, and for a URL as in
    /// [`create_branch`](Self::create_branch).
    pub fn set_database_url(&self, project: &str, branch: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let mut account = lock(&self.shared);
        let found = account
            .branches
            .iter_mut()
            .find(|of| of.project == project && of.id == branch);
        let Some(found) = found else {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "there is no branch {branch} in project {project}, so its url cannot be changed"
                ),
            ));
        };
        found.url = url;
        Ok(())
    }

    /// Makes an API key: for one project, or for all of the account.
    pub fn create_token(&self, project: Option<&str>) -> String {
        let token = format!("napi_{}", Uuid::new_v4().simple());
        lock(&self.shared)
            .tokens
            .insert(token.clone(), project.map(str::to_owned));
        token
    }

    /// Ends an API key; false when there is no such one.
    pub fn revoke_token(&self, token: &str) -> bool {
        lock(&self.shared).tokens.remove(token).is_some()
    }

    /// Ends it: the port is free and every connection closed when this returns.
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
            .find(|of| of.project == project && of.id == id)
    }

    fn default_branch(&self, project: &str) -> Option<&Branch> {
        self.branches.iter().find(|of| of.project == project)
    }
}

#[derive(Deserialize)]
struct Asked {
    branch_id: Option<String>,
    database_name: Option<String>,
    role_name: Option<String>,
    #[serde(default)]
    pooled: bool,
}

async fn connection_uri(
    State(shared): State<Shared>,
    Path(project): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let account = lock(&shared);
    let Some(scope) = bearer(&headers).and_then(|token| account.tokens.get(token)) else {
        return refusal(StatusCode::UNAUTHORIZED);
    };
    if scope.as_ref().is_some_and(|scope| *scope != project) {
        return refusal(StatusCode::FORBIDDEN);
    }
    let (Some(database), Some(role)) = (asked.database_name, asked.role_name) else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    let branch = match asked.branch_id {
        Some(id) => account.branch(&project, &id),
        None => account.default_branch(&project),
    };
    branch
        .filter(|branch| branch.url.database == database && branch.url.user == role)
        .map_or_else(
            || refusal(StatusCode::NOT_FOUND),
            |branch| {
                answer(
                    StatusCode::OK,
                    &json!({"uri": uri(&branch.url, asked.pooled)}),
                )
            },
        )
}

/// The URL as Neon spells it; that of the pooler has another host.
fn uri(url: &DatabaseUrl, pooled: bool) -> String {
    let uri = url.secret().replacen("postgres://", "postgresql://", 1);
    match uri.rsplit_once('@') {
        Some((before, after)) if pooled => {
            let pooler = format!("{}-pooler", url.host);
            format!("{before}@{}", after.replacen(&url.host, &pooler, 1))
        }
        _ => uri,
    }
}

/// The answer with a status of failure. That a key of another project gets 403, and the
/// words of all but 401, are not verified (2026-11).
fn refusal(status: StatusCode) -> Response {
    let message = match status.as_u16() {
        400 => "database_name and role_name are required",
        401 => "supplied credentials do not pass authentication",
        403 => "this api key has no access to the project",
        404 => "project, branch, database or role not found",
        429 => "too many requests",
        501 => "the local neon does not have this route",
        _ => "internal error",
    };
    let body = json!({"request_id": Uuid::new_v4(), "code": "", "message": message});
    answer(status, &body)
}

/// JSON with escapes that nobody needs, as the library that Neon uses writes it.
fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let text = body.to_string().replace('&', "\\u0026");
    (status, json, text).into_response()
}

/// A request that panicked leaves nothing half done that matters to a stand-in.
fn lock(shared: &Shared) -> MutexGuard<'_, Account> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::test_client::{Answer, send};
    use crate::api::{Failure, Fault};

    const MAIN: &str =
        "postgres://shop:canary@main.example/shop?sslmode=require&channel_binding=require";
    const STAGING: &str =
        "postgres://shop:canary@staging.example/shop?sslmode=require&channel_binding=require";

    async fn neon() -> Neon {
        let neon = Neon::start(0).await.expect("a free port");
        neon.create_branch("p-1", "br-main", MAIN)
            .expect("a branch");
        neon.create_branch("p-1", "br-staging", STAGING)
            .expect("a branch");
        neon
    }

    async fn ask(neon: &Neon, token: &str, query: &str) -> Answer {
        let path = format!("/api/v2/projects/p-1/connection_uri?{query}");
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        send(neon.url(), "GET", &path, headers, "")
            .await
            .expect("an answer")
    }

    #[tokio::test]
    async fn uri_is_that_of_the_branch_or_of_the_default_one() {
        let neon = neon().await;
        let token = neon.create_token(Some("p-1"));
        let uri = async |query: &str| ask(&neon, &token, query).await.json()["uri"].take();
        let any = "database_name=shop&role_name=shop";
        let staging = &format!("branch_id=br-staging&{any}");
        let spelled = |url: &str| url.replace("postgres:", "postgresql:");
        assert_eq!(uri(staging).await, spelled(STAGING));
        let pooled = STAGING.replace(".example", ".example-pooler");
        let asked = format!("{staging}&pooled=true");
        assert_eq!(uri(&asked).await, spelled(&pooled));
        assert_eq!(uri(any).await, spelled(MAIN));
        let other = STAGING.replace("canary", "other");
        neon.set_database_url("p-1", "br-staging", &other)
            .expect("it is there");
        assert_eq!(uri(staging).await, spelled(&other));
        neon.stop().await;
    }

    #[tokio::test]
    async fn what_is_not_to_be_had_is_refused_in_the_form_of_neon() {
        let neon = neon().await;
        let token = neon.create_token(None);
        let elsewhere = neon.create_token(Some("p-2"));
        let revoked = neon.create_token(None);
        assert!(neon.revoke_token(&revoked));
        let good = "branch_id=br-staging&database_name=shop&role_name=shop";
        for (token, query, status) in [
            ("", good, 401),
            (&*revoked, good, 401),
            (&*elsewhere, good, 403),
            (&*token, "branch_id=br-staging&database_name=shop", 400),
            (
                &*token,
                "branch_id=br-0&database_name=shop&role_name=shop",
                404,
            ),
            (&*token, "database_name=shop&role_name=other", 404),
        ] {
            let answer = ask(&neon, token, query).await;
            assert_eq!(answer.error(), (status, String::new()), "{query}");
        }
        let other = send(neon.url(), "GET", "/api/v2/projects", [], "").await;
        assert_eq!(other.expect("an answer").status, 501);
    }

    #[tokio::test]
    async fn faults_and_requests_are_those_of_any_stand_in() {
        let neon = neon().await;
        let failure = Failure::Status {
            status: 429,
            retry_after: None,
        };
        neon.control().inject(Fault::new(failure).times(1));
        assert_eq!(ask(&neon, "", "").await.error(), (429, String::new()));
        assert_eq!(ask(&neon, "", "").await.status, 401);
        let statuses: Vec<_> = neon
            .control()
            .requests()
            .iter()
            .map(|of| of.status)
            .collect();
        assert_eq!(statuses, [Some(429), Some(401)]);
    }
}
