//! The findings of squawk's linter in one statement.

use std::ops::Range;
use std::str::FromStr;

use squawk_linter::{Linter, Version};
use squawk_syntax::SourceFile;

use super::facts::TargetFacts;
use super::rules::{RULES, Rule, RuleSource};
use crate::migrations::statement::Statement;

/// A rule that squawk finds, and its bytes in the statement's text.
pub(super) type Violation = (&'static Rule, Range<usize>);

/// Runs the linter. Comments are blanked, so that none of them silences a rule.
pub(super) fn violations(statement: &Statement, facts: &TargetFacts) -> Vec<Violation> {
    let text = statement.without_comments();
    let of_squawk = RULES
        .iter()
        .filter(|rule| rule.source == RuleSource::Squawk);
    let enabled = of_squawk.filter_map(|rule| squawk_linter::Rule::try_from(rule.name).ok());
    let mut linter = Linter::from(enabled);
    if let Some(major) = facts.server_major
        && let Ok(version) = Version::from_str(&major.to_string())
    {
        linter.settings.pg_version = version;
    }
    let found = linter.lint(&SourceFile::parse(&text), &text);
    let known = found.into_iter().filter_map(|violation| {
        let name = violation.code.to_string();
        let rule = RULES.iter().find(|rule| rule.name == name)?;
        let range = violation.text_range;
        Some((rule, usize::from(range.start())..usize::from(range.end())))
    });
    known.collect()
}
