//! The checks of a stage's connection: pure.

use std::time::Duration;

use stagelink::{ServerAuth, StageMark};

use crate::doctor::connection_facts::ConnectionFacts;
use crate::doctor::server_facts::ServerFacts;
use crate::doctor::verdict::Verdict;

pub(super) fn judge_mark(facts: &ConnectionFacts) -> Verdict {
    let ConnectionFacts {
        stage,
        database,
        origin,
        options,
        mark,
        ..
    } = facts;
    match mark {
        StageMark::Of(own) if own == stage => Verdict::sound(format_args!("stage {stage}")),
        StageMark::None => Verdict::warning(
            format_args!(
                "database {database} has no stage mark, so nothing shows that it belongs to stage \
                 {stage}"
            ),
            format_args!("run `stagelink mark set --stage {stage}{options}`"),
        ),
        other => Verdict::error(
            format_args!(
                "database {database} is marked as stage {other}'s, and functions of stage {stage} \
                 refuse it"
            ),
            format_args!(
                "correct {origin}; if the mark is wrong, as after a copy, run `stagelink mark set \
                 --stage {stage} --replace{options}`"
            ),
        ),
    }
}

pub(super) fn judge_server_auth(facts: &ConnectionFacts) -> Verdict {
    let auth = facts.server_auth;
    match auth {
        ServerAuth::Unauthenticated => Verdict::error(
            format_args!(
                "server {} is not authenticated, since STAGELINK_DANGER_UNAUTHENTICATED permits it",
                facts.server
            ),
            "unset STAGELINK_DANGER_UNAUTHENTICATED; where the server then fails, set \
             STAGELINK_SERVER_PIN or STAGELINK_ROOT_CERTIFICATES",
        ),
        _ => Verdict::sound(format_args!("TLS; the server is proved by {auth}")),
    }
}

/// Judges a URL that other programs use, too. The SDK authenticates the server whatever the mode.
pub(super) fn judge_sslmode(facts: &ConnectionFacts) -> Verdict {
    if facts.url_authenticates {
        return Verdict::sound("the URL makes each client authenticate the server");
    }
    if !facts.owns_url {
        return Verdict::sound(
            "the provider writes the URL, and stagelink authenticates the server",
        );
    }
    let stronger = match facts.server_auth {
        ServerAuth::ChannelBinding => "channel_binding=require",
        ServerAuth::Certificate => "sslmode=verify-full",
        _ => return Verdict::sound("no stronger mode is known to hold"),
    };
    Verdict::warning(
        format_args!(
            "the URL of {} asks for encryption alone, so other programs with it, such as psql, \
             accept any server",
            facts.origin
        ),
        format_args!("add {stronger} to it, which the server has just passed"),
    )
}

pub(super) fn judge_pooler(facts: &ConnectionFacts) -> Verdict {
    let origin = &facts.origin;
    match (facts.is_pooled, facts.has_direct) {
        (false, _) => Verdict::sound("none"),
        (true, true) => Verdict::sound(format_args!("{origin}, beside the database itself")),
        (true, false) => Verdict::warning(
            format_args!(
                "{origin} leads to a transaction pooler, through which migrations do not run, and \
                 the database itself is not known"
            ),
            "use the URL of the database itself: on Heroku DATABASE_URL beside \
             DATABASE_CONNECTION_POOL_URL, on Neon the host without -pooler; or set \
             STAGELINK_POOLER=never if each client has a session of its own",
        ),
    }
}

/// Judges the time of a query, and names a round trip that could be saved. `server` is `None` where
/// nothing was asked: then the time of the TCP connection counts, which a proxy may hide.
pub(super) fn judge_round_trips(facts: &ConnectionFacts, server: Option<&ServerFacts>) -> Verdict {
    let time = server.map_or(facts.round_trip, |server| server.statement_in);
    let (round_trip, opened_in) = (millis(time), millis(facts.opened_in));
    let saved = match facts.could_use_direct_tls {
        true => "; STAGELINK_DIRECT_TLS=true saves a round trip of each start",
        false => "",
    };
    let seen = format!(
        "{round_trip} ms to server {} and back from here, {opened_in} ms to a session{saved}",
        facts.server
    );
    match time > SLOW_ROUND_TRIP {
        false => Verdict::sound(seen),
        true => Verdict::warning(
            seen,
            "run the functions, and what else queries it, in the region of the database: each \
             query costs one round trip, a cold start six",
        ),
    }
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis < 10.0 {
        true => format!("{millis:.1}"),
        false => format!("{millis:.0}"),
    }
}

