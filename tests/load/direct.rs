//! Bursts directly on the database: it queues no connection, so most are refused repeatedly.

use std::sync::Arc;

use crate::answers::{Answers, recover, strike, strike_once};
use crate::figures::Figures;
use crate::instance::{Instance, Reply, Work};
use crate::load_fixture::{CONNECTIONS, LoadFixture};
use crate::processes::Process;
use crate::sessions::Sessions;
use crate::simulated::{Reads, Simulated};

/// Runs a burst, and checks that each request succeeds or gets a `Retry-After`, that the database
/// has exactly the entries whose writes succeeded, and that every instance succeeds in the end.
async fn survived<I: Instance>(
    what: &str,
    place: &LoadFixture,
    instances: &[Arc<I>],
    strike: impl AsyncFn(&[Arc<I>]) -> Answers,
) {
    let mut figures = Figures::default();
    let server = place.server.server();
    let sessions = Sessions::watch(server, &place.database).await;
    let answers = strike(instances).await;
    let most = sessions.most().await;
    figures.add(what, &answers, most);
    let sessions = Sessions::watch(server, &place.database).await;
    let afterwards = recover(instances).await;
    let most_afterwards = sessions.most().await;
    figures.add("the same afterwards", &afterwards, most_afterwards);
    figures.show();

    answers.all(|reply| reply.is_good() || reply.is_busy());
    afterwards.all(|reply| reply.is_good() || reply.is_busy());
    let good = |reply: &&Reply| reply.is_good();
    let written = answers.replies.iter().filter(good);
    let written = written.filter(|reply| reply.work != Work::Read).count();
    assert_eq!(place.entries().await, written);
    let recovered = afterwards.replies.iter().filter(good).count();
    assert_eq!(recovered, instances.len());
    assert!(most.max(most_afterwards) <= i64::from(CONNECTIONS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_instances_at_the_database_wait_or_are_told_to() {
    let place = LoadFixture::new().await;
    let harness = place.harness(&[]);
    let instances = Simulated::instances(&harness, 1_000, Reads::Typed);
    survived(
        "1,000 simulated instances, directly",
        &place,
        &instances,
        strike_once,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_processes_at_the_database_wait_or_say_when_to_come() {
    let place = LoadFixture::new().await;
    let harness = place.harness(&[]);
    let instances = Process::instances(&harness, 100).await;
    survived("100 processes, directly", &place, &instances, strike).await;
    Process::none_ended(&instances);
    Process::shutdown(&instances).await;
}
