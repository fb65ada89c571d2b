//! The routes of deploys: create one, declare its files and functions, upload them.

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::api_error::{ApiError, parse_body};
use super::app_state::AppState;
use super::context::Context;
use super::deploys::{DeployBody, DeployRecord, DeployState, UploadedFunction};
use super::env_vars::EnvScope;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/sites/{site}/deploys", get(list).post(create))
        .route(
            "/sites/{site}/deploys/{deploy}",
            get(info_of_site).put(declare),
        )
        .route("/deploys/{deploy}", get(info))
        .route("/deploys/{deploy}/cancel", post(cancel))
        .route("/deploys/{deploy}/lock", post(lock))
        .route("/deploys/{deploy}/unlock", post(unlock))
        .route("/deploys/{deploy}/files/{*path}", put(upload_file))
        .route("/deploys/{deploy}/functions/{name}", put(upload_function))
        .layer(DefaultBodyLimit::max(UPLOAD_LIMIT_BYTES))
}

#[derive(Deserialize)]
struct CreateQuery {
    title: Option<String>,
}

async fn create(
    State(state): State<AppState>,
    Path(site): Path<String>,
    Query(query): Query<CreateQuery>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body: DeployBody = if body.is_empty() {
        DeployBody::default()
    } else {
        parse_body(&body)?
    };
    let mut account = state.account();
    let site = account.site(&site)?.id;
    let deploy = body
        .with_title(query.title)
        .into_deploy(site, &account.draft_context);
    let id = deploy.id.clone();
    account.deploys.push(deploy);
    respond(&mut account, &id)
}

async fn declare(
    State(state): State<AppState>,
    Path((site, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body: DeployBody = parse_body(&body)?;
    let mut account = state.account();
    let site = account.site(&site)?.id;
    let deploy = find_open(&mut account.deploys, &id)?;
    if deploy.site != site {
        return Err(ApiError::not_found());
    }
    deploy.declare(body);
    respond(&mut account, &id)
}

async fn upload_file(
    State(state): State<AppState>,
    Path((id, path)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    let Account { deploys, store, .. } = &mut *account;
    // The CLI escapes a path twice.
    let path = percent_decode_str(&path).decode_utf8_lossy();
    let size = body.len();
    find_open(deploys, &id)?.upload_file(&path, body, store)?;
    let _ = respond(&mut account, &id)?;
    Ok(Json(json!({"id": path, "path": path, "size": size})))
}

#[derive(Deserialize)]
struct FunctionQuery {
    runtime: Option<String>,
}

async fn upload_function(
    State(state): State<AppState>,
    Path((id, name)): Path<(String, String)>,
    Query(FunctionQuery { runtime }): Query<FunctionQuery>,
    zip: Bytes,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    let Account { deploys, store, .. } = &mut *account;
    let function = UploadedFunction { runtime, zip };
    find_open(deploys, &id)?.upload_function(&name, function, store)?;
    let _ = respond(&mut account, &id)?;
    Ok(Json(json!({"id": name, "name": name})))
}

async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut account = state.account();
    find_open(&mut account.deploys, &id)?.state = DeployState::Cancelled;
    Ok((StatusCode::CREATED, respond(&mut account, &id)?))
}

async fn lock(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    account.set_lock(&id, true)?;
    respond(&mut account, &id)
}

async fn unlock(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    account.set_lock(&id, false)?;
    respond(&mut account, &id)
}

async fn info(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    respond(&mut state.account(), &id)
}

async fn info_of_site(
    State(state): State<AppState>,
    Path((site, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    let site = account.site(&site)?.id;
    let matches = |deploy: &DeployRecord| deploy.id == id && deploy.site == site;
    if !account.deploys.iter().any(matches) {
        return Err(ApiError::not_found());
    }
    respond(&mut account, &id)
}

#[derive(Deserialize)]
struct ListQuery {
    branch: Option<String>,
    state: Option<String>,
    production: Option<bool>,
    page: Option<usize>,
    per_page: Option<usize>,
}

impl ListQuery {
    fn selects(&self, deploy: &DeployRecord) -> bool {
        let (branch, state) = (self.branch.as_deref(), self.state.as_deref());
        branch.is_none_or(|branch| deploy.branch() == Some(branch))
            && state.is_none_or(|state| deploy.state.name() == state)
            && (self.production != Some(true) || deploy.context == Context::Production)
    }
}

/// Lists the deploys of a site that a query selects, the newest first.
async fn list(
    State(state): State<AppState>,
    Path(site): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let size = query.per_page.unwrap_or(100).clamp(1, 100);
    let before = query.page.unwrap_or(1).saturating_sub(1) * size;
    let mut account = state.account();
    let site = account.site(&site)?;
    let (id, name) = (site.id, site.name.clone());
    let deploys: Vec<_> = account
        .deploys
        .iter()
        .rev()
        .filter(|deploy| deploy.site == id && query.selects(deploy))
        .skip(before)
        .take(size)
        .map(|deploy| deploy.json(&name, &account.store))
        .collect();
    Ok(Json(json!(deploys)))
}

/// Returns the deploy with this id, unless it was cancelled.
fn find_open<'a>(
    deploys: &'a mut [DeployRecord],
    id: &str,
) -> Result<&'a mut DeployRecord, ApiError> {
    let deploy = deploys
        .iter_mut()
        .find(|deploy| deploy.id == id)
        .ok_or_else(ApiError::not_found)?;
    match deploy.state {
        DeployState::Cancelled => Err(ApiError::invalid("the deploy was cancelled")),
        DeployState::New | DeployState::Prepared | DeployState::Ready => Ok(deploy),
    }
}

/// Returns the JSON of a deploy, and first makes it ready if nothing is missing.
fn respond(account: &mut Account, id: &str) -> Result<Json<Value>, ApiError> {
    let Account {
        deploys,
        store,
        sites,
        variables,
        ..
    } = account;
    let deploy = deploys
        .iter_mut()
        .find(|deploy| deploy.id == id)
        .ok_or_else(ApiError::not_found)?;
    let site = sites
        .iter_mut()
        .find(|site| site.id == deploy.site)
        .ok_or_else(ApiError::not_found)?;
    let is_complete = deploy.is_complete(store);
    if is_complete {
        let scope = EnvScope::Functions;
        deploy.state = DeployState::Ready;
        deploy.environment = variables.environment(&deploy.context, scope);
        let own = site.variables.environment(&deploy.context, scope);
        deploy.environment.extend(own);
        site.extend_environment(&mut deploy.environment);
    }
    let site = site.id;
    if is_complete {
        account.publish(id);
    }
    let deploy = account.deploys.iter().find(|deploy| deploy.id == id);
    let deploy = deploy.ok_or_else(ApiError::not_found)?;
    Ok(Json(deploy.json(account.site_name(site), &account.store)))
}

/// Largest upload in bytes: twice the limit of AWS Lambda for an archive.
const UPLOAD_LIMIT_BYTES: usize = 100 * 1024 * 1024;
