//! The state of the local Netlify: one account and its resources, in memory.

use std::collections::{HashSet, VecDeque};

use tokio::sync::watch;
use uuid::Uuid;

use super::api_error::ApiError;
use super::deploys::DeployRecord;
use super::env_vars::EnvVars;
use super::rate_limit::{REQUESTS_PER_MINUTE, RateLimit};
use super::site::SiteRecord;
use super::undocumented::Undocumented;
use super::upload_store::UploadStore;
use crate::{Error, ErrorKind};

/// Slug of the account in paths.
pub(super) const SLUG: &str = "local";

/// The account with its resources.
pub(super) struct Account {
    pub(super) id: Uuid,
    pub(super) sites: Vec<SiteRecord>,
    /// The account's variables, which all sites have.
    pub(super) variables: EnvVars,
    pub(super) scopes_available: bool,
    /// In the order of their creation.
    pub(super) deploys: Vec<DeployRecord>,
    pub(super) store: UploadStore,
    pub(super) undocumented: Undocumented,
    /// Port of the running hosting.
    pub(super) hosted_port: Option<u16>,
    /// True while complete deploys stay in processing.
    pub(super) holds_deploys: bool,
    /// True while visitors of the sites' own addresses wait for their answer.
    pub(super) holds_visitors: watch::Sender<bool>,
    /// Error messages of the next deploys that are complete.
    pub(super) failures: VecDeque<String>,
    /// Limit of requests per token.
    pub(super) requests: RateLimit,
    /// Limit of created deploys.
    pub(super) new_deploys: RateLimit,
    tokens: HashSet<String>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            id: Uuid::new_v4(),
            sites: Vec::new(),
            variables: EnvVars::default(),
            scopes_available: true,
            deploys: Vec::new(),
            store: UploadStore::default(),
            undocumented: Undocumented::default(),
            hosted_port: None,
            holds_deploys: false,
            holds_visitors: watch::Sender::new(false),
            failures: VecDeque::new(),
            requests: RateLimit::new(Some(REQUESTS_PER_MINUTE)),
            new_deploys: RateLimit::new(None),
            tokens: HashSet::new(),
        }
    }
}

impl Account {
    /// Creates a token in the format of Netlify's personal access tokens.
    pub(super) fn create_token(&mut self) -> String {
        let token = format!("nfp_{}", Uuid::new_v4().simple());
        self.tokens.insert(token.clone());
        token
    }

    pub(super) fn revoke_token(&mut self, token: &str) -> bool {
        self.tokens.remove(token)
    }

    pub(super) fn has_token(&self, token: &str) -> bool {
        self.tokens.contains(token)
    }

    pub(super) fn create_site(&mut self, name: &str) -> Result<Uuid, Error> {
        let valid = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let taken = self.sites.iter().any(|site| site.name == name);
        if !valid || taken {
            let reason = match taken {
                true => "the name is taken",
                false => "a name consists of lower-case letters, digits and -",
            };
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not create the site {name:?}: {reason}"),
            ));
        }
        let site = SiteRecord::new(name);
        let id = site.id;
        self.sites.push(site);
        Ok(id)
    }

    /// Returns the name of a site, or an empty string if there is no such site.
    pub(super) fn site_name(&self, id: Uuid) -> &str {
        let site = self.sites.iter().find(|site| site.id == id);
        site.map_or("", |site| &site.name)
    }

    /// Returns a site. The error reads "could not `action`".
    pub(super) fn find_site(&mut self, site: &str, action: &str) -> Result<&mut SiteRecord, Error> {
        self.site(site).map_err(|_| {
            Error::new(
                ErrorKind::Input,
                format!("could not {action}: there is no site {site}"),
            )
        })
    }

    /// Returns the site of a deploy.
    pub(super) fn record(&mut self, id: Uuid) -> Result<&mut SiteRecord, ApiError> {
        let mut sites = self.sites.iter_mut();
        sites
            .find(|site| site.id == id)
            .ok_or_else(ApiError::not_found)
    }

    /// Returns the site with this id, name or host name.
    pub(super) fn site(&mut self, site: &str) -> Result<&mut SiteRecord, ApiError> {
        self.sites
            .iter_mut()
            .find(|stored| stored.matches(site))
            .ok_or_else(ApiError::not_found)
    }
}
