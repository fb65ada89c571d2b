//! The columns of the board: each stage with what it serves, its database, and its migrations.
//!
//! Two looks keep them up to date while a page listens: a quick one each second, by the server's own
//! statistics, and a look-up like that of `stagelink status`, which connects as a function does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use stagelink::{Settings, Stage, StageKind};
use stagelink_local::faults::FaultControl;
use stagelink_local::{Cloud, StageSite};
use stagelink_local_postgres::DatabaseAdmin;
use stagelink_pipeline::{
    ApiAccess, CodeWindows, SettingsFile, SiteSource, StageSource, StatusBoard, StatusRequest,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::local_tasks::LocalTasks;
use crate::dev::build_news::BuildState;
use crate::link::request::Environment;
use crate::local_clouds::LocalClouds;
use crate::project;
use crate::stage_context::context_of;

/// The columns as they are now. Dropping it ends the looks.
pub(super) struct StageWatch {
    columns: watch::Receiver<Value>,
    faults: watch::Receiver<Value>,
    look_again: Arc<Notify>,
    _looks: JoinSet<()>,
}

/// A stage of `stagelink.toml` that does not run here.
#[derive(Serialize)]
struct MissingStage {
    name: String,
    kind: &'static str,
    reason: &'static str,
}

/// The quick look.
struct QuickLook {
    sites: Vec<StageSite>,
    missing: Vec<MissingStage>,
    databases: DatabaseAdmin,
    faults: FaultControl,
    columns: watch::Sender<Value>,
    faults_sender: watch::Sender<Value>,
    status: watch::Receiver<Value>,
    look_again: Arc<Notify>,
}

/// The look-up of the parts that take longer.
struct StatusLook {
    tasks: LocalTasks,
    sites: Vec<StageSite>,
    project: PathBuf,
    netlify: Option<(ApiAccess, String)>,
    status: watch::Sender<Value>,
    look_again: Arc<Notify>,
}

impl StageWatch {
    /// Starts the looks at the stages of running clouds.
    pub(super) fn start(
        tasks: &LocalTasks,
        project: &Path,
        file: Option<&SettingsFile>,
        cloud: &Cloud,
        clouds: &LocalClouds,
        databases: DatabaseAdmin,
        mut build: watch::Receiver<BuildState>,
    ) -> Self {
        let look_again = Arc::new(Notify::new());
        let (columns, columns_receiver) = watch::channel(Value::Null);
        let (faults_sender, faults) = watch::channel(json!([]));
        let (status, status_receiver) = watch::channel(Value::Null);
        let access = Environment::of_local_clouds(clouds).netlify_access();
        let mut sites = cloud.stages().to_vec();
        sites.sort_by_key(|site| place(&site.stage().to_string()));
        let quick = QuickLook {
            missing: missing_stages(file),
            sites: sites.clone(),
            databases,
            faults: cloud.faults().clone(),
            columns: columns.clone(),
            faults_sender,
            status: status_receiver,
            look_again: Arc::clone(&look_again),
        };
        let status = StatusLook {
            sites,
            project: project.to_owned(),
            tasks: tasks.clone(),
            netlify: access.map(|access| (access, clouds.site.clone())),
            status,
            look_again: Arc::clone(&look_again),
        };
        let again = Arc::clone(&look_again);
        let mut looks = JoinSet::new();
        looks.spawn(quick.run());
        looks.spawn(status.run(columns));
        looks.spawn(async move {
            while build.changed().await.is_ok() {
                again.notify_waiters();
            }
        });
        Self {
            columns: columns_receiver,
            faults,
            look_again,
            _looks: looks,
        }
    }

    /// Makes a watch whose columns another look sends.
    pub(super) fn of_looks(
        columns: watch::Receiver<Value>,
        faults: watch::Receiver<Value>,
        look_again: Arc<Notify>,
        looks: JoinSet<()>,
    ) -> Self {
        Self {
            columns,
            faults,
            look_again,
            _looks: looks,
        }
    }

    /// Returns the columns from now on. The looks go on while the receiver is held.
    pub(super) fn subscribe(&self) -> watch::Receiver<Value> {
        let receiver = self.columns.clone();
        self.look_again.notify_waiters();
        receiver
    }

    /// Returns the faults that last, from now on.
    pub(super) fn subscribe_faults(&self) -> watch::Receiver<Value> {
        self.faults.clone()
    }

    /// Returns what makes the looks look at once.
    pub(super) fn look_again(&self) -> Arc<Notify> {
        Arc::clone(&self.look_again)
    }
}

impl QuickLook {
    async fn run(self) {
        loop {
            // The watch itself holds one receiver.
            if self.columns.receiver_count() > 1 {
                let columns = self.look().await;
                send_change(&self.columns, columns);
                let active = json!(self.faults.active());
                send_change(&self.faults_sender, active);
            } else {
                // The next page gets no values of long ago.
                send_change(&self.columns, Value::Null);
            }
            let _ = timeout(QUICK_INTERVAL, self.look_again.notified()).await;
        }
    }

    async fn look(&self) -> Value {
        let looks = self.sites.iter().map(|site| self.column(site));
        let columns = futures_util::future::join_all(looks).await;
        json!({ "stages": columns, "missing": self.missing })
    }

    async fn column(&self, site: &StageSite) -> Value {
        let stats = timeout(STATS_LIMIT, self.databases.stats(&site.database())).await;
        let database = match stats {
            Ok(Ok(stats)) => json!({
                "version": stats.version,
                "size_bytes": stats.size_bytes,
                "tables": stats.tables,
                "connections": stats.connections,
                "connection_limit": stats.connection_limit,
            }),
            // The reason has the server's words, and the status shows the same.
            _ => json!({ "error": "the server does not answer" }),
        };
        let (generation, since) = site.credentials_generation();
        let status = self.status.borrow();
        json!({
            "name": site.name(),
            "kind": site.stage().to_string(),
            "app": site.app(),
            "url": site.url(),
            "functions": site.functions(),
            "instances": site.instance_count(),
            "served_since": site.served_since().to_string(),
            "generation": generation,
            "generation_since": since.to_string(),
            "database": database,
            "status": status.get(site.name()),
        })
    }
}

impl StatusLook {
    async fn run(self, columns: watch::Sender<Value>) {
        loop {
            if columns.receiver_count() > 1 {
                let request = self.request();
                let look_up = || StatusBoard::look_up(request, |_| ());
                let Some(board) = self.tasks.run(look_up).await else {
                    return;
                };
                let stages = board.stages.iter();
                let stages = stages.map(|stage| (stage.stage.clone(), json!(stage)));
                let found = Value::Object(stages.collect());
                if send_change(&self.status, found) {
                    self.look_again.notify_waiters();
                }
            } else {
                send_change(&self.status, Value::Null);
            }
            let _ = timeout(STATUS_INTERVAL, self.look_again.notified()).await;
            // Several reasons to look again come at once.
            tokio::time::sleep(STATUS_PAUSE).await;
        }
    }

    fn request(&self) -> StatusRequest {
        let file = SettingsFile::load(&self.project).ok().flatten();
        let file = file.as_ref();
        let sources = self.sites.iter().filter_map(|site| {
            let variables = site.variables();
            let stage: Stage = variables.get("STAGELINK_STAGE")?.parse().ok()?;
            let settings = Settings::from_vars(variables.clone());
            // It reads alone, and shows the mark.
            let settings = settings.map(|mut settings| {
                settings.server.require_mark = false;
                settings
            });
            let settings = settings.map_err(|error| error.report().to_string());
            Some(StageSource::new(stage, context_of(stage, file), settings))
        });
        let site = match &self.netlify {
            Some((access, site)) => SiteSource::Site {
                access: access.clone(),
                site: site.clone(),
            },
            None => SiteSource::NotKnown("the local Netlify has no token".to_owned()),
        };
        let mut request = StatusRequest::new(sources.collect(), site);
        request.limit = LOOK_UP_LIMIT;
        request.windows = CodeWindows::of_local_stage();
        let migrations = project::migrations(&self.project, file);
        request.migrations =
            migrations.map_err(|error| format!("{:#}", anyhow::Error::from(error)));
        request
    }
}

/// Sends a value if it differs from the last one, and returns whether it does.
pub(super) fn send_change(sender: &watch::Sender<Value>, value: Value) -> bool {
    sender.send_if_modified(|last| {
        let is_new = *last != value;
        *last = value;
        is_new
    })
}

/// Returns the place of a kind of stage in a pipeline.
fn place(kind: &str) -> usize {
    let order = ["review", "development", "staging", "production"];
    let place = order.iter().position(|known| *known == kind);
    place.unwrap_or(order.len())
}

/// Returns the stages of the settings that do not run on this machine.
fn missing_stages(file: Option<&SettingsFile>) -> Vec<MissingStage> {
    let stages = file.map(SettingsFile::stages).into_iter().flatten();
    let missing = stages.filter(|(stage, _)| stage.kind() == StageKind::Review);
    let missing = missing.map(|(stage, _)| MissingStage {
        name: stage.name().to_owned(),
        kind: "review",
        reason: "A pull request has a review app of its own. None runs on this machine.",
    });
    missing.collect()
}

pub(super) const QUICK_INTERVAL: Duration = Duration::from_secs(1);

const STATUS_INTERVAL: Duration = Duration::from_secs(10);

const STATUS_PAUSE: Duration = Duration::from_millis(300);

/// Limit for the statistics, by which the page goes on where the server hangs.
const STATS_LIMIT: Duration = Duration::from_secs(2);

const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);
