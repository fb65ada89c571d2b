//! The functions that a stage runs, which a promotion or a new build replaces while the site serves
//! requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::lambda::{Function, FunctionConfig, InvokeError, InvokeOptions, LogSink};
use crate::lock::lock;
use crate::netlify::{
    Deploy, InvocationFuture, Invoke, ServedDeploy, SiteConfig, function_path, new_request_id,
    route_of, sample_event, scheduled_event,
};
use crate::program_store::{Artifact, Program};
use crate::requests::{ActiveRequest, Recorder, RequestRecord, Trigger};
use crate::{Error, ErrorKind};

/// The parts of a stage that stay the same while its functions are replaced.
pub(crate) struct StageSetup {
    /// Host name of the stage's deploy.
    pub(crate) host: String,
    /// The stage's own variables, which each function gets.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) log: LogSink,
    /// Recorder of the stage's requests.
    pub(crate) recorder: Recorder,
}

/// The parts of a stage that an update changes.
#[derive(Clone, Debug)]
pub(crate) struct StageContent {
    pub(crate) artifact: Artifact,
    pub(crate) site: Arc<SiteConfig>,
    /// The project's variables of the functions. Those of the stage override them.
    pub(crate) variables: Arc<BTreeMap<String, String>>,
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

/// A content that is served.
struct Running {
    content: StageContent,
    functions: BTreeMap<String, RunningFunction>,
    deploy: Arc<ServedDeploy>,
    since: Timestamp,
}

/// A function with its users: the deploys that lead to it, and their requests.
struct RunningFunction {
    in_use: Arc<FunctionInUse>,
    /// Ends when no deploy and no invocation holds the function.
    unused: mpsc::Receiver<()>,
}

impl StageFunctions {
    /// Prepares the functions of a stage. They have no process yet.
    ///
    /// # Errors
    ///
    /// Those of a published folder that cannot be opened.
    pub(crate) async fn new(setup: StageSetup, content: StageContent) -> Result<Self, Error> {
        let names = content.artifact.programs().keys();
        let functions: BTreeMap<_, _> = names
            .map(|name| (name.clone(), RunningFunction::new(&setup, &content, name)))
            .collect();
        let invoked = functions
            .iter()
            .map(|(name, function)| (name.clone(), Arc::clone(&function.in_use)));
        let deploy = open_deploy(&setup, &content.site, invoked.collect()).await?;
        Ok(Self {
            setup,
            current: Mutex::new(Running {
                content,
                functions,
                deploy,
                since: Timestamp::now(),
            }),
            replaced: Mutex::default(),
            replacing: tokio::sync::Mutex::default(),
        })
    }

    /// Host name of the stage's deploy.
    pub(crate) fn host(&self) -> &str {
        &self.setup.host
    }

    /// The stage's own variables.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.setup.variables
    }

    /// Returns a function by name.
    pub(crate) fn function(&self, name: &str) -> Option<Function> {
        let current = lock(&self.current);
        let function = current.functions.get(name)?;
        Some(function.in_use.function.clone())
    }

    /// The artifact that the stage runs.
    pub(crate) fn artifact(&self) -> Artifact {
        lock(&self.current).content.artifact.clone()
    }

    /// Returns all functions.
    pub(crate) fn all(&self) -> Vec<Function> {
        let current = lock(&self.current);
        let functions = current.functions.values();
        functions
            .map(|function| function.in_use.function.clone())
            .collect()
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
        report: impl FnMut(&str),
    ) -> Result<(), Error> {
        let _guard = self.replacing.lock().await;
        let content = StageContent {
            artifact: artifact.clone(),
            ..lock(&self.current).content.clone()
        };
        self.serve(content, BTreeMap::new(), report).await.map(drop)
    }

    /// Changes what the stage serves. A function whose program and variables stay the same goes on
    /// with its processes; each other one is replaced as by [`replace`](Self::replace). Returns the
    /// names of those that were started.
    ///
    /// # Errors
    ///
    /// Those of [`replace`](Self::replace), and those of a published folder that cannot be opened.
    /// Then the stage serves what it served.
    pub(crate) async fn update(
        &self,
        change: impl FnOnce(&mut StageContent) + Send,
    ) -> Result<BTreeSet<String>, Error> {
        let _guard = self.replacing.lock().await;
        let (content, kept) = {
            let current = lock(&self.current);
            let mut content = current.content.clone();
            change(&mut content);
            let kept = match content.variables == current.content.variables {
                true => current.same_functions(&content.artifact),
                false => BTreeMap::new(),
            };
            (content, kept)
        };
        self.serve(content, kept, |_| ()).await
    }

