//! The state that all routes share: the account, its tokens, the rate limit, injected faults.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::account::Account;
use super::database_owner::DatabaseOwner;
use super::deployer::Deployer;
use super::rate_limit::RateLimit;
use super::tokens::Tokens;
use crate::api::Control;
use crate::lock::lock;

/// State of one stand-in. Clones share it.
///
/// No lock is held across an await, except those of rotations and promotions.
#[derive(Clone)]
pub(super) struct AppState(Arc<Inner>);

struct Inner {
    account: Mutex<Account>,
    tokens: Mutex<Tokens>,
    control: Control,
    rate_limit: Mutex<RateLimit>,
    owner: Mutex<Option<Arc<dyn DatabaseOwner>>>,
    deployer: Mutex<Option<Arc<dyn Deployer>>>,
    rotation: tokio::sync::Mutex<()>,
    promotion: tokio::sync::Mutex<()>,
    /// 0 if no page size was set.
    page_size: AtomicUsize,
}

impl AppState {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            account: Mutex::new(Account::new()),
            tokens: Mutex::new(Tokens::new()),
            control: Control::default(),
            rate_limit: Mutex::new(RateLimit::new(Instant::now())),
            owner: Mutex::default(),
            deployer: Mutex::default(),
            rotation: tokio::sync::Mutex::default(),
            promotion: tokio::sync::Mutex::default(),
            page_size: AtomicUsize::new(0),
        }))
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.0.account)
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.0.tokens)
    }

    pub(super) fn control(&self) -> &Control {
        &self.0.control
    }

    pub(super) fn rate_limit(&self) -> MutexGuard<'_, RateLimit> {
        lock(&self.0.rate_limit)
    }

    pub(super) fn owner(&self) -> Option<Arc<dyn DatabaseOwner>> {
        lock(&self.0.owner).clone()
    }

    pub(super) fn set_owner(&self, owner: Arc<dyn DatabaseOwner>) {
        *lock(&self.0.owner) = Some(owner);
    }

    /// Waits until no rotation is running, and blocks the next one until the guard is dropped.
    pub(super) async fn lock_rotations(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.rotation.lock().await
    }

    pub(super) fn deployer(&self) -> Option<Arc<dyn Deployer>> {
        lock(&self.0.deployer).clone()
    }

    pub(super) fn set_deployer(&self, deployer: Arc<dyn Deployer>) {
        *lock(&self.0.deployer) = Some(deployer);
    }

    /// Waits until no promotion is running, and blocks the next one until the guard is dropped.
    pub(super) async fn lock_promotions(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.promotion.lock().await
    }

    /// Page size that was set with [`set_page_size`](Self::set_page_size), if any.
    pub(super) fn page_size(&self) -> Option<usize> {
        Some(self.0.page_size.load(Ordering::Relaxed)).filter(|size| *size > 0)
    }

    pub(super) fn set_page_size(&self, size: usize) {
        self.0.page_size.store(size, Ordering::Relaxed);
    }
}
