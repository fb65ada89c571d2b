//! The tables of `docs/guides/migrations.md` about drift, held against the changes that the tests make.

use std::fmt::Write as _;

use super::cases::{LEFT_OUT, SEEN};

const PAGE: &str = include_str!("../../../docs/guides/migrations.md");

#[test]
fn guide_lists_what_drift_compares_and_leaves_out() {
    let mut objects: Vec<(&str, Vec<&str>)> = Vec::new();
    for case in SEEN {
        match objects
            .iter_mut()
            .find(|(object, _)| *object == case.object)
        {
            Some((_, aspects)) if aspects.contains(&case.aspect) => {}
            Some((_, aspects)) => aspects.push(case.aspect),
            None => objects.push((case.object, vec![case.aspect])),
        }
    }
    let mut compared = "| object | compared |\n| --- | --- |\n".to_owned();
    for (object, aspects) in objects {
        writeln!(compared, "| {object} | {} |", aspects.join(", ")).expect("a string");
    }
    assert!(
        PAGE.contains(&compared),
        "the page does not have:\n{compared}"
    );
    let mut left_out = "| left out | reason |\n| --- | --- |\n".to_owned();
    for row in LEFT_OUT {
        writeln!(left_out, "| {} | {} |", row.what, row.reason).expect("a string");
    }
    assert!(
        PAGE.contains(&left_out),
        "the page does not have:\n{left_out}"
    );
}
