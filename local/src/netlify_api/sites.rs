//! The sites.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::SLUG;
use super::env_vars::EnvVars;
use super::refusal::Refusal;
use super::shared::Shared;

/// A site, and the variables that are its own.
pub(super) struct Site {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) variables: EnvVars,
}

impl Site {
    pub(super) fn new(name: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            name: name.to_owned(),
            variables: EnvVars::default(),
        }
    }

    /// Whether an id, a name or a host means this site.
    pub(super) fn is(&self, asked: &str) -> bool {
        asked == self.id.to_string()
            || asked == self.name
            || asked.strip_suffix(".netlify.app") == Some(&self.name)
    }

    /// Adds what Netlify tells functions of their site.
    pub(super) fn describe_to(&self, environment: &mut BTreeMap<String, String>) {
        environment.extend([
            (
                "URL".to_owned(),
                format!("https://{}.netlify.app", self.name),
            ),
            ("SITE_NAME".to_owned(), self.name.clone()),
            ("SITE_ID".to_owned(), self.id.to_string()),
        ]);
    }

    fn json(&self, account: Uuid) -> Value {
        let host = format!("{}.netlify.app", self.name);
        json!({
            "id": self.id,
            "site_id": self.id,
            "name": self.name,
            "state": "current",
            "plan": "nf_team_dev",
            "url": format!("http://{host}"),
            "ssl_url": format!("https://{host}"),
            "admin_url": format!("https://app.netlify.com/projects/{}", self.name),
            "default_domain": host,
            "account_id": account,
            "account_name": "Local",
            "account_slug": SLUG,
            "build_settings": {},
            "use_envelope": true,
            "feature_flags": {},
            "published_deploy": null,
        })
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/sites", get(list))
        .route("/{account}/sites", get(list_of_account))
        .route("/sites/{site}", get(info))
        // The add-ons, of which there are none.
        .route(
            "/sites/{site}/service-instances",
            get(async || Json(json!([]))),
        )
}

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

impl Asked {
    fn answer(self, shared: &Shared) -> Json<Value> {
        let state = shared.state();
        // 100 a page, as with all lists of Netlify's API.
        let size = self.per_page.unwrap_or(100).clamp(1, 100);
        let before = self.page.unwrap_or(1).saturating_sub(1) * size;
        let sites: Vec<_> = state
            .sites
            .iter()
            .filter(|site| {
                let name = self.name.as_deref();
                name.is_none_or(|name| site.name.contains(name))
            })
            .skip(before)
            .take(size)
            .map(|site| site.json(state.id))
            .collect();
        Json(json!(sites))
    }
}

async fn list(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Json<Value> {
    asked.answer(&shared)
}

async fn list_of_account(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let known = account == SLUG || account == shared.state().id.to_string();
    if known {
        Ok(asked.answer(&shared))
    } else {
        Err(Refusal::not_found())
    }
}

async fn info(
    State(shared): State<Shared>,
    Path(site): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    let account = state.id;
    Ok(Json(state.site(&site)?.json(account)))
}
