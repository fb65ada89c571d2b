//! Tests of the fence by the times of a lease.

use super::*;

#[test]
fn lease_has_the_times_that_its_design_says() {
    let seconds = Duration::from_secs;
    let Times {
        validity,
        period,
        fresh,
    } = Times::default();
    assert_eq!(
        (validity, period, fresh),
        (seconds(60), seconds(15), seconds(10))
    );
}

/// Takes a lease whose fence uses no answer of more than 200 ms.
async fn taken_with_short_times(database: &TestDatabase) -> Lease {
    let times = Times {
        fresh: Duration::from_millis(200),
        ..Times::default()
    };
    let production = database.of("production");
    match Lease::take_for(times, &production, "ann@desk", "promote", None).await {
        Ok(Taken::Fresh(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

/// Lets each change of the row up to this one take longer than that, and counts them.
async fn slow_down(database: &TestDatabase, last: u32) {
    database
        .run(&format!(
            "CREATE SEQUENCE changes; \
             CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('changes') <= {last} THEN PERFORM pg_sleep(0.4); END IF; RETURN NEW; END $$; \
             CREATE TRIGGER slow BEFORE UPDATE ON stagelink_leases FOR EACH ROW EXECUTE FUNCTION slow()"
        ))
        .await;
}

async fn changes(database: &TestDatabase) -> Vec<String> {
    database.rows("SELECT last_value::text FROM changes").await
}

#[tokio::test]
async fn fence_asks_again_after_an_answer_that_took_too_long() {
    let database = TestDatabase::new().await;
    let lease = taken_with_short_times(&database).await;
    slow_down(&database, 1).await;
    lease.fence().await.unwrap();
    assert_eq!(changes(&database).await, ["2"]);
}

#[tokio::test]
async fn fence_fails_after_three_answers_that_took_too_long() {
    let database = TestDatabase::new().await;
    let lease = taken_with_short_times(&database).await;
    slow_down(&database, 9).await;
    let error = lease.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    let text = error.to_string();
    assert!(
        text.contains("takes more than 0.2 s to renew the lease"),
        "{text}"
    );
    assert_eq!(changes(&database).await, ["3"]);
}
