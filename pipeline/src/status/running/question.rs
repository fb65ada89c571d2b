//! The question to the functions of a deploy: one request for each, several at a time, within one time
//! limit.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use secrecy::ExposeSecret as _;
use stagelink::Stage;
use stagelink::self_check::{SelfCheckKey, SelfCheckReport};
use tokio::time::{Instant, sleep, timeout_at};

use super::{RunningAnswer, RunningDeploy, RunningFunction};
use crate::artifact::{FunctionContent, Manifest};
use crate::needs::RecordedMigration;
use crate::promotion::{AskedDeploy, DeployRecord, Unproved, Visitor};
use crate::status::lookup::Lookup;

/// A deploy whose functions are asked what they run.
#[derive(Debug)]
pub(crate) struct RunningQuestion<'a> {
    pub(crate) stage: Stage,
    /// The id of the deploy.
    pub(crate) deploy: &'a str,
    /// The address at which visitors see it; `None` where Netlify does not tell it.
    pub(crate) url: Option<&'a str>,
    /// The records of the stage's deploys, the newest first.
    pub(crate) records: &'a [DeployRecord],
    /// The history of the stage's database, or the reason why it is not known.
    pub(crate) history: &'a Result<Vec<RecordedMigration>, String>,
}

impl RunningQuestion<'_> {
    /// Asks the functions side by side. Without a record of the deploy, there is nothing to compare the
    /// answers with, nor a key to ask with.
    pub(crate) async fn ask(&self, limit: Duration) -> Lookup<RunningDeploy> {
        let mut records = self.records.iter();
        let Some(record) = records.find(|record| record.has_made(self.deploy)) else {
            return Lookup::absent("the stage's database has no record of the deploy");
        };
        let Some(key) = &record.self_check_key else {
            return Lookup::absent("the record of the deploy has no key for a self-check");
        };
        // Its message does not repeat the key.
        let key = match SelfCheckKey::parse(key.expose_secret()) {
            Ok(key) => key,
            Err(error) => return Lookup::not_known(error.report()),
        };
        let manifest = match Manifest::of_json(&record.manifest) {
            Ok(manifest) => manifest,
            Err(error) => return Lookup::not_known(error.report()),
        };
        let Some(url) = self.url else {
            return Lookup::not_known("Netlify does not tell the address of the deploy");
        };
        match Visitor::new() {
            Ok(visitor) => {
                let asked = AskedDeploy {
                    address: url.trim_end_matches('/'),
                    key: &key,
                    deploy: self.deploy,
                };
                let ends = Instant::now() + limit;
                Lookup::known(self.ask_all(asked, &visitor, &manifest, ends).await)
            }
            Err(error) => Lookup::not_known(error.report()),
        }
    }

    async fn ask_all(
        &self,
        asked: AskedDeploy<'_>,
        visitor: &Visitor,
        manifest: &Manifest,
        ends: Instant,
    ) -> RunningDeploy {
        let uncallable: BTreeSet<_> = manifest.uncallable().collect();
        let functions = manifest.content.functions.iter();
        let mut callable: Vec<(&String, &FunctionContent)> = functions
            .filter(|(name, _)| !uncallable.contains(name.as_str()))
            .collect();
        let not_asked = callable.split_off(callable.len().min(MOST_FUNCTIONS));
        let answers = stream::iter(callable).map(async |(name, entry)| {
            let answer = match ask_within(asked, visitor, name, ends).await {
                Ok(report) => {
                    Lookup::known(RunningAnswer::of(&report, self.stage, entry, self.history))
                }
                Err(reason) => Lookup::not_known(reason),
            };
            RunningFunction {
                name: name.clone(),
                answer,
            }
        });
        RunningDeploy {
            url: asked.address.to_owned(),
            functions: answers.buffered(AT_ONCE).collect().await,
            uncallable: uncallable.into_iter().map(str::to_owned).collect(),
            not_asked: not_asked
                .into_iter()
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }
}

/// Asks a function, and once again where the failure may pass.
async fn ask_within(
    asked: AskedDeploy<'_>,
    visitor: &Visitor,
    function: &str,
    ends: Instant,
) -> Result<SelfCheckReport, String> {
    let attempts = async {
        match asked.ask(visitor, function).await {
            Err(Unproved::Passing(_)) if Instant::now() + PAUSE < ends => {
                sleep(PAUSE).await;
                asked.ask(visitor, function).await
            }
            other => other,
        }
    };
    match timeout_at(ends, attempts).await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(Unproved::Passing(reason) | Unproved::Final(reason))) => Err(reason),
        Err(_) => Err("has not answered in time".to_owned()),
    }
}

/// The functions of one deploy that are asked. Each answer takes a connection to the database.
const MOST_FUNCTIONS: usize = 12;

const AT_ONCE: usize = 4;

/// The time before a second request, such as for a function that was just started.
const PAUSE: Duration = Duration::from_millis(500);
