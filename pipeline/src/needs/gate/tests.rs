//! Tests of the gate.

use proptest::prelude::*;

use super::*;

const BEFORE: Class = Class::Before;
const AFTER: Class = Class::After;

fn listed(version: i64, class: Class) -> ListedMigration {
    let sum = version * 1000;
    let text = format!(
        r#"{{"version":{version},"name":"m","class":"{class}","checksums":["{sum}","{}"],
            "sha256":"{}"}}"#,
        sum + 1,
        "ab".repeat(32)
    );
    serde_json::from_str(&text).unwrap()
}

fn list(migrations: &[(i64, Class)]) -> MigrationList {
    migrations
        .iter()
        .map(|&(version, class)| listed(version, class))
        .collect()
}

fn row(version: i64, class: Option<Class>) -> RecordedMigration {
    RecordedMigration {
        version,
        name: "m".to_owned(),
        checksum: (version * 1000).to_string(),
        class,
    }
}

fn rows(migrations: &[(i64, Class)]) -> Vec<RecordedMigration> {
    let rows = migrations.iter();
    rows.map(|&(version, class)| row(version, Some(class)))
        .collect()
}

fn missing(migrations: &[(i64, Class)]) -> GateVerdict {
    GateVerdict::NeedsFirst(list(migrations).migrations().to_vec())
}

#[test]
fn artifact_runs_where_its_list_is_applied_and_no_other_after() {
    let cannot =
        |version| GateVerdict::CannotRun(vec![GateReason::AppliedAfter(row(version, Some(AFTER)))]);
    let unjudged = |version, class| {
        GateVerdict::Unknown(vec![GateReason::AppliedUnjudged(row(version, Some(class)))])
    };
    for (what, artifact, history, expected) in [
        ("nothing at all", &[][..], &[][..], GateVerdict::Runs),
        (
            "no need of a history",
            &[],
            &[(1, BEFORE)],
            GateVerdict::Runs,
        ),
        (
            "all applied",
            &[(1, BEFORE), (2, AFTER)],
            &[(1, BEFORE), (2, AFTER)],
            GateVerdict::Runs,
        ),
        (
            "new database",
            &[(1, BEFORE), (2, BEFORE)],
            &[],
            missing(&[(1, BEFORE), (2, BEFORE)]),
        ),
        (
            "one missing",
            &[(1, BEFORE), (2, BEFORE)],
            &[(1, BEFORE)],
            missing(&[(2, BEFORE)]),
        ),
        (
            "one below missing",
            &[(1, BEFORE), (2, BEFORE)],
            &[(2, BEFORE)],
            missing(&[(1, BEFORE)]),
        ),
        (
            "its after pending",
            &[(1, BEFORE), (2, AFTER)],
            &[(1, BEFORE)],
            GateVerdict::Runs,
        ),
        (
            "before above its pending after",
            &[(1, BEFORE), (2, AFTER), (3, BEFORE)],
            &[(1, BEFORE)],
            missing(&[(3, BEFORE)]),
        ),
        (
            "database ahead by before",
            &[(1, BEFORE)],
            &[(1, BEFORE), (2, BEFORE)],
            GateVerdict::Runs,
        ),
        (
            "database ahead by after",
            &[(1, BEFORE)],
            &[(1, BEFORE), (2, AFTER)],
            cannot(2),
        ),
        (
            "an unlisted after weighs more than a missing before",
            &[(1, BEFORE), (3, BEFORE)],
            &[(1, BEFORE), (2, AFTER)],
            cannot(2),
        ),
        (
            "an overridden stop of its own",
            &[(1, Class::Stop)],
            &[(1, Class::Stop)],
            GateVerdict::Runs,
        ),
        (
            "a stop to apply",
            &[(1, Class::Stop)],
            &[],
            missing(&[(1, Class::Stop)]),
        ),
        (
            "an ask to apply",
            &[(1, Class::Ask)],
            &[],
            missing(&[(1, Class::Ask)]),
        ),
        (
            "an unlisted stop",
            &[],
            &[(1, Class::Stop)],
            unjudged(1, Class::Stop),
        ),
        (
            "an unlisted ask",
            &[],
            &[(1, Class::Ask)],
            unjudged(1, Class::Ask),
        ),
        // The database knows more than the judgement without it.
        (
            "recorded otherwise",
            &[(1, AFTER)],
            &[(1, BEFORE)],
            GateVerdict::Runs,
        ),
    ] {
        assert_eq!(
            gate(Some(&list(artifact)), &rows(history)),
            expected,
            "{what}"
        );
    }
}

