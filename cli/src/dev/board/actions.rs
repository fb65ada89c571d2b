//! Promotions and rollbacks from the page: each has a plan that is shown, and that plan alone is run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{anyhow, bail};
use axum::Json;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use clap::Parser as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stagelink_pipeline::{
    PromotionEvent, PromotionPlan, PromotionRequest, RollbackPlan, RollbackRequest,
};
use tokio::sync::{Notify, watch};

use super::BoardState;
use super::local_tasks::LocalTasks;
use super::refusal::refusal;
use crate::args::{PromoteOptions, RollbackOptions};
use crate::failure::Failure;
use crate::{promote, rollback};

/// The promotions and rollbacks of a board: one at a time.
pub(super) struct Actions {
    tasks: LocalTasks,
    project: PathBuf,
    /// Port of the site, by which the local clouds are found.
    port: u16,
    /// The plan that was shown last.
    shown: Mutex<Option<ShownPlan>>,
    /// The course of the last action.
    course: watch::Sender<Value>,
    look_again: Arc<Notify>,
}

/// The wish of the page.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum Wish {
    Promote { from: String, to: String },
    Rollback { stage: String },
}

struct ShownPlan {
    id: String,
    title: String,
    plan: Plan,
}

enum Plan {
    Promotion(Box<(PromotionRequest, PromotionPlan)>),
    Rollback(Box<(RollbackRequest, RollbackPlan)>),
}

/// The course of an action, as the page shows it.
#[derive(Clone, Serialize)]
struct Course {
    id: String,
    title: String,
    state: &'static str,
    steps: Vec<CourseStep>,
    report: Value,
    failure: Value,
}

#[derive(Clone, Serialize)]
struct CourseStep {
    name: String,
    /// The present activity, and at the end the result.
    text: String,
    is_done: bool,
}

impl Actions {
    pub(super) fn new(
        tasks: LocalTasks,
        project: &Path,
        port: u16,
        look_again: Arc<Notify>,
    ) -> Self {
        Self {
            tasks,
            project: project.to_owned(),
            port,
            shown: Mutex::default(),
            course: watch::Sender::new(Value::Null),
            look_again,
        }
    }

    /// Returns the course of what runs, from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Value> {
        self.course.subscribe()
    }

    fn is_running(&self) -> bool {
        self.course.borrow()["state"] == RUNNING
    }

    /// Runs a plan to its end, and tells its course.
    async fn run(&self, shown: ShownPlan) {
        let course = Mutex::new(Course {
            id: shown.id,
            title: shown.title,
            state: RUNNING,
            steps: Vec::new(),
            report: Value::Null,
            failure: Value::Null,
        });
        let tell = |change: &dyn Fn(&mut Course)| {
            let mut course = course.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut course);
            self.course.send_replace(json!(*course));
        };
        let listener = |event: &PromotionEvent<'_>| tell(&|course| course.show(event));
        let done = match shown.plan {
            Plan::Promotion(parts) => {
                let (request, plan) = *parts;
                let done = plan.run(&request, &listener).await;
                done.map(|report| json!(report))
            }
            Plan::Rollback(parts) => {
                let (request, plan) = *parts;
                let done = plan.run(&request, &listener).await;
                done.map(|report| json!(report))
            }
        };
        let done = done.map_err(anyhow::Error::from);
        tell(&|course| match &done {
            Ok(report) => {
                course.state = "done";
                course.report = report.clone();
            }
            Err(error) => {
                course.state = "failed";
                course.failure = json!(Failure::new(error));
            }
        });
        self.look_again.notify_waiters();
    }
}

impl Course {
    fn show(&mut self, event: &PromotionEvent<'_>) {
        match event {
            PromotionEvent::Begins(step) => self.steps.push(CourseStep {
                name: step.name().to_owned(),
                text: String::new(),
                is_done: false,
            }),
            PromotionEvent::Tells(text) => self.tell(text),
            PromotionEvent::Migration(event) => self.tell(&event.to_string()),
            PromotionEvent::Done(_, result) => {
                self.tell(result);
                if let Some(step) = self.steps.last_mut() {
                    step.is_done = true;
                }
            }
            PromotionEvent::TakesBack => self.tell("it failed: taking back what was done"),
            _ => {}
        }
    }

