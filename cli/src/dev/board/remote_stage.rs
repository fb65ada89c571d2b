//! The column of a stage whose database is a real one. The page looks at nothing there by itself: it shows
//! what the look-ups for the functions have found.

use std::sync::Arc;

use serde_json::{Value, json};
use stagelink::{Stage, StageKind};
use stagelink_local::FunctionSiteView;
use stagelink_pipeline::SettingsFile;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::stages::{QUICK_INTERVAL, StageWatch, send_change};
use crate::dev::build_news::BuildState;
use crate::remote_facts::RemoteFacts;

/// Returns the stages to which the page offers to promote one of this name.
pub(super) fn targets(file: Option<&SettingsFile>, stage: &str) -> Vec<String> {
    let stages: Vec<Stage> = match file {
        Some(file) => file.stages().keys().copied().collect(),
        None => vec![Stage::PRODUCTION],
    };
    if stages
        .iter()
        .any(|known| known.name() == stage && known.kind() == StageKind::Production)
    {
        return Vec::new();
    }
    let targets = stages
        .iter()
        .filter(|known| known.kind() == StageKind::Production);
    targets.map(|known| known.name().to_owned()).collect()
}

/// Starts to tell of the stage. `url` is that of its site, and `targets` are the stages to which it may be
/// promoted.
pub(super) fn watch(
    site: FunctionSiteView,
    url: String,
    facts: watch::Receiver<RemoteFacts>,
    targets: Vec<String>,
    mut build: watch::Receiver<BuildState>,
) -> StageWatch {
    let look_again = Arc::new(Notify::new());
    let (columns, receiver) = watch::channel(Value::Null);
    let (faults, faults_receiver) = watch::channel(json!([]));
    let mut looks = JoinSet::new();
    let again = Arc::clone(&look_again);
    looks.spawn(async move {
        // There are none, and the page's feed goes on.
        let _faults = faults;
        loop {
            let column = column(&site, &url, &facts.borrow(), &targets);
            send_change(&columns, json!({ "stages": [column], "missing": [] }));
            let _ = timeout(QUICK_INTERVAL, again.notified()).await;
        }
    });
    let again = Arc::clone(&look_again);
    looks.spawn(async move {
        while build.changed().await.is_ok() {
            again.notify_waiters();
        }
    });
    StageWatch::of_looks(receiver, faults_receiver, look_again, looks)
}

fn column(site: &FunctionSiteView, url: &str, facts: &RemoteFacts, targets: &[String]) -> Value {
    json!({
        "name": facts.stage,
        "kind": facts.kind,
        "app": facts.app,
        "url": url,
        "functions": site.functions(),
        "instances": site.instance_count(),
        "served_since": site.served_since().to_string(),
        "remote": facts,
        "targets": targets,
    })
}
