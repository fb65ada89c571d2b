//! Tests of the judgement and of the tables.

use super::*;

/// The time of a fault that each request meets.
fn lasted() -> (Instant, Instant) {
    let now = Instant::now();
    (now, now + Duration::from_secs(60))
}

fn report_of(cases: Vec<CaseReport>, stopped_by: Option<Signal>) -> Report {
    let mut progress = Progress {
        stage: "staging".to_owned(),
        reports: cases,
        ..Progress::default()
    };
    Report::new(Duration::from_secs(1), &mut progress, stopped_by)
}

fn write(id: &str, answer: Answer) -> Outcome {
    Outcome {
        id: Some(id.to_owned()),
        sent: Instant::now(),
        took: Duration::from_millis(5),
        answer,
    }
}

fn report(counted: &[(&str, usize)], again: &[(&str, bool)]) -> CaseReport {
    let case = &Case::named(&["stall".to_owned()]).unwrap()[0];
    let lasted = lasted();
    let outcomes = [
        write("a", Ok(201)),
        write("b", Ok(503)),
        write("c", Err("reset".to_owned())),
        Outcome {
            id: None,
            ..write("", Ok(200))
        },
    ];
    let counted = counted.iter().map(|(id, times)| ((*id).to_owned(), *times));
    let again = again.iter().map(|(id, done)| ((*id).to_owned(), *done));
    let (counted, again) = (counted.collect(), again.collect());
    CaseReport::new(case, &outcomes, lasted, &again, Some(Ok(counted)))
}

#[test]
fn writes_that_failed_are_in_doubt_until_they_succeed_with_their_key() {
    let judged = report(&[("a", 1), ("c", 1)], &[]);
    assert!(judged.is_as_expected(), "{judged:?}");
    let expected = KeptWrites {
        once: 1,
        in_doubt: 2,
        in_doubt_stored: 1,
        ..KeptWrites::default()
    };
    assert_eq!(judged.kept, Some(expected));
    assert_eq!((judged.writes.failed, judged.reads.failed), (2, 0));
    let judged = report(&[("a", 1), ("b", 1), ("c", 1)], &[("b", true), ("c", true)]);
    assert_eq!(judged.kept.map(|kept| kept.once), Some(3));
}

#[test]
fn write_that_is_lost_or_doubled_is_not_as_expected() {
    let lost = report(&[("c", 1)], &[]);
    assert_eq!(lost.unexpected, ["writes lost: 1"]);
    // In doubt or not, it is there twice.
    let doubled = report(&[("a", 1), ("c", 2)], &[]);
    assert_eq!(doubled.unexpected, ["writes stored more than once: 1"]);
}

#[test]
fn failed_reads_count_against_what_the_case_allows() {
    let lasted = lasted();
    let read = |answer| Outcome {
        id: None,
        sent: Instant::now(),
        took: Duration::ZERO,
        answer,
    };
    let outcomes = [read(Ok(502)), read(Ok(200))];
    for (name, is_expected) in [("stall", false), ("kill", true)] {
        let case = &Case::named(&[name.to_owned()]).unwrap()[0];
        let judged = CaseReport::new(case, &outcomes, lasted, &BTreeMap::new(), None);
        assert_eq!(judged.is_as_expected(), is_expected, "{name}");
    }
}

#[test]
fn verdict_says_nothing_of_writes_that_were_not_counted() {
    let counted = report(&[("a", 1), ("b", 1), ("c", 1)], &[]);
    let case = &Case::named(&["stall".to_owned()]).unwrap()[0];
    let not_counted = CaseReport::new(case, &[], lasted(), &BTreeMap::new(), None);
    for (case, words) in [
        (counted, "no write was lost or doubled"),
        (not_counted, "was not checked: declare"),
    ] {
        let report = report_of(vec![case], None);
        assert!(report.text().contains(words), "{}", report.text());
    }
}

#[test]
fn fault_that_met_no_request_is_not_as_expected() {
    let before = write("a", Ok(201));
    let case = &Case::named(&["stall".to_owned()]).unwrap()[0];
    let begun = before.sent + Duration::from_secs(1);
    let lasted = (begun, begun + Duration::from_secs(1));
    let judged = CaseReport::new(case, &[before], lasted, &BTreeMap::new(), None);
    let expected = ["no write was under way while the fault lasted"];
    assert_eq!(judged.unexpected, expected);
}

#[test]
fn case_that_cannot_be_drilled_is_told_and_does_not_fail() {
    let counted = report(&[("a", 1), ("b", 1), ("c", 1)], &[]);
    let case = &Case::named(&["restart".to_owned()]).unwrap()[0];
    let reason = "another program runs the server";
    let of_none = CaseReport::of_none(case, reason.to_owned());
    let report = report_of(vec![counted, of_none], None);
    assert!(report.is_as_expected);
    let text = report.text();
    let line = format!("– restart: not drilled here: {reason}\n");
    assert!(text.contains(&line) && !text.contains("?:"), "{text}");
    assert!(text.contains("no write was lost or doubled"), "{text}");
}

#[test]
fn drill_that_is_stopped_is_not_as_expected_and_says_by_what() {
    let counted = report(&[("a", 1), ("b", 1), ("c", 1)], &[]);
    let report = report_of(vec![counted], Some(Signal::SIGINT));
    assert!(!report.is_as_expected);
    assert!(report.text().ends_with("stopped before its end"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["stopped_by"], "SIGINT");
}

#[test]
fn tables_fit_eighty_columns() {
    let mut cases = Vec::new();
    for case in Case::named(&[]).unwrap() {
        let mut of_case = CaseReport::new(&case, &[], lasted(), &BTreeMap::new(), None);
        for requests in [&mut of_case.reads, &mut of_case.writes] {
            (requests.sent, requests.failed, requests.slowest_ms) = (9_999, 9_999, 99_900);
            requests.met = 9_999;
        }
        of_case.kept = Some(KeptWrites {
            once: 9_999,
            ..KeptWrites::default()
        });
        cases.push(of_case);
    }
    let report = report_of(cases, None);
    let text = report.text();
    let rows = text.lines().filter(|line| line.contains(['│', '┆', '┌']));
    for row in rows {
        assert!(console::measure_text_width(row) <= 80, "{row}\n{text}");
    }
    assert!(text.contains("9999"), "{text}");
}