    fn tell(&mut self, text: &str) {
        if let Some(step) = self.steps.last_mut() {
            text.clone_into(&mut step.text);
        }
    }
}

/// Looks, and returns the plan with what is shown of it.
async fn make_plan(project: &Path, port: u16, wish: Wish) -> anyhow::Result<(String, Plan, Value)> {
    let local = format!("--local={port}");
    let project = project.to_str();
    let project = project.ok_or_else(|| anyhow!("the project's path is not in UTF-8"))?;
    let common = ["", &local, "--project", project];
    match wish {
        Wish::Promote { from, to } => {
            let title = format!("Promote {from} to {to}");
            let own = [format!("--from={from}"), format!("--to={to}")];
            let words = common.into_iter().chain(own.iter().map(String::as_str));
            let options = PromoteOptions::try_parse_from(words)?;
            let request = promote::request(&options).await?;
            let plan = PromotionPlan::make(&request).await?;
            if plan.summary().is_promoted {
                bail!("stage {to} runs this artifact already: there is nothing to promote");
            }
            let summary = json!(plan.summary());
            Ok((title, Plan::Promotion(Box::new((request, plan))), summary))
        }
        Wish::Rollback { stage } => {
            let title = format!("Roll back {stage}");
            let words = common.into_iter().chain(["--", &stage]);
            let options = RollbackOptions::try_parse_from(words)?;
            let request = rollback::request(&options).await?;
            let plan = RollbackPlan::make(&request, &|_| ()).await?;
            let summary = json!(plan.summary());
            Ok((title, Plan::Rollback(Box::new((request, plan))), summary))
        }
    }
}

/// Makes the plan of a promotion or rollback, and returns it. Nothing is changed.
pub(super) async fn look(State(board): State<Arc<BoardState>>, Json(wish): Json<Wish>) -> Response {
    let actions = match board.local() {
        Ok(local) => &local.actions,
        Err(refused) => return *refused,
    };
    if actions.is_running() {
        return refusal(StatusCode::CONFLICT, BUSY);
    }
    let (project, port) = (actions.project.clone(), actions.port);
    let plan = actions
        .tasks
        .run(move || async move { make_plan(&project, port, wish).await });
    let Some(plan) = plan.await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "`stagelink dev` ends");
    };
    match plan {
        Ok((title, plan, summary)) => {
            let id = plan_id();
            let body = json!({ "id": id, "title": title, "summary": summary });
            let shown = ShownPlan { id, title, plan };
            let mut last = actions.shown.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(shown);
            Json(body).into_response()
        }
        Err(error) => {
            let failure = json!(Failure::new(&error));
            (StatusCode::CONFLICT, Json(failure)).into_response()
        }
    }
}

/// Runs the plan that was shown last.
pub(super) async fn run(
    State(board): State<Arc<BoardState>>,
    UrlPath(id): UrlPath<String>,
) -> Response {
    let actions = match board.local() {
        Ok(local) => &local.actions,
        Err(refused) => return *refused,
    };
    if actions.is_running() {
        return refusal(StatusCode::CONFLICT, BUSY);
    }
    let shown = {
        let mut shown = actions.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.take_if(|shown| shown.id == id)
    };
    let Some(shown) = shown else {
        return refusal(
            StatusCode::CONFLICT,
            "this is not the plan that was shown last: look again",
        );
    };
    actions
        .course
        .send_replace(json!({ "id": id, "title": shown.title, "state": RUNNING, "steps": [] }));
    // A task of its own: it goes on when the page is closed.
    let tasks = actions.tasks.clone();
    let board = Arc::clone(&board);
    tokio::spawn(async move {
        tasks
            .run(move || async move {
                if let Ok(local) = board.local() {
                    local.actions.run(shown).await;
                }
            })
            .await
    });
    StatusCode::ACCEPTED.into_response()
}

/// Returns the id of a new plan.
fn plan_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("plan-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

const RUNNING: &str = "running";

const BUSY: &str = "a promotion or rollback runs: wait for its end";
