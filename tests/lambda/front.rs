//! A front of moto that adds what moto lacks: it runs functions, it compares the revision of an alias,
//! and it refuses calls as a test wants.
//!
//! moto runs functions in Docker alone. Here an Invoke starts the program of the version with the
//! version's variables on the Lambda of stagelink-local, so a real program answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stagelink_local::lambda::{Function, FunctionConfig, LogLine};
use stagelink_tests::{Answer, Record, send_to_secret_keeper};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Running front. Dropping it ends its functions.
pub(crate) struct Front {
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// A call that a test has changed. It is changed once.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The method and a part of the path with its query.
    pub(crate) call: (&'static str, String),
    pub(crate) effect: Effect,
}

/// The effect of a [`Fault`].
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// AWS refuses the call with this status and code.
    Refuse(u16, &'static str),
    /// Before the call, another person points the alias to this version.
    MovesAlias(&'static str),
    /// The call gets no answer, and is marked as seen.
    Hangs,
}

struct Shared {
    moto: String,
    record: Record,
    /// The programs by the SHA-256 of their archives, as Lambda writes it.
    programs: Mutex<BTreeMap<String, PathBuf>>,
    running: Mutex<BTreeMap<String, Function>>,
    faults: Mutex<Vec<Fault>>,
    /// The ends of the paths of versions that were deleted.
    removed: Mutex<BTreeSet<String>>,
    /// The number of changes of each alias, by its path: moto never changes a revision.
    changes: Mutex<BTreeMap<String, usize>>,
    /// The calls that were refused or changed.
    hit: tokio::sync::watch::Sender<usize>,
}

impl Front {
    pub(crate) async fn of(moto: &str, record: &Record) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            moto: moto.to_owned(),
            record: record.clone(),
            programs: Mutex::default(),
            running: Mutex::default(),
            faults: Mutex::default(),
            removed: Mutex::default(),
            changes: Mutex::default(),
            hit: tokio::sync::watch::Sender::new(0),
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves");
        });
        Self {
            url,
            shared,
            serving,
        }
    }

    /// Tells the program of an archive.
    pub(crate) fn add_program(&self, sha256: &str, program: PathBuf) {
        lock(&self.shared.programs).insert(sha256.to_owned(), program);
    }

    /// Ends the functions that run: the next call starts them anew.
    pub(crate) fn end_functions(&self) {
        lock(&self.shared.running).clear();
    }

    /// Changes the next call of this kind.
    pub(crate) fn fault(&self, method: &'static str, path: impl Into<String>, effect: Effect) {
        let call = (method, path.into());
        lock(&self.shared.faults).push(Fault { call, effect });
    }

    /// Waits until a call was changed by a fault.
    pub(crate) async fn wait_for_hit(&self) {
        self.wait_for_hits(1).await;
    }

    /// The number of calls that were changed by faults.
    pub(crate) fn hits(&self) -> usize {
        *self.shared.hit.borrow()
    }

    /// Waits until so many calls were changed by faults.
    pub(crate) async fn wait_for_hits(&self, wanted: usize) {
        let mut hit = self.shared.hit.subscribe();
        hit.wait_for(|hits| *hits >= wanted)
            .await
            .expect("the front is there");
    }

    /// Lets a version of a function be gone, as a person deletes it. moto keeps it.
    pub(crate) fn remove_version(&self, function: &str, version: &str) {
        let end = format!("/{function}/configuration?Qualifier={version}");
        lock(&self.shared.removed).insert(end);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 28).await.expect("a body");
    let path = parts.uri.path_and_query().expect("a path").to_string();
    let method = parts.method.as_str();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().expect("text").to_owned())
    };
    if let Some(fault) = shared.take_fault(method, &path) {
        match fault.effect {
            Effect::Refuse(status, code) => {
                shared.hit.send_modify(|hits| *hits += 1);
                return refusal(status, code, "because the test wants it");
            }
            Effect::MovesAlias(version) => {
                let moved = json!({ "FunctionVersion": version }).to_string();
                shared.ask("PUT", &path, moved).await;
                shared.count_change(&path);
                shared.hit.send_modify(|hits| *hits += 1);
            }
            Effect::Hangs => {
                shared.hit.send_modify(|hits| *hits += 1);
                std::future::pending::<()>().await;
            }
        }
    }
    if lock(&shared.removed).iter().any(|end| path.ends_with(end)) {
        return refusal(404, "ResourceNotFoundException", "Function not found");
    }
    if let Some(function) = path.split('/').nth(3)
        && path.contains("/invocations")
    {
        let qualifier = path
            .split_once("Qualifier=")
            .map_or("$LATEST", |(_, name)| name);
        let context = header("x-amz-client-context").unwrap_or_default();
        return shared.invoke(function, qualifier, &context, body).await;
    }
    let is_change = method == "PUT" && path.contains("/aliases/");
    if is_change && !shared.is_current(&path, &body) {
        let message = "The RevisionId provided does not match the latest RevisionId. Call the GetAlias \
                       API to retrieve the latest RevisionId";
        return refusal(412, "PreconditionFailedException", message);
    }
    if is_change {
        shared.count_change(&path);
    }
    let wanted = [
        "authorization",
        "content-type",
        "x-amz-target",
        "x-amz-date",
    ];
    let headers: Vec<_> = wanted
        .into_iter()
        .filter_map(|name| Some((name, header(name)?)))
        .collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    shared.pass_on(method, &path, &headers, body).await
}

