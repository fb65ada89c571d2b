//! The steps of a promotion as progress lines.

use std::sync::{Mutex, PoisonError};

use stagelink_pipeline::{MigrationEvent, PromotionEvent};

use crate::output::note;
use crate::progress::Step;

/// Shows the steps of a promotion or a rollback.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    current: Mutex<Option<Step>>,
}

impl Shown {
    /// Shows an event. Any thread may call it.
    pub(crate) fn show(&self, event: &PromotionEvent<'_>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // Where it is killed, the log says in which step.
            PromotionEvent::Begins(step) => *current = Some(Step::begin_long(step.name())),
            PromotionEvent::Tells(text) => {
                if let Some(step) = &*current {
                    step.teller()(text);
                }
            }
            PromotionEvent::Migration(event) => {
                if let Some(step) = &*current {
                    step.teller()(&event.to_string());
                    let lasts = !matches!(
                        event,
                        MigrationEvent::Begins { .. } | MigrationEvent::Progress { .. }
                    );
                    if lasts {
                        step.line_printer()(&event.to_string());
                    }
                }
            }
            PromotionEvent::Done(_, result) => {
                if let Some(step) = current.take() {
                    step.done(result);
                }
            }
            PromotionEvent::TakesBack => {
                *current = None;
                note("  ! it failed: taking back what was done");
            }
            _ => {}
        }
    }

    /// Ends the current step without a result.
    pub(crate) fn end(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = None;
    }
}
