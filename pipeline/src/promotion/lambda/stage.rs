//! A stage on AWS Lambda: its functions, whose alias is called as the stage, and its database.

use std::collections::BTreeMap;

use stagelink::{Database, Stage};

/// A stage whose functions are on AWS Lambda.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LambdaStage {
    /// The stage. The alias of each function has its name.
    pub stage: Stage,
    /// The functions on Lambda, by the names of the project's functions.
    pub functions: BTreeMap<String, String>,
    /// The stage's database itself, without a pooler.
    pub database: Database,
}

impl LambdaStage {
    /// Makes a stage of its parts.
    pub fn new(stage: Stage, functions: BTreeMap<String, String>, database: Database) -> Self {
        Self {
            stage,
            functions,
            database,
        }
    }

    /// Returns the name of the alias.
    pub(crate) fn alias(&self) -> &str {
        self.stage.name()
    }

    /// Returns whether a version with this value of `STAGELINK_STAGE` serves the stage behind its
    /// alias. Without one the alias is the stage, if it is called after a kind.
    pub(crate) fn is_served_with(&self, variable: Option<&str>) -> bool {
        match variable {
            Some(text) => text
                .trim()
                .parse()
                .is_ok_and(|stage: Stage| stage == self.stage),
            None => !self.stage.has_own_name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_with_its_own_name_needs_the_variable_and_no_version_serves_another_stage() {
        let database = || Database::new(stagelink::Settings::from_vars([("", ""); 0]));
        let staging = LambdaStage::new(Stage::STAGING, BTreeMap::new(), database());
        assert!(staging.is_served_with(None) && staging.is_served_with(Some(" staging ")));
        assert!(!staging.is_served_with(Some("production")));
        assert!(!staging.is_served_with(Some("staging/qa")));
        let qa = "staging/qa".parse().unwrap();
        let qa = LambdaStage::new(qa, BTreeMap::new(), database());
        assert_eq!(qa.alias(), "qa");
        assert!(qa.is_served_with(Some("staging/qa")) && !qa.is_served_with(None));
    }
}
