//! The test of a deploy at an address: the self-check of each function, and the paths of the settings.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use stagelink::Stage;
use stagelink::self_check::{
    self, SelfCheckError, SelfCheckKey, SelfCheckReport, SelfCheckRequest,
};
use tokio::time::{Instant, sleep};

use crate::artifact::{FunctionContent, Manifest};
use crate::error::{Error, ErrorKind};
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

/// The reason why one attempt did not pass.
enum Failure {
    /// It may pass later: the deploy is not reachable yet.
    Passing(String),
    /// It does not pass.
    Final(String),
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
            if let Err(reason) = until(ends, attempt).await {
                reasons.push(format!("the function {name} {reason}"));
            }
        }
        for tested in self.paths {
            tell(&tested.path);
            let attempt = || check_path(&visitor, address, tested);
            if let Err(reason) = until(ends, attempt).await {
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
    ) -> Result<(), Failure> {
        let nonce = self_check::nonce().map_err(|error| Failure::Final(error.to_string()))?;
        let expiry = SystemTime::now() + SelfCheckRequest::LIFETIME;
        let request = SelfCheckRequest::new(self.deploy, name, &nonce, expiry);
        let url = format!("{address}{}", self_check::path(name));
        let header = request.header(self.key);
        let visit = visitor
            .get(&url, Some((self_check::HEADER, &header)))
            .await
            .map_err(|error| Failure::Passing(error.report()))?;
        let signature = visit.headers.get(self_check::HEADER);
        let signature = signature.and_then(|value| value.to_str().ok());
        match SelfCheckReport::verify(&visit.body, signature, self.key, &request) {
            Ok(report) => self.judge(&report, entry).map_err(Failure::Final),
            Err(error) => Err(unproved(&visit, error)),
        }
    }

    /// Returns the reason why a report does not prove the stage, the program and the database.
    fn judge(&self, report: &SelfCheckReport, entry: &FunctionContent) -> Result<(), String> {
        let wanted = self.stage;
        if report.stage != Some(wanted) {
            let other = report.stage.map(|stage| stage.to_string());
            let other = other.as_deref().unwrap_or("no stage");
            return Err(format!("serves {other}, and not {wanted}"));
        }
        if report.program.as_deref() != Some(&*entry.program) {
            return Err("runs another program than the artifact's".to_owned());
        }
        if !report.is_database_ok() {
            return Err(format!(
                "cannot use the database of stage {wanted} ({}): its log says why",
                report.database
            ));
        }
        match report.mark {
            Some(mark) if mark != wanted => Err(format!(
                "reached a database that is marked as {mark}'s, and not as {wanted}'s"
            )),
            _ => Ok(()),
        }
    }
}

/// Returns the failure of a response that proves nothing.
fn unproved(visit: &Visit, error: SelfCheckError) -> Failure {
    let status = visit.status.as_u16();
    match visit.status {
        StatusCode::UNAUTHORIZED => Failure::Final(format!(
            "is not reachable ({status}): the site is protected by a password or a login, which \
             keeps the test out"
        )),
        // What is not there yet, or starts slowly.
        StatusCode::NOT_FOUND => Failure::Passing(format!("is not there ({status})")),
        _ if visit.status.is_server_error() => Failure::Passing(format!("fails ({status})")),
        _ => Failure::Passing(format!("does not prove what it is ({status}): {error}")),
    }
}

async fn check_path(visitor: &Visitor, address: &str, tested: &TestedPath) -> Result<(), Failure> {
    let url = format!("{address}{}", tested.path);
    let visit = visitor.get(&url, None).await;
    let visit = visit.map_err(|error| Failure::Passing(error.report()))?;
    let (status, wanted) = (visit.status.as_u16(), tested.status);
    match status == wanted {
        true => Ok(()),
        false => Err(Failure::Passing(format!(
            "answers {status}, and not {wanted}"
        ))),
    }
}

/// Tries again until it passes, does not pass, or the time is over. Returns the last reason.
async fn until<F: Future<Output = Result<(), Failure>>>(
    ends: Instant,
    attempt: impl Fn() -> F,
) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    loop {
        let reason = match attempt().await {
            Ok(()) => return Ok(()),
            Err(Failure::Final(reason)) => return Err(reason),
            Err(Failure::Passing(reason)) => reason,
        };
        if Instant::now() + pause >= ends {
            return Err(reason);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);

const LONGEST_PAUSE: Duration = Duration::from_secs(4);
