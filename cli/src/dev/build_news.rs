//! The state of the builds of `stagelink dev`, for those who follow it.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// The state of the last build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BuildState {
    pub(super) phase: BuildPhase,
    /// The compiler's present activity.
    pub(super) activity: Option<String>,
    /// The messages of a failure, and what is served all the same.
    pub(super) error: Option<String>,
    /// The beginning of the phase, in the format of RFC 3339.
    pub(super) since: String,
}

/// A phase of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BuildPhase {
    /// The last build is served.
    Served,
    /// A build runs.
    Building,
    /// The last change could not be served.
    Failed,
}

/// Tells of builds. Clones tell the same followers.
#[derive(Clone, Debug)]
pub(super) struct BuildNews(watch::Sender<BuildState>);

impl BuildNews {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(BuildState::new(
            BuildPhase::Served,
            None,
        )))
    }

    /// Returns the present state and each one from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<BuildState> {
        self.0.subscribe()
    }

    pub(super) fn begin(&self) {
        self.0
            .send_replace(BuildState::new(BuildPhase::Building, None));
    }

    /// Tells the compiler's present activity.
    pub(super) fn tell(&self, activity: &str) {
        self.0
            .send_modify(|state| state.activity = Some(activity.to_owned()));
    }

    pub(super) fn served(&self) {
        self.0
            .send_replace(BuildState::new(BuildPhase::Served, None));
    }

    /// Tells a failure, and what is served all the same.
    pub(super) fn failed(&self, error: &anyhow::Error, consequence: &str) {
        let error = format!("{error:#}\n\n{consequence}");
        self.0
            .send_replace(BuildState::new(BuildPhase::Failed, Some(error)));
    }
}

impl BuildState {
    fn new(phase: BuildPhase, error: Option<String>) -> Self {
        Self {
            phase,
            activity: None,
            error,
            since: Timestamp::now().to_string(),
        }
    }
}
