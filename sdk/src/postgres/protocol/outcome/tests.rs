//! Tests of the transaction state and of the outcome of writes.

use super::*;

mod failed_copy;

const KILLED: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mterminating\0RProcessInterrupts\0\0";
const BY_POOLER: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0";
const NEVER_RUN: &[u8] = b"SFATAL\0VFATAL\0C08P01\0Mquery_wait_timeout\0\0";
const READ_ONLY: &[u8] = b"SERROR\0VERROR\0C25006\0Mcannot\0RPreventCommandIfReadOnly\0\0";

/// A connection on which the session has started.
fn started() -> (TransactionTracker, Checkpoint) {
    let mut passed = TransactionTracker::default();
    passed.sent(STARTUP);
    passed.sent(b'p');
    passed.received(b'Z', b"I");
    assert!(passed.is_idle());
    let mark = passed.checkpoint();
    (passed, mark)
}

/// A statement with its parameters, as `query_typed` sends it.
fn statement(passed: &mut TransactionTracker) {
    for tag in [b'P', b'B', b'D', b'E', b'S'] {
        passed.sent(tag);
    }
}

/// A whole request with its answer.
fn command(passed: &mut TransactionTracker, tag: &str, status: &[u8]) {
    passed.sent(b'Q');
    passed.received(b'C', format!("{tag}\0").as_bytes());
    passed.received(b'Z', status);
}

fn code_since<'a>(passed: &'a TransactionTracker, mark: &Checkpoint) -> Option<&'a str> {
    passed.error_since(mark).map(|error| error.code.as_str())
}

#[test]
fn nothing_sent_is_nothing() {
    let (mut passed, mark) = started();
    passed.end();
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    assert!(passed.has_ended());
}

#[test]
fn statement_without_its_sync_cannot_take_effect() {
    let (mut passed, mark) = started();
    passed.sent(b'P');
    passed.sent(b'B');
    passed.sent(b'E');
    passed.end();
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
}

#[test]
fn connection_that_sends_a_request_is_not_idle() {
    let (mut passed, _) = started();
    for tag in [b'P', b'B', b'E'] {
        passed.sent(tag);
        passed.record_write(false);
        assert!(!passed.is_idle(), "its Sync is missing");
    }
    passed.sent(b'S');
    passed.received(b'1', b"");
    passed.received(b'Z', b"I");
    assert!(passed.is_idle());
    passed.record_write(true);
    assert!(!passed.is_idle(), "a message is sent in part");
    passed.record_write(false);
    passed.record_blocked_write();
    assert!(!passed.is_idle(), "bytes wait to be sent");
    passed.record_write(false);
    assert!(passed.is_idle());
}

#[test]
fn end_of_a_copy_that_failed_before_it_was_sent_has_a_response_of_its_own() {
    let (mut passed, _) = started();
    statement(&mut passed);
    passed.received(b'G', b"");
    passed.received(b'E', b"SERROR\0VERROR\0C42809\0Mview\0RCopyFrom\0\0");
    passed.received(b'Z', b"I");
    // The handler finishes the COPY, whose error it has not read yet.
    passed.sent(b'c');
    passed.sent(b'S');
    assert!(passed.is_idle() && passed.unanswered_count() == 1);
    assert!(!passed.received(b'Z', b"I"));
    assert!(passed.unanswered_count() == 0 && !passed.is_out_of_step());
}

#[test]
fn request_without_an_answer_is_unknown() {
    let (mut passed, mark) = started();
    statement(&mut passed);
    assert!(!passed.is_idle());
    passed.received(b'C', b"INSERT 0 1\0");
    passed.end();
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
}

#[test]
fn session_that_postgres_ends_is_rolled_back_and_one_that_a_pooler_ends_is_unknown() {
    for (error, code, fate) in [
        (KILLED, "57P01", WriteOutcome::NotApplied),
        (BY_POOLER, "57P01", WriteOutcome::InDoubt),
        (NEVER_RUN, "08P01", WriteOutcome::NotApplied),
    ] {
        let (mut passed, mark) = started();
        statement(&mut passed);
        passed.received(b'E', error);
        assert_eq!(passed.outcome_since(&mark), fate);
        assert_eq!(code_since(&passed, &mark), Some(code));
        assert_eq!(passed.has_ended(), fate == WriteOutcome::NotApplied);
    }
}

