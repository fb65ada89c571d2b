//! Requests of visitors while a stage is promoted, taken back and promoted in vain: none fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stagelink_tests::send;

use super::Shop;

/// Visitors of production, who ask one after the other.
struct Visitors {
    ends: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Visitors {
    fn start(shop: &Shop) -> Self {
        let (ends, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let url = shop.hosting.url("shop-site.localhost");
        let visitor = |path: &'static str| {
            let (ends, asked, url) = (Arc::clone(&ends), Arc::clone(&asked), url.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    let answer = send("GET", &format!("{url}{path}"), &[], "").await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 {
                        failures.push(format!("{path}: {}: {}", answer.status, answer.text()));
                    }
                }
                failures
            })
        };
        let tasks = ["/api/guestbook", "/api/guestbook", "/"]
            .map(visitor)
            .into();
        Self { ends, asked, tasks }
    }

    /// Ends them, and returns the number of requests and those that failed.
    async fn end(self) -> (u64, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.expect("a visitor"));
        }
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_stage_is_promoted_and_taken_back() {
    let shop = Shop::new().await;
    let visitors = Visitors::start(&shop);
    let mail = ("V2__mail.sql", "ALTER TABLE guestbook ADD mail text;\n");
    shop.deploy_next("two", Some(mail)).await;
    shop.promote().await.succeeds();
    shop.run(&["rollback", "--yes"]).await.succeeds();
    // A promotion that fails its test.
    shop.deploy_next("three", None).await;
    shop.let_production_serve_staging();
    let failed = shop.promote().await;
    assert_eq!(failed.code, Some(1), "{}", failed.errors);
    let (asked, failures) = visitors.end().await;
    assert!(
        failures.is_empty(),
        "{} of {asked} failed: {failures:?}",
        failures.len()
    );
    assert!(asked > 20, "only {asked} requests were sent");
}
