//! Promotions and rollbacks from the page: each has a plan that is shown, and that plan alone is run.
//!
//! A board of the local clouds acts on them. One of a stage with a real database acts on that stage by its
//! real providers, after the operator has typed the changed stage's name at the terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{anyhow, bail};
use axum::Json;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use clap::Parser as _;
use serde::Deserialize;
use serde_json::{Value, json};
use stagelink_pipeline::{
    OrderlyStop, PromotionEvent, PromotionListener, PromotionPlan, PromotionRequest, RollbackPlan,
    RollbackRequest,
};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::BoardState;
use super::action_state::{ActionState, NotBegun, RunningAction, ShownPlan};
use super::local_tasks::LocalTasks;
use super::refusal::refusal;
use crate::args::{Platform, PromoteOptions, RollbackOptions};
use crate::failure::Failure;
use crate::lambda::platform_of;
use crate::output::{note, note_error};
use crate::terminal::Terminal;
use crate::{promote, rollback};

/// The promotions and rollbacks of a board: one at a time.
pub(super) struct Actions {
    tasks: LocalTasks,
    project: PathBuf,
    target: ActionTarget,
    terminal: Terminal,
    state: ActionState<Plan>,
    look_again: Arc<Notify>,
    /// Stops what runs.
    stop: OrderlyStop,
}

/// The clouds that the actions change.
#[derive(Clone)]
pub(super) enum ActionTarget {
    /// The local ones, which are found by the port of the site.
    Local { port: u16 },
    /// Those of the stage with this name, after a confirmation at the terminal.
    Remote { stage: String },
}

/// The wish of the page.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum Wish {
    Promote { from: String, to: String },
    Rollback { stage: String },
}

enum Plan {
    Promotion(Box<(PromotionRequest, PromotionPlan)>),
    Rollback(Box<(RollbackRequest, RollbackPlan)>),
}

impl Actions {
    pub(super) fn new(
        tasks: LocalTasks,
        project: &Path,
        target: ActionTarget,
        look_again: Arc<Notify>,
    ) -> Self {
        Self {
            tasks,
            project: project.to_owned(),
            target,
            terminal: Terminal::default(),
            state: ActionState::default(),
            look_again,
            stop: OrderlyStop::default(),
        }
    }

    /// Returns the course of what runs, from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Value> {
        self.state.subscribe()
    }

    /// Lets an action begin no change any more, as the board is about to stop. Returns the command that goes on
    /// with the action, where it changes a real stage.
    pub(super) async fn hold_back(&self) -> Option<String> {
        self.stop.request();
        let _ = timeout(PATIENCE, self.stop.settled()).await;
        let command = self.state.running_command();
        command.filter(|_| matches!(self.target, ActionTarget::Remote { .. }))
    }

    /// Waits until the lease of an action is given back whose task has ended, and says how to go on with it.
    pub(super) async fn give_back(&self, unfinished: Option<String>) {
        let ends = timeout(PATIENCE, self.stop.lease_ends()).await;
        let Some(command) = unfinished else {
            return;
        };
        note(format_args!(
            "  ! stopped before its end: run `{command}`, which goes on, or the same with --abort, which \
             takes back what was done"
        ));
        for end in ends.unwrap_or_default() {
            note(format_args!("    {end}"));
        }
    }

    /// Runs a plan to its end, and tells its course.
    async fn run(&self, action: RunningAction<Plan>, shown: ShownPlan<Plan>) {
        let done = match &self.target {
            ActionTarget::Local { .. } => {
                action.go_on();
                let listener = |event: &PromotionEvent<'_>| action.show(event);
                self.stop.watch(shown.plan.run(&listener)).await
            }
            ActionTarget::Remote { .. } => {
                action.ask(&shown.changed);
                let question = format!("the board asks: {}\n{}", shown.title, shown.plan.text());
                if let Err(error) = self.terminal.confirm(&question, &shown.changed).await {
                    return action.leave(&error);
                }
                action.go_on();
                // The terminal, which was asked, shows the steps too.
                let run = async |at_terminal: &PromotionListener<'_>| {
                    let listener = |event: &PromotionEvent<'_>| {
                        at_terminal(event);
                        action.show(event);
                    };
                    self.stop.watch(shown.plan.run(&listener)).await
                };
                let done = promote::shown(run).await;
                if let Err(error) = &done {
                    note_error(error);
                }
                done
            }
        };
        action.finish(done);
        self.look_again.notify_waiters();
    }
}

impl Plan {
    /// Runs it, and returns its report.
    async fn run(self, listener: &PromotionListener<'_>) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Promotion(parts) => {
                let (request, plan) = *parts;
                json!(plan.run(&request, listener).await?)
            }
            Self::Rollback(parts) => {
                let (request, plan) = *parts;
                json!(plan.run(&request, listener).await?)
            }
        })
    }

    /// Returns what the command would show of it.
    fn text(&self) -> String {
        match self {
            Self::Promotion(parts) => promote::plan_text(parts.1.summary()),
            Self::Rollback(parts) => rollback::plan_text(parts.1.summary()),
        }
    }
}

impl Wish {
    fn title(&self) -> String {
        match self {
            Self::Promote { from, to } => format!("Promote {from} to {to}"),
            Self::Rollback { stage } => format!("Roll back {stage}"),
        }
    }

