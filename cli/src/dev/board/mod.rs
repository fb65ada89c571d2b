//! The board of `stagelink dev`: a page of this machine that shows the stages and their requests live,
//! and acts on the local clouds; with `--remote`, on one real stage, after a confirmation at the terminal.
//!
//! # Behaviour
//!
//! - The files of the page hold nothing of the project. Everything else wants the token, which the
//!   address on the terminal has behind `#`: a browser sends that part to no server.
//! - A request for another host name, or from another site's page, is refused ([`guard`]).
//! - Changes go out as server-sent events ([`feed`]); stages are looked at only while a page listens.
//! - A promotion and a rollback have the course of the commands: look, show the plan, and run that
//!   plan ([`actions`]).

mod action_state;
mod actions;
mod faults;
mod feed;
mod guard;
mod local_tasks;
mod page;
mod redaction;
mod refusal;
mod remote_stage;
mod repeat;
mod routes;
mod stages;

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use stagelink_local::api::Server;
use stagelink_local::faults::FaultControl;
use stagelink_local::{Cloud, ErrorKind, FunctionSite, FunctionSiteView, RequestLog, StageSite};
use stagelink_local_postgres::DatabaseAdmin;
use stagelink_pipeline::SettingsFile;
use tokio::sync::watch;

use self::actions::{ActionTarget, Actions};
use self::guard::Guard;
use self::local_tasks::LocalTasks;
use self::refusal::refusal;
use self::stages::StageWatch;
use super::build_news::{BuildNews, BuildState};
use crate::local_clouds;
use crate::remote_facts::RemoteFacts;

/// The running board. Dropping it closes its port.
pub(super) struct Board {
    server: Server,
    token: String,
    state: Arc<BoardState>,
    stop: watch::Sender<()>,
}

/// The port of the board.
#[derive(Clone, Copy, Debug)]
pub(super) enum BoardPort {
    /// This one; 0 is a free one.
    Exactly(u16),
    /// This one, or a free one if it is taken.
    Preferably(u16),
}

/// All that the board shows and changes. It is shared by the board's requests.
struct BoardState {
    title: String,
    /// The facts of the stage where its database is a real one.
    remote: Option<watch::Receiver<RemoteFacts>>,
    sites: Sites,
    requests: RequestLog,
    build: watch::Receiver<BuildState>,
    stages: StageWatch,
    /// The faults of the local clouds, which a stage with a real database has not.
    faults: Option<FaultControl>,
    actions: Actions,
}

/// The sites whose functions get an event again.
enum Sites {
    Local(Vec<StageSite>),
    Remote(FunctionSiteView),
}

impl BoardState {
    /// Returns the faults of the local clouds.
    ///
    /// # Errors
    ///
    /// The refusal of a page that would inject one into a stage with a real database.
    fn faults(&self) -> Result<&FaultControl, Box<Response>> {
        let refused = || {
            refusal(
                StatusCode::CONFLICT,
                "the stage's database is a real one: no fault is injected there",
            )
        };
        self.faults.as_ref().ok_or_else(|| Box::new(refused()))
    }
}

impl Board {
    /// Starts the board of running clouds, which other commands find by their file already.
    ///
    /// # Errors
    ///
    /// When the port is taken, or the settings file cannot be used.
    pub(super) async fn start(
        port: BoardPort,
        project: &Path,
        cloud: &Cloud,
        databases: DatabaseAdmin,
        news: &BuildNews,
    ) -> anyhow::Result<Self> {
        let file = SettingsFile::load(project)?;
        let site_port = cloud.port();
        let clouds = local_clouds::running_clouds(project, site_port)?;
        let (tasks, stop) = LocalTasks::new();
        let stages = StageWatch::start(
            &tasks,
            project,
            file.as_ref(),
            cloud,
            &clouds,
            databases,
            news.subscribe(),
        );
        let guard = Guard::new();
        let token = guard.token().to_owned();
        let state = Arc::new(BoardState {
            title: cloud.pipeline().to_owned(),
            remote: None,
            sites: Sites::Local(cloud.stages().to_vec()),
            requests: cloud.requests().clone(),
            build: news.subscribe(),
            faults: Some(cloud.faults().clone()),
            actions: Actions::new(
                tasks,
                project,
                ActionTarget::Local { port: site_port },
                stages.look_again(),
            ),
            stages,
        });
        Self::serve(port, state, guard, token, stop).await
    }

    /// Starts the board of a stage whose database is a real one. It changes what the operator confirms at
    /// the terminal.
    ///
    /// # Errors
    ///
    /// When the port is taken, or the settings file cannot be used.
    pub(super) async fn start_remote(
        port: BoardPort,
        project: &Path,
        site: &FunctionSite,
        facts: watch::Receiver<RemoteFacts>,
        news: &BuildNews,
    ) -> anyhow::Result<Self> {
        let file = SettingsFile::load(project)?;
        let (tasks, stop) = LocalTasks::new();
        let guard = Guard::new();
        let token = guard.token().to_owned();
        let view = site.view();
        let (title, stage) = {
            let facts = facts.borrow();
            (facts.app.clone(), facts.stage.clone())
        };
        let stages = remote_stage::watch(
            view.clone(),
            site.url().to_owned(),
            facts.clone(),
            remote_stage::targets(file.as_ref(), &stage),
            news.subscribe(),
        );
        let state = Arc::new(BoardState {
            title,
            remote: Some(facts),
            sites: Sites::Remote(view),
            requests: site.requests().clone(),
            build: news.subscribe(),
            faults: None,
            actions: Actions::new(
                tasks,
                project,
                ActionTarget::Remote { stage },
                stages.look_again(),
            ),
            stages,
        });
        Self::serve(port, state, guard, token, stop).await
    }

    async fn serve(
        port: BoardPort,
        state: Arc<BoardState>,
        guard: Guard,
        token: String,
        stop: watch::Sender<()>,
    ) -> anyhow::Result<Self> {
        let routes = routes::of(Arc::clone(&state), guard);
        let server = match port {
            BoardPort::Exactly(port) => Server::start(port, routes).await?,
            BoardPort::Preferably(port) => match Server::start(port, routes.clone()).await {
                Err(error) if error.kind() == ErrorKind::PortInUse => {
                    Server::start(0, routes).await?
                }
                started => started?,
            },
        };
        Ok(Self {
            server,
            token,
            state,
            stop,
        })
    }

    /// The address of the page, with the token: a secret.
    pub(super) fn url(&self) -> String {
        format!("{}/#{}", self.server.url(), self.token)
    }

    pub(super) async fn stop(self) {
        let Self {
            server,
            state,
            stop,
            ..
        } = self;
        let unfinished = state.actions.hold_back().await;
        server.stop().await;
        // The tasks end with it.
        drop(stop);
        state.actions.give_back(unfinished).await;
    }
}
