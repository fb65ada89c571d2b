//! What the environment and the options say: the tokens, and where the databases are known.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use stagelink::Stage;

/// The variables of this process that matter here.
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process.
    pub(crate) fn own() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        Self::new(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let is_set = |(_, value): &(String, String)| !value.trim().is_empty();
        Self(vars.into_iter().filter(is_set).collect())
    }

    /// A variable, if it is set to something.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    /// A variable that nothing goes without.
    pub(crate) fn needed(&self, name: &str, advice: &str) -> anyhow::Result<&str> {
        self.var(name)
            .with_context(|| format!("{name} is not set: {advice}"))
    }

    /// Those settings that a function has to share with this command to find the same database.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (&'static str, &str)> {
        SHARED
            .iter()
            .filter_map(|name| Some((*name, self.var(name)?)))
    }

    /// The token that an option gives a stage: what the variable holds that it names.
    pub(crate) fn token(&self, name: &str, stage: Stage) -> anyhow::Result<SecretString> {
        // What is no name may be the token itself, and is not repeated.
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if !is_name {
            bail!(
                "--token-for {stage}=… takes the name of an environment variable that holds the \
                 token, such as --token-for {stage}={}_HEROKU_API_KEY, and not the token",
                stage.as_str().to_uppercase()
            );
        }
        let advice = format!("it was named by --token-for as the token of stage {stage}");
        Ok(self.needed(name, &advice)?.into())
    }
}

/// Reads the options of the form `STAGE=SOMETHING`. What is wrong is not repeated.
pub(crate) fn by_stage(option: &str, given: &[String]) -> anyhow::Result<BTreeMap<Stage, String>> {
    let mut by_stage = BTreeMap::new();
    for text in given {
        let (stage, rest) = text
            .split_once('=')
            .with_context(|| format!("{option} is not of the form STAGE=…"))?;
        let stage: Stage = stage
            .parse()
            .map_err(|_| anyhow::anyhow!("{option} does not begin with a stage"))?;
        if rest.trim().is_empty() || by_stage.insert(stage, rest.trim().to_owned()).is_some() {
            bail!("{option} says nothing for stage {stage}, or two things");
        }
    }
    Ok(by_stage)
}

/// What finds a database, and proves that it is the right one, here as well as there.
const SHARED: &[&str] = &[
    "STAGELINK_CONFIG_VAR",
    "STAGELINK_HEROKU_API_URL",
    "STAGELINK_POOLER",
    "STAGELINK_ROOT_CERTIFICATES",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_named_and_never_given() {
        let vars = [("STAGING_TOKEN", " t "), ("EMPTY", " ")];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::new(vars);
        let token = |name| environment.token(name, Stage::Staging);
        assert!(token("STAGING_TOKEN").is_ok());
        let unset = token("EMPTY").unwrap_err().to_string();
        assert!(unset.contains("EMPTY is not set"), "{unset}");
        for given in ["HRKU-c4n4ry", "c4n4ry", "HRKU-C4N4RY", "0C4N4RY"] {
            let error = format!("{:?}", token(given).unwrap_err());
            assert!(!error.to_lowercase().contains("c4n4ry"), "{error}");
        }
    }

    #[test]
    fn options_by_stage_are_read_and_what_is_wrong_is_not_shown() {
        let read = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|&text| text.to_owned()).collect();
            by_stage("--app", &given)
        };
        let apps = read(&["staging=a", "review=b"]).unwrap();
        assert_eq!(apps[&Stage::Staging], "a");
        for wrong in [
            &["c4n4ry"][..],
            &["c4n4ry=a"],
            &["staging="],
            &["staging=c4n4ry", "staging=c4n4ry"],
        ] {
            let error = format!("{:?}", read(wrong).unwrap_err());
            assert!(
                error.contains("--app") && !error.contains("c4n4ry"),
                "{error}"
            );
        }
    }
}
