//! Injects the faults of a cloud's stages, and ends them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::active::ActiveFault;
use super::fault::{Fault, LONGEST, Lasting};
use super::shared_server::SharedServer;
use super::stage::{FaultyStage, Undo};
use crate::api::{Failure, Fault as ApiFault, FaultId};
use crate::heroku::FaultAccess;
use crate::{Error, ErrorKind};

/// Injects faults into the stages of a [`Cloud`](crate::Cloud). Clones control the same stages.
///
/// Of a kind of fault a stage has one at a time: another one takes its place. A fault that lasts ends
/// after its duration, by [`clear`](Self::clear), or with the cloud.
#[derive(Clone)]
pub struct FaultControl(Arc<Inner>);

struct Inner {
    stages: Vec<FaultyStage>,
    heroku: FaultAccess,
    server: Mutex<Option<SharedServer>>,
    active: Mutex<Vec<Active>>,
    last_number: AtomicU64,
    /// Held while a fault begins or ends.
    changing: tokio::sync::Mutex<()>,
}

struct Active {
    /// Tells a fault from one of the same kind that took its place.
    number: u64,
    /// Index of the stage; none for a fault of all.
    stage: Option<usize>,
    fault: Fault,
    ends: Option<Instant>,
    undo: ActiveUndo,
}

enum ActiveUndo {
    Stage(Undo),
    Api(FaultId),
}

impl FaultControl {
    pub(crate) fn new(stages: Vec<FaultyStage>, heroku: FaultAccess) -> Self {
        Self(Arc::new(Inner {
            stages,
            heroku,
            server: Mutex::default(),
            active: Mutex::default(),
            last_number: AtomicU64::default(),
            changing: tokio::sync::Mutex::default(),
        }))
    }

    /// Sets the server of the databases, without which [`Fault::Restart`] is refused.
    pub fn set_server(&self, server: SharedServer) {
        *lock(&self.0.server) = Some(server);
    }

    /// Names of the stages.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.0.stages.iter().map(|stage| stage.name.as_str())
    }

    /// Injects a fault into a stage. Returns when it has its effect: after a rotation, a failover or a
    /// restart.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a stage or function that does not run, a duration of a fault that
    /// happens once, and one over 24 hours; [`ErrorKind::Unsupported`] for a restart of a server that
    /// another program runs; [`ErrorKind::Process`] if the database's server fails.
    ///
    /// # Cancel safety
    ///
    /// The fault is injected in a task of its own, and goes on if the future is dropped.
    pub async fn inject(
        &self,
        stage: &str,
        fault: Fault,
        duration: Option<Duration>,
    ) -> Result<(), Error> {
        let index = self.index_of(stage)?;
        ensure_duration(&fault, duration)?;
        let control = self.clone();
        let task = tokio::spawn(async move { control.begin(index, fault, duration).await });
        task.await.unwrap_or_else(|cause| {
            let message = "could not inject the fault";
            Err(Error::new(ErrorKind::System, message).with_source(cause))
        })
    }

    /// The faults that last, in the order of their start.
    pub fn active(&self) -> Vec<ActiveFault> {
        let active = lock(&self.0.active);
        let active = active.iter().map(|active| ActiveFault {
            stage: active.stage.map(|index| self.0.stages[index].name.clone()),
            fault: active.fault.clone(),
            ends_in_ms: active.ends.map(|ends| {
                let left = ends.saturating_duration_since(Instant::now());
                u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
            }),
        });
        active.collect()
    }

    /// Ends the faults of a stage and those of all stages; without a stage all faults. Returns those that
    /// ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a stage that does not run, [`ErrorKind::Process`] if the database's
    /// server fails; the faults that could not be ended stay in the list.
    pub async fn clear(&self, stage: Option<&str>) -> Result<Vec<Fault>, Error> {
        let index = stage.map(|stage| self.index_of(stage)).transpose()?;
        let control = self.clone();
        // A task of its own: a fault that has left the list has to end.
        let task = tokio::spawn(async move {
            let inner = &control.0;
            let _guard = inner.changing.lock().await;
            let of_all = |active: &Active| index.is_none() || active.stage.is_none();
            inner
                .end_all(|active| of_all(active) || active.stage == index)
                .await
        });
        task.await.unwrap_or_else(|cause| {
            let message = "could not clear the faults";
            Err(Error::new(ErrorKind::System, message).with_source(cause))
        })
    }

    /// Ends the freeze of a stage's instances, or of all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a stage that does not run.
    pub async fn thaw(&self, stage: Option<&str>) -> Result<Vec<Fault>, Error> {
        let index = stage.map(|stage| self.index_of(stage)).transpose()?;
        let _guard = self.0.changing.lock().await;
        let is_meant = |active: &Active| index.is_none() || active.stage == index;
        let is_freeze = |active: &Active| matches!(active.fault, Fault::Freeze { .. });
        // It waits for nothing, so it ends even if the future is dropped.
        self.0
            .end_all(|active| is_freeze(active) && is_meant(active))
            .await
    }

    fn index_of(&self, stage: &str) -> Result<usize, Error> {
        let stages = &self.0.stages;
        let found = stages.iter().position(|of| of.name == stage);
        found.ok_or_else(|| {
            let names: Vec<_> = self.stages().collect();
            let names = names.join(" and ");
            let message = format!("no stage {stage} runs here: the stages are {names}");
            Error::new(ErrorKind::Input, message)
        })
    }

    async fn begin(
        &self,
        index: usize,
        fault: Fault,
        duration: Option<Duration>,
    ) -> Result<(), Error> {
        let inner = &self.0;
        let guard = inner.changing.lock().await;
        if fault == Fault::Restart {
            // The guard would keep other faults waiting while the server is down.
            drop(guard);
            let server = lock(&inner.server).clone();
            let server = server.ok_or_else(|| {
                let message = "could not restart the Postgres server: this program does not run it";
                Error::new(ErrorKind::Unsupported, message)
            })?;
            return server.restart(duration.unwrap_or_default()).await;
        }
        let stage = (!fault.is_of_all_stages()).then_some(index);
        // The one before of this kind ends first.
        let name = fault.name();
        inner
            .end_all(|active| active.stage == stage && active.fault.name() == name)
            .await?;
        let undo = match api_failure(&fault) {
            Some(failure) => Some(ActiveUndo::Api(inner.heroku.inject(ApiFault::new(failure)))),
            None => {
                let lasts = duration.is_some() || fault.lasting() == Lasting::UntilCleared;
                let begun = inner.stages[index].begin(&fault, lasts).await?;
                begun.map(ActiveUndo::Stage)
            }
        };
        let Some(undo) = undo else { return Ok(()) };
        let ends = duration.map(|duration| Instant::now() + duration);
        let number = inner.add(Active {
            number: 0,
            stage,
            fault,
            ends,
            undo,
        });
        if let Some(ends) = ends {
            // It does not keep the stages.
            let inner = Arc::downgrade(&self.0);
            tokio::spawn(async move {
                sleep_until(ends).await;
                let Some(inner) = inner.upgrade() else { return };
                let _guard = inner.changing.lock().await;
                let ended = inner.end_all(|active| active.number == number).await;
                if let Err(error) = ended {
                    tracing::warn!(error = ?error, "a fault could not be ended");
                }
            });
        }
        Ok(())
    }
}

