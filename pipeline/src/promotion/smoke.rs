//! The test of a deploy at an address: the self-check of each function, and the paths of the settings.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stagelink::Stage;
use stagelink::self_check::SelfCheckKey;
use tokio::time::Instant;

use crate::artifact::{FunctionContent, Manifest};
use crate::error::{Error, ErrorKind};
use crate::promotion::proof::{Pauses, Unproved, judge, until_proved};
use crate::promotion::self_check::AskedDeploy;
use crate::promotion::visitor::Visitor;
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
            let told = Mutex::new(String::new());
            let attempt = || async {
                let checked = self.check_function(&visitor, address, name, entry).await;
                tell_failure(&checked, name, &told, tell);
                checked
            };
            if let Err(reason) = until_proved(ends, PAUSES, attempt).await {
                reasons.push(format!("the function {name} {reason}"));
            }
        }
        for tested in self.paths {
            tell(&tested.path);
            let told = Mutex::new(String::new());
            let attempt = || async {
                let checked = check_path(&visitor, address, tested).await;
                tell_failure(&checked, &tested.path, &told, tell);
                checked
            };
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
        let asked = AskedDeploy {
            address,
            key: self.key,
            deploy: self.deploy,
        };
        let report = asked.ask(visitor, name).await?;
        judge(&report, self.stage, entry)
    }
}

/// Tells why an attempt has failed that is made again, so that a person can stop the test, unless the one before has
/// failed for the same reason.
fn tell_failure(
    checked: &Result<(), Unproved>,
    what: &str,
    told: &Mutex<String>,
    tell: &(dyn Fn(&str) + Send + Sync),
) {
    let Err(Unproved::Passing(reason)) = checked else {
        return;
    };
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if *told != *reason {
        tell(&format!("{what} {reason}; it is asked again"));
        told.clone_from(reason);
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
