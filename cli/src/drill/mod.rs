//! `stagelink drill`: load on a local stage, each fault in turn, and what the clients saw.

mod case;
mod load;
mod report;
mod requests;
mod site;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use stagelink_local::ErrorKind;
use stagelink_local::faults::Fault;
use stagelink_pipeline::{DrillSettings, SettingsFile};
use tokio::time::{Instant, sleep};

use self::case::Case;
use self::load::{Load, Outcome};
use self::report::{CaseReport, Report};
use self::requests::{Requests, is_success};
use self::site::DrillSite;
use crate::args::DrillOptions;
use crate::failure::Failure;
use crate::fault::ensure_stage;
use crate::local_clouds::RunningStages;
use crate::output::{print, print_json};
use crate::progress::Step;
use crate::project;
use crate::usage_error::of_usage;

/// Runs the drill, and prints what the clients saw. The exit code is 0 if that is as expected, else 1.
///
/// # Errors
///
/// When the requests are not declared or fail without a fault, or no site runs and none can be started.
pub async fn run(options: DrillOptions) -> anyhow::Result<ExitCode> {
    let done = drill(&options).await;
    match &done {
        Ok(report) if options.json => print_json(report)?,
        Ok(report) => print(report.text())?,
        Err(error) if options.json => print_json(&Failure::new(error))?,
        Err(_) => {}
    }
    Ok(match done?.is_as_expected {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

async fn drill(options: &DrillOptions) -> anyhow::Result<Report> {
    let cases = Case::named(&options.faults)?;
    let settings = settings(options)?;
    let site = DrillSite::open(&options.local).await?;
    let report = run_cases(options, &cases, settings, &site.stages).await;
    site.close().await;
    report
}

async fn run_cases(
    options: &DrillOptions,
    cases: &[Case],
    settings: DrillSettings,
    site: &RunningStages,
) -> anyhow::Result<Report> {
    let stage = stage_of(site, options.stage.name())?;
    let url = site.urls.get(&stage);
    let requests = Requests {
        settings,
        url: url.context("the stage has no URL")?.clone(),
    };
    // Its ids are of one drill alone.
    let name = format!(
        "drill-{}",
        &stagelink_local_postgres::random_password()[..10]
    );
    ensure_requests(&requests, &name).await?;
    let run = DrillRun {
        site,
        stage: &stage,
        requests,
        duration: options.duration,
        clients: options.concurrency,
    };
    let mut reports = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let step = Step::begin_long(case.name);
        let report = run.case(case, &format!("{name}-{number:02}")).await?;
        step.done(match report.is_as_expected() {
            true => "as expected",
            false => "not as expected",
        });
        reports.push(report);
    }
    Ok(Report {
        stage,
        duration_ms: u64::try_from(options.duration.as_millis()).unwrap_or(u64::MAX),
        is_as_expected: reports.iter().all(CaseReport::is_as_expected),
        cases: reports,
    })
}

/// Returns what is sent.
fn settings(options: &DrillOptions) -> anyhow::Result<DrillSettings> {
    if let Some(file) = &options.requests {
        return DrillSettings::load(file).map_err(of_usage);
    }
    let project = project::open(&options.local.project)?;
    let file = SettingsFile::load(&project)?;
    let declared = file.as_ref().and_then(|file| file.drill()).cloned();
    declared.ok_or_else(|| {
        of_usage(anyhow!(
            "what a drill sends is not declared: add a table to stagelink.toml, such as\n{EXAMPLE}"
        ))
    })
}

/// Returns the stage that is named, or staging, or the only one.
fn stage_of(site: &RunningStages, named: Option<&str>) -> anyhow::Result<String> {
    let has = |name: &str| site.names.iter().any(|of| of == name);
    let stage = match (named, site.names.as_slice()) {
        (Some(stage), _) => stage,
        (None, [only]) => only,
        (None, _) if has("staging") => "staging",
        (None, names) => {
            let names = names.join(" or ");
            return Err(of_usage(anyhow!("name the local stage: {names}")));
        }
    };
    ensure_stage(site, stage)?;
    Ok(stage.to_owned())
}

/// Makes sure that the requests succeed without a fault. Afterwards the functions are warm.
async fn ensure_requests(requests: &Requests, name: &str) -> anyhow::Result<()> {
    let settings = &requests.settings;
    let failed = |what: &str, path: &str, answer: requests::Answer| {
        let answer = match answer {
            Ok(status) => format!("it is answered {status}"),
            Err(reason) => reason,
        };
        anyhow!("could not begin the drill: the {what} of {path} fails without a fault: {answer}")
    };
    if let Some(read) = &settings.read {
        let answer = requests.read(read).await;
        if !matches!(answer, Ok(status) if is_success(status)) {
            return Err(failed("read", read, answer));
        }
    }
    let Some(write) = &settings.write else {
        return Ok(());
    };
    let id = format!("{name}-first");
    let answer = requests.write(write, &id).await;
    if !matches!(answer, Ok(status) if is_success(status)) {
        return Err(failed("write", &write.path, answer));
    }
    let Some(count) = &settings.count else {
        return Ok(());
    };
    let counted = requests.count(count, [id.as_str()].into_iter()).await?;
    if counted[&id] != 1 {
        bail!(
            "could not begin the drill: one write without a fault is counted {} times at {}",
            counted[&id],
            count.path
        );
    }
    Ok(())
}

/// A drill of one stage.
struct DrillRun<'a> {
    site: &'a RunningStages,
    stage: &'a str,
    requests: Requests,
    duration: Duration,
    clients: u16,
}

impl DrillRun<'_> {
    async fn case(&self, case: &Case, name: &str) -> anyhow::Result<CaseReport> {
        self.end_instances().await?;
        let load = Load::start(&self.requests, name, self.clients);
        let some = 3 * usize::from(self.clients);
        load.wait_for_answers(some, Duration::from_secs(60)).await;
        let injected = self.inject(case).await;
        load.wait_for_answers(some, Duration::from_secs(20)).await;
        let outcomes = load.stop().await;
        // All have ended by now, unless one could not.
        let cleared = self.site.faults.clear(None).await;
        if let Err(error) = injected {
            let error = error.context("the fault could not be injected");
            return Ok(CaseReport::failed(case, format!("{error:#}")));
        }
        cleared.context("could not end the faults")?;
        let again = self.send_again(&outcomes).await;
        let counted = match &self.requests.settings.count {
            None => None,
            Some(count) => {
                let ids = outcomes.iter().filter_map(|outcome| outcome.id.as_deref());
                let counted = self.requests.count(count, ids).await;
                Some(counted.map_err(|error| format!("{error:#}")))
            }
        };
        Ok(CaseReport::new(case, &outcomes, &again, counted))
    }

    /// Ends all instances, so that each case begins with new ones: the pauses before requests to the
    /// provider that one case has brought about are no part of the next.
    async fn end_instances(&self) -> anyhow::Result<()> {
        let kill = Fault::Kill { function: None };
        for _ in 0..200 {
            match self.site.faults.inject(self.stage, &kill, None).await {
                Ok(_) => sleep(Duration::from_millis(50)).await,
                // None is left.
                Err(error) if error.kind() == ErrorKind::Input => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        bail!("could not end the instances of the stage {}", self.stage)
    }

    /// Injects the faults of a case, and waits for the end of those that last.
    async fn inject(&self, case: &Case) -> anyhow::Result<()> {
        let ends = Instant::now() + self.duration;
        for (fault, duration) in case.faults(self.duration) {
            let faults = &self.site.faults;
            faults.inject(self.stage, fault, duration).await?;
        }
        tokio::time::sleep_until(ends).await;
        let limit = Instant::now() + Duration::from_secs(10);
        while !self.site.faults.active().await?.is_empty() {
            if Instant::now() > limit {
                bail!("the fault did not end by itself");
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Sends the writes that failed once more, with their keys, where writes have one. Returns which
    /// of them succeeded.
    async fn send_again(&self, outcomes: &[Outcome]) -> BTreeMap<String, bool> {
        let mut again = BTreeMap::new();
        let write = self.requests.settings.write.as_ref();
        let Some(write) = write.filter(|write| write.idempotency_key) else {
            return again;
        };
        let failed = outcomes.iter().filter(|outcome| !outcome.is_success());
        for id in failed.filter_map(|outcome| outcome.id.as_ref()) {
            let mut is_done = false;
            for _ in 0..AGAIN {
                let answer = self.requests.write(write, id).await;
                is_done = matches!(answer, Ok(status) if is_success(status));
                if is_done {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
            again.insert(id.clone(), is_done);
        }
        again
    }
}

const EXAMPLE: &str = "
[drill]
read = \"/api/notes\"
write = { path = \"/api/notes\", body = { text = \"{id}\" } }
count = { path = \"/api/notes\" }";

/// Attempts of a write that failed, a second apart: the site is whole again.
const AGAIN: usize = 20;
