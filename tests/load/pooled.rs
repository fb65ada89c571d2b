//! Bursts on a PgBouncer, where instances wait for one of its few connections.

use std::sync::Arc;

use stagelink_local_postgres::PgBouncer;

use crate::answers::strike;
use crate::figures::Figures;
use crate::instance::{Instance, Reply};
use crate::load_fixture::{LoadFixture, POOLED};
use crate::processes::Process;
use crate::sessions::Sessions;
use crate::simulated::{Reads, Simulated};

/// Runs a burst, and checks that each request succeeds, that the database has each entry, and that
/// the pooler keeps its limit of connections.
async fn all_answered<I: Instance>(
    what: &str,
    place: &LoadFixture,
    bouncer: &PgBouncer,
    instances: &[Arc<I>],
    figures: &mut Figures,
) {
    let before = place.entries().await;
    let sessions = Sessions::watch(place.server.server(), &place.database).await;
    let answers = strike(instances).await;
    let most = sessions.most().await;
    let version = bouncer.version();
    figures.add(&format!("{what}, PgBouncer {version}"), &answers, most);
    answers.all(Reply::is_good);
    assert_eq!(place.entries().await - before, 2 * instances.len());
    assert!(most <= i64::from(POOLED), "{most} sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_instances_behind_a_pooler_are_all_answered() {
    let place = LoadFixture::new().await;
    let mut figures = Figures::default();
    for (prepared_statements, reads) in [(0, Reads::Typed), (100, Reads::Prepared)] {
        let bouncer = place.bouncer(prepared_statements).await;
        let harness = place.rig_behind(&bouncer);
        let instances = Simulated::instances(&harness, 1_000, reads);
        let what = "1,000 simulated instances";
        all_answered(what, &place, &bouncer, &instances, &mut figures).await;
    }
    figures.show();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_processes_behind_a_pooler_are_all_answered() {
    let place = LoadFixture::new().await;
    let mut figures = Figures::default();
    for prepared_statements in [0, 100] {
        let bouncer = place.bouncer(prepared_statements).await;
        let harness = place.rig_behind(&bouncer);
        let instances = Process::instances(&harness, 100).await;
        let what = "100 processes";
        all_answered(what, &place, &bouncer, &instances, &mut figures).await;
        Process::none_ended(&instances);
        Process::shutdown(&instances).await;
    }
    figures.show();
}
