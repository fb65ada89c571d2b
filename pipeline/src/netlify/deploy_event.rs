//! The events of a deploy to Netlify, for a command to show.

use std::fmt;

use stagelink::one_line;

/// A step of a deploy to Netlify that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployEvent<'a> {
    /// Netlify has made the deploy, without files.
    Created {
        /// Netlify's id of the deploy.
        id: &'a str,
    },
    /// Netlify has taken files and functions; it had the others from earlier deploys.
    Uploaded {
        /// The number of uploads that are done.
        done: usize,
        /// The number of all uploads.
        total: usize,
    },
    /// Netlify works on the deploy.
    State {
        /// Netlify's name of the state, such as `processing`.
        state: &'a str,
    },
}

impl fmt::Display for DeployEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { id } => write!(f, "deploy {}", one_line(id)),
            Self::Uploaded { done, total } => write!(f, "{done} of {total} uploaded"),
            Self::State { state } => write!(f, "{}", one_line(state)),
        }
    }
}