    /// Starts the functions that are not kept, then serves the content in place of the current one.
    /// The caller holds the lock `replacing`.
    async fn serve(
        &self,
        content: StageContent,
        kept: BTreeMap<String, Arc<FunctionInUse>>,
        mut report: impl FnMut(&str),
    ) -> Result<BTreeSet<String>, Error> {
        let names = content.artifact.programs().keys();
        let mut functions: BTreeMap<_, _> = names
            .filter(|name| !kept.contains_key(*name))
            .map(|name| {
                (
                    name.clone(),
                    RunningFunction::new(&self.setup, &content, name),
                )
            })
            .collect();
        let started: BTreeSet<String> = functions.keys().cloned().collect();
        let mut invoked = kept;
        for (name, function) in &functions {
            invoked.insert(name.clone(), Arc::clone(&function.in_use));
        }
        let opened = open_deploy(&self.setup, &content.site, invoked).await;
        let ready = match opened {
            Ok(deploy) => start(&functions, &mut report).await.map(|()| deploy),
            Err(error) => Err(error),
        };
        let deploy = match ready {
            Ok(deploy) => deploy,
            Err(error) => {
                for function in functions.values() {
                    function.in_use.function.shutdown().await;
                }
                return Err(error);
            }
        };
        let mut current = lock(&self.current);
        let mut old = std::mem::take(&mut current.functions);
        for name in content.artifact.programs().keys() {
            if !started.contains(name)
                && let Some(function) = old.remove(name)
            {
                functions.insert(name.clone(), function);
            }
        }
        *current = Running {
            content,
            functions,
            deploy,
            since: Timestamp::now(),
        };
        drop(current);
        let mut replaced = lock(&self.replaced);
        replaced.retain(|function| function.instance_count() > 0);
        for function in old.into_values() {
            replaced.push(function.in_use.function.clone());
            tokio::spawn(function.retire());
        }
        Ok(started)
    }

    /// Ends the current functions, and those that were replaced.
    pub(crate) async fn shutdown(&self) {
        let mut functions: Vec<_> = {
            let current = lock(&self.current);
            let functions = current.functions.values();
            functions.map(|of| of.in_use.function.clone()).collect()
        };
        functions.append(&mut lock(&self.replaced));
        for function in functions {
            function.shutdown().await;
        }
    }

    /// The time from which on the current content is served.
    pub(crate) fn since(&self) -> Timestamp {
        lock(&self.current).since
    }

    /// Number of processes that run the functions.
    pub(crate) fn instance_count(&self) -> usize {
        let functions = self.all();
        functions.iter().map(Function::instance_count).sum()
    }

    /// Names of the functions.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.current).functions.keys().cloned().collect()
    }

    /// Configuration of the site that is served.
    pub(crate) fn site(&self) -> Arc<SiteConfig> {
        Arc::clone(&lock(&self.current).content.site)
    }

    /// Invokes a function with an event and records it. Without an event it gets the request of its
    /// schedule, or else a sample. Returns `None` if there is no such function or schedule. `authority` is the host
    /// of the site with its port.
    pub(crate) async fn invoke(
        &self,
        name: &str,
        trigger: Trigger,
        event: Option<Bytes>,
        authority: &str,
    ) -> Option<Invoked> {
        let function = self.deploy().function(name)?;
        let id = new_request_id();
        let site = self.site();
        let schedule = site.schedules.get(name);
        let is_sample = event.is_none() && schedule.is_none();
        // A schedule may be gone since its time came.
        if is_sample && trigger == Trigger::Schedule {
            return None;
        }
        let (method, path) = match is_sample {
            true => ("GET", route_of(&site.redirects, name)),
            false => ("POST", function_path(name)),
        };
        let event = match event {
            Some(event) => event,
            None if is_sample => sample_event(&path, authority, &id)?,
            None => {
                let next = schedule.and_then(|schedule| schedule.next_after(Timestamp::now()));
                scheduled_event(name, authority, &id, next)?
            }
        };
        let recorder = &self.setup.recorder;
        let active = recorder.begin(&id, trigger, method, &path);
        let response = run(&*function, name, event, active).await;
        Some(Invoked {
            id,
            sample: is_sample.then(|| format!("{method} {path}")),
            response,
        })
    }

    /// Invokes a function again with the event of an earlier request, and records it. Returns the id
    /// of the new record at once; `None` if the record has no event, or there is no such function now.
    pub(crate) fn repeat(&self, record: &RequestRecord) -> Option<String> {
        let name = record.function.clone()?;
        let event = record.event.clone()?;
        let function = self.deploy().function(&name)?;
        let id = new_request_id();
        let recorder = &self.setup.recorder;
        let active = recorder.begin(&id, Trigger::Repeat, &record.method, &record.path);
        tokio::spawn(async move { run(&*function, &name, event, active).await });
        Some(id)
    }

    /// The deploy for a request.
    pub(crate) fn deploy(&self) -> Arc<ServedDeploy> {
        Arc::clone(&lock(&self.current).deploy)
    }
}

