//! The self-check of a version on Lambda: a direct call that the SDK's runtime answers without its
//! handler.

use std::time::Duration;

use stagelink::Stage;
use stagelink::self_check::{self, SelfCheckInvocation, SelfCheckReport};
use tokio::time::Instant;

use crate::artifact::FunctionContent;
use crate::aws::{Lambda, Reason};
use crate::error::{Error, ErrorKind};
use crate::promotion::proof::{Pauses, Unproved, judge, until_proved};

/// A function whose version is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedFunction<'a> {
    pub(super) stage: Stage,
    /// The name on Lambda.
    pub(super) lambda: &'a str,
    /// The version's number, or the alias.
    pub(super) qualifier: &'a str,
    /// The version that has to answer.
    pub(super) version: &'a str,
    pub(super) entry: &'a FunctionContent,
}

impl AskedFunction<'_> {
    /// Asks until the version proves that it is the artifact's program, serves the stage and uses its
    /// database, or the time is over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] with the reason why it does not.
    pub(super) async fn check(self, lambda: &Lambda, limit: Duration) -> Result<(), Error> {
        let ends = Instant::now() + limit;
        let proved = until_proved(ends, PAUSES, || self.ask(lambda)).await;
        proved.map_err(|reason| self.failed(&reason))
    }

    fn failed(self, reason: &str) -> Error {
        Error::new(
            ErrorKind::Promotion,
            format!("{}:{} {reason}", self.lambda, self.qualifier),
        )
    }

    async fn ask(self, lambda: &Lambda) -> Result<(), Unproved> {
        let nonce = self_check::nonce().map_err(|error| Unproved::Final(error.to_string()))?;
        let invocation = SelfCheckInvocation::new(self.stage, &nonce);
        let context = invocation.client_context();
        let answer = match lambda.invoke(self.lambda, self.qualifier, &context).await {
            Ok(answer) => answer,
            Err(failure) => {
                let report = failure.error.report();
                // Of these no other attempt is answered.
                let is_final =
                    failure.reason == Reason::Denied || failure.error.kind() == ErrorKind::Settings;
                return Err(match is_final {
                    true => Unproved::Final(format!("cannot be asked: {report}")),
                    false => Unproved::Passing(format!("does not answer: {report}")),
                });
            }
        };
        if let Some(version) = answer.version
            && version != self.version
        {
            // An alias that was just moved.
            return Err(Unproved::Passing(format!(
                "is answered by version {version}, and not by {}",
                self.version
            )));
        }
        let report = SelfCheckReport::of_invocation(&answer.payload, &invocation);
        let report = report.map_err(|error| {
            Unproved::Final(format!(
                "does not prove what it is ({error}): build it with this version of stagelink, whose \
                 runtime answers for it"
            ))
        })?;
        judge(&report, self.stage, self.entry)
    }
}

const PAUSES: Pauses = Pauses {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(8),
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::aws::script::Script;

    #[tokio::test]
    async fn login_that_may_not_invoke_is_told_at_once() {
        let entry = FunctionContent {
            program: "ab".repeat(32),
            archive: "cd".repeat(32),
            migrations: None,
            schedule: None,
            background: false,
            settings: BTreeMap::new(),
        };
        for code in ["AccessDeniedException", "ExpiredTokenException"] {
            let script = Script::new(&format!(
                "'lambda invoke') echo 'An error occurred ({code}) when calling the Invoke operation: no' >&2; \
                 exit 254 ;;"
            ));
            let asked = AskedFunction {
                stage: Stage::PRODUCTION,
                lambda: "shop",
                qualifier: "7",
                version: "7",
                entry: &entry,
            };
            let lambda = script.lambda().await;
            let error = asked
                .check(&lambda, Duration::from_secs(60))
                .await
                .unwrap_err();
            let error = error.to_string();
            assert!(
                error.starts_with(&format!(
                    "shop:7 cannot be asked: could not call shop:7: {code}"
                )),
                "{error}"
            );
            assert_eq!(script.calls().matches("lambda invoke").count(), 1);
        }
    }
}
