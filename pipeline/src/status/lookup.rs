//! The result of one look-up: a value, nothing, or the reason why it is not known.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagelink::one_line;
use tokio::time::{Instant, timeout_at};

use crate::attempts::until;
use crate::error::{Error, ErrorKind};

/// The result of a look-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Lookup<T> {
    /// It was looked up.
    Known {
        /// The finding.
        value: T,
    },
    /// There is nothing to look up, or nothing was found.
    Absent {
        /// The reason for that.
        reason: String,
    },
    /// It could not be looked up.
    NotKnown {
        /// The failure.
        reason: String,
    },
}

impl<T> Lookup<T> {
    pub(crate) fn known(value: T) -> Self {
        Self::Known { value }
    }

    pub(crate) fn absent(reason: impl Into<String>) -> Self {
        Self::Absent {
            reason: reason.into(),
        }
    }

    pub(crate) fn not_known(reason: impl std::fmt::Display) -> Self {
        Self::NotKnown {
            reason: one_line(reason).to_string(),
        }
    }

    /// Takes the result of a look-up, whose failure is the reason.
    pub(crate) fn of(result: Result<T, Error>) -> Self {
        match result {
            Ok(value) => Self::known(value),
            Err(error) => Self::not_known(error.report()),
        }
    }

    /// The value, where it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value } => Some(value),
            _ => None,
        }
    }

    /// Returns whether it could not be looked up.
    pub fn is_not_known(&self) -> bool {
        matches!(self, Self::NotKnown { .. })
    }

    /// Returns the same result without its value, for another look-up that depends on it.
    pub(crate) fn without_value<U>(&self, known: impl FnOnce(&T) -> Lookup<U>) -> Lookup<U> {
        match self {
            Self::Known { value } => known(value),
            Self::Absent { reason } => Lookup::absent(reason),
            Self::NotKnown { reason } => Lookup::not_known(reason),
        }
    }
}

/// Waits for a look-up, for the time limit at most.
///
/// # Errors
///
/// Those of the look-up, and [`ErrorKind::Unavailable`] at the limit.
pub(crate) async fn within<T>(
    limit: Duration,
    look_up: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ends = Instant::now() + limit;
    match timeout_at(ends, until(ends, look_up)).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} s", limit.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_state_and_a_value_or_a_reason() {
        let json = |lookup: Lookup<Vec<u8>>| serde_json::to_string(&lookup).unwrap();
        let known = json(Lookup::known(vec![1]));
        assert_eq!(known, r#"{"state":"known","value":[1]}"#);
        let not_known = json(Lookup::not_known("a\nb"));
        assert_eq!(not_known, r#"{"state":"not_known","reason":"a\\nb"}"#);
        let back: Lookup<Vec<u8>> = serde_json::from_str(&known).unwrap();
        assert_eq!(back, Lookup::known(vec![1]));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_look_up_is_not_known_at_the_limit() {
        let silent = std::future::pending::<Result<(), Error>>();
        let error = within(Duration::from_secs(20), silent).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 20 s");
    }
}
