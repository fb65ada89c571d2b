//! The functions that a stage runs, which a promotion replaces while the site serves requests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::lambda::{Function, FunctionConfig, LogSink};
use crate::netlify::{Deploy, InvocationFuture, Invoke, ServedDeploy, SiteConfig};
use crate::program_store::Artifact;
use crate::{Error, ErrorKind};

/// The parts of a stage that stay the same while its functions are replaced.
pub(crate) struct StageSetup {
    /// Host name of the stage's deploy.
    pub(crate) host: String,
    pub(crate) site: Arc<SiteConfig>,
    /// Variables of the stage's functions.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) log: LogSink,
}

/// The functions of a stage.
pub(crate) struct StageFunctions {
    setup: StageSetup,
    current: Mutex<Running>,
    /// Functions that were replaced, with the requests that they had.
    replaced: Mutex<Vec<Function>>,
    /// Held while they are replaced.
    replacing: tokio::sync::Mutex<()>,
}

/// An artifact that runs.
struct Running {
    functions: BTreeMap<String, Function>,
    deploy: Arc<ServedDeploy>,
    /// Ends when the deploy is dropped and no invocation runs.
    unused: mpsc::Receiver<()>,
}

impl StageFunctions {
    /// Prepares the functions of an artifact. They have no process yet.
    ///
    /// # Errors
    ///
    /// Those of a published folder that cannot be opened.
    pub(crate) async fn new(setup: StageSetup, artifact: &Artifact) -> Result<Self, Error> {
        let current = Running::new(&setup, artifact).await?;
        Ok(Self {
            setup,
            current: Mutex::new(current),
            replaced: Mutex::default(),
            replacing: tokio::sync::Mutex::default(),
        })
    }

    /// Host name of the stage's deploy.
    pub(crate) fn host(&self) -> &str {
        &self.setup.host
    }

    /// Variables of the stage's functions.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.setup.variables
    }

    /// Returns a function by name.
    pub(crate) fn function(&self, name: &str) -> Option<Function> {
        lock(&self.current).functions.get(name).cloned()
    }

    /// Runs an artifact in place of the current one, on the stage's own variables. `report` is called
    /// with each step.
    ///
    /// Each of the new functions has a process that waits for its first event before the first
    /// request goes to it. The old ones end after their last request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if a function does not start. Then the current ones go on.
    pub(crate) async fn replace(
        &self,
        artifact: &Artifact,
        mut report: impl FnMut(&str),
    ) -> Result<(), Error> {
        let _guard = self.replacing.lock().await;
        let new = Running::new(&self.setup, artifact).await?;
        if let Err(error) = new.start(&mut report).await {
            new.shutdown().await;
            return Err(error);
        }
        let old = std::mem::replace(&mut *lock(&self.current), new);
        let mut replaced = lock(&self.replaced);
        replaced.retain(|function| function.instance_count() > 0);
        replaced.extend(old.functions.values().cloned());
        drop(replaced);
        tokio::spawn(old.retire());
        Ok(())
    }

    /// Ends the current functions, and those that were replaced.
    pub(crate) async fn shutdown(&self) {
        let mut functions: Vec<_> = lock(&self.current).functions.values().cloned().collect();
        functions.append(&mut lock(&self.replaced));
        for function in functions {
            function.shutdown().await;
        }
    }

    /// The deploy for a request.
    pub(crate) fn deploy(&self) -> Arc<ServedDeploy> {
        Arc::clone(&lock(&self.current).deploy)
    }
}

impl Running {
    async fn new(setup: &StageSetup, artifact: &Artifact) -> Result<Self, Error> {
        let (in_use, unused) = mpsc::channel(1);
        let mut deploy = Deploy::new(setup.host.clone(), &setup.site);
        let mut functions = BTreeMap::new();
        for (name, program) in artifact.programs() {
            let mut config = FunctionConfig::new(name, &program.executable);
            config.environment.clone_from(&setup.variables);
            config.logs = Arc::clone(&setup.log);
            let function = Function::new(config);
            let served = FunctionInUse {
                function: function.clone(),
                _in_use: in_use.clone(),
            };
            deploy = deploy.with_function(name, Arc::new(served));
            functions.insert(name.clone(), function);
        }
        Ok(Self {
            functions,
            deploy: Arc::new(ServedDeploy::open(deploy).await?),
            unused,
        })
    }

    /// Waits until each function has a process whose INIT has ended.
    async fn start(&self, report: &mut impl FnMut(&str)) -> Result<(), Error> {
        let mut starts = JoinSet::new();
        for (name, function) in &self.functions {
            let (name, function) = (name.clone(), function.clone());
            starts.spawn(async move { (name, function.warm_up().await) });
        }
        while let Some(started) = starts.join_next().await {
            let failed = |name: &str| format!("could not start the function {name}: see its log");
            match started {
                Ok((name, Ok(()))) => report(&format!("{name} has started")),
                Ok((name, Err(cause))) => {
                    let error = Error::new(ErrorKind::Process, failed(&name));
                    return Err(error.with_source(cause));
                }
                Err(cause) => {
                    let message = "could not start a function";
                    return Err(Error::new(ErrorKind::Process, message).with_source(cause));
                }
            }
        }
        Ok(())
    }

    /// Waits for the end of the last request, and ends the functions.
    async fn retire(self) {
        let Self {
            functions,
            deploy,
            mut unused,
        } = self;
        // A request that has found the deploy holds it until it has its response, and so does an
        // invocation whose client has gone.
        drop(deploy);
        let _ = unused.recv().await;
        for function in functions.values() {
            function.shutdown().await;
        }
    }

    async fn shutdown(&self) {
        for function in self.functions.values() {
            function.shutdown().await;
        }
    }
}

/// A function of a deploy. What holds it keeps the function's processes.
struct FunctionInUse {
    function: Function,
    _in_use: mpsc::Sender<()>,
}

impl Invoke for FunctionInUse {
    fn invoke(&self, event: Bytes) -> InvocationFuture<'_> {
        Box::pin(self.function.invoke(event))
    }
}

impl fmt::Debug for StageFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageFunctions")
            .field("host", &self.setup.host)
            .field("functions", &lock(&self.current).functions)
            .finish_non_exhaustive()
    }
}

/// Locks a mutex. No step under these locks leaves a state that is half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
