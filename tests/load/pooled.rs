//! Bursts on a PgBouncer, where instances wait for one of its few connections.

use std::sync::Arc;

use stagelink_local_postgres::PgBouncer;

use crate::burst::burst;
use crate::figures::Figures;
use crate::instance::{Instance, Reply};
use crate::load_fixture::{LoadFixture, POOLED};
use crate::processes::Process;
use crate::sessions::{Sessions, until_none};
use crate::simulated::{Reads, Simulated};

/// Runs a burst, and checks that each request succeeds, that the database has each entry, and that
/// the pooler keeps its limit of connections.
async fn all_answered<I: Instance>(
    what: &str,
    fixture: &LoadFixture,
    bouncer: &PgBouncer,
    instances: &[Arc<I>],
    figures: &mut Figures,
) {
    let before = fixture.entries().await;
    let sessions = Sessions::watch(fixture.server.server(), &fixture.database).await;
    let answers = burst(instances).await;
    let most = sessions.most().await;
    let version = bouncer.version();
    figures.add(&format!("{what}, PgBouncer {version}"), &answers, most);
    answers.check_each(Reply::is_good);
    assert_eq!(fixture.entries().await - before, 2 * instances.len());
    assert!(most <= i64::from(POOLED), "{most} sessions");
}

/// Ends a PgBouncer, and waits until its sessions have ended: the next one has as many.
async fn end(bouncer: PgBouncer, fixture: &LoadFixture) {
    bouncer.stop().await.expect("it stops");
    until_none(fixture.server.server(), &fixture.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_instances_behind_a_pooler_succeed() {
    let fixture = LoadFixture::new().await;
    let mut figures = Figures::default();
    for (prepared_statements, reads) in [(0, Reads::Typed), (100, Reads::Prepared)] {
        let bouncer = fixture.bouncer(prepared_statements).await;
        let harness = fixture.pooled_harness(&bouncer);
        let instances = Simulated::instances(&harness, 1_000, reads);
        let what = "1,000 simulated instances";
        all_answered(what, &fixture, &bouncer, &instances, &mut figures).await;
        end(bouncer, &fixture).await;
    }
    figures.print();
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_processes_behind_a_pooler_succeed() {
    let fixture = LoadFixture::new().await;
    let mut figures = Figures::default();
    for prepared_statements in [0, 100] {
        let bouncer = fixture.bouncer(prepared_statements).await;
        let harness = fixture.pooled_harness(&bouncer);
        let instances = Process::instances(&harness, 100).await;
        let what = "100 processes";
        all_answered(what, &fixture, &bouncer, &instances, &mut figures).await;
        Process::assert_none_restarted(&instances);
        Process::shutdown(&instances).await;
        end(bouncer, &fixture).await;
    }
    figures.print();
}
