//! The state of a board's actions: a plan that was shown, or one action that runs, whose course the page follows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};
use stagelink_pipeline::PromotionEvent;
use tokio::sync::watch;

use crate::failure::Failure;

/// The state of the actions of a board. Clones are the same state.
pub(super) struct ActionState<P>(Arc<Inner<P>>);

struct Inner<P> {
    state: Mutex<State<P>>,
    /// The course of the last action, for the page alone.
    course: watch::Sender<Value>,
}

enum State<P> {
    /// Nothing runs; the plan that was shown last.
    Idle(Option<ShownPlan<P>>),
    /// An action has begun that changes nothing yet: the operator may be asked.
    Asks,
    /// The action of this command runs.
    Running(String),
}

pub(super) struct ShownPlan<P> {
    pub(super) id: String,
    pub(super) title: String,
    /// The command that does the same.
    pub(super) command: String,
    /// The name of the stage that is changed.
    pub(super) changed: String,
    pub(super) plan: P,
}

/// The reason why an action does not begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// Another one runs.
    Busy,
    /// Another plan was shown since, or the plan was run.
    NotShownLast,
}

/// An action that runs. It ends when this is dropped, also by a panic: then it has failed.
pub(super) struct RunningAction<P> {
    state: Arc<Inner<P>>,
    course: Mutex<Course>,
}

/// The course of an action, as the page shows it.
#[derive(Clone, Serialize)]
struct Course {
    id: String,
    title: String,
    command: String,
    state: CourseState,
    /// The word that the operator is to type at the terminal, in the state `asks`.
    word: String,
    steps: Vec<CourseStep>,
    report: Value,
    failure: Value,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum CourseState {
    /// The operator is asked at the terminal.
    Asks,
    Running,
    Done,
    /// The operator did not confirm it.
    Left,
    Failed,
}

#[derive(Clone, Serialize)]
struct CourseStep {
    name: String,
    /// The present activity, and at the end the result.
    text: String,
    is_done: bool,
}

impl<P> Default for ActionState<P> {
    fn default() -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State::Idle(None)),
            course: watch::Sender::new(Value::Null),
        }))
    }
}

impl<P> ActionState<P> {
    /// Returns the course of what runs, from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Value> {
        self.0.course.subscribe()
    }

    /// Returns whether an action has begun that has not ended.
    pub(super) fn is_running(&self) -> bool {
        !matches!(*lock(&self.0.state), State::Idle(_))
    }

    /// Returns the command of an action that may have changed something.
    pub(super) fn running_command(&self) -> Option<String> {
        match &*lock(&self.0.state) {
            State::Running(command) => Some(command.clone()),
            State::Idle(_) | State::Asks => None,
        }
    }

    /// Takes a plan for the one that was shown last.
    ///
    /// # Errors
    ///
    /// When an action runs.
    pub(super) fn show(&self, plan: ShownPlan<P>) -> Result<(), NotBegun> {
        match &mut *lock(&self.0.state) {
            State::Idle(shown) => *shown = Some(plan),
            State::Asks | State::Running(_) => return Err(NotBegun::Busy),
        }
        Ok(())
    }

    /// Begins the plan with this id, and no other until it has ended.
    ///
    /// # Errors
    ///
    /// When an action runs, or the plan is not the one that was shown last.
    pub(super) fn begin(&self, id: &str) -> Result<(RunningAction<P>, ShownPlan<P>), NotBegun> {
        let mut state = lock(&self.0.state);
        let State::Idle(shown) = &mut *state else {
            return Err(NotBegun::Busy);
        };
        let shown = shown.take_if(|shown| shown.id == id);
        let shown = shown.ok_or(NotBegun::NotShownLast)?;
        *state = State::Asks;
        drop(state);
        let action = RunningAction {
            state: Arc::clone(&self.0),
            course: Mutex::new(Course::of(&shown)),
        };
        action.tell(|_| ());
        Ok((action, shown))
    }
}

impl<P> RunningAction<P> {
    /// Says that the operator is asked for a word.
    pub(super) fn ask(&self, word: &str) {
        self.tell(|course| {
            course.state = CourseState::Asks;
            word.clone_into(&mut course.word);
        });
    }

    /// Says that it may change something from now on.
    pub(super) fn go_on(&self) {
        let command = lock(&self.course).command.clone();
        *lock(&self.state.state) = State::Running(command);
        self.tell(|course| course.state = CourseState::Running);
    }

    pub(super) fn show(&self, event: &PromotionEvent<'_>) {
        self.tell(|course| course.show(event));
    }

