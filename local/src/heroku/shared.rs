//! What all requests share: the state of the account and the ways to disturb it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::database_owner::DatabaseOwner;
use super::rate_limit::RateLimit;
use super::state::Cloud;
use super::tokens::Tokens;
use crate::api::Control;

/// One stand-in, as its routes and its owner see it. No lock is held across an await,
/// save that of rotations.
#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    cloud: Mutex<Cloud>,
    tokens: Mutex<Tokens>,
    control: Control,
    rate_limit: Mutex<RateLimit>,
    owner: Mutex<Option<Arc<dyn DatabaseOwner>>>,
    rotation: tokio::sync::Mutex<()>,
    /// 0 while nobody has set one.
    page_size: AtomicUsize,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            cloud: Mutex::new(Cloud::new()),
            tokens: Mutex::new(Tokens::new()),
            control: Control::default(),
            rate_limit: Mutex::new(RateLimit::new(Instant::now())),
            owner: Mutex::default(),
            rotation: tokio::sync::Mutex::default(),
            page_size: AtomicUsize::new(0),
        }))
    }

    pub(super) fn cloud(&self) -> MutexGuard<'_, Cloud> {
        lock(&self.0.cloud)
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

    /// Waits until no rotation is under way, and holds off the next one.
    pub(super) async fn rotation(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.rotation.lock().await
    }

    /// The page size that was set, if one was.
    pub(super) fn page_size(&self) -> Option<usize> {
        Some(self.0.page_size.load(Ordering::Relaxed)).filter(|size| *size > 0)
    }

    pub(super) fn set_page_size(&self, size: usize) {
        self.0.page_size.store(size, Ordering::Relaxed);
    }
}

/// A request that panicked leaves nothing half done that matters to a stand-in.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
