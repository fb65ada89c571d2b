//! The routes that publish, lock, cancel and delete existing deploys.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, post, put};
use axum::{Json, Router};
use serde_json::Value;

use super::account::Account;
use super::api_error::ApiError;
use super::app_state::AppState;
use super::deploys::DeployState;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/sites/{site}/deploys/{deploy}/restore", post(restore))
        .route("/sites/{site}/rollback", put(roll_back))
        .route("/sites/{site}/deploys/{deploy}", delete(remove_of_site))
        .route("/deploys/{deploy}", delete(remove))
        .route("/deploys/{deploy}/cancel", post(cancel))
        .route("/deploys/{deploy}/lock", post(lock))
        .route("/deploys/{deploy}/unlock", post(unlock))
}

async fn restore(
    State(state): State<AppState>,
    Path((site, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut account = state.account();
    let site = account.site(&site)?.id;
    account.restore(site, &id)?;
    Ok((StatusCode::CREATED, json_of(&account, &id)?))
}

async fn roll_back(
    State(state): State<AppState>,
    Path(site): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut account = state.account();
    let site = account.site(&site)?.id;
    account.roll_back(site)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.account().delete_deploy(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_of_site(
    State(state): State<AppState>,
    Path((site, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut account = state.account();
    let site = account.site(&site)?.id;
    account.deploy_of(site, &id)?;
    account.delete_deploy(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut account = state.account();
    let mut deploys = account.deploys.iter_mut();
    let deploy = deploys.find(|deploy| deploy.id == id);
    let deploy = deploy.ok_or_else(ApiError::not_found)?;
    if !deploy.state.is_in_progress() {
        return Err(ApiError::invalid("the deploy is not in progress"));
    }
    deploy.state = DeployState::Cancelled;
    Ok((StatusCode::CREATED, json_of(&account, &id)?))
}

async fn lock(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    account.set_lock(&id, true)?;
    json_of(&account, &id)
}

async fn unlock(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    account.set_lock(&id, false)?;
    json_of(&account, &id)
}

fn json_of(account: &Account, id: &str) -> Result<Json<Value>, ApiError> {
    let deploy = account.deploy(id).ok_or_else(ApiError::not_found)?;
    Ok(Json(account.deploy_json(deploy)))
}
