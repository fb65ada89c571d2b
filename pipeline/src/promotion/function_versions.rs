//! The versions that the aliases of a stage point to, as the deploy records keep them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Versions by the names of the functions on Lambda. The text is `shop-guestbook:7 shop-health:3`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FunctionVersions(BTreeMap<String, String>);

impl FunctionVersions {
    pub(crate) fn insert(&mut self, function: &str, version: &str) {
        self.0.insert(function.to_owned(), version.to_owned());
    }

    /// Returns the version of a function.
    pub(crate) fn of(&self, function: &str) -> Option<&str> {
        self.0.get(function).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.0.iter();
        entries.map(|(function, version)| (function.as_str(), version.as_str()))
    }

    /// Returns whether each of these versions is one of the others.
    pub(crate) fn is_part_of(&self, others: &Self) -> bool {
        self.iter()
            .all(|(function, version)| others.of(function) == Some(version))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text, where there is a version.
    pub(crate) fn to_text(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }

    /// Reads the text of a record. `None` unless it is one of versions.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut versions = Self::default();
        for entry in text.split_whitespace() {
            let (function, version) = entry.split_once(':')?;
            if function.is_empty() || !is_number(version) {
                return None;
            }
            versions.insert(function, version);
        }
        (!versions.is_empty()).then_some(versions)
    }
}

impl fmt::Display for FunctionVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (function, version)) in self.iter().enumerate() {
            let separator = if number == 0 { "" } else { " " };
            write!(f, "{separator}{function}:{version}")?;
        }
        Ok(())
    }
}

/// Returns whether a version is a number: `$LATEST` is none that stays as it is.
pub(crate) fn is_number(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back_and_another_deploys_is_none() {
        let mut versions = FunctionVersions::default();
        assert_eq!(versions.to_text(), None);
        versions.insert("shop-health", "3");
        versions.insert("shop", "12");
        let text = versions.to_string();
        assert_eq!(text, "shop:12 shop-health:3");
        assert_eq!(FunctionVersions::parse(&text), Some(versions));
        for text in ["", "6748d2f0c1", "shop:$LATEST", "shop:", ":1", "shop:1 x"] {
            assert_eq!(FunctionVersions::parse(text), None, "{text}");
        }
    }

    #[test]
    fn versions_are_a_part_of_those_of_more_functions_alone() {
        let part = |one: &str, other: &str| {
            let read = |text| FunctionVersions::parse(text).unwrap();
            read(one).is_part_of(&read(other))
        };
        assert!(part("shop:1", "shop:1") && part("shop:1", "health:3 shop:1"));
        assert!(!part("health:3 shop:1", "shop:1") && !part("shop:1", "shop:2"));
    }
}