#[test]
fn answered_statement_is_something() {
    let (mut passed, mark) = started();
    command(&mut passed, "INSERT 0 1", b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
    statement(&mut passed);
    passed.received(b'E', KILLED);
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
}

#[test]
fn portal_that_ran_in_part_is_something() {
    let (mut passed, mark) = started();
    statement(&mut passed);
    passed.received(b's', b"");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
    passed.received(b'Z', b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
}

#[test]
fn refused_statement_is_nothing() {
    let (mut passed, mark) = started();
    statement(&mut passed);
    passed.received(b'E', READ_ONLY);
    passed.received(b'Z', b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    assert_eq!(code_since(&passed, &mark), Some("25006"));
    assert!(!passed.has_ended() && passed.is_idle());
    assert_eq!(passed.error_since(&passed.checkpoint()), None);
}

#[test]
fn refused_statement_is_nothing_before_the_end_of_its_answer_has_come() {
    let (mut passed, mark) = started();
    statement(&mut passed);
    passed.received(b'E', READ_ONLY);
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    statement(&mut passed);
    assert_eq!(
        passed.outcome_since(&mark),
        WriteOutcome::InDoubt,
        "another one runs"
    );
}

#[test]
fn transaction_takes_effect_with_its_commit() {
    let (mut passed, mark) = started();
    command(&mut passed, "BEGIN", b"T");
    command(&mut passed, "INSERT 0 1", b"T");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    assert!(!passed.is_idle());
    passed.sent(b'Q');
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
    passed.received(b'C', b"COMMIT\0");
    passed.received(b'Z', b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
    assert!(passed.is_idle());
}

#[test]
fn commit_that_became_a_rollback_is_nothing() {
    let (mut passed, mark) = started();
    command(&mut passed, "BEGIN", b"T");
    statement(&mut passed);
    passed.received(b'E', READ_ONLY);
    passed.received(b'Z', b"E");
    command(&mut passed, "ROLLBACK", b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
}

#[test]
fn commit_inside_of_one_request_is_seen() {
    let (mut passed, mark) = started();
    passed.sent(b'Q');
    for tag in ["BEGIN", "INSERT 0 1", "COMMIT", "BEGIN"] {
        passed.received(b'C', format!("{tag}\0").as_bytes());
    }
    passed.received(b'E', READ_ONLY);
    passed.received(b'Z', b"E");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
}

#[test]
fn preparing_a_statement_is_nothing() {
    let (mut passed, mark) = started();
    passed.sent(b'P');
    passed.sent(b'D');
    passed.sent(b'S');
    passed.received(b'1', b"");
    passed.received(b'Z', b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
}

#[test]
fn letting_go_of_a_statement_leaves_the_connection_idle() {
    let (mut passed, mark) = started();
    passed.sent(b'C');
    passed.sent(b'S');
    assert!(passed.is_idle());
    passed.end();
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
}

#[test]
fn copy_is_one_request_with_two_syncs() {
    let (mut passed, mark) = started();
    for tag in [b'B', b'E', b'S', b'd', b'd', b'c', b'S'] {
        passed.sent(tag);
    }
    passed.received(b'G', b"");
    passed.received(b'C', b"COPY 2\0");
    passed.received(b'Z', b"I");
    assert!(passed.is_idle());
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
}

#[test]
fn lost_statements_are_noticed() {
    use StatementLoss::{Deallocated, Failed};
    let outdated = b"VERROR\0C0A000\0RRevalidateCachedQuery\0\0";
    let unsupported = b"VERROR\0C0A000\0Rtransform\0\0";
    let missing = b"VERROR\0C26000\0RFetchPreparedStatement\0\0";
    let cases: [(u8, &[u8], Option<StatementLoss>, bool); 8] = [
        (b'C', b"DISCARD ALL\0", Some(Deallocated), true),
        (b'C', b"DEALLOCATE ALL\0", Some(Deallocated), true),
        (b'E', missing, Some(Failed), true),
        (b'E', outdated, Some(Failed), false),
        (b'E', unsupported, None, false),
        (b'E', READ_ONLY, None, false),
        (b'C', b"DISCARD PLANS\0", None, false),
        (b'C', b"DEALLOCATE\0", None, false),
    ];
    for (tag, body, loss, has_lost) in cases {
        let (mut passed, checkpoint) = started();
        statement(&mut passed);
        passed.received(tag, body);
        assert_eq!(passed.take_statement_loss(), loss);
        assert_eq!(passed.take_statement_loss(), None);
        let state = passed.return_state_since(&checkpoint);
        assert_eq!(state.has_lost_statements, has_lost);
    }
}

#[test]
fn copy_that_fails_before_it_begins_has_no_end() {
    let (mut passed, _) = started();
    for tag in [b'B', b'E', b'S'] {
        passed.sent(tag);
    }
    assert!(!passed.has_no_copy_to_end(), "it may still begin");
    passed.received(b'E', READ_ONLY);
    assert!(passed.has_no_copy_to_end());
    passed.received(b'Z', b"I");
    assert!(passed.has_no_copy_to_end());
    assert!(passed.is_idle() && !passed.is_out_of_step());

    for tag in [b'B', b'E', b'S'] {
        passed.sent(tag);
    }
    passed.received(b'G', b"");
    assert!(!passed.has_no_copy_to_end());
    passed.received(b'E', READ_ONLY);
    assert!(!passed.has_no_copy_to_end(), "the server waits for a Sync");
    passed.sent(b'f');
    passed.sent(b'S');
    passed.received(b'Z', b"I");
    assert!(passed.is_idle() && !passed.is_out_of_step());
}

#[test]
fn error_that_was_cut_off_is_of_unknown_origin() {
    let (mut passed, mark) = started();
    statement(&mut passed);
    let cut = KILLED.len() - "ProcessInterrupts\0\0".len();
    passed.received(b'E', &KILLED[..cut]);
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
}

#[test]
fn severity_is_read_untranslated_and_by_itself_where_a_pooler_sends_one() {
    for (fields, severity) in [
        (&b"SFATAL\0C57P01\0"[..], Severity::Fatal),
        (b"SFATAL\0VFATAL\0C57P01\0", Severity::Fatal),
        (b"SPANIK\0VPANIC\0CXX000\0", Severity::Panic),
        (b"SERREUR\0VERROR\0C08001\0", Severity::Error),
        (b"SERROR\0C08001\0", Severity::Error),
    ] {
        let (mut passed, mark) = started();
        statement(&mut passed);
        passed.received(b'E', fields);
        let error = passed.error_since(&mark).expect("an error");
        assert_eq!(error.severity, severity);
    }
}

/// The log from which the server recovers may hold the COMMIT.
#[test]
fn panic_of_the_server_leaves_a_write_in_doubt() {
    let (mut passed, mark) = started();
    statement(&mut passed);
    passed.received(
        b'E',
        b"SPANIC\0VPANIC\0CXX000\0Mcould not fsync file\0Rissue_xlog_fsync\0\0",
    );
    passed.end();
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
}

/// postgres_fdw passes on the code of the other server's error.
#[test]
fn error_of_a_foreign_server_says_nothing_of_this_session() {
    for code in ["25006", "26000", "57P01", "08006"] {
        let (mut passed, mark) = started();
        statement(&mut passed);
        let fields = format!("SERROR\0VERROR\0C{code}\0Mforeign\0Rpgfdw_report_error\0\0");
        passed.received(b'E', fields.as_bytes());
        passed.received(b'Z', b"I");
        assert!(!passed.has_refused_write_since(&mark), "{code}");
        let state = passed.return_state_since(&mark);
        assert!(
            !state.has_ended && !state.has_lost_statements && state.is_idle,
            "{code}"
        );
        assert_eq!(passed.take_statement_loss(), None, "{code}");
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    }
}

#[test]
fn refused_write_counts_since_a_checkpoint_and_only_then() {
    let (mut passed, before) = started();
    assert!(!passed.has_refused_write_since(&before));
    statement(&mut passed);
    passed.received(b'E', READ_ONLY);
    passed.received(b'Z', b"I");
    assert!(passed.has_refused_write_since(&before));
    assert!(passed.return_state_since(&before).has_refused_write);
    let after = passed.checkpoint();
    assert!(!passed.has_refused_write_since(&after));
    assert!(!passed.return_state_since(&after).has_refused_write);
}

#[test]
fn lost_plan_counts_since_a_checkpoint_and_only_then() {
    let (mut passed, before) = started();
    assert!(!passed.has_lost_plan_since(&before));
    passed.record_lost_plan();
    assert!(passed.has_lost_plan_since(&before));
    let between = passed.checkpoint();
    assert!(!passed.has_lost_plan_since(&between));
    passed.record_lost_plan();
    assert!(passed.has_lost_plan_since(&before) && passed.has_lost_plan_since(&between));
}

#[test]
fn connection_is_new_until_its_first_work_which_is_more_than_a_sync() {
    let (mut passed, mark) = started();
    assert!(passed.is_new());
    let before = passed.work_count();
    passed.sent(b'S');
    passed.received(b'Z', b"I");
    assert_eq!(passed.work_count(), before, "a Sync is no work");
    passed.sent(b'C');
    passed.sent(b'S');
    passed.received(b'Z', b"I");
    assert_eq!(passed.work_count(), before, "nor is a Close");
    assert!(passed.is_new());
    for count in 1..=3 {
        statement(&mut passed);
        passed.received(b'Z', b"I");
        assert!(!passed.is_new());
        assert_eq!(passed.work_count(), before + count);
        assert_eq!(passed.return_state_since(&mark).work_count, before + count);
    }
}

#[test]
fn transaction_is_open_from_its_begin_to_its_end() {
    let (mut passed, _) = started();
    assert!(!passed.is_in_transaction());
    for (tag, status, is_open) in [
        ("BEGIN", b"T", true),
        ("INSERT 0 1", b"T", true),
        ("INSERT 0 1", b"E", true),
        ("ROLLBACK", b"I", false),
    ] {
        command(&mut passed, tag, status);
        assert_eq!(passed.is_in_transaction(), is_open, "{tag}");
        assert_eq!(passed.is_idle(), !is_open, "{tag}");
    }
}

/// A pooler passes on the response to another client's request, and drops the one to this.
#[test]
fn ready_for_query_alone_in_place_of_a_response_leaves_work_in_doubt() {
    for notice in [&[][..], b"N", b"S", b"A"] {
        let (mut passed, mark) = started();
        statement(&mut passed);
        assert!(notice.iter().all(|tag| passed.received(*tag, b"")));
        assert!(!passed.received(b'Z', b"I"));
        assert!(passed.is_misrouted() && passed.has_ended());
        assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
    }
    // That to a Sync, or to a Close and a Sync, may be one.
    let (mut passed, _) = started();
    passed.sent(b'S');
    assert!(passed.received(b'Z', b"I") && !passed.is_misrouted());
}
