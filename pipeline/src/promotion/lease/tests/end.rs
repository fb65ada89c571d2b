//! Tests of how a lease ends: by a kill, by being dropped, with a change in doubt, by a stop.

use super::*;
use crate::fence::AttemptEnd;

#[tokio::test]
async fn lease_of_a_killed_process_leaves_its_row_and_no_session() {
    let database = TestDatabase::new().await;
    taken(&database, "production", "ann@desk").await.kill();
    let sessions = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'stagelink lease'";
    until("the end of the session", async || {
        database.rows(sessions).await.is_empty()
    })
    .await;
    let rows = database.rows("SELECT holder FROM stagelink_leases").await;
    assert_eq!(rows, ["ann@desk"]);
}

/// Runs a command as one that may be stopped, and returns its result with the ends of its leases.
async fn watched<T>(command: impl Future<Output = T>) -> (T, Vec<LeaseEnd>) {
    let stop = OrderlyStop::default();
    let result = stop.watch(command).await;
    (result, stop.lease_ends().await)
}

#[tokio::test]
async fn dropped_lease_is_given_back_at_once_and_keeps_what_a_rerun_needs() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let without_progress = async { drop(taken(&database, "production", "ann@desk").await) };
    let ((), ends) = watched(without_progress).await;
    let texts: Vec<_> = ends.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["the lease on stage production is given back"]);
    assert!(Lease::look(&production).await.unwrap().is_none());

    let progress = json!({ "artifact": "abc", "key": "c4n4ry-key" });
    let with_progress = async {
        let lease = taken(&database, "production", "ann@desk").await;
        lease.save(&progress).await.unwrap();
    };
    let ((), ends) = watched(with_progress).await;
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].held_since, None);
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(row.is_expired);
    let resumed = Lease::take(&production, "bob@desk", "promote", None).await;
    let Ok(Taken::Resumed(lease, kept)) = resumed else {
        panic!("{resumed:?}");
    };
    assert_eq!(kept.0, progress);
    // One that is released is not told: it is done.
    let (warning, ends) = watched(async { lease.release().await.unwrap().warning() }).await;
    assert_eq!((warning, ends), (None, Vec::new()));
}

#[tokio::test]
async fn lease_whose_change_is_in_doubt_keeps_its_time_and_says_until_when() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let in_doubt = async {
        let lease = taken(&database, "production", "ann@desk").await;
        let slot = FenceSlot::default();
        slot.set(Arc::new(lease.handle().clone()));
        let attempt = slot.begin_attempt("publish").await.unwrap();
        // As a request whose answer has not come.
        drop(attempt);
    };
    let ((), ends) = watched(in_doubt).await;
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(!row.is_expired);
    let text = ends[0].to_string();
    for part in [&*format!("holds until {}", row.expires_at), "not known"] {
        assert!(text.contains(part), "{text}");
    }
    // One that has its answer is over.
    database.run(EXPIRE).await;
    let answered = async {
        let lease = taken(&database, "production", "ann@desk").await;
        let slot = FenceSlot::default();
        slot.set(Arc::new(lease.handle().clone()));
        for end in [AttemptEnd::Unknown, AttemptEnd::Known] {
            slot.begin_attempt("publish").await.unwrap().end(end);
        }
        // A look shows what the other one did.
        drop(slot.begin_attempt("lock").await.unwrap());
        slot.settle(|change| change == "lock");
    };
    let ((), ends) = watched(answered).await;
    assert_eq!(ends[0].held_since, None);
    assert!(Lease::look(&production).await.unwrap().is_none());
}

#[tokio::test]
async fn released_lease_keeps_its_time_where_a_result_is_not_known_and_is_free_then() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let in_doubt = async {
        let lease = taken(&database, "production", "ann@desk").await;
        lease.save(&json!({ "artifact": "abc" })).await.unwrap();
        let slot = FenceSlot::default();
        slot.set(Arc::new(lease.handle().clone()));
        drop(slot.begin_attempt("publish").await.unwrap());
        lease.release().await.unwrap()
    };
    let (end, ends) = watched(in_doubt).await;
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(!row.is_expired && row.progress.is_null());
    let text = end.warning().expect("a warning");
    for part in [&*format!("holds until {}", row.expires_at), "not known"] {
        assert!(text.contains(part), "{text}");
    }
    // A signal that comes right then tells it, too.
    assert_eq!(ends, [end]);
    for command in ["promote", "rollback"] {
        let error = refused(&database, "bob@desk", command).await;
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    }
    database.run(EXPIRE).await;
    let free = Lease::take(&production, "bob@desk", "rollback", None).await;
    assert!(matches!(free, Ok(Taken::Fresh(_))), "{free:?}");
}

#[tokio::test]
async fn answer_of_a_neighbour_ends_no_doubt_of_another_change() {
    let database = TestDatabase::new().await;
    let uploads = async {
        let lease = taken(&database, "production", "ann@desk").await;
        let slot = FenceSlot::default();
        slot.set(Arc::new(lease.handle().clone()));
        let one = slot.begin_attempt("upload a").await.unwrap();
        let other = slot.begin_attempt("upload b").await.unwrap();
        drop(one);
        other.end(AttemptEnd::Known);
    };
    let ((), ends) = watched(uploads).await;
    let held = ends[0].held_since.as_deref().unwrap_or_default();
    assert!(held.contains("not known"), "{ends:?}");
}

#[tokio::test]
async fn stopped_command_ends_the_change_that_is_under_way_and_begins_no_other() {
    let database = TestDatabase::new().await;
    let stop = OrderlyStop::default();
    let (begun, has_begun) = oneshot::channel();
    let (answer, has_answer) = oneshot::channel::<()>();
    let mut made = Vec::new();
    let command = async {
        let lease = taken(&database, "production", "ann@desk").await;
        let slot = FenceSlot::default();
        slot.set(Arc::new(lease.handle().clone()));
        let attempt = slot.begin_attempt("publish").await.unwrap();
        begun.send(()).unwrap();
        has_answer.await.unwrap();
        attempt.end(AttemptEnd::Known);
        made.push("the first");
        let _attempt = slot.begin_attempt("lock").await.unwrap();
        made.push("the second");
    };
    {
        let mut command = std::pin::pin!(stop.watch(command));
        tokio::select! {
            () = &mut command => panic!("it ended"),
            begun = has_begun => begun.unwrap(),
        }
        stop.request();
        let is_settled = timeout(Duration::from_millis(50), stop.settled()).await;
        assert!(is_settled.is_err(), "a change is under way");
        answer.send(()).unwrap();
        tokio::select! {
            biased;
            () = &mut command => panic!("it ended"),
            () = stop.settled() => {}
        }
    }
    assert_eq!(made, ["the first"]);
    let ends = stop.lease_ends().await;
    assert_eq!(ends[0].held_since, None);
}
