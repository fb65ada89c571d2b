//! COPY from the client that fails: how often the server answers it.

use super::*;

const VIEW: &[u8] = b"SERROR\0VERROR\0C42809\0Mcannot copy to view \"v\"\0RCopyFrom\0\0";
/// The check of a foreign key runs when the data has been read.
const FOREIGN_KEY: &[u8] = b"SERROR\0VERROR\0C23503\0Mviolates\0Rri_ReportViolation\0\0";
const TRIGGER: &[u8] = b"SERROR\0VERROR\0CP0001\0Mno\0WCOPY other, line 1\nPL/pgSQL function f() line 1 at RAISE\0Rexec_stmt_raise\0\0";
const AT_LINE: &[u8] =
    b"SERROR\0VERROR\0C22P02\0Mwrong\0WPL/pgSQL function f() line 1\nCOPY t, line 2, column a\0Renum_in\0\0";

/// CopyFail, as each version and language of Postgres reports it.
const COPY_FAILED: &[u8] = b"SERROR\0VERROR\0C57014\0Mfailed\0RCopyGetData\0\0";

/// A point in the conversation at which the driver sends the end of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    BeforeError,
    BehindError,
    BehindReady,
}

/// A COPY that fails by this error. Its first ReadyForQuery has arrived.
fn failed(error: &[u8], end: End) -> TransactionTracker {
    let (mut passed, mark) = started();
    for tag in [b'B', b'E', b'S'] {
        passed.sent(tag);
    }
    passed.received(b'G', b"");
    passed.sent(b'd');
    for (now, message) in [
        (End::BeforeError, None),
        (End::BehindError, Some((b'E', error))),
        (End::BehindReady, Some((b'Z', &b"I"[..]))),
    ] {
        if let Some((tag, body)) = message {
            passed.received(tag, body);
        }
        if now == end {
            passed.sent(b'c');
            passed.sent(b'S');
        }
    }
    assert!(!passed.has_ended() && !passed.is_out_of_step());
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    passed
}

#[test]
fn second_response_to_a_failed_copy_is_not_the_drivers() {
    for error in [VIEW, TRIGGER] {
        for end in [End::BeforeError, End::BehindError, End::BehindReady] {
            let mut passed = failed(error, end);
            assert!(passed.is_idle(), "{end:?}");
            let mark = passed.checkpoint();
            assert!(passed.return_state_since(&mark).may_be_answered_twice);
            assert!(!passed.received(b'Z', b"I"), "{end:?}");
            assert!(!passed.return_state_since(&mark).may_be_answered_twice);
            assert!(passed.is_idle() && passed.unanswered_count() == 0);
            statement(&mut passed);
            assert!(passed.received(b'1', b"") && passed.received(b'C', b"SELECT 1\0"));
            assert!(passed.received(b'Z', b"I"), "{end:?}");
            assert!(passed.is_idle() && !passed.is_out_of_step());
        }
    }
}

#[test]
fn second_response_is_not_that_of_a_request_behind_the_copy() {
    for end in [End::BeforeError, End::BehindError, End::BehindReady] {
        let mut passed = failed(VIEW, end);
        // The handler sends another statement.
        statement(&mut passed);
        assert!(!passed.received(b'Z', b"I"), "{end:?}");
        assert!(passed.is_at_work());
        assert!(passed.received(b'2', b"") && passed.received(b'C', b"INSERT 0 1\0"));
        assert!(passed.received(b'Z', b"I"));
        assert!(passed.is_idle() && !passed.is_out_of_step());
    }
}

#[test]
fn copy_that_failed_behind_its_data_is_answered_once() {
    for error in [AT_LINE, COPY_FAILED, FOREIGN_KEY] {
        for end in [End::BeforeError, End::BehindError] {
            let passed = failed(error, end);
            let mark = passed.checkpoint();
            let may_be_answered_twice = passed.return_state_since(&mark).may_be_answered_twice;
            assert_eq!(may_be_answered_twice, error == FOREIGN_KEY);
            // Messages that may come at any time do not begin a response.
            for first in [&[][..], b"N", b"S", b"A", b"1", b"2", b"T", b"3", b"I"] {
                let mut passed = failed(error, end);
                statement(&mut passed);
                assert!(first.iter().all(|tag| passed.received(*tag, b"")));
                assert!(passed.received(b'C', b"SELECT 1\0"));
                assert!(passed.received(b'Z', b"I"));
                assert!(passed.is_idle() && !passed.is_out_of_step());
            }
        }
    }
}

