//! The events of a deploy, for a command to show.

use crate::migrations::MigrationEvent;
use crate::netlify::DeployEvent;

/// An event of a deploy.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeployProgress<'a> {
    /// A part of the deploy begins, with its name.
    Begins(&'static str),
    /// The part that began last is done, with its result.
    Ends(String),
    /// The present activity of the part.
    Tells(&'a str),
    /// An event of the migrations.
    Migration(&'a MigrationEvent<'a>),
    /// An event at Netlify.
    Netlify(&'a DeployEvent<'a>),
    /// A remark that lasts.
    Note(String),
}

/// Receives the events of a deploy.
pub(super) type Listener<'a> = dyn Fn(&DeployProgress<'_>) + Send + Sync + 'a;
