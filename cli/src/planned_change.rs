//! The course of a command that changes something after its operator has seen the plan.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use serde::Serialize;
use stagelink_pipeline::StageAfterStop;

use crate::output::{error_width, print_beside, print_json, print_wrapped};
use crate::terminal::answer_to;
use crate::wrap::wrapped;

/// The options by which a command shows a plan, asks, and changes something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedChange<'a> {
    /// Noted once the operator wants the change.
    pub(crate) begun: &'a Begun,
    /// `--plan`: the plan is the result.
    pub(crate) is_plan: bool,
    /// `--json`.
    pub(crate) json: bool,
    /// `--yes`, or a database that no one else uses.
    pub(crate) is_confirmed: bool,
}

/// A note of whether a command has begun to change something, and of the stage that it changes. Clones are
/// the same note.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun(Arc<Note>);

#[derive(Debug, Default)]
struct Note {
    has_begun: AtomicBool,
    stage: Mutex<Option<StageAfterStop>>,
}

impl Begun {
    /// Notes that the change begins now.
    pub(crate) fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Relaxed);
    }

    /// Returns whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Relaxed)
    }

    /// Notes the stage that the command changes, which is looked at where the command is stopped.
    pub(crate) fn set_stage(&self, stage: StageAfterStop) {
        *self.stage_slot() = Some(stage);
    }

    /// Returns the stage that the command changes, once it is known.
    pub(crate) fn stage(&self) -> Option<StageAfterStop> {
        self.stage_slot().clone()
    }

    fn stage_slot(&self) -> MutexGuard<'_, Option<StageAfterStop>> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlannedChange<'_> {
    /// Shows the plan. Returns whether the command goes on after it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn show_plan(
        self,
        plan: &impl Serialize,
        text: impl Display,
    ) -> anyhow::Result<bool> {
        match (self.is_plan, self.json) {
            (true, true) => print_json(plan)?,
            // Standard output has one line, at the end.
            (false, true) => print_beside(text)?,
            (_, false) => print_wrapped(text)?,
        }
        Ok(!self.is_plan)
    }

    /// Makes sure that the operator wants what the question says, and notes that the change begins.
    /// `unasked` is the error where there is no terminal to ask at.
    ///
    /// # Errors
    ///
    /// When the operator does not want it, or cannot be asked.
    pub(crate) async fn confirm(self, question: &str, unasked: &'static str) -> anyhow::Result<()> {
        confirm(self.is_confirmed, question, unasked).await?;
        self.begun.begin();
        Ok(())
    }

    /// Shows the result. `done` says what is done, where it cannot be shown.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn show_result(
        self,
        report: &impl Serialize,
        text: impl Display,
        done: &str,
    ) -> anyhow::Result<()> {
        let printed = match self.json {
            true => print_json(report),
            false => print_wrapped(text),
        };
        printed.with_context(|| format!("{done}, but the result could not be shown"))
    }
}

/// Makes sure that the operator wants what the question says. `unasked` is the error where there is no
/// terminal to ask at.
///
/// # Errors
///
/// When the operator does not want it, or cannot be asked.
pub(crate) async fn confirm(
    is_confirmed: bool,
    question: &str,
    unasked: &'static str,
) -> anyhow::Result<()> {
    if is_confirmed {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!(unasked);
    }
    match asked(question).await? {
        true => Ok(()),
        false => bail!("nothing was changed"),
    }
}

/// Asks a question on standard error, and returns whether the answer is yes. A signal may stop the command while
/// it waits.
///
/// # Errors
///
/// When it cannot be asked.
pub(crate) async fn asked(question: &str) -> anyhow::Result<bool> {
    let question = wrapped(&format!("{question} [y/N]"), error_width());
    let answer = answer_to(&question).await?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