#[test]
fn second_response_is_awaited_in_spite_of_messages_that_may_come_at_any_time() {
    for tag in [b'N', b'S', b'A'] {
        let mut passed = failed(VIEW, End::BehindError);
        assert!(passed.received(tag, b""));
        assert!(!passed.received(b'Z', b"I"));
    }
}

#[test]
fn error_of_the_next_request_is_not_the_second_response() {
    let mut passed = failed(FOREIGN_KEY, End::BehindError);
    statement(&mut passed);
    assert!(passed.received(b'E', VIEW));
    assert!(passed.received(b'Z', b"I"));
    assert!(passed.is_idle() && !passed.is_out_of_step());
}

#[test]
fn lone_sync_behind_a_failed_copy_has_no_certain_response() {
    let mut passed = failed(VIEW, End::BehindError);
    passed.sent(b'S');
    passed.received(b'Z', b"I");
    assert!(passed.is_out_of_step());
    // With the Close of a statement it has.
    for error in [VIEW, FOREIGN_KEY] {
        let mut passed = failed(error, End::BehindError);
        passed.sent(b'C');
        passed.sent(b'S');
        if error == VIEW {
            assert!(!passed.received(b'Z', b"I"));
        }
        passed.received(b'3', b"");
        assert!(passed.received(b'Z', b"I"));
        assert!(!passed.is_out_of_step() && passed.unanswered_count() == 0);
    }
}

#[test]
fn copy_that_fails_when_its_transaction_ends_is_answered_once() {
    let (mut passed, mark) = started();
    for tag in [b'B', b'E', b'S', b'c', b'S'] {
        passed.sent(tag);
        if tag == b'S' && passed.unanswered_count() == 1 {
            passed.received(b'G', b"");
        }
    }
    // The check of a deferred constraint.
    for (tag, body) in [(b'C', &b"COPY 1\0"[..]), (b'E', FOREIGN_KEY), (b'Z', b"I")] {
        assert!(passed.received(tag, body));
    }
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
    statement(&mut passed);
    assert!(passed.received(b'1', b"") && passed.received(b'Z', b"I"));
    assert!(passed.is_idle() && !passed.is_out_of_step());
}

#[test]
fn copy_whose_end_was_sent_ahead_of_its_beginning_counts_as_ended() {
    let (mut passed, _) = started();
    for tag in [b'B', b'E', b'S', b'd', b'c', b'S'] {
        passed.sent(tag);
    }
    passed.received(b'G', b"");
    passed.received(b'E', AT_LINE);
    passed.received(b'Z', b"I");
    assert!(passed.is_idle() && passed.unanswered_count() == 0);
}

#[test]
fn end_of_a_copy_that_failed_before_its_beginning_has_a_response_of_its_own() {
    for end in [b'c', b'f'] {
        let (mut passed, _) = started();
        for tag in [b'B', b'E', b'S', end, b'S'] {
            passed.sent(tag);
        }
        assert!(passed.received(b'E', READ_ONLY) && passed.received(b'Z', b"I"));
        assert!(passed.is_idle());
        assert!(!passed.received(b'Z', b"I"));
        assert!(passed.unanswered_count() == 0 && !passed.is_out_of_step());
    }
}

