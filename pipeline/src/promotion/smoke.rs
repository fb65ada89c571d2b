//! The test of a deploy at an address: the self-check of each function, and the paths of the settings.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use stagelink::Stage;
use stagelink::self_check::{
    self, SelfCheckError, SelfCheckKey, SelfCheckReport, SelfCheckRequest,
};
use tokio::time::Instant;

use crate::artifact::{FunctionContent, Manifest};
use crate::error::{Error, ErrorKind};
use crate::promotion::proof::{Pauses, Unproved, judge, until_proved};
use crate::promotion::visitor::{Visit, Visitor};
use crate::settings_file::TestedPath;

/// The test of a deploy.
pub(crate) struct SmokeTest<'a> {
    /// The stage that its functions have to serve.
    pub(crate) stage: Stage,
    pub(crate) manifest: &'a Manifest,
    /// The key of the deploy's self-check.
    pub(crate) key: &'a SelfCheckKey,
    /// The text by which the requests name the deploy.
    pub(crate) deploy: &'a str,
    pub(crate) paths: &'a [TestedPath],
    /// The time for all of it. A deploy may take a moment to be reachable.
    pub(crate) limit: Duration,
}

impl SmokeTest<'_> {
    /// Runs the test at an address without a trailing slash, and tells what it tests.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] with a reason for each function and path that does not pass.
    pub(crate) async fn run(
        &self,
        address: &str,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), Error> {
        let visitor = Visitor::new()?;
        let ends = Instant::now() + self.limit;
        let mut reasons = Vec::new();
        let uncallable: BTreeSet<_> = self.manifest.uncallable().collect();
        for (name, entry) in &self.manifest.content.functions {
            if uncallable.contains(name.as_str()) {
                continue;
            }
            tell(name);
            let attempt = || self.check_function(&visitor, address, name, entry);
            if let Err(reason) = until_proved(ends, PAUSES, attempt).await {
                reasons.push(format!("the function {name} {reason}"));
            }
        }
        for tested in self.paths {
            tell(&tested.path);
            let attempt = || check_path(&visitor, address, tested);
            if let Err(reason) = until_proved(ends, PAUSES, attempt).await {
                reasons.push(format!("{} {reason}", tested.path));
            }
        }
        match reasons.is_empty() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Promotion,
                format!("the deploy does not pass its test at {address}"),
            )
            .with_details(reasons)),
        }
    }

    async fn check_function(
        &self,
        visitor: &Visitor,
        address: &str,
        name: &str,
        entry: &FunctionContent,
    ) -> Result<(), Unproved> {
        let nonce = self_check::nonce().map_err(|error| Unproved::Final(error.to_string()))?;
        // In the middle of what the function accepts: its clock and this one may differ by half a minute,
        // in either direction.
        let expiry = SystemTime::now() + SelfCheckRequest::LIFETIME / 2;
        let request = SelfCheckRequest::new(self.deploy, name, &nonce, expiry);
        let url = format!("{address}{}", self_check::path(name));
        let header = request.header(self.key);
        let visit = visitor
            .get(&url, Some((self_check::HEADER, &header)))
            .await
            .map_err(|error| Unproved::Passing(error.report()))?;
        let signature = visit.headers.get(self_check::HEADER);
        let signature = signature.and_then(|value| value.to_str().ok());
        match SelfCheckReport::verify(&visit.body, signature, self.key, &request) {
            Ok(report) => judge(&report, self.stage, entry),
            Err(error) => Err(unproved(&visit, error)),
        }
    }
}

/// Returns the failure of a response that proves nothing.
fn unproved(visit: &Visit, error: SelfCheckError) -> Unproved {
    let status = visit.status.as_u16();
    match visit.status {
        StatusCode::UNAUTHORIZED => Unproved::Final(format!(
            "is not reachable ({status}): the site is protected by a password or a login, which \
             keeps the test out"
        )),
        // What is not there yet, or starts slowly.
        StatusCode::NOT_FOUND => Unproved::Passing(format!("is not there ({status})")),
        _ if visit.status.is_server_error() => Unproved::Passing(format!("fails ({status})")),
        _ => Unproved::Passing(format!("does not prove what it is ({status}): {error}")),
    }
}

async fn check_path(visitor: &Visitor, address: &str, tested: &TestedPath) -> Result<(), Unproved> {
    let url = format!("{address}{}", tested.path);
    let visit = visitor.get(&url, None).await;
    let visit = visit.map_err(|error| Unproved::Passing(error.report()))?;
    let (status, wanted) = (visit.status.as_u16(), tested.status);
    match status == wanted {
        true => Ok(()),
        false => Err(Unproved::Passing(format!(
            "answers {status}, and not {wanted}"
        ))),
    }
}

const PAUSES: Pauses = Pauses {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
};
