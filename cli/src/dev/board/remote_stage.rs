//! The column of a stage whose database is a real one. The page looks at nothing there by itself: it shows
//! what the look-ups for the functions have found.

use std::sync::Arc;

use serde_json::{Value, json};
use stagelink_local::FunctionSiteView;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::stages::{QUICK_INTERVAL, StageWatch, send_change};
use crate::dev::build_news::BuildState;
use crate::remote_facts::RemoteFacts;

/// Starts to tell of the stage. `url` is that of its site.
pub(super) fn watch(
    site: FunctionSiteView,
    url: String,
    facts: watch::Receiver<RemoteFacts>,
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
            let column = column(&site, &url, &facts.borrow());
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

fn column(site: &FunctionSiteView, url: &str, facts: &RemoteFacts) -> Value {
    json!({
        "name": facts.stage,
        "kind": facts.kind,
        "app": facts.app,
        "url": url,
        "functions": site.functions(),
        "instances": site.instance_count(),
        "served_since": site.served_since().to_string(),
        "remote": facts,
    })
}
