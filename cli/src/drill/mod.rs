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
use futures_util::stream::{self, StreamExt as _};
use nix::sys::signal::Signal;
use stagelink_local::ErrorKind;
use stagelink_local::faults::{ActiveFault, Fault};
use stagelink_pipeline::DrillSettings;
use tokio::time::{Instant, sleep, timeout};

use self::case::Case;
use self::load::{Load, Outcome, READERS};
use self::report::{CaseReport, Report};
use self::requests::{Requests, is_success};
use self::site::DrillSite;
use crate::args::DrillOptions;
use crate::failure::Failure;
use crate::fault::ensure_stage;
use crate::local_clouds::RunningStages;
use crate::output::{note, print, print_json};
use crate::progress::Step;
use crate::project;
use crate::shutdown_signals::{self, ShutdownSignals};
use crate::usage_error::of_usage;

/// Runs the drill, and prints what the clients saw. The exit code is 0 if that is as expected, else 1,
/// and 128 and a signal's number where one stopped it.
///
/// # Errors
///
/// When the requests are not declared or fail without a fault, or no site runs and none can be started.
pub async fn run(options: DrillOptions) -> anyhow::Result<ExitCode> {
    let mut signals = ShutdownSignals::listen()?;
    let mut progress = Progress::default();
    let done = drill(&options, &mut progress, &mut signals).await;
    let report = match done {
        Ok(report) => report,
        Err(error) => {
            if options.json {
                print_json(&Failure::new(&error))?;
            }
            return Err(error);
        }
    };
    match options.json {
        true => print_json(&report)?,
        false if report.cases.is_empty() => {}
        false => print(report.text())?,
    }
    Ok(match report.stopped_by() {
        Some(signal) => ExitCode::from(shutdown_signals::exit_code(signal)),
        None if report.is_as_expected => ExitCode::SUCCESS,
        None => ExitCode::from(1),
    })
}

/// The state of a drill, from which its report is made also where a signal stops it.
#[derive(Debug, Default)]
struct Progress {
    stage: String,
    /// The beginning of the texts of all writes.
    name: String,
    reports: Vec<CaseReport>,
    /// The case that runs.
    current: Option<&'static str>,
}

async fn drill(
    options: &DrillOptions,
    progress: &mut Progress,
    signals: &mut ShutdownSignals,
) -> anyhow::Result<Report> {
    let cases = Case::named(&options.faults)?;
    let settings = settings(options)?;
    let site = tokio::select! {
        site = DrillSite::open(&options.local) => site?,
        signal = signals.next() => {
            note(format_args!("the drill was stopped by {signal}: it had injected nothing yet"));
            return Ok(Report::new(options.duration, progress, Some(signal)));
        }
    };
    // The future is dropped where a signal comes, and its clients with it.
    let ended = tokio::select! {
        result = run_cases(options, &cases, settings, &site.stages, progress) => Ok(result),
        signal = signals.next() => Err(signal),
    };
    let signal = ended.as_ref().err().copied();
    if let Some(signal) = signal {
        let cleared = match progress.current {
            Some(_) => timeout(GRACE, site.stages.faults.clear(Some(&progress.stage))).await,
            None => Ok(Ok(Vec::new())),
        };
        let cleared = match cleared {
            Ok(cleared) => cleared.map_err(anyhow::Error::from),
            Err(_) => Err(anyhow!("`stagelink dev` gives no answer")),
        };
        note(stopped(signal, progress, cases.len(), cleared));
    }
    site.close().await;
    if let Ok(result) = ended {
        result?;
    }
    Ok(Report::new(options.duration, progress, signal))
}

/// Returns what the operator has to know of a drill that a signal stopped.
fn stopped(
    signal: Signal,
    progress: &Progress,
    cases: usize,
    cleared: anyhow::Result<Vec<Fault>>,
) -> String {
    let Some(current) = progress.current else {
        return format!("the drill was stopped by {signal}: it had injected nothing yet");
    };
    let (stage, name) = (&progress.stage, &progress.name);
    let faults = match cleared {
        Ok(ended) if ended.is_empty() => "no fault lasts there".to_owned(),
        Ok(ended) => {
            let ended: Vec<_> = ended.iter().map(Fault::to_string).collect();
            format!("its faults were ended ({})", ended.join(", "))
        }
        Err(error) => format!(
            "its faults could not be ended ({error:#}): run `stagelink fault clear` for that"
        ),
    };
    let done = progress.reports.len();
    format!(
        "the drill was stopped by {signal} in the case {current} of stage {stage}, after {done} of \
         {cases} cases: {faults}. Its writes stay in the database: their texts begin with {name}"
    )
}

