//! A site of the account.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::env_vars::EnvVars;

/// A site with its own variables.
pub(super) struct SiteRecord {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) variables: EnvVars,
    /// True if production takes deploys from Git alone.
    pub(super) prevents_api_deploys: bool,
    /// Ids of the deploys that were published to production, in that order. The last one is the
    /// published deploy.
    pub(super) publications: Vec<String>,
    /// True if automatic publishing is stopped. The lock is shown at the published deploy.
    pub(super) is_locked: bool,
    /// True if a password protects its addresses.
    pub(super) is_protected: bool,
}

impl SiteRecord {
    pub(super) fn new(name: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            name: name.to_owned(),
            variables: EnvVars::default(),
            prevents_api_deploys: false,
            publications: Vec::new(),
            is_locked: false,
            is_protected: false,
        }
    }

    /// Returns whether an id, a name or a host name means this site.
    pub(super) fn matches(&self, site: &str) -> bool {
        site == self.id.to_string()
            || site == self.name
            || site.strip_suffix(".netlify.app") == Some(&self.name)
    }

    /// Id of the published deploy.
    pub(super) fn published(&self) -> Option<&str> {
        self.publications.last().map(String::as_str)
    }

    /// Adds the variables that describe the site to the environment of its functions.
    pub(super) fn extend_environment(&self, environment: &mut BTreeMap<String, String>) {
        environment.extend([
            (
                "URL".to_owned(),
                format!("https://{}.netlify.app", self.name),
            ),
            ("SITE_NAME".to_owned(), self.name.clone()),
            ("SITE_ID".to_owned(), self.id.to_string()),
        ]);
    }

    /// Returns the API's JSON with the site's URL and the JSON of the published deploy.
    pub(super) fn json(
        &self,
        account_id: Uuid,
        account_slug: &str,
        url: &str,
        published: Value,
    ) -> Value {
        json!({
            "id": self.id,
            "site_id": self.id,
            "name": self.name,
            "state": "current",
            "plan": "nf_team_dev",
            "url": url.replacen("https:", "http:", 1),
            "ssl_url": url,
            "admin_url": format!("https://app.netlify.com/projects/{}", self.name),
            "default_domain": format!("{}.netlify.app", self.name),
            "account_id": account_id,
            "account_name": "Local",
            "account_slug": account_slug,
            "build_settings": {},
            "use_envelope": true,
            "feature_flags": {},
            "prevent_non_git_prod_deploys": self.prevents_api_deploys,
            "published_deploy": published,
        })
    }
}
