//! The faults of one stage, as changes of its network, database, token and instances.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use stagelink_local_postgres::{Database, DatabaseAdmin};
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::fault::Fault;
use crate::heroku::FaultAccess;
use crate::lambda::Function;
use crate::lock::lock;
use crate::network::Proxy;
use crate::project_databases::CurrentDatabase;
use crate::stage_functions::StageFunctions;
use crate::{Error, ErrorKind};

/// A stage with all that its faults change.
pub(crate) struct FaultyStage {
    pub(crate) name: String,
    /// Name of the database's add-on.
    pub(crate) addon: String,
    /// The token of the stage's functions at the provider.
    pub(crate) token: String,
    pub(crate) database: CurrentDatabase,
    pub(crate) admin: DatabaseAdmin,
    pub(crate) functions: Arc<StageFunctions>,
    pub(crate) heroku: FaultAccess,
    pub(crate) network: StageNetwork,
}

/// The way from a stage's clients to its database: a proxy, which all connections pass.
#[derive(Debug)]
pub(crate) struct StageNetwork {
    current: Mutex<Arc<Proxy>>,
    /// The addresses before failovers, which refuse.
    former: Mutex<Vec<Arc<Proxy>>>,
}

/// The way in which a fault that lasts ends.
#[derive(Debug)]
pub(super) enum Undo {
    Network,
    Connections(TakenConnections),
    ReadOnly,
    Token,
    Frozen(Vec<(Function, u32)>),
}

/// A task that holds all connections that the role may have. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct TakenConnections(JoinHandle<()>);

impl StageNetwork {
    /// Starts the proxy in front of a database's server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if the host has no address or no port is free.
    pub(crate) async fn start(database: &Database) -> Result<Self, Error> {
        let (host, port) = (database.host(), database.port());
        let unknown = || {
            let message = format!("could not look up the host of the Postgres server, {host}");
            Error::new(ErrorKind::System, message)
        };
        let found = lookup_host((host, port)).await;
        let mut found = found.map_err(|cause| unknown().with_source(cause))?;
        let upstream: SocketAddr = found.next().ok_or_else(unknown)?;
        Ok(Self {
            current: Mutex::new(Arc::new(Proxy::start(upstream).await?)),
            former: Mutex::default(),
        })
    }

    /// Returns the database at the proxy's address.
    pub(crate) fn through(&self, database: &Database) -> Database {
        database.at(&Ipv4Addr::LOCALHOST.to_string(), self.proxy().port())
    }

    fn proxy(&self) -> Arc<Proxy> {
        Arc::clone(&lock(&self.current))
    }
}

impl FaultyStage {
    /// Begins a fault. Returns what ends it, for one that lasts. `lasts` is false for a fault that
    /// happens once.
    pub(super) async fn begin(&self, fault: &Fault, lasts: bool) -> Result<Option<Undo>, Error> {
        let proxy = self.network.proxy();
        match fault {
            Fault::RotateCredentials => {
                self.heroku.rotate_credentials(&self.addon).await?;
                Ok(None)
            }
            Fault::FailOver => self.fail_over(&proxy).await.map(|()| None),
            Fault::Latency {
                latency_ms,
                jitter_ms,
            } => {
                let [latency, jitter] = [*latency_ms, *jitter_ms].map(Duration::from_millis);
                proxy.set_latency(latency, jitter);
                Ok(Some(Undo::Network))
            }
            Fault::Bandwidth { rate_kb } => {
                proxy.set_rate(Some(rate_kb.saturating_mul(KILOBYTE)));
                Ok(Some(Undo::Network))
            }
            Fault::ResetPeer => {
                match lasts {
                    true => proxy.reset_all(true),
                    false => proxy.cut(),
                }
                Ok(lasts.then_some(Undo::Network))
            }
            Fault::Stall => {
                proxy.stall();
                Ok(Some(Undo::Network))
            }
            Fault::ConnectionsFull => {
                let taken = TakenConnections::take(&self.admin, &self.database).await;
                Ok(Some(Undo::Connections(taken)))
            }
            Fault::ReadOnly => {
                self.set_read_only(true).await?;
                Ok(Some(Undo::ReadOnly))
            }
            Fault::ExpiredToken => {
                self.heroku.set_token_expired(&self.token, true);
                Ok(Some(Undo::Token))
            }
            Fault::Freeze { function } => {
                let instances = self.instances(function.as_deref())?;
                send(&instances, Signal::SIGSTOP);
                Ok(Some(Undo::Frozen(instances)))
            }
            Fault::Kill { function } => {
                send(&self.instances(function.as_deref())?, Signal::SIGKILL);
                Ok(None)
            }
            Fault::Restart
            | Fault::ApiTooManyRequests { .. }
            | Fault::ApiError
            | Fault::ApiHang => Err(Error::new(
                ErrorKind::Input,
                format!("{} is a fault of all stages", fault.name()),
            )),
        }
    }

