//! The API's JSON of a deploy.

use serde_json::{Value, json};

use super::account::Account;
use super::addresses::branch_label;
use super::context::Context;
use super::deploys::{DeployRecord, DeployState};

impl Account {
    /// Returns the API's JSON of a deploy. As in Netlify's open-api, it contains neither the digests
    /// of its files and functions nor its variables.
    pub(super) fn deploy_json(&self, deploy: &DeployRecord) -> Value {
        let site = self.sites.iter().find(|site| site.id == deploy.site);
        let name = site.map_or("", |site| &site.name);
        let is_locked =
            site.is_some_and(|site| site.is_locked && site.published() == Some(deploy.id.as_str()));
        let own = self.url(Some(&deploy.id), name);
        let public = match &deploy.context {
            _ if deploy.draft => own.clone(),
            Context::Branch(branch) => self.url(Some(&branch_label(branch)), name),
            Context::Production => self.url(None, name),
            _ => own.clone(),
        };
        let context = match &deploy.context {
            Context::Branch(_) => "branch-deploy",
            context => context.name(),
        };
        let schedules = deploy.content.schedules.iter();
        let schedules: Vec<_> = schedules
            .map(|(name, cron)| json!({"name": name, "cron": cron}))
            .collect();
        let error_message = match deploy.state {
            DeployState::Cancelled => Some("Canceled"),
            _ => deploy.error_message.as_deref(),
        };
        let commit = deploy.commit.as_ref();
        json!({
            "id": deploy.id,
            "site_id": deploy.site,
            "name": name,
            "state": deploy.state.name(),
            "context": context,
            "branch": deploy.branch(),
            "build_id": commit.map(|commit| &commit.build),
            "commit_ref": commit.map(|commit| &commit.commit),
            "locked": is_locked,
            "published_at": deploy.published_at.map(|at| at.to_string()),
            "draft": deploy.draft,
            "title": deploy.title,
            "created_at": deploy.created_at.to_string(),
            "url": public,
            "ssl_url": public,
            "deploy_url": public,
            "deploy_ssl_url": public,
            "links": {"permalink": own, "alias": public},
            "admin_url": format!("https://app.netlify.com/projects/{name}"),
            "required": deploy.missing_files(&self.store),
            "required_functions": deploy.missing_functions(&self.store),
            "function_schedules": schedules,
            "error_message": error_message,
        })
    }
}
