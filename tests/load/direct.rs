//! Bursts directly on the database: it queues no connection, so most are refused repeatedly.

use std::sync::Arc;

use crate::burst::{BurstReplies, burst, mixed_burst, recover};
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
    fixture: &LoadFixture,
    instances: &[Arc<I>],
    burst: impl AsyncFn(&[Arc<I>]) -> BurstReplies,
) {
    let mut figures = Figures::default();
    let server = fixture.server.server();
    let sessions = Sessions::watch(server, &fixture.database).await;
    let answers = burst(instances).await;
    let most = sessions.most().await;
    figures.add(what, &answers, most);
    let sessions = Sessions::watch(server, &fixture.database).await;
    let afterwards = recover(instances).await;
    let most_afterwards = sessions.most().await;
    figures.add("the same afterwards", &afterwards, most_afterwards);
    figures.print();

    answers.check_each(|reply| reply.is_good() || reply.is_busy());
    afterwards.check_each(|reply| reply.is_good() || reply.is_busy());
    let good = |reply: &&Reply| reply.is_good();
    let written = answers.replies.iter().filter(good);
    let written = written.filter(|reply| reply.work != Work::Read).count();
    assert_eq!(fixture.entries().await, written);
    let recovered = afterwards.replies.iter().filter(good).count();
    assert_eq!(recovered, instances.len());
    assert!(most.max(most_afterwards) <= i64::from(CONNECTIONS));
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_instances_without_a_pooler_succeed_or_get_retry_after() {
    let fixture = LoadFixture::new().await;
    let harness = fixture.harness(&[]);
    let instances = Simulated::instances(&harness, 1_000, Reads::Typed);
    survived(
        "1,000 simulated instances, directly",
        &fixture,
        &instances,
        mixed_burst,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_processes_without_a_pooler_succeed_or_get_retry_after() {
    let fixture = LoadFixture::new().await;
    let harness = fixture.harness(&[]);
    let instances = Process::instances(&harness, 100).await;
    survived("100 processes, directly", &fixture, &instances, burst).await;
    Process::assert_none_restarted(&instances);
    Process::shutdown(&instances).await;
}