async fn run_cases(
    options: &DrillOptions,
    cases: &[Case],
    settings: DrillSettings,
    site: &RunningStages,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    progress.stage = stage_of(site, options.stage.name())?;
    ensure_no_fault(site, &progress.stage).await?;
    let url = site.urls.get(&progress.stage);
    let requests = Requests {
        settings,
        url: url.context("the stage has no URL")?.clone(),
    };
    // Its ids are of one drill alone.
    progress.name = format!(
        "drill-{}",
        &stagelink_local_postgres::random_password()[..10]
    );
    ensure_requests(&requests, &progress.name).await?;
    let stage = progress.stage.clone();
    let run = DrillRun {
        site,
        stage: &stage,
        requests,
        duration: options.duration,
        clients: options.concurrency,
    };
    for (number, case) in cases.iter().enumerate() {
        progress.current = Some(case.name);
        let step = Step::begin_long(case.name);
        let report = run
            .case(case, &format!("{}-{number:02}", progress.name))
            .await?;
        step.done(report.verdict());
        progress.reports.push(report);
    }
    if progress.reports.iter().all(|report| !report.is_drilled()) {
        let reason = progress.reports.first().and_then(CaseReport::not_drilled);
        bail!(
            "no case could be drilled here: {}",
            reason.unwrap_or_default()
        );
    }
    Ok(())
}

/// Returns what is sent.
fn settings(options: &DrillOptions) -> anyhow::Result<DrillSettings> {
    if let Some(file) = &options.requests {
        return DrillSettings::load(file).map_err(of_usage);
    }
    let project = project::open(&options.local.project)?;
    let file = project::settings_file(&project)?;
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

/// Makes sure that the stage has no fault of another's, which the drill would count as its own and end.
async fn ensure_no_fault(site: &RunningStages, stage: &str) -> anyhow::Result<()> {
    let mut faults = site.faults.active().await?;
    faults.retain(|fault| is_of(fault, stage));
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<_> = faults
        .iter()
        .map(|active| active.fault.to_string())
        .collect();
    Err(of_usage(anyhow!(
        "could not begin the drill: stage {stage} has a fault already: {}: wait for its end, or run \
         `stagelink fault clear --stage {stage}`",
        faults.join(", ")
    )))
}

/// Returns whether a fault is one of this stage: other stages may have faults of their own.
fn is_of(fault: &ActiveFault, stage: &str) -> bool {
    fault.stage.as_deref().is_none_or(|of| of == stage)
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
        let some = 2 * (READERS + 1) * usize::from(self.clients);
        load.wait_for_answers(some, Duration::from_secs(60)).await;
        let begun = Instant::now();
        let injected = self.inject(case).await;
        let lasted = (begun, Instant::now());
        load.wait_for_answers(some, Duration::from_secs(20)).await;
        let outcomes = load.stop().await;
        // All have ended by now, unless one could not.
        let cleared = self.site.faults.clear(Some(self.stage)).await;
        if let Err(error) = injected {
            if is_unsupported(&error) {
                return Ok(CaseReport::of_none(case, format!("{error:#}")));
            }
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
        Ok(CaseReport::new(case, &outcomes, lasted, &again, counted))
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
        let is_ours = |fault: &ActiveFault| is_of(fault, self.stage);
        while self.site.faults.active().await?.iter().any(is_ours) {
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
        again.extend(failed.filter_map(|outcome| Some((outcome.id.clone()?, false))));
        let attempts = async {
            loop {
                let left = again.iter_mut().filter(|(_, is_done)| !**is_done);
                let left: Vec<_> = left.collect();
                let sent = left.into_iter().map(|(id, is_done)| async move {
                    let answer = self.requests.write(write, id).await;
                    *is_done = matches!(answer, Ok(status) if is_success(status));
                });
                stream::iter(sent)
                    .for_each_concurrent(AT_ONCE, |one| one)
                    .await;
                if again.values().all(|is_done| *is_done) {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        // What is left then counts as failed.
        let _ = timeout(AGAIN, attempts).await;
        again
    }
}

/// Returns whether a fault is one that the running clouds cannot make.
fn is_unsupported(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<stagelink_local::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::Unsupported)
}

const EXAMPLE: &str = "
[drill]
read = \"/api/notes\"
write = { path = \"/api/notes\", body = { text = \"{id}\" } }
count = { path = \"/api/notes?text={id}\" }";

/// Time for the writes that failed, which are sent again each second: the site is whole again.
const AGAIN: Duration = Duration::from_secs(20);

/// Number of these writes that are under way at once.
const AT_ONCE: usize = 16;

/// Time in which the faults of a drill that is stopped are ended.
const GRACE: Duration = Duration::from_secs(10);