/// The end of a COPY is written in two parts, with the server's messages between them.
#[test]
fn end_of_a_copy_may_be_written_in_parts() {
    type Between<'a> = &'a [(u8, &'a [u8])];
    let begun: Between<'_> = &[(b'G', b"")];
    let failed: Between<'_> = &[(b'E', VIEW), (b'Z', b"I")];
    for (before, between, behind, swallowed) in [
        (&[][..], begun, &[(b'E', COPY_FAILED), (b'Z', b"I")][..], 0),
        (begun, failed, &[(b'Z', b"I")], 1),
        (&[], failed, &[(b'Z', b"I")], 1),
        (begun, &[(b'E', VIEW)], &[(b'Z', b"I"), (b'Z', b"I")], 1),
    ] {
        let (mut passed, _) = started();
        let mut kept_back = 0;
        let mut receive = |passed: &mut TransactionTracker, messages: Between<'_>| {
            for (tag, body) in messages {
                kept_back += u32::from(!passed.received(*tag, body));
            }
        };
        for tag in [b'B', b'E', b'S'] {
            passed.sent(tag);
        }
        receive(&mut passed, before);
        passed.sent(b'f');
        receive(&mut passed, between);
        passed.sent(b'S');
        receive(&mut passed, behind);
        assert!(passed.is_idle() && passed.unanswered_count() == 0);
        assert_eq!(kept_back, swallowed);
        statement(&mut passed);
        assert!(passed.received(b'1', b"") && passed.received(b'Z', b"I"));
        assert!(passed.is_idle() && !passed.is_out_of_step());
    }
}

/// Two of them at once on one connection, both dropped: all is sent ahead of the responses.
#[test]
fn end_of_a_copy_behind_another_one_belongs_to_its_own() {
    let (mut passed, mark) = started();
    for tag in [b'B', b'E', b'S'] {
        passed.sent(tag);
    }
    passed.received(b'G', b"");
    for tag in [b'f', b'S', b'B', b'E', b'S', b'f', b'S'] {
        passed.sent(tag);
    }
    let responses = [
        (b'E', COPY_FAILED, true),
        (b'Z', b"E", true),
        (b'E', VIEW, true),
        (b'Z', b"E", true),
        (b'Z', b"E", false),
    ];
    for (tag, body, is_drivers) in responses {
        assert_eq!(passed.received(tag, body), is_drivers);
    }
    assert_eq!(passed.unanswered_count(), 0);
    command(&mut passed, "COMMIT", b"I");
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
}

/// A pooler that does not answer the end of a COPY that is over.
#[test]
fn end_of_a_copy_without_a_response_is_forgotten() {
    let mut passed = failed(VIEW, End::BehindReady);
    statement(&mut passed);
    assert!(passed.received(b'1', b"") && passed.received(b'C', b"SELECT 1\0"));
    assert!(passed.received(b'Z', b"I"));
    assert_eq!(passed.unanswered_count(), 0);
}

/// As the SDK sends it to a pooler.
#[test]
fn copy_with_a_single_sync_is_answered_once() {
    for (before, error) in [(&b"G"[..], VIEW), (b"G", FOREIGN_KEY), (b"", READ_ONLY)] {
        for end in [b'c', b'f'] {
            for fails_at in 0..3 {
                let (mut passed, mark) = started();
                for tag in [b'P', b'B', b'E', b'H'] {
                    passed.sent(tag);
                }
                assert!(before.iter().all(|tag| passed.received(*tag, b"")));
                for (now, tag) in [end, b'S'].into_iter().enumerate() {
                    if now == fails_at {
                        assert!(passed.received(b'E', error));
                        assert!(!passed.has_no_copy_to_end());
                    }
                    assert!(!passed.is_idle());
                    assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
                    passed.sent(tag);
                }
                if fails_at == 2 {
                    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
                    assert!(passed.received(b'E', error));
                }
                assert_eq!(passed.outcome_since(&mark), WriteOutcome::NotApplied);
                assert!(passed.received(b'Z', b"I"));
                assert!(passed.is_idle() && passed.unanswered_count() == 0);
                assert!(!passed.return_state_since(&mark).may_be_answered_twice);
                // Even the response to a lone Sync is known.
                passed.sent(b'S');
                assert!(passed.received(b'Z', b"I") && !passed.is_out_of_step());
            }
        }
    }
}

#[test]
fn copy_with_a_single_sync_takes_effect_with_its_response() {
    let (mut passed, mark) = started();
    for tag in [b'P', b'B', b'E', b'H'] {
        passed.sent(tag);
    }
    assert!(passed.received(b'2', b"") && passed.received(b'G', b""));
    let works = passed.work_count();
    for tag in [b'd', b'c', b'S'] {
        passed.sent(tag);
    }
    assert_eq!(passed.work_count(), works + 1);
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::InDoubt);
    assert!(passed.received(b'C', b"COPY 1\0") && passed.received(b'Z', b"I"));
    assert_eq!(passed.outcome_since(&mark), WriteOutcome::Applied);
    assert!(passed.is_idle());
}
