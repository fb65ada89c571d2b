//! The name of a project, which must also be valid at Heroku.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;

/// A project name. It is valid for a Heroku pipeline, and with `-production` appended for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProjectName(String);

impl ProjectName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let starts_with_letter = text.starts_with(|c: char| c.is_ascii_lowercase());
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !starts_with_letter
            || !text.chars().all(is_allowed)
            || text.ends_with('-')
            || text.len() > MAX_LENGTH
        {
            bail!(
                "{text:?} is not a valid project name: use at most {MAX_LENGTH} lower-case letters, \
                 digits and dashes, start with a letter, and do not end with a dash (Heroku must \
                 accept NAME-production as the name of an app)"
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest name of an app at Heroku has 30 characters, and `-production` is the longest
/// suffix.
const MAX_LENGTH: usize = 30 - "-production".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_heroku_accepts_is_valid() {
        for name in ["shop", "a", "shop-2", "a234567890123456789"] {
            assert_eq!(name.parse::<ProjectName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn name_that_heroku_refuses_is_refused() {
        for name in [
            "",
            "Shop",
            "2shop",
            "-shop",
            "shop-",
            "my_shop",
            "../shop",
            "sh op",
            "shöp",
            "a2345678901234567890",
        ] {
            let error = name.parse::<ProjectName>().unwrap_err().to_string();
            assert!(error.contains("is not a valid project name"), "{error}");
        }
    }
}
