//! The proof that a deploy's function runs the artifact for its stage: what a self-check's report has
//! to say, and the attempts until it does.

use std::time::Duration;

use stagelink::Stage;
use stagelink::self_check::SelfCheckReport;
use tokio::time::{Instant, sleep, timeout_at};

use crate::artifact::FunctionContent;
use crate::error::Error;

/// The reason why an attempt proves nothing, as the end of a sentence about the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unproved {
    /// Another attempt may prove it.
    Passing(String),
    /// No other attempt will.
    Final(String),
}

/// Judges whether a report proves that the artifact's program serves the stage with the stage's
/// database.
pub(crate) fn judge(
    report: &SelfCheckReport,
    stage: Stage,
    entry: &FunctionContent,
) -> Result<(), Unproved> {
    if report.stage != Some(stage) {
        let other = report.stage.map(|stage| stage.to_string());
        let other = other.as_deref().unwrap_or("no stage");
        return Err(Unproved::Final(format!("serves {other}, and not {stage}")));
    }
    if report.program.as_deref() != Some(&*entry.program) {
        let reason = "runs another program than the artifact's".to_owned();
        return Err(Unproved::Final(reason));
    }
    if let Some(mark) = report.mark.filter(|mark| *mark != stage) {
        return Err(Unproved::Final(format!(
            "reached a database that is marked as {mark}'s, and not as {stage}'s"
        )));
    }
    if report.is_database_ok() {
        return Ok(());
    }
    let kind = &*report.database;
    let why = match kind {
        "provider-refused" => "the service that knows it refuses the token of the deploy",
        "database-refused" => "it refuses the password of the deploy",
        UNREACHABLE => "no server answers at the address that the deploy has",
        _ => "its log says why",
    };
    let reason = format!("cannot use the database of stage {stage} ({kind}): {why}");
    Err(match report.is_retryable {
        true => Unproved::Passing(reason),
        false => Unproved::Final(reason),
    })
}

/// Returns what to do about a test that failed for the credentials of a new deploy, which are those of the
/// site's variables.
pub(crate) fn advice(error: &Error) -> Option<String> {
    // Each function has a part of its own.
    let texts: Vec<_> = error.details().chain([error.report()]).collect();
    let is_for = |kind: &str| {
        let kind = format!("({kind})");
        texts.iter().any(|text| text.contains(&kind))
    };
    let what = match () {
        () if is_for("database-refused") => "credentials (STAGELINK_CREDENTIALS)",
        () if is_for("provider-refused") => "token",
        () if is_for(UNREACHABLE) => {
            return Some(
                "the deploy has the address of the site's variables (STAGELINK_CREDENTIALS), which may be older than \
                 a move of the database, such as a failover: set the address of now by `stagelink link`, and run the \
                 command again"
                    .to_owned(),
            );
        }
        () => return None,
    };
    Some(format!(
        "the deploy has the {what} of the site's variables, which are older than a rotation: set those of now by \
         `stagelink link`, and run the command again"
    ))
}

/// The pauses between attempts: each is twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

/// Tries again until an attempt proves it, none ever will, or the time is over. An attempt that is under
/// way then has [`LAST_ATTEMPT`] to end, however many are tried one after the other.
///
/// # Errors
///
/// The reason of the last attempt.
pub(crate) async fn until_proved<F: Future<Output = Result<(), Unproved>>>(
    ends: Instant,
    pauses: Pauses,
    attempt: impl Fn() -> F,
) -> Result<(), String> {
    let mut pause = pauses.first;
    loop {
        let reason = match timeout_at(ends + LAST_ATTEMPT, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Unproved::Final(reason))) => return Err(reason),
            Ok(Err(Unproved::Passing(reason))) => reason,
            Err(_) => return Err("was not answered before the test's time was over".to_owned()),
        };
        if Instant::now() + pause >= ends {
            return Err(reason);
        }
        sleep(pause).await;
        pause = (pause * 2).min(pauses.longest);
    }
}

const UNREACHABLE: &str = "database-unreachable";

