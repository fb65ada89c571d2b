//! The name of a project, which has to do for Heroku too.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;

/// A name that the pipeline may have, and with `-production` behind it an app of Heroku.
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
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        let holds = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !begins || !text.chars().all(holds) || text.ends_with('-') || text.len() > MAX_LENGTH {
            bail!(
                "{text:?} is no name for a project: it takes lower-case letters, digits and \
                 dashes, begins with a letter, ends with none of the dashes, and has {MAX_LENGTH} \
                 characters at most, so that the app NAME-production gets a name that Heroku takes"
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

/// An app's name has 30 characters at most, and `-production` is the longest stage's.
const MAX_LENGTH: usize = 30 - "-production".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_heroku_takes_is_taken() {
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
            assert!(error.contains("is no name for a project"), "{error}");
        }
    }
}
