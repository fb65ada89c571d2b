//! Settings that a command lacks, reported together.

use std::fmt;

/// The settings that a command lacks, each with the advice to it.
#[derive(Debug)]
pub(crate) struct MissingSettings(Vec<String>);

impl MissingSettings {
    /// Returns the text without the settings.
    pub(crate) fn headline(&self) -> String {
        format!("{} settings are missing", self.0.len())
    }

    /// Returns a line for each setting.
    pub(crate) fn details(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for MissingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.headline(), self.0.join("; "))
    }
}

impl std::error::Error for MissingSettings {}

/// A collector of the errors of settings.
#[derive(Debug, Default)]
pub(crate) struct Missing(Vec<anyhow::Error>);

impl Missing {
    /// Takes a setting, or keeps its error for [`check`](Self::check).
    pub(crate) fn take<T>(&mut self, found: anyhow::Result<T>) -> Option<T> {
        found.map_err(|error| self.0.push(error)).ok()
    }

    /// Makes sure that no setting was missing.
    ///
    /// # Errors
    ///
    /// That of [`into_error`](Self::into_error).
    pub(crate) fn check(self) -> anyhow::Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(self.into_error()),
        }
    }

    /// Returns the error of the one setting that was missing, or a [`MissingSettings`] of several.
    pub(crate) fn into_error(mut self) -> anyhow::Error {
        if self.0.len() == 1 {
            return self.0.remove(0);
        }
        let lines = self.0.iter().map(|error| format!("{error:#}"));
        MissingSettings(lines.collect()).into()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn one_missing_setting_is_its_own_error_and_several_are_listed() {
        let check = |found: [Result<u8, &'static str>; 3]| {
            let mut missing = Missing::default();
            for setting in found {
                missing.take(setting.map_err(|text| anyhow!(text)));
            }
            missing.check().map_err(|error| error.to_string())
        };
        assert_eq!(check([Ok(1), Ok(2), Ok(3)]), Ok(()));
        assert_eq!(check([Ok(1), Err("a"), Ok(3)]), Err("a".to_owned()));
        let two = "2 settings are missing: a; b".to_owned();
        assert_eq!(check([Err("a"), Ok(2), Err("b")]), Err(two));
    }
}
