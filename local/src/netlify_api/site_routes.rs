//! The routes of sites.

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Account, SLUG};
use super::api_error::ApiError;
use super::app_state::AppState;
use super::site::SiteRecord;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/sites", get(list))
        .route("/{account}/sites", get(list_of_account))
        .route("/sites/{site}", get(info))
        // There are no add-ons.
        .route(
            "/sites/{site}/service-instances",
            get(async || Json(json!([]))),
        )
}

#[derive(Deserialize)]
struct SitesQuery {
    name: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

impl SitesQuery {
    /// Returns the page of the sites that match.
    fn respond(self, state: &AppState) -> Json<Value> {
        let account = state.account();
        // 100 per page, as for all lists of Netlify's API.
        let size = self.per_page.unwrap_or(100).clamp(1, 100);
        let before = self.page.unwrap_or(1).saturating_sub(1) * size;
        let sites: Vec<_> = account
            .sites
            .iter()
            .filter(|site| {
                let name = self.name.as_deref();
                name.is_none_or(|name| site.name.contains(name))
            })
            .skip(before)
            .take(size)
            .map(|site| json_of(&account, site))
            .collect();
        Json(json!(sites))
    }
}

async fn list(State(state): State<AppState>, Query(query): Query<SitesQuery>) -> Json<Value> {
    query.respond(&state)
}

async fn list_of_account(
    State(state): State<AppState>,
    Path(account): Path<String>,
    Query(query): Query<SitesQuery>,
) -> Result<Json<Value>, ApiError> {
    if account == SLUG || account == state.account().id.to_string() {
        Ok(query.respond(&state))
    } else {
        Err(ApiError::not_found())
    }
}

async fn info(
    State(state): State<AppState>,
    Path(site): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    let id = account.site(&site)?.id;
    let site = account.sites.iter().find(|stored| stored.id == id);
    let site = site.ok_or_else(ApiError::not_found)?;
    Ok(Json(json_of(&account, site)))
}

fn json_of(account: &Account, site: &SiteRecord) -> Value {
    let published = site.published().and_then(|id| account.deploy(id));
    let published = published.map(|deploy| account.deploy_json(deploy));
    let url = account.url(None, &site.name);
    site.json(account.id, SLUG, &url, json!(published))
}
