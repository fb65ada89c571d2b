//! The state machine, step by step, with a clock of the tests' own.

use super::*;

/// A health, and the time at which the next event happens.
struct Timeline {
    health: Health,
    now: Now,
}

impl Timeline {
    /// Credentials of generation 1, from the deploy.
    fn new() -> Self {
        let mut timeline = Self {
            health: Health::default(),
            now: Now::read(),
        };
        timeline.observe(Event::Restarted { generation: 1 });
        timeline
    }

    fn observe(&mut self, event: Event) -> Action {
        self.health.observe(event, self.now)
    }

    /// Observes each event so many seconds after the one before, and compares the action.
    fn check(&mut self, steps: &[(u64, Event, Action)]) {
        for (number, (seconds, event, action)) in steps.iter().enumerate() {
            self.pass(*seconds);
            assert_eq!(self.observe(*event), *action, "step {number}: {event:?}");
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Asks the provider if that is allowed, and takes its answer. Returns whether it was.
    fn ask(&mut self, reason: Reason, answer: Answer) -> bool {
        let may_ask = self.health.may_ask(reason, self.now);
        if may_ask {
            self.observe(Event::ProviderAsked { reason });
            let random = 0.5;
            self.observe(Event::ProviderAnswered {
                reason,
                answer,
                random,
            });
        }
        may_ask
    }

    /// The number of provider requests that are allowed within a minute, one each second.
    fn requests_in_a_minute(&mut self, reason: Reason, answer: Answer) -> usize {
        let mut count = 0;
        for _ in 0..60 {
            count += usize::from(self.ask(reason, answer));
            self.pass(1);
        }
        count
    }
}

const fn failed(meaning: Meaning) -> Event {
    Event::ConnectFailed {
        generation: 1,
        meaning,
    }
}

fn ended(meaning: Meaning) -> Event {
    Event::Ended {
        generation: 1,
        meaning,
    }
}

const OPENED: Event = Event::Opened { generation: 1 };
const WANTED: Event = Event::ConnectionWanted { generation: 1 };
const LENT: Event = Event::Lent { generation: 1 };
const READ_ONLY: Event = Event::ReadOnly { generation: 1 };
const NEAR_LIMIT: Event = Event::NearLimit { generation: 1 };
const ASK: Action = Action::AskProvider(Reason::Unreachable);
const FULL: Event = failed(Crowded);

use Action::{CloseIdle, Proceed};
use Meaning::{Crowded, Final, Limited, Moved, Passing, Refused, Silent, Suspect, Unknown};

#[test]
fn refused_password_is_stale_at_once() {
    for stale in [Refused, Unknown, Moved] {
        Timeline::new().check(&[(0, OPENED, Proceed), (0, failed(stale), ASK)]);
    }
}

#[test]
fn full_server_is_never_stale() {
    Timeline::new().check(&[(0, FULL, Proceed), (60, FULL, Proceed), (60, FULL, Proceed)]);
}

#[test]
fn server_that_went_away_is_stale_if_the_next_attempt_fails_too() {
    let lost = failed(Suspect);
    let silent = failed(Silent);
    for (first, next) in [
        (lost, lost),
        (ended(Suspect), lost),
        (lost, silent),
        (ended(Suspect), silent),
    ] {
        Timeline::new().check(&[(0, first, Proceed), (0, next, ASK)]);
        // A connection that opens between clears the suspicion.
        Timeline::new().check(&[
            (0, first, Proceed),
            (0, OPENED, Proceed),
            (0, next, Proceed),
        ]);
    }
    // The server ended the session for its idleness: that says nothing.
    Timeline::new().check(&[(0, ended(Passing), Proceed), (0, lost, Proceed)]);
}

#[test]
fn server_that_is_silent_for_thirty_seconds_is_stale() {
    let silent = failed(Silent);
    Timeline::new().check(&[
        (0, silent, Proceed),
        (29, silent, Proceed),
        (1, silent, ASK),
        (0, OPENED, Proceed),
        (0, silent, Proceed),
        (29, silent, Proceed),
    ]);
}

#[test]
fn wait_for_a_free_connection_is_no_silence() {
    for meaning in [Final, Limited, Passing] {
        let waited = failed(meaning);
        Timeline::new().check(&[(0, waited, Proceed), (60, waited, Proceed)]);
    }
}

#[test]
fn read_only_database_asks_once_for_each_refused_write() {
    let ask = Action::AskProvider(Reason::ReadOnly);
    Timeline::new().check(&[
        (0, WANTED, Proceed),
        (0, READ_ONLY, Proceed),
        (0, READ_ONLY, Proceed),
        (0, WANTED, ask),
        (0, WANTED, Proceed),
    ]);
}

#[test]
fn old_connections_prove_nothing_about_new_credentials() {
    let mut timeline = Timeline::new();
    let refused = failed(Refused);
    timeline.observe(refused);
    timeline.ask(Reason::Unreachable, Answer::New { generation: 2 });
    timeline.check(&[
        (0, ended(Suspect), Proceed),
        (0, READ_ONLY, Proceed),
        (0, NEAR_LIMIT, Proceed),
        (0, Event::ConnectionWanted { generation: 2 }, Proceed),
        (0, Event::InvocationEnded, Proceed),
        // The pool asks, and finds that the new ones are there.
        (0, refused, ASK),
        (0, failed(Suspect), ASK),
        (0, failed(Silent), ASK),
        (0, FULL, Proceed),
        (0, failed(Final), Proceed),
    ]);
    let lost = Event::ConnectFailed {
        generation: 2,
        meaning: Suspect,
    };
    timeline.check(&[(0, lost, Proceed), (0, lost, ASK)]);
}

#[test]
fn provider_is_asked_eight_times_a_minute_at_most() {
    for answer in [
        Answer::Same,
        Answer::New { generation: 2 },
        Answer::Failed { retry_after: None },
    ] {
        let mut timeline = Timeline::new();
        // Twice at once, then after 1, 2, 4, 8, 16 and 32 seconds, but eight times a minute.
        let count = timeline.requests_in_a_minute(Reason::Unreachable, answer);
        assert_eq!(count, 8, "{answer:?}");
    }
}

#[test]
fn provider_is_asked_eight_times_a_minute_even_if_it_helps_each_time() {
    let mut timeline = Timeline::new();
    let mut count = 0;
    for generation in 2..62 {
        let asked = timeline.ask(Reason::Unreachable, Answer::New { generation });
        timeline.observe(Event::Lent { generation });
        count += usize::from(asked);
        timeline.pass(1);
    }
    assert_eq!(count, 8);
}

#[test]
fn provider_that_says_when_to_come_back_is_left_alone_until_then() {
    let mut timeline = Timeline::new();
    let retry_after = Some(Duration::from_secs(17));
    assert!(timeline.ask(Reason::Unreachable, Answer::Failed { retry_after }));
    timeline.pass(16);
    assert!(!timeline.health.may_ask(Reason::Unreachable, timeline.now));
    timeline.pass(1);
    assert!(timeline.health.may_ask(Reason::Unreachable, timeline.now));
}

#[test]
fn lent_connection_ends_the_wait_for_the_provider_if_it_was_unreachable() {
    for (reason, may_ask) in [(Reason::Unreachable, true), (Reason::ReadOnly, false)] {
        let mut timeline = Timeline::new();
        for _ in 0..3 {
            assert!(timeline.ask(reason, Answer::Same));
        }
        assert!(!timeline.health.may_ask(reason, timeline.now));
        timeline.observe(LENT);
        assert_eq!(timeline.health.may_ask(reason, timeline.now), may_ask);
    }
}

#[test]
fn questions_for_want_of_a_connection_and_for_want_of_writes_are_counted_apart() {
    let mut timeline = Timeline::new();
    for _ in 0..3 {
        assert!(timeline.ask(Reason::ReadOnly, Answer::Same));
    }
    assert!(!timeline.health.may_ask(Reason::ReadOnly, timeline.now));
    assert!(timeline.health.may_ask(Reason::Unreachable, timeline.now));
}

#[test]
fn work_fails_since_the_beginning_of_the_trouble_until_it_succeeds() {
    let mut timeline = Timeline::new();
    let began = timeline.now.monotonic;
    let refused = Meaning::ReadOnly;
    timeline.observe(Event::WorkFailed { meaning: Suspect });
    timeline.observe(Event::WorkFailed { meaning: refused });
    timeline.pass(9);
    timeline.observe(Event::WorkFailed { meaning: Suspect });
    timeline.observe(Event::WorkFailed { meaning: refused });
    assert_eq!(timeline.health.failing_since(Suspect), Some(began));
    assert_eq!(timeline.health.failing_since(refused), Some(began));
    // A read proves nothing about writes.
    timeline.observe(Event::ReadSucceeded);
    assert_eq!(timeline.health.failing_since(Suspect), None);
    assert_eq!(timeline.health.failing_since(refused), Some(began));
    timeline.observe(Event::WriteSucceeded);
    assert_eq!(timeline.health.failing_since(refused), None);
}

#[test]
fn instance_near_the_limit_keeps_no_idle_connection_for_thirty_seconds() {
    let end = Event::InvocationEnded;
    for crowding in [NEAR_LIMIT, FULL, ended(Crowded)] {
        Timeline::new().check(&[
            (0, end, Proceed),
            (0, crowding, Proceed),
            (0, end, CloseIdle),
            (29, end, CloseIdle),
            (1, end, Proceed),
            (0, end, Proceed),
        ]);
    }
    // The time counts from the end of the invocation in which the limit was near.
    Timeline::new().check(&[(0, NEAR_LIMIT, Proceed), (60, end, CloseIdle)]);
}

#[test]
fn request_that_still_has_the_old_credentials_does_not_ask_for_the_new_ones() {
    let mut timeline = Timeline::new();
    timeline.ask(Reason::Unreachable, Answer::New { generation: 2 });
    let wanted = Event::ConnectionWanted { generation: 2 };
    timeline.check(&[
        (0, Event::ReadOnly { generation: 2 }, Proceed),
        (0, WANTED, Proceed),
        (0, wanted, Action::AskProvider(Reason::ReadOnly)),
    ]);
}

/// The events of a request that succeeds.
const ROUTINE: [Event; 6] = [
    WANTED,
    OPENED,
    LENT,
    Event::ReadSucceeded,
    Event::WriteSucceeded,
    Event::InvocationEnded,
];

#[test]
fn healthy_database_has_no_concerns_that_a_routine_event_would_settle() {
    for event in ROUTINE {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.health.concerns(), Concerns::default());
        assert!(event.settles().is_some(), "{event:?}");
        let before = format!("{:?}", timeline.health);
        assert_eq!(timeline.observe(event), Proceed, "{event:?}");
        assert_eq!(format!("{:?}", timeline.health), before, "{event:?}");
    }
}

#[test]
fn event_that_settles_no_open_concern_changes_nothing() {
    let asked = Event::ProviderAnswered {
        reason: Reason::Unreachable,
        answer: Answer::Same,
        random: 0.5,
    };
    let refused = Meaning::ReadOnly;
    let write_refused = Event::WriteRefused {
        generation: 1,
        session_opened_at: SuspendAwareInstant::now(),
        random: 0.5,
    };
    let troubles = [
        write_refused,
        ended(Suspect),
        failed(Silent),
        READ_ONLY,
        NEAR_LIMIT,
        FULL,
        Event::WorkFailed { meaning: Suspect },
        Event::WorkFailed { meaning: refused },
        asked,
    ];
    for first in troubles {
        assert_eq!(first.settles(), None, "{first:?}");
        for second in troubles {
            for event in ROUTINE {
                let mut timeline = Timeline::new();
                timeline.observe(first);
                timeline.observe(second);
                let open = timeline.health.concerns();
                let is_settled = event.settles().is_some_and(|some| some.intersects(open));
                let before = format!("{:?}", timeline.health);
                let action = timeline.observe(event);
                let is_the_same = format!("{:?}", timeline.health) == before;
                assert!(
                    is_settled || (is_the_same && action == Proceed),
                    "{event:?} after {first:?}, {second:?}"
                );
            }
        }
        let mut timeline = Timeline::new();
        timeline.observe(first);
        assert_ne!(timeline.health.concerns(), Concerns::default(), "{first:?}");
    }
}

#[test]
fn session_that_refused_a_write_is_closed_and_the_next_one_only_after_a_pause() {
    let mut timeline = Timeline::new();
    let session_opened_at = timeline.now.suspend_aware;
    let refused = |session_opened_at| Event::WriteRefused {
        generation: 1,
        session_opened_at,
        random: 0.5,
    };
    timeline.pass(5);
    let old = refused(session_opened_at);
    timeline.check(&[
        (0, old, Action::CloseSession),
        (0, old, Action::CloseSession),
    ]);
    let next = refused(timeline.now.suspend_aware);
    timeline.check(&[(0, next, Proceed), (1, next, Action::CloseSession)]);
    let ask = Action::AskProvider(Reason::ReadOnly);
    timeline.check(&[(0, WANTED, ask)]);
}

/// Each meaning has one reaction, so that none of them both asks the provider and makes room.
#[test]
fn no_meaning_is_both_stale_and_crowding() {
    for meaning in Meaning::ALL {
        let mut timeline = Timeline::new();
        let asks = timeline.observe(failed(meaning)) == ASK;
        let makes_room = timeline.observe(Event::InvocationEnded) == CloseIdle;
        assert!(!(asks && makes_room), "{meaning:?}");
        assert_eq!(asks, meaning.is_stale(), "{meaning:?}");
        assert_eq!(makes_room, meaning.is_crowding(), "{meaning:?}");
    }
}
