//! Tests of the checks of a database's server.

use std::time::UNIX_EPOCH;

use super::*;
use crate::doctor::server_facts::{InvalidIndex, LongTransaction};
use crate::doctor::tests::{connection, server};
use crate::doctor::verdict::Level::{Error, Warning};

fn levels(verdict: &Verdict) -> Vec<Level> {
    verdict.findings().iter().map(|found| found.level).collect()
}

#[test]
fn follower_and_read_only_database_take_no_writes() {
    for (is_follower, is_read_only, expected) in [
        (Some(false), false, ""),
        (None, false, ""),
        (Some(true), true, "pg:promote"),
        (Some(false), true, "RESET default_transaction_read_only"),
        (
            None,
            true,
            "ALTER DATABASE \"a\"\"b c\" RESET default_transaction_read_only",
        ),
    ] {
        let facts = ConnectionFacts {
            is_read_only,
            database: "a\"b c".to_owned(),
            ..connection()
        };
        let server = is_follower.map(|is_follower| ServerFacts {
            is_follower,
            ..server()
        });
        let verdict = judge_follower(&facts, server.as_ref());
        let advice = verdict.findings().first().map_or("", |found| &found.advice);
        assert_eq!(advice.is_empty(), expected.is_empty(), "{verdict:?}");
        assert!(advice.contains(expected), "{verdict:?}");
    }
}

#[test]
fn local_database_takes_writes_again_when_its_fault_is_ended() {
    let facts = ConnectionFacts {
        is_read_only: true,
        options: " --local".to_owned(),
        ..connection()
    };
    let verdict = judge_follower(&facts, None);
    let advice = &verdict.findings()[0].advice;
    assert!(advice.contains("`stagelink fault clear`"), "{advice}");
    assert!(!advice.contains("ALTER DATABASE"), "{advice}");
}

#[test]
fn connections_are_judged_by_the_limit_that_is_met_first() {
    let limits = |role, database, server_limit, sessions| ServerFacts {
        role_limit: role,
        database_limit: database,
        server_limit,
        role_sessions: sessions,
        database_sessions: sessions,
        server_sessions: sessions,
        ..server()
    };
    for (facts, concurrency, is_pooled, count, word) in [
        (limits(Some(20), None, 97, 3), 20, false, 0, "3 of 20"),
        (limits(Some(20), None, 97, 3), 21, false, 1, "20"),
        (
            limits(Some(20), None, 97, 3),
            1000,
            true,
            0,
            "behind a pooler",
        ),
        (
            limits(Some(20), Some(10), 97, 3),
            10,
            false,
            0,
            "the database",
        ),
        (limits(None, None, 97, 3), 97, false, 0, "the server"),
        (limits(Some(20), None, 97, 16), 1, false, 1, "16 of the 20"),
        (limits(Some(20), None, 97, 16), 21, false, 2, "16 of the 20"),
        (limits(Some(0), None, 97, 0), 0, false, 1, "0 of the 0"),
        // The database's limit is nearer, the role's smaller.
        (
            ServerFacts {
                role_sessions: 1,
                ..limits(Some(20), Some(25), 97, 13)
            },
            22,
            false,
            1,
            "the role may have 20",
        ),
    ] {
        let connection = ConnectionFacts {
            is_pooled,
            ..connection()
        };
        let verdict = judge_connections(&connection, &facts, Some(concurrency));
        assert_eq!(verdict.findings().len(), count, "{verdict:?}");
        assert!(format!("{verdict:?}").contains(word), "{word}: {verdict:?}");
    }
}

#[test]
fn connections_without_a_number_of_instances_are_judged_by_their_use_alone() {
    let facts = |role_sessions| ServerFacts {
        role_limit: Some(20),
        role_sessions,
        ..server()
    };
    let verdict = judge_connections(&connection(), &facts(3), None);
    assert!(
        matches!(&verdict, Verdict::NotChecked(reason) if reason.contains("the local clouds")),
        "{verdict:?}"
    );
    let verdict = judge_connections(&connection(), &facts(16), None);
    assert_eq!(verdict.findings().len(), 1, "{verdict:?}");
    assert!(
        verdict.findings()[0].message.contains("16 of the 20"),
        "{verdict:?}"
    );
}

