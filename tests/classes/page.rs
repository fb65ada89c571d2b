//! The tables of `docs/design/migrations.md`, held against those of the code.

use std::fmt::Write as _;

use stagelink_pipeline::{Class, LEFT_OFF, RULES, RuleSource};

const PAGE: &str = include_str!("../../docs/design/migrations.md");

#[test]
fn page_has_the_rules_of_the_code() {
    for class in [Class::Stop, Class::After, Class::Ask] {
        let mut table = "| rule | reason | safe form |\n| --- | --- | --- |\n".to_owned();
        for rule in RULES.iter().filter(|rule| rule.class == class) {
            let mark = if rule.source == RuleSource::Squawk {
                " (squawk)"
            } else {
                ""
            };
            let small = if rule.is_about_duration {
                "; not on a small table"
            } else {
                ""
            };
            writeln!(
                table,
                "| `{}`{mark} | {}{small} | {} |",
                rule.name, rule.reason, rule.safe_form
            )
            .expect("a string");
        }
        assert!(
            PAGE.contains(&table),
            "the page's rules of {class} are not:\n{table}"
        );
    }
    let mut table = "| rule of squawk | reason |\n| --- | --- |\n".to_owned();
    for (rule, reason) in LEFT_OFF {
        writeln!(table, "| `{rule}` | {reason} |").expect("a string");
    }
    assert!(
        PAGE.contains(&table),
        "the page's rules that are left off are not:\n{table}"
    );
}
