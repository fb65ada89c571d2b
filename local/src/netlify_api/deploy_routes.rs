//! The routes of deploys: create one, declare its files and functions, upload them, read and list.

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::api_error::{ApiError, parse_body};
use super::app_state::AppState;
use super::context::Context;
use super::deploy_body::DeployBody;
use super::deploys::{DeployRecord, DeployState};
use super::upload_store::FunctionSettings;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/sites/{site}/deploys", get(list).post(create))
        .route(
            "/sites/{site}/deploys/{deploy}",
            get(info_of_site).put(declare),
        )
        .route("/deploys/{deploy}", get(info))
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
    let body = body.with_title(query.title);
    let mut account = state.account();
    let site = account.site(&site)?.id;
    let quota = account.new_deploys.count("", Timestamp::now());
    if quota.is_some_and(|quota| !quota.is_allowed) {
        return Err(ApiError::too_many());
    }
    let undocumented = &account.undocumented;
    let mut deploy = DeployRecord::new(site, &body, &undocumented.draft_context);
    deploy.requires_all_functions = undocumented.forgets_functions;
    deploy.declare(body)?;
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
    deploy.declare(body)?;
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

async fn upload_function(
    State(state): State<AppState>,
    Path((id, name)): Path<(String, String)>,
    Query(settings): Query<FunctionSettings>,
    zip: Bytes,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    let Account { deploys, store, .. } = &mut *account;
    find_open(deploys, &id)?.upload_function(&name, zip, settings, store)?;
    let _ = respond(&mut account, &id)?;
    Ok(Json(json!({"id": name, "name": name})))
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
    account.deploy_of(site, &id)?;
    respond(&mut account, &id)
}

#[derive(Deserialize)]
struct ListQuery {
    branch: Option<String>,
    state: Option<String>,
    production: Option<bool>,
    #[serde(rename = "latest-published")]
    latest_published: Option<bool>,
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
    let site = account.site(&site)?.id;
    let mut selected: Vec<_> = account
        .deploys
        .iter()
        .rev()
        .filter(|deploy| deploy.site == site && query.selects(deploy))
        .collect();
    if query.latest_published == Some(true) {
        let published = selected.iter().filter(|it| it.published_at.is_some());
        selected = published
            .max_by_key(|it| it.published_at)
            .copied()
            .into_iter()
            .collect();
    }
    let page = selected.into_iter().skip(before).take(size);
    let deploys: Vec<_> = page.map(|deploy| account.deploy_json(deploy)).collect();
    Ok(Json(json!(deploys)))
}

/// Returns the deploy with this id, unless it failed or was cancelled.
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
        DeployState::Error => Err(ApiError::invalid("the deploy has failed")),
        DeployState::New | DeployState::Prepared | DeployState::Processing | DeployState::Ready => {
            Ok(deploy)
        }
    }
}

/// Returns the JSON of a deploy, and first makes it ready if nothing is missing.
fn respond(account: &mut Account, id: &str) -> Result<Json<Value>, ApiError> {
    account.complete(id);
    let deploy = account.deploy(id).ok_or_else(ApiError::not_found)?;
    Ok(Json(account.deploy_json(deploy)))
}

/// Largest upload in bytes: twice the limit of AWS Lambda for an archive.
const UPLOAD_LIMIT_BYTES: usize = 100 * 1024 * 1024;
