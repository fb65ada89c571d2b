//! An override: a person lets one rule pass in one file, for a reason.

use std::fmt;

use serde::{Deserialize, Serialize};
use stagelink::one_line;

use crate::error::{Error, ErrorKind};
use crate::migrations::class::find_rule;
use crate::migrations::running_code::AFTER_CODE_RUNS;

/// The passage of a rule in one file, once, as a person decides it and answers for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuleOverride {
    /// The rule's name.
    pub rule: String,
    /// The number of the file; `None` for the only file that needs the override, and in the record of
    /// a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The reason, which is kept in the database.
    pub reason: String,
}

impl RuleOverride {
    /// Makes an override of a rule: `backfill@V5` for the file with the number 5, `backfill` for the
    /// only file of a run that needs it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when there is no rule of that name, no number after the `@`, or no
    /// reason.
    pub fn new(rule: &str, reason: &str) -> Result<Self, Error> {
        let (rule, reason) = (rule.trim(), reason.trim());
        let (name, version) = match rule.rsplit_once('@') {
            None => (rule, None),
            Some((name, version)) => (name, Some(number(rule, name, version)?)),
        };
        if find_rule(name).is_none() && name != AFTER_CODE_RUNS {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "{name} is no rule of migrations: with --plan the command shows the rules that stand in \
                     the way of a file"
                ),
            ));
        }
        if !reason.contains(char::is_alphanumeric) {
            return Err(Error::new(
                ErrorKind::Settings,
                format!("the override of {rule} needs a reason, which the database keeps"),
            ));
        }
        // It is shown to others, in lines and cells of tables.
        let is_long = reason.chars().count() > LONGEST_REASON;
        if is_long || one_line(reason).to_string() != reason {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the reason for the override of {rule} is not one line of at most {LONGEST_REASON} \
                     characters: write it as one, without control characters"
                ),
            ));
        }
        Ok(Self {
            rule: name.to_owned(),
            version,
            reason: reason.to_owned(),
        })
    }

    /// Returns the override for the file with a number.
    pub(super) fn in_file(&self, version: i64) -> Self {
        Self {
            version: Some(version),
            ..self.clone()
        }
    }
}

/// Reads the number of a file, as `V5`.
fn number(rule: &str, name: &str, version: &str) -> Result<i64, Error> {
    let digits = version.strip_prefix(['V', 'v']).unwrap_or(version);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| {
        Error::new(
            ErrorKind::Settings,
            format!(
                "{rule} has no number of a file after the @: write it as {name}@V5 for the file \
                 with the number 5"
            ),
        )
    })
}

/// Formats it as the option is written.
impl fmt::Display for RuleOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)?;
        match self.version {
            Some(version) => write!(f, "@V{version}"),
            None => Ok(()),
        }
    }
}

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn override_names_a_rule_a_file_and_a_reason() {
        for (text, version, shown) in [
            (" backfill ", None, "backfill"),
            ("backfill@V5", Some(5), "backfill@V5"),
            (
                "backfill@v20261127090416",
                Some(20_261_127_090_416),
                "backfill@V20261127090416",
            ),
            ("backfill@7", Some(7), "backfill@V7"),
        ] {
            let made = RuleOverride::new(text, " ten rows ").expect("an override");
            assert_eq!((&*made.rule, &*made.reason), ("backfill", "ten rows"));
            assert_eq!((made.version, &*made.to_string()), (version, shown));
        }
        let quotes = "it's \"unused\"; DROP TABLE a; --";
        for reason in [quotes, &"é".repeat(1000)] {
            let made = RuleOverride::new("backfill", reason).expect("an override");
            assert_eq!(made.reason, reason);
        }
        for (rule, reason, words) in [
            ("back-fill", "x", "back-fill is no rule of migrations"),
            ("back-fill@V5", "x", "back-fill is no rule of migrations"),
            ("backfill", " ", "the override of backfill needs a reason"),
            (
                "backfill",
                "\u{200b} -",
                "the override of backfill needs a reason",
            ),
            ("backfill", "a\nb", "is not one line of at most 1000"),
            ("backfill", "a\u{1b}[2J", "without control characters"),
            ("backfill", "a \u{202e}b", "is not one line"),
            ("backfill", &"é".repeat(1001), "is not one line"),
            ("backfill\u{1b}[2J", "x", " is no rule of migrations"),
            (
                "backfill@V5",
                "",
                "the override of backfill@V5 needs a reason",
            ),
            (
                "backfill@",
                "x",
                "backfill@ has no number of a file after the @",
            ),
            ("backfill@V", "x", "write it as backfill@V5"),
            ("backfill@V5__a", "x", "has no number of a file"),
            ("backfill@-5", "x", "has no number of a file"),
            ("backfill@+5", "x", "has no number of a file"),
            ("@V5", "x", " is no rule of migrations"),
        ] {
            let error = RuleOverride::new(rule, reason).expect_err(words);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
