//! Access to what makes a stage's Heroku misbehave, for the faults of a whole site.

use std::fmt;

use super::app_state::AppState;
use super::tokens::TokenScope;
use crate::api::{Fault, FaultId};
use crate::{Error, ErrorKind};

/// Injects faults into a running [`Heroku`](super::Heroku). It does not keep the server running.
#[derive(Clone)]
pub(crate) struct FaultAccess(AppState);

impl FaultAccess {
    pub(super) fn new(state: AppState) -> Self {
        Self(state)
    }

    /// Rotates the credentials of an add-on's database, as `pg:credentials:rotate` does.
    ///
    /// # Errors
    ///
    /// Those of the owner of the databases.
    pub(crate) async fn rotate_credentials(&self, addon: &str) -> Result<(), Error> {
        self.0.rotate_credentials(addon).await
    }

    /// Moves an add-on's database to the URL that `change` returns. No rotation runs meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if there is no such add-on.
    pub(crate) async fn move_database(
        &self,
        addon: &str,
        change: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        let _guard = self.0.lock_rotations().await;
        let url = change();
        self.0.account().set_database_url(addon, &url)
    }

    /// Refuses a token with 401, or accepts it again.
    pub(crate) fn set_token_expired(&self, token: &str, is_expired: bool) {
        self.0.tokens().set_expired(token, is_expired);
    }

    /// Makes matching requests fail until the fault is removed.
    pub(crate) fn inject(&self, fault: Fault) -> FaultId {
        self.0.control().inject_until_removed(fault)
    }

    /// Removes a fault.
    pub(crate) fn remove(&self, fault: FaultId) {
        self.0.control().remove(fault);
    }
}

impl AppState {
    /// Has the owner rotate the credentials of an add-on's database, and changes the config var.
    ///
    /// Rotations run one after the other, so that the config var has the last password.
    pub(super) async fn rotate_credentials(&self, addon: &str) -> Result<(), Error> {
        let input = |reason: &str| {
            let message = format!("could not rotate the credentials: {reason}");
            Error::new(ErrorKind::Input, message)
        };
        let owner = self.owner();
        let owner = owner.ok_or_else(|| input("the databases have no owner here"))?;
        let _guard = self.lock_rotations().await;
        let url = {
            let account = self.account();
            let addon = account.authorized_addon(&TokenScope::AllApps, addon);
            let addon = addon.map_err(|_| input("there is no such add-on"))?;
            addon.url.expose_secret().to_owned()
        };
        let url = owner.rotate(&url).await?;
        self.account().set_database_url(addon, &url)
    }
}

impl fmt::Debug for FaultAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultAccess").finish_non_exhaustive()
    }
}