/// The outcome of an invocation by name.
pub(crate) struct Invoked {
    /// Id of the record.
    pub(crate) id: String,
    /// Method and path of the sample request that the function got for want of an event.
    pub(crate) sample: Option<String>,
    pub(crate) response: Result<Bytes, InvokeError>,
}

impl Running {
    /// Returns the functions whose programs are the same in another artifact.
    fn same_functions(&self, other: &Artifact) -> BTreeMap<String, Arc<FunctionInUse>> {
        let functions = self.functions.iter();
        let same = functions
            .filter(|(name, of)| other.programs().get(*name) == Some(&of.in_use.program))
            .map(|(name, of)| (name.clone(), Arc::clone(&of.in_use)));
        same.collect()
    }
}

/// Invokes a function for a record.
async fn run(
    function: &dyn Invoke,
    name: &str,
    event: Bytes,
    active: Arc<ActiveRequest>,
) -> Result<Bytes, InvokeError> {
    active.set_function(name, &event);
    let options = InvokeOptions {
        observer: Some(active.clone()),
        ..InvokeOptions::default()
    };
    let response = function.invoke_with(event, options).await;
    active.invoked(&response);
    response
}

/// Opens a deploy that leads to functions.
async fn open_deploy(
    setup: &StageSetup,
    site: &SiteConfig,
    functions: BTreeMap<String, Arc<FunctionInUse>>,
) -> Result<Arc<ServedDeploy>, Error> {
    let mut deploy = Deploy::new(&setup.host, site);
    deploy.recorder = Some(setup.recorder.clone());
    for (name, function) in functions {
        deploy = deploy.with_function(name, function);
    }
    Ok(Arc::new(ServedDeploy::open(deploy).await?))
}

/// Waits until each function has a process whose INIT has ended.
async fn start(
    functions: &BTreeMap<String, RunningFunction>,
    report: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let mut starts = JoinSet::new();
    for (name, function) in functions {
        let (name, function) = (name.clone(), function.in_use.function.clone());
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

impl RunningFunction {
    /// Prepares a function of the content. It has no process yet.
    fn new(setup: &StageSetup, content: &StageContent, name: &str) -> Self {
        let program = &content.artifact.programs()[name];
        let mut config = FunctionConfig::new(name, &program.executable);
        config.environment = BTreeMap::clone(&content.variables);
        config.environment.extend(setup.variables.clone());
        config.logs = Arc::clone(&setup.log);
        config.asks_for_spans = true;
        let (in_use, unused) = mpsc::channel(1);
        let in_use = Arc::new(FunctionInUse {
            function: Function::new(config),
            program: program.clone(),
            _in_use: in_use,
        });
        Self { in_use, unused }
    }

    /// Waits for the end of the last request, and ends the function.
    async fn retire(self) {
        let Self { in_use, mut unused } = self;
        let function = in_use.function.clone();
        // The file of the program stays until its last process has ended.
        let _program = in_use.program.clone();
        // A request that has found the deploy holds it until it has its response, and so does an
        // invocation whose client has gone.
        drop(in_use);
        let _ = unused.recv().await;
        function.shutdown().await;
    }
}

/// A function of a deploy. What holds it keeps the function's processes, and the file of its program.
struct FunctionInUse {
    function: Function,
    program: Program,
    _in_use: mpsc::Sender<()>,
}

impl Invoke for FunctionInUse {
    fn invoke(&self, event: Bytes) -> InvocationFuture<'_> {
        Box::pin(self.function.invoke(event))
    }

    fn invoke_with(&self, event: Bytes, options: InvokeOptions) -> InvocationFuture<'_> {
        Box::pin(self.function.invoke_with(event, options))
    }
}

impl fmt::Debug for StageFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageFunctions")
            .field("host", &self.setup.host)
            .field("functions", &lock(&self.current).functions.keys())
            .finish_non_exhaustive()
    }
}
