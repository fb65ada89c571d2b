//! Refusals: each has the right status, a public message, and its reason in the log.
//!
//! Every response and log is searched for secrets as it is read.

mod database;
mod heroku;
mod odd_http;
mod provider;
mod settings;

use stagelink_tests::{Answer, FunctionHarness};

/// Calls the health check and expects a refusal with this status. Each reason must be in the log
/// and must not reach the client.
pub(crate) async fn refused(harness: &FunctionHarness, status: u16, reasons: &[&str]) -> Answer {
    let answer = harness.get("health").await;
    let log = harness.log();
    assert_eq!(answer.status, status, "{}\n{log}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["database"]["reachable"], false);
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.len() < 120, "{detail}");
    for reason in reasons {
        assert!(log.contains(reason), "{reason:?} is not in the log:\n{log}");
        assert!(
            !answer.text().contains(reason),
            "{reason:?} reached the client"
        );
    }
    answer
}