#[test]
fn version_is_a_warning_half_a_year_before_its_end() {
    let day = |days: u64| UNIX_EPOCH + Duration::from_secs(days * 86_400);
    let today = day(20_784);
    for (version, is_at_heroku, now, expected) in [
        (150_018, true, today, Some("ended on 2026-09-30")),
        (150_018, false, today, None),
        (140_020, false, today, Some("ended on 2026-11-12")),
        (160_010, true, today, None),
        (160_010, true, day(20_784 + 150), Some("ends on 2027-09-30")),
        (90_624, false, today, Some("ended on 2025-11-13")),
    ] {
        let facts = ServerFacts {
            version,
            ..server()
        };
        let verdict = judge_version(&facts, is_at_heroku, now);
        let message = verdict
            .findings()
            .first()
            .map(|found| found.message.as_str());
        match expected {
            None => assert_eq!(message, None),
            Some(part) => assert!(
                message.is_some_and(|text| text.contains(part)),
                "{verdict:?}"
            ),
        }
    }
    let unknown = ServerFacts {
        version: 210_001,
        ..server()
    };
    let verdict = judge_version(&unknown, false, today);
    assert!(matches!(verdict, Verdict::NotChecked(_)), "{verdict:?}");
}

#[test]
fn clock_is_judged_beyond_what_the_answer_leaves_open() {
    for (ahead, unknown, expected) in [
        (0.0, 0, ""),
        (-30.0, 0, ""),
        (31.0, 0, "31 s behind"),
        (-3600.0, 0, "3600 s ahead of"),
        (34.0, 10, ""),
    ] {
        let verdict = judge_offset("the server", ahead, Duration::from_secs(unknown));
        let message = verdict
            .findings()
            .first()
            .map_or("", |found| &found.message);
        assert_eq!(message.is_empty(), expected.is_empty(), "{verdict:?}");
        assert!(message.contains(expected), "{verdict:?}");
    }
}

#[test]
fn transactions_that_cannot_be_seen_are_not_called_sound() {
    let long = |holder| LongTransaction {
        holder,
        lasts: Duration::from_secs(400),
    };
    let session = long(TransactionHolder::Session {
        pid: 7,
        application_name: "psql\nforged".to_owned(),
        state: "idle in transaction".to_owned(),
    });
    let prepared = long(TransactionHolder::Prepared("o'clock\n".to_owned()));
    for (long_transactions, more_transactions, hidden_sessions, expected) in [
        (vec![], 0, 0, &["Sound"][..]),
        (vec![], 0, 2, &["NotChecked"]),
        (
            vec![session.clone()],
            0,
            2,
            &["pg_terminate_backend(7)", "NotChecked(\"2 sessions"],
        ),
        (
            vec![session],
            3,
            0,
            &["3 more long transactions are not shown here"],
        ),
        (vec![prepared], 0, 0, &["ROLLBACK PREPARED 'o''clock"]),
    ] {
        let facts = ServerFacts {
            long_transactions,
            more_transactions,
            hidden_sessions,
            ..server()
        };
        let verdict = format!("{:?}", judge_long_transactions(&facts));
        for expected in expected {
            assert!(verdict.contains(expected), "{verdict}");
        }
        assert!(!verdict.contains('\n'), "{verdict}");
    }
}

#[test]
fn duration_of_a_transaction_is_never_zero_minutes() {
    for (seconds, expected) in [
        (1, "1 second"),
        (59, "59 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (400, "6 minutes"),
    ] {
        assert_eq!(duration(Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn transaction_id_age_grows_from_a_warning_to_an_error() {
    for (age, expected) in [
        (200_000_000, vec![]),
        (300_000_000, vec![]),
        (300_000_001, vec![Warning]),
        (1_600_000_000, vec![Error]),
    ] {
        let facts = ServerFacts {
            transaction_id_age: age,
            freeze_max_age: 200_000_000,
            ..server()
        };
        assert_eq!(
            levels(&judge_transaction_id_age(&connection(), &facts)),
            expected
        );
    }
}

#[test]
fn each_invalid_index_has_its_own_cure() {
    let index = |name: &str| InvalidIndex {
        index: format!("public.{name}"),
        table: "public.notes".to_owned(),
    };
    let facts = ServerFacts {
        invalid_indexes: vec![index("a"), index("b")],
        more_indexes: 11,
        ..server()
    };
    let verdict = judge_invalid_indexes(&facts);
    let advice: Vec<_> = verdict
        .findings()
        .iter()
        .map(|found| &found.advice)
        .collect();
    assert!(advice[0].contains("CONCURRENTLY public.a`"), "{advice:?}");
    assert!(advice[1].contains("CONCURRENTLY public.b`"), "{advice:?}");
    let last = verdict.findings().last().unwrap();
    assert!(last.message.starts_with("11 more invalid indexes"));
}
