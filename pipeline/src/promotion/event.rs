//! The signs of life of a promotion while it runs.

use crate::migrations::MigrationEvent;
use crate::promotion::step::Step;

/// A sign of life of a promotion.
#[derive(Debug)]
#[non_exhaustive]
pub enum PromotionEvent<'a> {
    /// Before the first step: the reason why the promotion waits, and until when.
    Waits(&'a str),
    /// A step begins.
    Begins(Step),
    /// The present activity of the current step.
    Tells(&'a str),
    /// A step of the run of migrations.
    Migration(&'a MigrationEvent<'a>),
    /// A step is done, with its result.
    Done(Step, &'a str),
    /// The promotion failed, and what it did is taken back.
    TakesBack,
}

/// A listener to a promotion.
pub type PromotionListener<'a> = dyn Fn(&PromotionEvent<'_>) + Send + Sync + 'a;
