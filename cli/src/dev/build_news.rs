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
    /// The beginning of the phase, in the format of RFC 3339.
    pub(super) since: String,
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
            failures: BTreeMap::new(),
        }))
    }

    /// Returns the present state and each one from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<BuildState> {
        self.0.subscribe()
    }

    pub(super) fn begin(&self) {
        self.0.send_modify(|state| {
            state.phase = BuildPhase::Building;
            state.activity = None;
            state.error = None;
            state.since = Timestamp::now().to_string();
        });
    }

    /// Tells the compiler's present activity.
    pub(super) fn tell(&self, activity: &str) {
        self.0
            .send_modify(|state| state.activity = Some(activity.to_owned()));
    }

    /// Tells that the last change of a part is served.
    pub(super) fn served(&self, part: Part) {
        self.end(|failures| {
            failures.remove(&part);
        });
    }

    /// Tells that the last change of a part could not be served, and what is served all the same.
    pub(super) fn failed(&self, part: Part, error: &anyhow::Error, consequence: &str) {
        self.end(|failures| {
            failures.insert(part, format!("{error:#}\n\n{consequence}"));
        });
    }

    fn end(&self, change: impl FnOnce(&mut BTreeMap<Part, String>)) {
        self.0.send_modify(|state| {
            change(&mut state.failures);
            let failures: Vec<_> = state.failures.values().map(String::as_str).collect();
            (state.phase, state.error) = match failures.is_empty() {
                true => (BuildPhase::Served, None),
                false => (BuildPhase::Failed, Some(failures.join("\n\n"))),
            };
            state.activity = None;
            state.since = Timestamp::now().to_string();
        });
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
        news.begin();
        assert_eq!(state.borrow().phase, BuildPhase::Building);
        news.served(Part::Functions);
        assert_eq!(state.borrow().phase, BuildPhase::Served);
        assert_eq!(state.borrow().error, None);
    }
}
