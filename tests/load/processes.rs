//! Instances that are real processes of the function `guestbook`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use stagelink_local::lambda::Function;
use stagelink_tests::{FunctionHarness, Target};

use crate::instance::{Instance, Reply, Work};

/// Function with one instance.
#[derive(Debug)]
pub(crate) struct Process {
    function: Function,
    target: Target,
}

impl Process {
    /// Creates this many instances with the variables of this harness. They start with their first
    /// request.
    pub(crate) async fn instances(harness: &FunctionHarness, count: usize) -> Vec<Arc<Self>> {
        let functions = harness.instances(count, "guestbook").await;
        let one = |function| Self {
            target: harness.target(&function),
            function,
        };
        functions.into_iter().map(one).map(Arc::new).collect()
    }

    /// Checks that no instance was restarted.
    pub(crate) fn assert_none_restarted(instances: &[Arc<Self>]) {
        for Self { function, .. } in instances.iter().map(AsRef::as_ref) {
            assert_eq!(
                (function.started_count(), function.instance_count()),
                (1, 1)
            );
        }
    }

    /// Shuts all of them down.
    pub(crate) async fn shutdown(instances: &[Arc<Self>]) {
        for instance in instances {
            instance.function.shutdown().await;
        }
    }
}

impl Instance for Process {
    async fn ask(&self, work: Work) -> Reply {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let key = format!("burst-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let entry = json!({ "name": "burst", "message": key });
        // A write with an idempotency key is a transaction.
        let (method, headers, body) = match work {
            Work::Read => ("GET", vec![], None),
            Work::Write => ("POST", vec![], Some(&entry)),
            Work::Transaction => ("POST", vec![("idempotency-key", &*key)], Some(&entry)),
        };
        let started = Instant::now();
        let answer = self
            .target
            .ask(method, "/api/guestbook", &headers, body)
            .await
            .unwrap_or_else(|why| panic!("an instance did not answer: {why}"));
        Reply {
            work,
            status: answer.status,
            retry_after: answer
                .header("retry-after")
                .parse()
                .ok()
                .map(Duration::from_secs),
            took: started.elapsed(),
            text: answer.text(),
        }
    }
}