impl Inner {
    /// Adds a fault to the list, and returns its number.
    fn add(&self, fault: Active) -> u64 {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.active).push(Active { number, ..fault });
        number
    }

    /// Ends the faults that are meant, whatever fails on another one.
    async fn end_all(&self, is_meant: impl Fn(&Active) -> bool) -> Result<Vec<Fault>, Error> {
        let meant: Vec<Active> = {
            let mut active = lock(&self.active);
            active.extract_if(.., |active| is_meant(active)).collect()
        };
        let (mut ended, mut failed) = (Vec::new(), None);
        for active in meant {
            let result = match (&active.undo, active.stage) {
                (ActiveUndo::Api(id), _) => {
                    self.heroku.remove(*id);
                    Ok(())
                }
                (ActiveUndo::Stage(undo), Some(index)) => {
                    self.stages[index].end(&active.fault, undo).await
                }
                (ActiveUndo::Stage(_), None) => Ok(()),
            };
            match result {
                Ok(()) => ended.push(active.fault),
                Err(error) => {
                    lock(&self.active).push(active);
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(ended), Err)
    }
}

/// Returns the failure of the provider's API that is the fault.
fn api_failure(fault: &Fault) -> Option<Failure> {
    let status = |status, retry_after| Failure::Status {
        status,
        retry_after,
    };
    match fault {
        Fault::ApiTooManyRequests { retry_after_s } => {
            let wait = retry_after_s.map(|seconds| Duration::from_secs(seconds.into()));
            Some(status(429, wait))
        }
        Fault::ApiError => Some(status(500, None)),
        Fault::ApiHang => Some(Failure::Hang),
        _ => None,
    }
}

/// Makes sure that the fault can have the duration.
pub(super) fn ensure_duration(fault: &Fault, duration: Option<Duration>) -> Result<(), Error> {
    let refused = |reason: &str| {
        let message = format!("{} {reason}", fault.name());
        Err(Error::new(ErrorKind::Input, message))
    };
    match duration {
        Some(_) if fault.lasting() == Lasting::Once => {
            refused("happens once: leave the duration out")
        }
        Some(duration) if duration > LONGEST => refused("lasts for 24 hours at the most"),
        _ => Ok(()),
    }
}

impl fmt::Debug for FaultControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultControl")
            .field("active", &self.active())
            .finish_non_exhaustive()
    }
}

/// Locks a mutex. No step under these locks leaves a state that is half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