#[test]
fn what_is_not_known_is_never_taken_for_nothing() {
    let history = rows(&[(1, BEFORE)]);
    let verdict = gate(None, &history);
    assert_eq!(verdict, GateVerdict::Unknown(vec![GateReason::NoList]));
    assert!(verdict.reasons()[0].contains("other means than stagelink build"));

    let verdict = gate(Some(&list(&[])), &[row(1, None)]);
    assert!(
        verdict.reasons()[0].contains("nothing tells its class"),
        "{verdict:?}"
    );
    assert_eq!(verdict.name(), "unknown");

    let artifact = list(&[(1, BEFORE)]);
    assert_eq!(gate(Some(&artifact), &[row(1, None)]), GateVerdict::Runs);
    let wide = RecordedMigration {
        checksum: "1001".to_owned(),
        ..row(1, None)
    };
    assert_eq!(gate(Some(&artifact), &[wide]), GateVerdict::Runs, "int8");
    let edited = RecordedMigration {
        checksum: "7".to_owned(),
        ..row(1, Some(BEFORE))
    };
    let verdict = gate(Some(&artifact), &[edited]);
    assert!(
        verdict.reasons()[0].contains("with another content"),
        "{verdict:?}"
    );
    let other = RecordedMigration {
        name: "other".to_owned(),
        ..row(1, Some(BEFORE))
    };
    let verdict = gate(Some(&artifact), &[other]);
    assert!(
        verdict.reasons()[0].contains("V1__other is applied, and it was built with V1__m"),
        "{verdict:?}"
    );
    assert!(matches!(verdict, GateVerdict::Unknown(_)));
}

#[test]
fn site_needs_the_union_and_each_function_must_bear_each_after() {
    let [old, new] = [
        list(&[(1, BEFORE)]),
        list(&[(1, BEFORE), (2, BEFORE), (3, AFTER)]),
    ];
    let site = |history: &[(i64, Class)]| gate_site([Some(&old), Some(&new)], &rows(history));
    assert_eq!(site(&[]), missing(&[(1, BEFORE), (2, BEFORE)]));
    assert_eq!(site(&[(1, BEFORE), (2, BEFORE)]), GateVerdict::Runs);
    let all = [(1, BEFORE), (2, BEFORE), (3, AFTER)];
    assert_eq!(
        site(&all).name(),
        "cannot-run",
        "the old one does not list it"
    );
    assert_eq!(
        gate_site([Some(&new), Some(&new)], &rows(&all)),
        GateVerdict::Runs
    );
    assert_eq!(gate_site([Some(&new), None], &rows(&all)).name(), "unknown");
    assert_eq!(gate_site([], &rows(&all)), GateVerdict::Runs);
}

#[test]
fn after_is_applied_once_each_artifact_that_runs_lists_it() {
    let history = rows(&[(1, BEFORE)]);
    let after = [listed(2, AFTER)];
    let old = list(&[(1, BEFORE)]);
    let new = list(&[(1, BEFORE), (2, AFTER)]);
    assert_eq!(
        gate_after(Some(&old), &history, &after).name(),
        "cannot-run"
    );
    assert_eq!(gate_after(Some(&new), &history, &after), GateVerdict::Runs);
    assert_eq!(gate_after(None, &history, &after).name(), "unknown");
    // One that is applied already is as it is recorded.
    let applied = rows(&[(1, BEFORE), (2, AFTER)]);
    assert_eq!(gate_after(Some(&new), &applied, &after), GateVerdict::Runs);
    assert_eq!(gate_after(Some(&old), &history, &[]), GateVerdict::Runs);
}

