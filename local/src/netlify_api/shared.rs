//! What all requests share: the account and all that is in it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::context::Context;
use super::deploys::{Deploy, Store};
use super::env_vars::EnvVars;
use super::refusal::Refusal;
use super::sites::Site;
use super::unknown_site;
use crate::{Error, ErrorKind};

/// One stand-in, as its routes and its owner see it. The lock is held across no await.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A request that panicked leaves nothing half done that matters to a stand-in.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account.
pub(super) struct State {
    pub(super) id: Uuid,
    pub(super) sites: Vec<Site>,
    /// Those of the account, which all sites have.
    pub(super) variables: EnvVars,
    pub(super) scopes_available: bool,
    /// In the order in which they were made.
    pub(super) deploys: Vec<Deploy>,
    pub(super) store: Store,
    pub(super) draft_context: Context,
    tokens: HashSet<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            id: Uuid::new_v4(),
            sites: Vec::new(),
            variables: EnvVars::default(),
            scopes_available: true,
            deploys: Vec::new(),
            store: Store::default(),
            draft_context: Context::DeployPreview,
            tokens: HashSet::new(),
        }
    }
}

impl State {
    /// Makes a token in the shape of Netlify's personal ones.
    pub(super) fn create_token(&mut self) -> String {
        let token = format!("nfp_{}", Uuid::new_v4().simple());
        self.tokens.insert(token.clone());
        token
    }

    pub(super) fn revoke_token(&mut self, token: &str) -> bool {
        self.tokens.remove(token)
    }

    pub(super) fn knows_token(&self, token: &str) -> bool {
        self.tokens.contains(token)
    }

    pub(super) fn create_site(&mut self, name: &str) -> Result<Uuid, Error> {
        let good = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let taken = self.sites.iter().any(|site| site.name == name);
        if !good || taken {
            let reason = match taken {
                true => "the name is taken",
                false => "a name has lower-case letters, digits and -",
            };
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not make the site {name:?}: {reason}"),
            ));
        }
        let site = Site::new(name);
        let id = site.id;
        self.sites.push(site);
        Ok(id)
    }

    /// The name of a site; empty where there is none.
    pub(super) fn site_name(&self, id: Uuid) -> &str {
        let site = self.sites.iter().find(|site| site.id == id);
        site.map_or("", |site| &site.name)
    }

    /// The site that the owner names.
    pub(super) fn existing_site(&mut self, site: &str, purpose: &str) -> Result<&mut Site, Error> {
        self.site(site).map_err(|_| unknown_site(site, purpose))
    }

    /// The site that a request names: by its id, its name, or its host.
    pub(super) fn site(&mut self, asked: &str) -> Result<&mut Site, Refusal> {
        self.sites
            .iter_mut()
            .find(|site| site.is(asked))
            .ok_or_else(Refusal::not_found)
    }
}
