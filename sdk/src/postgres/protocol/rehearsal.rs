//! A connection of arbitrary bytes past a tap, for the fuzzer.

use super::frames::Frames;
use super::outcome::{TransactionTracker, WriteOutcome};

/// Runs arbitrary bytes in both directions past a tap, whole and byte by byte. The input is a list
/// of pieces: a byte whose highest bit says that the server sends and whose others are the length,
/// and the bytes.
///
/// # Panics
///
/// When the outcome depends on how the network splits the bytes, or when what took effect is told
/// as undone later.
pub(crate) fn rehearse_tap(input: &[u8]) {
    let (Some(whole), Some(split)) = (outcomes(input, usize::MAX), outcomes(input, 1)) else {
        return;
    };
    assert_eq!(
        whole, split,
        "the outcome depends on how the bytes are split"
    );
    let applied = whole.iter().position(|one| *one == WriteOutcome::Applied);
    if let Some(first) = applied {
        let mut later = whole[first..].iter();
        assert!(
            later.all(|one| *one == WriteOutcome::Applied),
            "what took effect is told as undone"
        );
    }
}

/// Returns the outcome after each piece and after the end of the connection; `None` where the
/// driver could not follow the server.
fn outcomes(mut input: &[u8], at_a_time: usize) -> Option<Vec<WriteOutcome>> {
    let mut tracker = TransactionTracker::default();
    let (mut sent, mut received) = (Frames::from_frontend(), Frames::from_backend());
    let start = tracker.checkpoint();
    let mut outcomes = Vec::new();
    while let Some((head, rest)) = input.split_first() {
        let (piece, rest) = rest.split_at(usize::from(head & 0x7f).min(rest.len()));
        input = rest;
        for part in piece.chunks(at_a_time) {
            if head & 0x80 == 0 {
                sent.feed(part, |tag, _| tracker.sent(tag));
                tracker.record_write(!sent.is_between_messages());
            } else {
                received.feed(part, |tag, body| {
                    tracker.received(tag, body);
                });
                tracker.take_statement_loss();
            }
            if tracker.is_out_of_step() {
                return None;
            }
        }
        outcomes.push(tracker.outcome_since(&start));
    }
    tracker.end();
    outcomes.push(tracker.outcome_since(&start));
    Some(outcomes)
}