const SLOW_ROUND_TRIP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{connection, server};
    use crate::doctor::verdict::Level::{self, Error, Warning};

    use stagelink::Stage;

    /// The level of a check's only finding, and a word of its advice; `None` where all is sound.
    fn assert_level(verdict: &Verdict, expected: Option<(Level, &str)>) {
        let found = verdict.findings().first();
        match (found, expected) {
            (None, None) => assert!(matches!(verdict, Verdict::Sound(_)), "{verdict:?}"),
            (Some(found), Some((level, word))) => {
                assert_eq!(found.level, level, "{verdict:?}");
                assert!(found.advice.contains(word), "{verdict:?}");
            }
            _ => panic!("{verdict:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn mark_is_that_of_the_stage() {
        for (mark, expected) in [
            (StageMark::Of(Stage::STAGING), None),
            (
                StageMark::None,
                Some((Warning, "`stagelink mark set --stage staging --local`")),
            ),
            (
                StageMark::Of(Stage::PRODUCTION),
                Some((Error, "--replace --local")),
            ),
            (
                StageMark::Unknown("qa".to_owned()),
                Some((Error, "--replace")),
            ),
        ] {
            let facts = ConnectionFacts {
                mark,
                options: " --local".to_owned(),
                ..connection()
            };
            assert_level(&judge_mark(&facts), expected);
        }
    }

    #[test]
    fn sslmode_is_judged_where_the_project_owns_the_url() {
        for (owns_url, url_authenticates, server_auth, expected) in [
            (
                true,
                false,
                ServerAuth::ChannelBinding,
                Some("channel_binding=require"),
            ),
            (
                true,
                false,
                ServerAuth::Certificate,
                Some("sslmode=verify-full"),
            ),
            (true, false, ServerAuth::Pin, None),
            (true, true, ServerAuth::Certificate, None),
            (false, false, ServerAuth::ChannelBinding, None),
        ] {
            let facts = ConnectionFacts {
                owns_url,
                url_authenticates,
                server_auth,
                ..connection()
            };
            let expected = expected.map(|word| (Warning, word));
            assert_level(&judge_sslmode(&facts), expected);
        }
    }

    #[test]
    fn server_without_proof_is_an_error() {
        for (server_auth, expected) in [
            (ServerAuth::ChannelBinding, None),
            (ServerAuth::Certificate, None),
            (ServerAuth::Pin, None),
            (
                ServerAuth::Unauthenticated,
                Some((Error, "unset STAGELINK_DANGER_UNAUTHENTICATED")),
            ),
        ] {
            let facts = ConnectionFacts {
                server_auth,
                ..connection()
            };
            assert_level(&judge_server_auth(&facts), expected);
        }
    }

    #[test]
    fn pooler_needs_the_database_beside_it() {
        for (is_pooled, has_direct, expected) in [
            (false, false, None),
            (true, true, None),
            (true, false, Some((Warning, "STAGELINK_POOLER=never"))),
        ] {
            let facts = ConnectionFacts {
                is_pooled,
                has_direct,
                ..connection()
            };
            assert_level(&judge_pooler(&facts), expected);
        }
    }

    #[test]
    fn distance_is_a_warning_from_a_tenth_of_a_second() {
        for (millis, expected) in [
            (0, None),
            (100, None),
            (101, Some((Warning, "in the region of the database"))),
        ] {
            let (connection, time) = (connection(), Duration::from_millis(millis));
            let asked = ServerFacts {
                statement_in: time,
                ..server()
            };
            assert_level(&judge_round_trips(&connection, Some(&asked)), expected);
            let facts = ConnectionFacts {
                round_trip: time,
                ..connection
            };
            assert_level(&judge_round_trips(&facts, None), expected);
        }
        let facts = ConnectionFacts {
            could_use_direct_tls: true,
            ..connection()
        };
        let Verdict::Sound(seen) = judge_round_trips(&facts, None) else {
            panic!("a finding");
        };
        assert!(seen.contains("STAGELINK_DIRECT_TLS=true"), "{seen}");
    }
}
