//! Behavior that Netlify does not document: what this API does, and the setters for the other
//! possibility.

use super::NetlifyApi;
use super::context::Context;

/// The lock of a site after a deploy was published by `restore` or `rollback`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockAfterRestore {
    /// The site stays locked, and the lock belongs to the deploy that is published now.
    #[default]
    Kept,
    /// The site is not locked any more.
    Released,
}

/// The choices for what Netlify does not document.
#[derive(Debug)]
pub(super) struct Undocumented {
    /// Context of the functions of drafts.
    pub(super) draft_context: Context,
    pub(super) lock_after_restore: LockAfterRestore,
    /// True if unlocking publishes the newest ready deploy of production.
    pub(super) unlock_publishes_newest: bool,
    /// True if `restore` publishes drafts and deploys of other contexts, too.
    pub(super) restores_any_context: bool,
    /// True if a new deploy has to upload functions that Netlify got for an earlier one.
    pub(super) forgets_functions: bool,
}

impl Default for Undocumented {
    fn default() -> Self {
        Self {
            draft_context: Context::DeployPreview,
            lock_after_restore: LockAfterRestore::default(),
            unlock_publishes_newest: false,
            restores_any_context: false,
            forgets_functions: false,
        }
    }
}

/// Behavior that Netlify does not document (2026-11). Each default is the reading that fits the
/// documents best; a client has to work with both.
impl NetlifyApi {
    /// Sets the context of the functions of drafts that are created from now on. The default is that
    /// of deploy previews.
    pub fn set_draft_context(&self, context: Context) {
        self.state.account().undocumented.draft_context = context;
    }

    /// Sets what happens to the lock of a site when another deploy is published by `restore` or
    /// `rollback`. The default is [`LockAfterRestore::Kept`].
    pub fn set_lock_after_restore(&self, lock: LockAfterRestore) {
        self.state.account().undocumented.lock_after_restore = lock;
    }

    /// Sets whether unlocking a site publishes the newest ready deploy of production. The default is
    /// false: unlocking publishes nothing.
    pub fn set_unlock_publishes_newest(&self, publishes: bool) {
        self.state.account().undocumented.unlock_publishes_newest = publishes;
    }

    /// Sets whether `restore` publishes drafts and deploys of other contexts than production, with
    /// the variables that they have. The default is false: it refuses them with 422.
    pub fn set_restores_any_context(&self, restores: bool) {
        self.state.account().undocumented.restores_any_context = restores;
    }

    /// Sets whether deploys that are created from now on have to upload each of their functions,
    /// also those that were uploaded for an earlier deploy. The default is false: Netlify documents
    /// for files that only what it does not have is uploaded.
    pub fn set_forgets_functions(&self, forgets: bool) {
        self.state.account().undocumented.forgets_functions = forgets;
    }
}