impl Shared {
    fn take_fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let is_meant =
            |fault: &Fault| fault.call.0 == method && path.contains(fault.call.1.as_str());
        let found = faults.iter().position(is_meant)?;
        Some(faults.remove(found))
    }

    /// moto's own log shows variables, so nothing but its answer is looked at. It holds secrets.
    async fn pass_on(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Response {
        let url = format!("{}{path}", self.moto);
        let mut answer = send_to_secret_keeper(method, &url, headers, body).await;
        if path.contains("/aliases/") && answer.status.is_success() && !answer.body.is_empty() {
            let mut alias = answer.json();
            alias["RevisionId"] = self.revision(path).into();
            answer.body = alias.to_string().into();
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            if !["transfer-encoding", "connection", "content-length"].contains(&name.as_str()) {
                response = response.header(name, value);
            }
        }
        response.body(Body::from(answer.body)).expect("a response")
    }

    /// Asks moto for itself. It finds the service by the credentials alone.
    async fn ask(&self, method: &str, path: &str, body: String) -> Answer {
        let of_lambda = "AWS4-HMAC-SHA256 Credential=made-up/20261127/eu-west-1/lambda/aws4_request, \
                         SignedHeaders=host, Signature=00";
        let headers = [
            ("authorization", of_lambda),
            ("content-type", "application/json"),
        ];
        let url = format!("{}{path}", self.moto);
        send_to_secret_keeper(method, &url, &headers, body).await
    }

    fn is_current(&self, path: &str, body: &[u8]) -> bool {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        body["RevisionId"].is_null() || body["RevisionId"] == self.revision(path)
    }

    fn revision(&self, path: &str) -> String {
        let changes = lock(&self.changes).get(path).copied();
        format!("revision-{}", changes.unwrap_or_default())
    }

    fn count_change(&self, path: &str) {
        *lock(&self.changes).entry(path.to_owned()).or_default() += 1;
    }

    async fn invoke(&self, name: &str, qualifier: &str, context: &str, event: Bytes) -> Response {
        let path = format!("/2015-03-31/functions/{name}/configuration?Qualifier={qualifier}");
        let answer = self.ask("GET", &path, String::new()).await;
        let version = answer.json();
        let number = version["Version"].as_str().unwrap_or_default().to_owned();
        let function = self.function(name, &number, &version);
        let context = STANDARD.decode(context).expect("Base64");
        let context = String::from_utf8(context).expect("text");
        let function = function.with_alias(qualifier);
        let function = function.with_client_context(&context).expect("a context");
        let response = Response::builder().header("x-amz-executed-version", &number);
        match function.invoke(event).await {
            Ok(payload) => {
                self.record.add(String::from_utf8_lossy(&payload));
                response.body(Body::from(payload)).expect("a response")
            }
            Err(error) => {
                let error = json!({ "errorType": "Local", "errorMessage": error.to_string() });
                let response = response.header("x-amz-function-error", "Unhandled");
                response
                    .body(Body::from(error.to_string()))
                    .expect("a response")
            }
        }
    }

    /// Returns the function of a version, which starts with the variables that the version has.
    fn function(&self, name: &str, number: &str, version: &Value) -> Function {
        let mut running = lock(&self.running);
        let running = running.entry(format!("{name}:{number}"));
        let start = || {
            let sha256 = version["CodeSha256"].as_str().expect("a digest");
            let program = lock(&self.programs).get(sha256).cloned();
            let program = program.expect("the program of the archive");
            let mut config = FunctionConfig::new(name, program);
            let variables = version["Environment"]["Variables"].as_object();
            config.environment = variables
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
                .collect();
            let record = self.record.clone();
            config.logs = Arc::new(move |line: LogLine| record.add(line.line));
            Function::new(config)
        };
        running.or_insert_with(start).clone()
    }
}

fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "Type": "User", "message": message, "Message": message });
    Response::builder()
        .status(status)
        .header("x-amzn-errortype", code)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a response")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
