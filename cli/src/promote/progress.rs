//! The steps of a promotion as progress lines.

use std::sync::{Mutex, PoisonError};

use stagelink_pipeline::{MigrationEvent, PromotionEvent, PromotionListener};

use crate::output::note;
use crate::progress::Step;
use crate::promote::text::short;

/// Makes the plan of a change, as a step that ends with the artifact which the plan has found.
///
/// # Errors
///
/// That of the plan.
pub(crate) async fn look<P, E>(
    plan: impl Future<Output = Result<P, E>>,
    artifact: impl FnOnce(&P) -> &str,
) -> Result<P, E> {
    let step = Step::begin("look");
    let plan = plan.await?;
    step.done(&format!("artifact {}", short(artifact(&plan))));
    Ok(plan)
}

/// Runs a change, and shows its steps.
///
/// # Errors
///
/// That of the change.
pub(crate) async fn shown<T, E>(
    run: impl AsyncFnOnce(&PromotionListener<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let shown = Shown::default();
    let result = run(&|event: &PromotionEvent<'_>| shown.show(event)).await;
    shown.end();
    result
}

/// Shows the steps of a promotion or a rollback.
#[derive(Debug, Default)]
struct Shown {
    current: Mutex<Option<Step>>,
}

impl Shown {
    /// Shows an event. Any thread may call it.
    fn show(&self, event: &PromotionEvent<'_>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // Where it is killed, the log says in which step.
            PromotionEvent::Begins(step) => *current = Some(Step::begin_long(step.name())),
            PromotionEvent::Waits(text) => note(format_args!("  … {text}")),
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
    fn end(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = None;
    }
}
