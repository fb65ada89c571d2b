//! The routes of deploys: making one, saying what it is made of, uploading that.

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::deploys::{Deploy, DeployState, UploadedFunction, Written};
use super::env_vars::EnvScope;
use super::refusal::{Refusal, read};
use super::shared::{self, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/sites/{site}/deploys", get(list).post(create))
        .route(
            "/sites/{site}/deploys/{deploy}",
            get(info_of_site).put(describe),
        )
        .route("/deploys/{deploy}", get(info))
        .route("/deploys/{deploy}/cancel", post(cancel))
        .route("/deploys/{deploy}/files/{*path}", put(file))
        .route("/deploys/{deploy}/functions/{name}", put(function))
        .layer(DefaultBodyLimit::max(UPLOAD_LIMIT_BYTES))
}

#[derive(Deserialize)]
struct Titled {
    title: Option<String>,
}

async fn create(
    State(shared): State<Shared>,
    Path(site): Path<String>,
    Query(titled): Query<Titled>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let written: Written = if body.is_empty() {
        Written::default()
    } else {
        read(&body)?
    };
    let mut state = shared.state();
    let site = state.site(&site)?.id;
    let deploy = written
        .titled(titled.title)
        .deploy(site, &state.draft_context);
    let id = deploy.id.clone();
    state.deploys.push(deploy);
    answer(&mut state, &id)
}

async fn describe(
    State(shared): State<Shared>,
    Path((site, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let written: Written = read(&body)?;
    let mut state = shared.state();
    let site = state.site(&site)?.id;
    let deploy = open(&mut state.deploys, &id)?;
    if deploy.site != site {
        return Err(Refusal::not_found());
    }
    deploy.describe(written);
    answer(&mut state, &id)
}

async fn file(
    State(shared): State<Shared>,
    Path((id, path)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    let shared::State { deploys, store, .. } = &mut *state;
    // The CLI escapes a path twice.
    let path = percent_decode_str(&path).decode_utf8_lossy();
    let size = body.len();
    open(deploys, &id)?.file(&path, body, store)?;
    let _ = answer(&mut state, &id)?;
    Ok(Json(json!({"id": path, "path": path, "size": size})))
}

#[derive(Deserialize)]
struct Runtime {
    runtime: Option<String>,
}

async fn function(
    State(shared): State<Shared>,
    Path((id, name)): Path<(String, String)>,
    Query(Runtime { runtime }): Query<Runtime>,
    zip: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    let shared::State { deploys, store, .. } = &mut *state;
    let uploaded = UploadedFunction { runtime, zip };
    open(deploys, &id)?.function(&name, uploaded, store)?;
    let _ = answer(&mut state, &id)?;
    Ok(Json(json!({"id": name, "name": name})))
}

async fn cancel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut state = shared.state();
    open(&mut state.deploys, &id)?.state = DeployState::Cancelled;
    Ok((StatusCode::CREATED, answer(&mut state, &id)?))
}

async fn info(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    answer(&mut shared.state(), &id)
}

async fn info_of_site(
    State(shared): State<Shared>,
    Path((site, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    let site = state.site(&site)?.id;
    let of_site = |of: &Deploy| of.id == id && of.site == site;
    if !state.deploys.iter().any(of_site) {
        return Err(Refusal::not_found());
    }
    answer(&mut state, &id)
}

/// The newest first.
async fn list(
    State(shared): State<Shared>,
    Path(site): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    let site = state.site(&site)?;
    let (id, name) = (site.id, site.name.clone());
    let deploys: Vec<_> = state
        .deploys
        .iter()
        .rev()
        .filter(|of| of.site == id)
        .map(|of| of.json(&name, &state.store))
        .collect();
    Ok(Json(json!(deploys)))
}

/// The deploy with this id, as long as something of it can change.
fn open<'a>(deploys: &'a mut [Deploy], id: &str) -> Result<&'a mut Deploy, Refusal> {
    let deploy = deploys
        .iter_mut()
        .find(|of| of.id == id)
        .ok_or_else(Refusal::not_found)?;
    match deploy.state {
        DeployState::Cancelled => Err(Refusal::invalid("the deploy was cancelled")),
        DeployState::New | DeployState::Prepared | DeployState::Ready => Ok(deploy),
    }
}

/// The deploy as it is now, which is ready from the moment at which nothing is missing.
fn answer(state: &mut shared::State, id: &str) -> Result<Json<Value>, Refusal> {
    let shared::State {
        deploys,
        store,
        sites,
        variables,
        ..
    } = state;
    let deploy = deploys
        .iter_mut()
        .find(|of| of.id == id)
        .ok_or_else(Refusal::not_found)?;
    let site = sites
        .iter_mut()
        .find(|site| site.id == deploy.site)
        .ok_or_else(Refusal::not_found)?;
    if deploy.is_complete(store) {
        let scope = EnvScope::Functions;
        deploy.state = DeployState::Ready;
        deploy.environment = variables.environment(&deploy.context, scope);
        let own = site.variables.environment(&deploy.context, scope);
        deploy.environment.extend(own);
        site.describe_to(&mut deploy.environment);
    }
    Ok(Json(deploy.json(&site.name, store)))
}

/// Twice what AWS Lambda takes as an archive.
const UPLOAD_LIMIT_BYTES: usize = 100 * 1024 * 1024;
