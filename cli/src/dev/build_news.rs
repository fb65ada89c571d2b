//! The state of the builds of `stagelink dev`, for those who follow it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// The state of the builds, with the parts that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BuildState {
    pub(super) phase: BuildPhase,
    /// The compiler's present activity.
    pub(super) activity: Option<String>,
    /// The messages of the failures, and what is served all the same.
    pub(super) error: Option<String>,
    /// The time of the last change of this state, in the format of RFC 3339.
    pub(super) since: String,
    /// Set while the functions are built; another part may change meanwhile.
    #[serde(skip)]
    is_building: bool,
    /// The parts whose last change could not be served, with the messages.
    #[serde(skip)]
    failures: BTreeMap<Part, String>,
}

/// A part of what is served, which a save changes on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Site,
    Variables,
    Functions,
    Migrations,
}

/// A phase of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BuildPhase {
    /// The last change of each part is served.
    Served,
    /// A build runs.
    Building,
    /// The last change of a part could not be served.
    Failed,
}

/// Tells of builds. Clones tell the same followers.
#[derive(Clone, Debug)]
pub(super) struct BuildNews(watch::Sender<BuildState>);

impl BuildNews {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(BuildState {
            phase: BuildPhase::Served,
            activity: None,
            error: None,
            since: Timestamp::now().to_string(),
            is_building: false,
            failures: BTreeMap::new(),
        }))
    }

    /// Returns the present state and each one from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<BuildState> {
        self.0.subscribe()
    }

    /// Tells that a build of the functions begins. What has failed stays told until it is served.
    pub(super) fn begin(&self) {
        self.0.send_modify(|state| {
            state.is_building = true;
            state.changed();
        });
    }

    /// Tells the compiler's present activity.
    pub(super) fn tell(&self, activity: &str) {
        self.0
            .send_modify(|state| state.activity = Some(activity.to_owned()));
    }

    /// Tells that the last change of a part is served.
    pub(super) fn served(&self, part: Part) {
        self.end(part, None);
    }

    /// Tells that the last change of a part could not be served, and what is served all the same.
    pub(super) fn failed(&self, part: Part, error: &anyhow::Error, consequence: &str) {
        self.end(part, Some(format!("{error:#}\n\n{consequence}")));
    }

    fn end(&self, part: Part, failure: Option<String>) {
        self.0.send_modify(|state| {
            match failure {
                Some(failure) => state.failures.insert(part, failure),
                None => state.failures.remove(&part),
            };
            if part == Part::Functions {
                state.is_building = false;
            }
            state.changed();
        });
    }
}

impl BuildState {
    /// Derives the phase and the error from the parts.
    fn changed(&mut self) {
        let failures: Vec<_> = self.failures.values().map(String::as_str).collect();
        self.error = (!failures.is_empty()).then(|| failures.join("\n\n"));
        self.phase = match (self.is_building, &self.error) {
            (true, _) => BuildPhase::Building,
            (false, Some(_)) => BuildPhase::Failed,
            (false, None) => BuildPhase::Served,
        };
        self.activity = None;
        self.since = Timestamp::now().to_string();
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn failed_build_stays_failed_when_another_part_is_served() {
        let news = BuildNews::new();
        let state = news.subscribe();
        news.failed(
            Part::Functions,
            &anyhow!("no such type"),
            "the old ones run",
        );
        news.failed(Part::Site, &anyhow!("no such table"), "the old site");
        news.served(Part::Variables);
        news.served(Part::Site);
        let failed = state.borrow().clone();
        assert_eq!(failed.phase, BuildPhase::Failed);
        assert_eq!(failed.error.unwrap(), "no such type\n\nthe old ones run");
        // While it is built anew, the messages stay, and another part changes nothing of that.
        news.begin();
        news.served(Part::Migrations);
        let building = state.borrow().clone();
        assert_eq!(building.phase, BuildPhase::Building);
        assert_eq!(building.error.unwrap(), "no such type\n\nthe old ones run");
        news.served(Part::Functions);
        assert_eq!(state.borrow().phase, BuildPhase::Served);
        assert_eq!(state.borrow().error, None);
    }
}