/// The time for an attempt that began before the end of a test.
const LAST_ATTEMPT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;
    use stagelink::ErrorKind;
    use stagelink::self_check::SelfCheckInvocation;

    use super::*;

    fn report() -> SelfCheckReport {
        let invocation = SelfCheckInvocation::new(Stage::PRODUCTION, "n0nce");
        let mut report = SelfCheckReport::answering_invocation(&invocation, "guestbook");
        report.stage = Some(Stage::PRODUCTION);
        report.program = Some("ab".repeat(32));
        report.set_database_ok();
        report
    }

    fn judged(report: &SelfCheckReport) -> Result<(), Unproved> {
        let entry = json!({
            "program": "ab".repeat(32), "archive": "cd".repeat(32), "migrations": null,
            "schedule": null, "background": false, "settings": {},
        });
        let entry: FunctionContent = serde_json::from_value(entry).unwrap();
        judge(report, Stage::PRODUCTION, &entry)
    }

    #[track_caller]
    fn assert_final(report: &SelfCheckReport, part: &str) {
        match judged(report) {
            Err(Unproved::Final(reason)) if reason.contains(part) => {}
            other => panic!("{other:?} is not final with {part:?}"),
        }
    }

    #[test]
    fn report_of_the_program_the_stage_and_its_database_is_a_proof() {
        assert_eq!(judged(&report()), Ok(()));
        let mut marked = report();
        marked.mark = Some(Stage::PRODUCTION);
        assert_eq!(judged(&marked), Ok(()));
    }

    #[test]
    fn report_of_another_stage_program_or_database_is_final() {
        let mut other = report();
        other.stage = Some(Stage::STAGING);
        assert_final(&other, "serves staging, and not production");
        other.stage = None;
        assert_final(&other, "serves no stage");
        let mut other = report();
        other.program = None;
        assert_final(&other, "another program");
        let mut other = report();
        other.mark = Some(Stage::STAGING);
        // The mark is why, whatever else the report says.
        other.set_database_failure(ErrorKind::WrongDatabase, false);
        assert_final(&other, "marked as staging's");
    }

    #[test]
    fn credentials_of_before_a_rotation_or_a_move_are_set_anew_by_link() {
        let failed = |kind: &str| {
            let reason = format!("the function guestbook cannot use the database ({kind})");
            let error = Error::new(
                crate::error::ErrorKind::Promotion,
                "it does not pass its test",
            );
            advice(&error.with_details(vec![reason]))
        };
        for kind in ["database-refused", "provider-refused", UNREACHABLE] {
            assert!(
                failed(kind).is_some_and(|text| text.contains("`stagelink link`")),
                "{kind}"
            );
        }
        assert_eq!(failed("timeout-query"), None);
    }

    #[test]
    fn failure_of_the_database_that_may_pass_is_tried_again() {
        let mut crowded = report();
        crowded.set_database_failure(ErrorKind::TooManyConnections, true);
        assert!(matches!(judged(&crowded), Err(Unproved::Passing(_))));
        let mut refused = report();
        refused.set_database_failure(ErrorKind::DatabaseRefused, false);
        assert_final(
            &refused,
            "(database-refused): it refuses the password of the deploy",
        );
        refused.set_database_failure(ErrorKind::ProviderRefused, false);
        assert_final(
            &refused,
            "(provider-refused): the service that knows it refuses the token",
        );
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_without_an_answer_end_soon_after_the_time_is_over() {
        let pauses = Pauses {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(2),
        };
        let begun = Instant::now();
        let ends = begun + Duration::from_secs(6);
        // A deploy of twenty functions, none of which answers.
        for _ in 0..20 {
            let hangs = || std::future::pending::<Result<(), Unproved>>();
            let reason = until_proved(ends, pauses, hangs).await.unwrap_err();
            assert!(reason.contains("was not answered"), "{reason}");
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(6) + LAST_ATTEMPT);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_a_proof_a_final_reason_or_the_time() {
        let run = async |outcomes: Vec<Result<(), Unproved>>| {
            let count = Cell::new(0);
            let attempt = || {
                let outcome = outcomes[count.get().min(outcomes.len() - 1)].clone();
                count.set(count.get() + 1);
                std::future::ready(outcome)
            };
            let pauses = Pauses {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(2),
            };
            let ends = Instant::now() + Duration::from_secs(6);
            (until_proved(ends, pauses, attempt).await, count.get())
        };
        let passing = || Err(Unproved::Passing("is not there".to_owned()));
        let end = || Err(Unproved::Final("is another".to_owned()));
        assert_eq!(run(vec![passing(), Ok(())]).await, (Ok(()), 2));
        assert_eq!(
            run(vec![passing(), end()]).await,
            (Err("is another".to_owned()), 2)
        );
        // At 0, 1, 3 and 5 seconds.
        assert_eq!(
            run(vec![passing()]).await,
            (Err("is not there".to_owned()), 4)
        );
    }
}