fn class() -> impl Strategy<Value = Class> {
    proptest::sample::select(vec![BEFORE, AFTER, Class::Stop, Class::Ask])
}

/// Migrations by number; each is in the list, in the history, in both or in neither.
fn cases() -> impl Strategy<Value = Vec<(Class, bool, bool)>> {
    proptest::collection::vec((class(), any::<bool>(), any::<bool>()), 0..8)
}

fn case(cases: &[(Class, bool, bool)]) -> (MigrationList, Vec<RecordedMigration>) {
    let numbered = (1..).zip(cases);
    let listed: Vec<_> = numbered
        .clone()
        .filter(|(_, case)| case.1)
        .map(|(version, case)| (version, case.0))
        .collect();
    let applied: Vec<_> = numbered
        .filter(|(_, case)| case.2)
        .map(|(version, case)| (version, case.0))
        .collect();
    (list(&listed), rows(&applied))
}

proptest! {
    #[test]
    fn verdict_is_the_rule(cases in cases()) {
        let (list, history) = case(&cases);
        let verdict = gate(Some(&list), &history);
        let unlisted = |classes: &[Class]| {
            cases.iter().any(|case| !case.1 && case.2 && classes.contains(&case.0))
        };
        let is_missing = cases.iter().any(|case| case.1 && !case.2 && case.0 != AFTER);
        let expected = if unlisted(&[AFTER]) {
            "cannot-run"
        } else if unlisted(&[Class::Stop, Class::Ask]) {
            "unknown"
        } else if is_missing {
            "needs-first"
        } else {
            "runs"
        };
        prop_assert_eq!(verdict.name(), expected);
        prop_assert_eq!(verdict.reasons().is_empty(), verdict.is_runnable());
    }

    #[test]
    fn applying_what_is_needed_first_makes_it_run(cases in cases()) {
        let (list, mut history) = case(&cases);
        if let GateVerdict::NeedsFirst(missing) = gate(Some(&list), &history) {
            prop_assert!(missing.is_sorted_by_key(|migration| migration.version));
            prop_assert!(missing.iter().all(|migration| migration.class != AFTER));
            history.extend(missing.iter().map(|one| row(one.version, Some(one.class))));
            prop_assert!(gate(Some(&list), &history).is_runnable());
        }
    }

    #[test]
    fn order_of_the_history_makes_no_difference(cases in cases()) {
        let (list, mut history) = case(&cases);
        let verdict = gate(Some(&list), &history);
        history.reverse();
        prop_assert_eq!(gate(Some(&list), &history).name(), verdict.name());
    }

    #[test]
    fn migrations_of_before_never_take_away_that_it_runs(cases in cases()) {
        let (list, mut history) = case(&cases);
        if gate(Some(&list), &history).is_runnable() {
            history.push(row(99, Some(BEFORE)));
            prop_assert!(gate(Some(&list), &history).is_runnable());
            history.push(row(98, Some(AFTER)));
            prop_assert_eq!(gate(Some(&list), &history).name(), "cannot-run");
        }
    }

    #[test]
    fn site_runs_where_each_of_its_artifacts_does(one in cases(), lists in any::<u8>()) {
        let (first, history) = case(&one);
        let other: Vec<_> = (0..)
            .zip(&one)
            .map(|(bit, case)| (case.0, lists >> bit & 1 == 1, case.2))
            .collect();
        let (second, _) = case(&other);
        let each = [&first, &second].map(|list| gate(Some(list), &history));
        let site = gate_site([Some(&first), Some(&second)], &history);
        let swapped = gate_site([Some(&second), Some(&first)], &history);
        prop_assert_eq!(site.name(), swapped.name());
        prop_assert_eq!(site.is_runnable(), each.iter().all(GateVerdict::is_runnable));
        for reason in each.iter().filter(|one| one.name() == site.name()) {
            for text in reason.reasons() {
                prop_assert!(site.reasons().contains(&text));
            }
        }
    }
}
