//! Concurrent requests, compared with the rows in the database.

use stagelink_tests::{
    HerokuFixture, Load, LoadReport, Plan, StoredWrites, Target, migrate, server, site,
};

/// Checks that no request failed, and that the database has each write once.
fn all_good(report: &LoadReport, stored: StoredWrites) {
    println!("{report}");
    assert_eq!(report.failures().count(), 0, "{report}");
    let writes = report.outcomes().iter().filter(|one| one.is_write).count();
    assert_eq!((stored.confirmed, stored.unconfirmed), (writes, 0));
}

#[tokio::test]
async fn healthy_database_keeps_each_write_of_many_instances_once() {
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    let function = fixture.function("guestbook").await;
    let plan = Plan::default();
    let load = Load::start(fixture.target(&function), plan);
    load.wait_for_answers(300).await;
    let report = load.stop().await;
    let db = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await;
    let stored = report.check(&db.expect("the database is there")).await;
    all_good(&report, stored);
    assert!(report.outcomes().len() >= 300);
    assert!((2..=plan.concurrency).contains(&function.started_count()));
    function.shutdown().await;
}

#[tokio::test]
async fn healthy_site_keeps_each_write_once() {
    let (cloud, _record) = site().await;
    let staging = &cloud.stages()[0];
    let plan = Plan {
        concurrency: 4,
        rate: None,
        writes_percent: 30,
        has_keys: true,
    };
    let load = Load::start(Target::Site(staging.url().to_owned()), plan);
    load.wait_for_answers(100).await;
    let report = load.stop().await;
    let db = server()
        .await
        .connect_as_superuser_to(&staging.database())
        .await;
    let stored = report.check(&db.expect("the database is there")).await;
    all_good(&report, stored);
    cloud.stop().await;
}