    /// The stage that is changed.
    fn changed(&self) -> &str {
        match self {
            Self::Promote { to, .. } => to,
            Self::Rollback { stage } => stage,
        }
    }

    /// The stage at whose column the page has the button.
    fn stage(&self) -> &str {
        match self {
            Self::Promote { from, .. } => from,
            Self::Rollback { stage } => stage,
        }
    }

    /// The words of the command that does the same, after its name.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Promote { from, to } => vec![format!("--from={from}"), format!("--to={to}")],
            Self::Rollback { stage } => vec!["--".to_owned(), stage.clone()],
        }
    }

    fn command(&self) -> String {
        match self {
            Self::Promote { from, to } => format!("stagelink promote --from {from} --to {to}"),
            Self::Rollback { stage } => format!("stagelink rollback {stage}"),
        }
    }
}

/// Looks, and returns the plan with what is shown of it.
async fn make_plan(
    project: &Path,
    target: &ActionTarget,
    wish: &Wish,
) -> anyhow::Result<(Plan, Value)> {
    let project = project.to_str();
    let project = project.ok_or_else(|| anyhow!("the project's path is not in UTF-8"))?;
    let mut words = vec![String::new(), "--project".to_owned(), project.to_owned()];
    match target {
        ActionTarget::Local { port } => words.push(format!("--local={port}")),
        ActionTarget::Remote { stage } if stage != wish.stage() => {
            bail!(
                "this page changes only stage {stage}: run `{}`",
                wish.command()
            )
        }
        ActionTarget::Remote { .. } => {}
    }
    words.extend(wish.words());
    match wish {
        Wish::Promote { to, .. } => {
            let options = PromoteOptions::try_parse_from(words)?;
            ensure_on_netlify(
                platform_of(options.on, &options.local, &options.of_one_platform())?,
                wish,
            )?;
            let request = promote::request(&options).await?;
            let plan = PromotionPlan::make(&request).await?;
            if plan.summary().is_promoted {
                bail!("stage {to} runs this artifact already: there is nothing to promote");
            }
            let summary = json!(plan.summary());
            Ok((Plan::Promotion(Box::new((request, plan))), summary))
        }
        Wish::Rollback { .. } => {
            let options = RollbackOptions::try_parse_from(words)?;
            ensure_on_netlify(
                platform_of(options.on, &options.local, &options.of_one_platform())?,
                wish,
            )?;
            let request = rollback::request(&options).await?;
            let plan = RollbackPlan::make(&request, &|_| ()).await?;
            let summary = json!(plan.summary());
            Ok((Plan::Rollback(Box::new((request, plan))), summary))
        }
    }
}

fn ensure_on_netlify(platform: Platform, wish: &Wish) -> anyhow::Result<()> {
    match platform {
        Platform::Netlify => Ok(()),
        Platform::Lambda => bail!(
            "the page changes only sites on Netlify: run `{} --on lambda`",
            wish.command()
        ),
    }
}

/// Makes the plan of a promotion or rollback, and returns it. Nothing is changed.
pub(super) async fn look(State(board): State<Arc<BoardState>>, Json(wish): Json<Wish>) -> Response {
    let actions = &board.actions;
    if actions.state.is_running() {
        return not_begun(&NotBegun::Busy);
    }
    let (project, target) = (actions.project.clone(), actions.target.clone());
    let plan = actions.tasks.run(move || async move {
        let made = make_plan(&project, &target, &wish).await;
        made.map(|(plan, summary)| (wish, plan, summary))
    });
    let Some(plan) = plan.await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "`stagelink dev` ends");
    };
    match plan {
        Ok((wish, plan, summary)) => {
            let shown = ShownPlan {
                id: plan_id(),
                title: wish.title(),
                command: wish.command(),
                changed: wish.changed().to_owned(),
                plan,
            };
            let body = json!({ "id": shown.id, "title": shown.title, "summary": summary });
            match actions.state.show(shown) {
                Ok(()) => Json(body).into_response(),
                Err(reason) => not_begun(&reason),
            }
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
    let actions = &board.actions;
    // One that runs has the terminal.
    if actions.state.is_running() {
        return not_begun(&NotBegun::Busy);
    }
    if let (ActionTarget::Remote { .. }, Err(error)) =
        (&actions.target, actions.terminal.ensure_it_can_ask())
    {
        return refusal(
            StatusCode::CONFLICT,
            &format!("nothing was changed: {error}"),
        );
    }
    let (action, shown) = match actions.state.begin(&id) {
        Ok(begun) => begun,
        Err(reason) => return not_begun(&reason),
    };
    // A task of its own: it goes on when the page is closed.
    let tasks = actions.tasks.clone();
    let board = Arc::clone(&board);
    tokio::spawn(async move {
        tasks
            .run(move || async move { board.actions.run(action, shown).await })
            .await
    });
    StatusCode::ACCEPTED.into_response()
}

fn not_begun(reason: &NotBegun) -> Response {
    let reason = match reason {
        NotBegun::Busy => "a promotion or rollback runs: wait for its end",
        NotBegun::NotShownLast => "this is not the plan that was shown last: look again",
    };
    refusal(StatusCode::CONFLICT, reason)
}

/// Returns the id of a new plan.
fn plan_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("plan-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

/// The time for which a change that is under way is waited for as the board stops, and for the end of its lease.
const PATIENCE: Duration = Duration::from_secs(5);
