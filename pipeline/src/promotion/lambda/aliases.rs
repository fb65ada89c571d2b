//! The aliases of a stage's functions: read together, and moved one after the other, each only from the
//! state that was read.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::aws::{Alias, Lambda, Reason};
use crate::error::{Error, ErrorKind};
use crate::promotion::lambda::live::ensure_undivided;
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::lambda::stage::LambdaStage;

/// The aliases of a stage as they were read, by the functions on Lambda.
#[derive(Debug)]
pub(super) struct Aliases {
    /// The name of each.
    name: String,
    read: BTreeMap<String, Option<Alias>>,
}

impl Aliases {
    /// Reads the alias of each function of a change.
    ///
    /// # Errors
    ///
    /// The failure of a call.
    pub(super) async fn read(
        lambda: &Lambda,
        stage: &LambdaStage,
        progress: &LambdaProgress,
    ) -> Result<Self, Error> {
        let name = stage.alias();
        let read = try_join_all(progress.before.keys().map(|function| async {
            let alias = lambda.alias(function, name).await?;
            Ok::<_, Error>((function.clone(), alias))
        }));
        Ok(Self {
            name: name.to_owned(),
            read: read.await?.into_iter().collect(),
        })
    }

    /// Makes sure that each alias points to the version before the change, or to that of the change, alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where another person or job has moved one; [`ErrorKind::Promotion`] where one divides
    /// its requests.
    pub(super) fn ensure_known(&self, progress: &LambdaProgress) -> Result<(), Error> {
        for (function, before) in &progress.before {
            let now = self.version(function);
            let is_own = now.is_some_and(|now| progress.has_made(function, now));
            if now != before.as_deref() && !is_own {
                return Err(self.moved_by_another(function, before.as_deref(), now));
            }
            if let Some(alias) = self.alias(function) {
                ensure_undivided(alias, &format!("the alias {} of {function}", self.name))?;
            }
        }
        Ok(())
    }

    fn alias(&self, function: &str) -> Option<&Alias> {
        self.read.get(function).and_then(Option::as_ref)
    }

    /// Returns whether a part of the requests of a function's alias goes to a second version.
    pub(super) fn is_split(&self, function: &str) -> bool {
        self.alias(function).is_some_and(Alias::is_split)
    }

    /// Returns the version to which the alias of a function pointed as it was read.
    pub(super) fn version(&self, function: &str) -> Option<&str> {
        self.alias(function).map(|alias| alias.version.as_str())
    }

    /// Moves the alias of a function to a version, from the state that was read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where another person or job has moved it since; the failure of a call.
    pub(super) async fn move_to(
        &mut self,
        lambda: &Lambda,
        function: &str,
        version: &str,
    ) -> Result<(), Error> {
        let read = self.read.get(function).cloned().flatten();
        let moved = match &read {
            Some(alias) if alias.version == version => return Ok(()),
            Some(alias) => {
                lambda
                    .move_alias(function, &self.name, version, alias)
                    .await
            }
            None => lambda.create_alias(function, &self.name, version).await,
        };
        let failure = match moved {
            Ok(alias) => {
                self.read.insert(function.to_owned(), Some(alias));
                return Ok(());
            }
            Err(failure) => failure,
        };
        // The answer to a call that succeeded may have been lost, and the call made once more.
        if !matches!(
            failure.reason,
            Reason::Changed | Reason::Conflict | Reason::Exists
        ) {
            return Err(failure.error);
        }
        let now = lambda.alias(function, &self.name).await?;
        let before = read.map(|alias| alias.version);
        self.read.insert(function.to_owned(), now);
        match self.version(function) == Some(version) && !self.is_split(function) {
            true => Ok(()),
            false => {
                let now = self.version(function);
                Err(self.moved_by_another(function, before.as_deref(), now))
            }
        }
    }

    /// Deletes an alias that the change has made.
    ///
    /// # Errors
    ///
    /// The failure of the call.
    pub(super) async fn delete(&mut self, lambda: &Lambda, function: &str) -> Result<(), Error> {
        lambda.delete_alias(function, &self.name).await?;
        self.read.insert(function.to_owned(), None);
        Ok(())
    }

    fn moved_by_another(&self, function: &str, before: Option<&str>, now: Option<&str>) -> Error {
        let name = &self.name;
        let pointed = |version: Option<&str>| match version {
            Some(version) => format!("points to version {version}"),
            None => "does not exist".to_owned(),
        };
        let before = match before {
            Some(version) => format!("pointed to version {version}"),
            None => "did not exist".to_owned(),
        };
        Error::new(
            ErrorKind::Busy,
            format!(
                "another person or job has changed the alias {name} of {function}: it {before} when it \
                 was read, and {} now (HTTP status 412 where AWS has noticed it): run the command again, \
                 which makes a new plan",
                pointed(now)
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use stagelink::{Database, Settings, Stage};

    use super::*;
    use crate::aws::script::Script;

    fn stage() -> LambdaStage {
        let functions = BTreeMap::from([("g".to_owned(), "g".to_owned())]);
        let database = Database::new(Settings::from_vars([("", ""); 0]));
        LambdaStage::new(Stage::PRODUCTION, functions, database)
    }

    /// Returns the progress of a change of `g` from version 1 to 2.
    fn progress() -> LambdaProgress {
        let kept = json!({
            "on": "lambda", "artifact": "ab", "before": { "g": "1" }, "versions": { "g": "2" },
            "migrated": [], "migrated_names": [], "moves": true, "record": 7,
        });
        serde_json::from_value(kept).unwrap()
    }

    /// Reads the alias of `g`, which points to this version and sends a part of its requests to another one.
    async fn read(version: &str, weights: &str) -> Aliases {
        let answer = format!(
            r#"{{"FunctionVersion":"{version}","RevisionId":"r1","RoutingConfig":{{"AdditionalVersionWeights":{weights}}}}}"#
        );
        let script = Script::new(&format!("'lambda get-alias') echo '{answer}' ;;"));
        let lambda = script.lambda().await;
        Aliases::read(&lambda, &stage(), &progress()).await.unwrap()
    }

    #[tokio::test]
    async fn alias_of_before_or_of_the_change_is_known_unless_it_divides_its_requests() {
        for version in ["1", "2"] {
            read(version, "{}").await.ensure_known(&progress()).unwrap();
            let split = read(version, r#"{"9":0.1}"#).await;
            let error = split.ensure_known(&progress()).unwrap_err().to_string();
            let words = "the alias production of g divides its requests";
            assert!(error.starts_with(words), "{error}");
        }
        let moved = read("3", "{}").await.ensure_known(&progress()).unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::Busy);
    }
}
