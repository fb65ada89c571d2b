//! Injects the faults of a cloud's stages, and ends them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::active::ActiveFault;
use super::fault::{Fault, LONGEST, Lasting};
use super::shared_server::SharedServer;
use super::stage::{FaultyStage, Undo};
use crate::api::{Failure, Fault as ApiFault, FaultId};
use crate::heroku::FaultAccess;
use crate::lock::lock;
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
    active: Mutex<Vec<Arc<Active>>>,
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
    /// The server is down, and has to be started.
    Server(SharedServer),
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
    /// restart, and for a restart with a duration when the server is down.
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
        // A task of its own: an end that has begun has to be finished.
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
        let _guard = inner.changing.lock().await;
        let stage = (!fault.is_of_all_stages()).then_some(index);
        // The one before of this kind ends first.
        let name = fault.name();
        inner
            .end_all(|active| active.stage == stage && active.fault.name() == name)
            .await?;
        let undo = match api_failure(&fault) {
            Some(failure) => Some(ActiveUndo::Api(inner.heroku.inject(ApiFault::new(failure)))),
            None if fault == Fault::Restart => inner.restart(duration.is_some()).await?,
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
                let mut is_first = true;
                // The server that an end needs may be down by another fault.
                while let Some(Err(error)) = end_one(&inner, number).await {
                    if is_first {
                        tracing::warn!(error = ?error, "a fault could not be ended: it is tried again");
                    }
                    is_first = false;
                    sleep(END_PAUSE).await;
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
        lock(&self.active).push(Arc::new(Active { number, ..fault }));
        number
    }

    /// Restarts the server. With `lasts` it only shuts it down, and returns what starts it.
    async fn restart(&self, lasts: bool) -> Result<Option<ActiveUndo>, Error> {
        let server = lock(&self.server).clone();
        let server = server.ok_or_else(|| {
            let message = "could not restart the Postgres server: this program does not run it";
            Error::new(ErrorKind::Unsupported, message)
        })?;
        if !lasts {
            return server.restart().await.map(|()| None);
        }
        server.shut_down().await?;
        Ok(Some(ActiveUndo::Server(server)))
    }

    /// Ends the faults that are meant, whatever fails on another one. Each is in the list until it has
    /// ended; `changing` is held, so that none is ended twice.
    async fn end_all(&self, is_meant: impl Fn(&Active) -> bool) -> Result<Vec<Fault>, Error> {
        let mut meant: Vec<Arc<Active>> = {
            let active = lock(&self.active);
            let meant = active.iter().filter(|active| is_meant(active));
            meant.cloned().collect()
        };
        // The ends of others may need the server.
        meant.sort_by_key(|active| !matches!(active.undo, ActiveUndo::Server(_)));
        let (mut ended, mut failed) = (Vec::new(), None);
        for active in meant {
            let result = match (&active.undo, active.stage) {
                (ActiveUndo::Api(id), _) => {
                    self.heroku.remove(*id);
                    Ok(())
                }
                (ActiveUndo::Server(server), _) => server.start_again().await,
                (ActiveUndo::Stage(undo), Some(index)) => {
                    self.stages[index].end(&active.fault, undo).await
                }
                (ActiveUndo::Stage(_), None) => Ok(()),
            };
            match result {
                Ok(()) => {
                    lock(&self.active).retain(|of| of.number != active.number);
                    ended.push(active.fault.clone());
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(ended), Err)
    }
}

/// Ends the fault of this number, if it is still in the list; none where the stages are gone.
async fn end_one(inner: &Weak<Inner>, number: u64) -> Option<Result<Vec<Fault>, Error>> {
    let inner = inner.upgrade()?;
    let _guard = inner.changing.lock().await;
    Some(inner.end_all(|active| active.number == number).await)
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

/// Pause between the attempts to end a fault whose time is up.
const END_PAUSE: Duration = Duration::from_millis(500);