    /// Ends it as the operator did not confirm it.
    pub(super) fn leave(self, error: &anyhow::Error) {
        self.end(CourseState::Left, Value::Null, json!(Failure::new(error)));
    }

    /// Ends it with its report or error.
    pub(super) fn finish(self, done: anyhow::Result<Value>) {
        match done {
            Ok(report) => self.end(CourseState::Done, report, Value::Null),
            Err(error) => {
                let failure = json!(Failure::new(&error));
                self.end(CourseState::Failed, Value::Null, failure);
            }
        }
    }

    fn end(&self, state: CourseState, report: Value, failure: Value) {
        // The page that reads of the end may begin the next one.
        *lock(&self.state.state) = State::Idle(None);
        self.tell(|course| {
            course.state = state;
            course.report = report;
            course.failure = failure;
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Course)) {
        let mut course = lock(&self.course);
        change(&mut course);
        self.state.course.send_replace(json!(*course));
    }
}

impl<P> Drop for RunningAction<P> {
    fn drop(&mut self) {
        let state = lock(&self.course).state;
        if matches!(state, CourseState::Asks | CourseState::Running) {
            let command = lock(&self.course).command.clone();
            let error = format!(
                "it broke off: `stagelink dev` ends, or its log tells why; `{command}` goes on with what it began"
            );
            self.end(CourseState::Failed, Value::Null, json!({ "error": error }));
        }
    }
}

impl Course {
    fn of<P>(shown: &ShownPlan<P>) -> Self {
        Self {
            id: shown.id.clone(),
            title: shown.title.clone(),
            command: shown.command.clone(),
            state: CourseState::Running,
            word: String::new(),
            steps: Vec::new(),
            report: Value::Null,
            failure: Value::Null,
        }
    }

    fn show(&mut self, event: &PromotionEvent<'_>) {
        match event {
            PromotionEvent::Waits(text) => self.add("waiting", text),
            PromotionEvent::Begins(step) => {
                self.end_waiting();
                self.add(step.name(), "");
            }
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

    fn add(&mut self, name: &str, text: &str) {
        self.steps.push(CourseStep {
            name: name.to_owned(),
            text: text.to_owned(),
            is_done: false,
        });
    }

    /// A step that begins ends the wait before it, which has no end of its own.
    fn end_waiting(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step.is_done = true;
        }
    }

    fn tell(&mut self, text: &str) {
        if let Some(step) = self.steps.last_mut() {
            text.clone_into(&mut step.text);
        }
    }
}

/// Locks a mutex. No step under these locks leaves a state that is half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::board::local_tasks::LocalTasks;

    fn plan(id: &str) -> ShownPlan<()> {
        ShownPlan {
            id: id.to_owned(),
            title: "Promote staging to production".to_owned(),
            command: "stagelink promote".to_owned(),
            changed: "production".to_owned(),
            plan: (),
        }
    }

    #[test]
    fn only_the_plan_that_was_shown_last_begins_and_only_once() {
        let state = ActionState::default();
        assert_eq!(state.begin("plan-1").err(), Some(NotBegun::NotShownLast));
        state.show(plan("plan-1")).unwrap();
        state.show(plan("plan-2")).unwrap();
        assert_eq!(state.begin("plan-1").err(), Some(NotBegun::NotShownLast));
        let (action, _) = state.begin("plan-2").unwrap();
        assert!(state.is_running());
        assert_eq!(state.begin("plan-2").err(), Some(NotBegun::Busy));
        assert_eq!(state.show(plan("plan-3")), Err(NotBegun::Busy));

        action.ask("production");
        let course = state.subscribe();
        assert_eq!(course.borrow()["state"], "asks");
        assert_eq!(state.running_command(), None);
        action.go_on();
        assert_eq!(course.borrow()["state"], "running");
        assert_eq!(state.running_command().unwrap(), "stagelink promote");
        action.finish(Ok(json!("a report")));
        assert_eq!(course.borrow()["state"], "done");
        assert!(!state.is_running());
        assert_eq!(state.begin("plan-2").err(), Some(NotBegun::NotShownLast));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn action_that_panics_has_failed_and_another_one_can_begin() {
        let state = ActionState::default();
        state.show(plan("plan-1")).unwrap();
        let (action, _) = state.begin("plan-1").unwrap();
        let (tasks, _stop) = LocalTasks::new();
        let run = tasks.run(move || async move {
            action.go_on();
            panic!("a fault in the library");
        });
        let ended: Option<()> = run.await;
        assert_eq!(ended, None);
        assert_eq!(state.subscribe().borrow()["state"], "failed");
        state.show(plan("plan-2")).unwrap();
        assert!(state.begin("plan-2").is_ok());
    }
}
