//! COPY from the client that fails: how often the server answers it.

use super::*;

const VIEW: &[u8] = b"SERROR\0VERROR\0C42809\0Mcannot copy to view \"v\"\0RCopyFrom\0\0";
const TRIGGER: &[u8] = b"SERROR\0VERROR\0CP0001\0Mno\0WCOPY other, line 1\nPL/pgSQL function f() line 1 at RAISE\0Rexec_stmt_raise\0\0";
const AT_LINE: &[u8] =
    b"SERROR\0VERROR\0C22P02\0Mwrong\0WPL/pgSQL function f() line 1\nCOPY t, line 2, column a\0Renum_in\0\0";

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
fn copy_that_may_be_answered_twice_is_given_up_at_the_first_response() {
    for error in [VIEW, TRIGGER] {
        for end in [End::BeforeError, End::BehindError, End::BehindReady] {
            let mut passed = failed(error, end);
            assert!(passed.is_given_up(), "{end:?}");
            let mark = passed.checkpoint();
            assert!(passed.return_state_since(&mark).is_given_up);
            passed.received(b'Z', b"I");
            assert!(passed.is_out_of_step(), "{end:?}");
        }
    }
    // Without an end of the data behind it, ReadyForQuery answers the Sync ahead of them.
    assert!(failed(AT_LINE, End::BehindReady).is_given_up());
}

#[test]
fn copy_that_failed_at_a_line_is_answered_once() {
    for end in [End::BeforeError, End::BehindError] {
        let mut passed = failed(AT_LINE, end);
        assert!(!passed.is_given_up() && passed.is_idle(), "{end:?}");
        statement(&mut passed);
        passed.received(b'C', b"SELECT 1\0");
        passed.received(b'Z', b"I");
        assert!(passed.is_idle() && !passed.is_out_of_step());
    }
}

#[test]
fn given_up_connection_takes_no_other_response() {
    let mut passed = failed(VIEW, End::BeforeError);
    // The handler sends another statement.
    statement(&mut passed);
    passed.received(b'Z', b"I");
    assert!(passed.is_out_of_step());
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
    assert!(!passed.is_given_up() && passed.is_idle());
}