    /// Ends a fault that lasts.
    pub(super) async fn end(&self, fault: &Fault, undo: &Undo) -> Result<(), Error> {
        match undo {
            Undo::Network => {
                let proxy = self.network.proxy();
                match fault {
                    Fault::Latency { .. } => proxy.set_latency(Duration::ZERO, Duration::ZERO),
                    Fault::Bandwidth { .. } => proxy.set_rate(None),
                    Fault::Stall => proxy.resume(),
                    _ => proxy.reset_all(false),
                }
            }
            Undo::Connections(taken) => taken.0.abort(),
            Undo::ReadOnly => self.set_read_only(false).await?,
            Undo::Token => self.heroku.set_token_expired(&self.token, false),
            Undo::Frozen(instances) => send(instances, Signal::SIGCONT),
        }
        Ok(())
    }

    async fn fail_over(&self, from: &Arc<Proxy>) -> Result<(), Error> {
        let to = Arc::new(from.start_successor().await?);
        let moved = || {
            *lock(&self.network.current) = Arc::clone(&to);
            self.database
                .update(|database| self.network.through(database));
            self.database.database().url()
        };
        self.heroku.move_database(&self.addon, moved).await?;
        from.refuse().await;
        from.cut();
        // A stalled connection is reset, too; the address refuses from now on.
        lock(&self.network.former).push(Arc::clone(from));
        Ok(())
    }

    async fn set_read_only(&self, is_read_only: bool) -> Result<(), Error> {
        let database = self.database.database();
        let changed = self.admin.set_read_only(&database, is_read_only).await;
        changed.map_err(|cause| {
            let message = format!(
                "could not change whether the database of {} is read-only",
                self.name
            );
            Error::new(ErrorKind::Process, message).with_source(cause)
        })
    }

    /// Returns the instance of each function that started last, or that of one function alone.
    fn instances(&self, function: Option<&str>) -> Result<Vec<(Function, u32)>, Error> {
        let mut functions = self.functions.all();
        let is_named = |of: &Function| function.is_none_or(|name| of.config().name == name);
        if let (Some(name), false) = (function, functions.iter().any(is_named)) {
            let names = functions.iter().map(|of| of.config().name.as_str());
            let names: Vec<_> = names.collect();
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{} has no function {name:?}: it has {}",
                    self.name,
                    names.join(", ")
                ),
            ));
        }
        functions.retain(is_named);
        let newest = functions.into_iter().filter_map(|function| {
            let process = *function.process_ids().last()?;
            Some((function, process))
        });
        let instances: Vec<_> = newest.collect();
        if instances.is_empty() {
            let of = function.unwrap_or("any function");
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{} has no instance of {of} now: send it a request first",
                    self.name
                ),
            ));
        }
        Ok(instances)
    }
}

/// Sends a signal to the process groups of instances that are still there.
fn send(instances: &[(Function, u32)], signal: Signal) {
    for (function, process) in instances {
        let is_there = function.process_ids().contains(process);
        if let (true, Ok(group)) = (is_there, i32::try_from(*process)) {
            // This fails only if the group is gone by now.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl TakenConnections {
    /// Takes connections until the server refuses one, and from then on each that becomes free.
    async fn take(admin: &DatabaseAdmin, database: &CurrentDatabase) -> Self {
        let (admin, database) = (admin.clone(), database.clone());
        let mut held = Vec::new();
        while held.len() < MOST_CONNECTIONS {
            let Ok(client) = admin.connect(&database.database()).await else {
                break;
            };
            held.push(client);
        }
        Self(tokio::spawn(async move {
            loop {
                held.retain(|client| !client.is_closed());
                let has_room = held.len() < MOST_CONNECTIONS;
                let connected = match has_room {
                    true => admin.connect(&database.database()).await.ok(),
                    false => None,
                };
                match connected {
                    Some(client) => held.push(client),
                    None => sleep(REFILL_PAUSE).await,
                }
            }
        }))
    }
}

impl Drop for TakenConnections {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Toxiproxy's unit of a rate.
const KILOBYTE: NonZeroU64 = NonZeroU64::new(1000).expect("it is not zero");

/// More than the role of a local database may have.
const MOST_CONNECTIONS: usize = 50;

const REFILL_PAUSE: Duration = Duration::from_millis(10);
