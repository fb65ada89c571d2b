//! The look-ups of an examination: stages side by side, one connection each, within time limits.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use stagelink::Stage;
use stagelink::tokio_postgres::Client;
use tokio::time::timeout;

use crate::doctor::artifact_checks::{FunctionNeeds, judge_artifacts};
use crate::doctor::check::{
    ARTIFACTS, CLOCK, CONNECT, CONNECTIONS, Check, DEPLOYS_BY_API, DEPLOYS_LOCKED, DRIFT, FOLLOWER,
    INVALID_INDEXES, LEFTOVER_URL, LINKED, LONG_TRANSACTIONS, MARK, MIGRATION_FILES, MIGRATIONS,
    OWN_DATABASE, POOLER, ROUND_TRIPS, RUNNING_CODE, SERVER_AUTH, SERVER_VERSION, SETTINGS, SITE,
    SSLMODE, TOKEN_REACH, TRANSACTION_ID_AGE, VARIABLES_SIZE,
};
use crate::doctor::connection_checks::{
    judge_mark, judge_pooler, judge_round_trips, judge_server_auth, judge_sslmode,
};
use crate::doctor::connection_facts::{ConnectionFacts, FromRequest};
use crate::doctor::drift_checks::judge_drift;
use crate::doctor::migration_checks::{judge_files, judge_history, of_after};
use crate::doctor::own_database::{self, Reached};
use crate::doctor::questions::Questions;
use crate::doctor::reach;
use crate::doctor::report::{CheckResult, DoctorReport, StageReport};
use crate::doctor::request::{DEFAULT_CONCURRENCY, DoctorRequest, StageRequest};
use crate::doctor::running_code;
use crate::doctor::server_checks::{
    judge_clock, judge_connections, judge_follower, judge_invalid_indexes, judge_long_transactions,
    judge_transaction_id_age, judge_version,
};
use crate::doctor::server_facts::{InvalidIndex, ServerFacts, known};
use crate::doctor::site_checks::{
    KnownDatabase, judge_api_deploys, judge_leftover_url, judge_linked, judge_lock,
    judge_service_clocks, judge_site, judge_token_reach, judge_variables_size,
};
use crate::doctor::site_facts::{
    NoSite, PipelineFacts, SiteFacts, TokenFacts, has_tokens, try_tokens, unread_token,
};
use crate::doctor::verdict::Verdict;
use crate::migrations::drift::compare;
use crate::migrations::{MigrationFolder, MigrationState, ReadError};
use crate::needs::RecordedMigration;
use crate::promotion::read_deploy_records;

/// Examines the stages of a request. It changes nothing, and cannot fail: what goes wrong is a
/// finding, or a check that was not made. `tell` gets the current activity.
pub async fn examine(request: DoctorRequest, tell: impl Fn(&str) + Send + Sync) -> DoctorReport {
    let DoctorRequest {
        stages,
        other_stages,
        migrations,
        artifacts,
        unread_artifacts,
        site,
        running_site,
        contexts,
        heroku,
        mut tokens,
        concurrency,
        long_transaction,
        options,
    } = request;
    let folder = migrations.map(|folder| MigrationFolder::read(&folder));
    let mut project = Vec::new();
    if let Some(folder) = &folder {
        project.push(result(MIGRATION_FILES, judge_files(folder)));
    }
    let context = Context {
        folder: folder.map(|folder| folder.map_err(|_| UNUSABLE_FOLDER)),
        artifacts,
        unread_artifacts,
        concurrency: concurrency.or(options.is_empty().then_some(DEFAULT_CONCURRENCY)),
        long_transaction,
        is_local: running_site.is_some(),
        options,
        tell: &tell,
    };
    let stages = stages.into_iter();
    let look_up_running = async {
        let site = running_site.as_ref()?;
        Some(SiteFacts::look_up(site, contexts.clone()).await)
    };
    let (examined, site, running_site, pipeline) = tokio::join!(
        join_all(stages.map(|stage| examine_stage(stage, &context))),
        SiteFacts::look_up(&site, contexts.clone()),
        look_up_running,
        PipelineFacts::look_up(heroku.as_ref()),
    );
    let mut reached = Vec::new();
    let mut reports = Vec::new();
    for (report, found) in examined {
        reports.push(report);
        reached.extend(found);
    }
    (context.tell)("comparing the databases");
    let pairs = own_database::compare(&reached).await;
    (context.tell)("asking the functions");
    let examined: Vec<_> = reports.iter().map(|report| report.stage).collect();
    let folder = context.folder.as_ref().and_then(|of| of.as_ref().ok());
    let advised = &context.options;
    let asked = running_site.as_ref().unwrap_or(&site);
    let running =
        running_code::examine(&examined, &contexts, asked, &reached, folder, advised).await;
    for (stage, verdict) in running {
        let of_stage = reports.iter_mut().find(|report| report.stage == stage);
        if let Some(report) = of_stage {
            report.checks.push(result(RUNNING_CODE, verdict));
        }
    }
    let is_reached = |stage: &Stage| reached.iter().any(|of| of.info.stage == *stage);
    let asked = reports.iter().map(|report| report.stage);
    let mut unreached: Vec<_> = asked.filter(|stage| !is_reached(stage)).collect();
    for report in &mut reports {
        if is_reached(&report.stage) {
            let verdicts = own_database::judge(report.stage, &pairs, &unreached);
            report.checks.extend(results(OWN_DATABASE, verdicts));
        }
        report.checks.sort_by_key(|of| of.check.position());
    }
    let known: Vec<_> = reached.iter().map(KnownDatabase::of).collect();
    for stage in other_stages.into_iter().chain([Stage::PRODUCTION]) {
        if !is_reached(&stage) && !unreached.contains(&stage) {
            unreached.push(stage);
        }
    }
    let tried = match &pipeline {
        Some(Ok(pipeline)) => {
            (context.tell)("trying the tokens");
            for (_, access) in &mut tokens {
                access.url.clone_from(&pipeline.url);
            }
            let site = site.as_ref().ok();
            Ok(try_tokens(site, &tokens, &pipeline.url, &pipeline.apps).await)
        }
        Some(Err(reason)) => Err(reason.clone()),
        None if has_tokens(site.as_ref().ok(), &tokens) => Err(
            "no examined stage is in a Heroku pipeline, which names the apps of production"
                .to_owned(),
        ),
        None => Ok(Vec::new()),
    };
    let tried = tried.map(|mut tried| {
        tried.extend(
            site.as_ref()
                .ok()
                .and_then(|site| unread_token(site, &tokens)),
        );
        tried
    });
    project.extend(examine_site(&site, &known, &unreached, tried));
    // Each service that was asked has a clock, or none that could be read.
    let netlify = match &site {
        Ok(site) => Some(site.clock),
        Err(NoSite::None) => None,
        Err(NoSite::NotAsked(_) | NoSite::Refused(_)) => Some(None),
    };
    let heroku = pipeline.map(|found| found.ok().and_then(|found| found.clock));
    let (mut clocks, mut unread) = (Vec::new(), Vec::new());
    for (service, clock) in [("Netlify", netlify), ("Heroku", heroku)] {
        match clock {
            Some(Some(clock)) => clocks.push((service, clock)),
            Some(None) => unread.push(service),
            None => {}
        }
    }
    project.extend(results(CLOCK, judge_service_clocks(&clocks, &unread)));
    project.sort_by_key(|of| of.check.position());
    DoctorReport {
        stages: reports,
        project,
    }
}

/// Judges the site; without one, only the tokens that were named.
fn examine_site(
    site: &Result<SiteFacts, NoSite>,
    known: &[KnownDatabase],
    unreached: &[Stage],
    tokens: Result<Vec<TokenFacts>, String>,
) -> Vec<CheckResult> {
    let reach = match tokens {
        Ok(tokens) => judge_token_reach(&tokens),
        Err(reason) => vec![Verdict::not_checked(reason)],
    };
    let has_token = !matches!(reach[..], [Verdict::Sound(_)]);
    let mut made: Vec<_> = judge_site(site)
        .map(|verdict| result(SITE, verdict))
        .into_iter()
        .collect();
    match site {
        Ok(site) => {
            let leftover = judge_leftover_url(site, known, unreached);
            made.extend(results(LINKED, judge_linked(site)));
            made.extend(results(TOKEN_REACH, reach));
            made.extend(results(LEFTOVER_URL, leftover));
            made.extend(results(VARIABLES_SIZE, judge_variables_size(site)));
            made.push(result(DEPLOYS_LOCKED, judge_lock(site)));
            made.push(result(DEPLOYS_BY_API, judge_api_deploys(site)));
        }
        Err(NoSite::None) => {
            if has_token {
                made.extend(results(TOKEN_REACH, reach));
            }
        }
        Err(NoSite::NotAsked(_) | NoSite::Refused(_)) => {
            let unmade = Verdict::not_checked("the site was not read");
            let of_site = [
                LINKED,
                LEFTOVER_URL,
                VARIABLES_SIZE,
                DEPLOYS_LOCKED,
                DEPLOYS_BY_API,
            ];
            made.extend(of_site.map(|check| result(check, unmade.clone())));
            let reach = if has_token { reach } else { vec![unmade] };
            made.extend(results(TOKEN_REACH, reach));
        }
    }
    made
}

/// The parts of a request that all stages share.
struct Context<'a> {
    /// The project's migrations, where it has a folder of them; or the reason why it cannot be used.
    folder: Option<Result<MigrationFolder, &'static str>>,
    artifacts: Vec<FunctionNeeds>,
    unread_artifacts: Vec<String>,
    /// `None` on the local clouds, which limit no instances, unless the operator names a number.
    concurrency: Option<u32>,
    long_transaction: Duration,
    /// True if the stages are those of a running `stagelink dev`.
    is_local: bool,
    options: String,
    tell: &'a (dyn Fn(&str) + Send + Sync),
}

impl Context<'_> {
    fn has_artifacts(&self) -> bool {
        !self.artifacts.is_empty() || !self.unread_artifacts.is_empty()
    }

    /// Returns the checks of the project's migrations, if it has any, as not made.
    fn not_checked_of_folder(&self, reason: &str) -> Vec<(Check, Verdict)> {
        let checks = [MIGRATIONS, ARTIFACTS, DRIFT].into_iter();
        let checks = checks
            .filter(|_| self.folder.is_some())
            .filter(|check| *check != ARTIFACTS || self.has_artifacts());
        checks
            .map(|check| (check, Verdict::not_checked(reason)))
            .collect()
    }
}

async fn examine_stage(
    request: StageRequest,
    context: &Context<'_>,
) -> (StageReport, Option<Reached>) {
    let stage = request.stage;
    let failed = |checks: Vec<(Check, Verdict)>| {
        let reason = "the database was not reached";
        let on_the_way = request.way.checks().iter();
        let unmade = on_the_way.chain(&AFTER_CONNECT).filter(|check| {
            let has = |(made, _): &(Check, Verdict)| made == *check;
            !checks.iter().any(has)
        });
        let unmade = unmade.map(|check| (*check, Verdict::not_checked(reason)));
        let unmade = unmade.chain(context.not_checked_of_folder(reason));
        let unmade: Vec<_> = unmade.collect();
        (report(stage, None, checks.into_iter().chain(unmade)), None)
    };
    let database = match request.database {
        Ok(database) => database,
        Err(reason) => {
            let advice = "correct the variable or key that the message names";
            return failed(vec![(SETTINGS, Verdict::error(reason, advice))]);
        }
    };
    (context.tell)(&format!("connecting to the database of stage {stage}"));
    let opened = timeout(LONGEST_WAY, database.inspect_and_connect()).await;
    let (info, client) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return failed(reach::judge_failure(&error, request.way)),
        Err(_) => {
            let seconds = LONGEST_WAY.as_secs();
            let message = format!("the database was not reached within {seconds} s");
            let advice = "check that the server runs and is reachable from this machine";
            let passed = (SETTINGS, Verdict::sound("passed"));
            return failed(vec![passed, (CONNECT, Verdict::error(message, advice))]);
        }
    };
    let from_request = FromRequest {
        owns_url: request.owns_url,
        uses_direct_tls: request.uses_direct_tls,
        options: &context.options,
    };
    let facts = ConnectionFacts::new(&info, database.connect_timings(), from_request);
    (context.tell)(&format!("asking the database of stage {stage}"));
    let server = match &client {
        Some(client) => ServerFacts::ask(client, context.long_transaction).await,
        None => Err("the database is marked as another stage's".to_owned()),
    };
    let mut checks = reach::judge_success(request.way, &facts.origin, &facts.server);
    checks.extend([
        (SERVER_AUTH, judge_server_auth(&facts)),
        (SSLMODE, judge_sslmode(&facts)),
        (POOLER, judge_pooler(&facts)),
        (FOLLOWER, judge_follower(&facts, server.as_ref().ok())),
        (MARK, judge_mark(&facts)),
        (ROUND_TRIPS, judge_round_trips(&facts, server.as_ref().ok())),
    ]);
    let of_server = |judge: &dyn Fn(&ServerFacts) -> Verdict| match known(&server) {
        Ok(facts) => judge(facts),
        Err(verdict) => verdict,
    };
    let now = SystemTime::now();
    // The local clouds' Heroku is this machine.
    let is_at_heroku = request.is_at_heroku && context.options.is_empty();
    checks.extend([
        (
            CONNECTIONS,
            of_server(&|server| judge_connections(&facts, server, context.concurrency)),
        ),
        (
            SERVER_VERSION,
            of_server(&|server| judge_version(server, is_at_heroku, now)),
        ),
        (CLOCK, of_server(&judge_clock)),
        (
            TRANSACTION_ID_AGE,
            of_server(&|server| judge_transaction_id_age(&facts, server)),
        ),
        (INVALID_INDEXES, of_server(&judge_invalid_indexes)),
    ]);
    let long = match known(&server) {
        Ok(server) => judge_long_transactions(server),
        Err(verdict) => vec![verdict],
    };
    checks.extend(long.into_iter().map(|verdict| (LONG_TRANSACTIONS, verdict)));
    if let Some(folder) = &context.folder {
        match (&client, &server) {
            (Some(client), Ok(server)) => {
                let folder = folder.as_ref().map_err(|reason| *reason);
                let invalid = &server.invalid_indexes;
                checks.extend(examine_schema(client, folder, invalid, stage, context).await);
            }
            (_, Err(reason)) => checks.extend(context.not_checked_of_folder(reason)),
            (None, Ok(_)) => checks.extend(context.not_checked_of_folder("there is no connection")),
        }
    }
    let name = format!("{} on {}", facts.database, facts.server);
    let reached = Reached {
        info,
        client,
        database,
    };
    (report(stage, Some(name), checks), Some(reached))
}

/// Examines the migrations of a database, and what they have made of it. The schema is compared
/// whether the folder of migrations can be used or not.
async fn examine_schema(
    client: &Client,
    folder: Result<&MigrationFolder, &str>,
    invalid: &[InvalidIndex],
    stage: Stage,
    context: &Context<'_>,
) -> Vec<(Check, Verdict)> {
    let (of, stage, options) = (stage, stage.as_str(), &*context.options);
    let mut questions = Questions::new(client);
    let mut made = Vec::new();
    match folder {
        Ok(folder) => {
            let state = MigrationState::read_by(client, Some(folder));
            let of_after = of_after(folder);
            let state = questions.judge(state, |state| {
                vec![judge_history(
                    state,
                    &of_after,
                    stage,
                    options,
                    context.is_local,
                )]
            });
            made.push((MIGRATIONS, state.await));
            if context.has_artifacts() {
                // `stagelink dev` serves builds of its own: what was built for a deploy is judged where one was made.
                let read = async {
                    let history = RecordedMigration::read_by(client, Some(folder)).await?;
                    let is_deployed = match context.is_local {
                        true => !read_deploy_records(client, of, 1).await?.is_empty(),
                        false => true,
                    };
                    Ok::<_, ReadError>(is_deployed.then_some(history))
                };
                let artifacts = questions.judge(read, |history| {
                    let (artifacts, unread) = (&context.artifacts, &context.unread_artifacts);
                    history.as_ref().map_or_else(Vec::new, |history| {
                        judge_artifacts(artifacts, unread, history, stage, options)
                    })
                });
                made.push((ARTIFACTS, artifacts.await));
            }
        }
        Err(reason) => {
            let unmade = context.not_checked_of_folder(reason).into_iter();
            let unmade = unmade.filter(|(check, _)| *check != DRIFT);
            made.extend(unmade.map(|(check, verdict)| (check, vec![verdict])));
        }
    }
    // It has transactions of its own.
    let drift = questions.judge_unguarded(compare(client), |drift| {
        vec![judge_drift(drift, invalid, stage, options)]
    });
    made.push((DRIFT, drift.await));
    let made = made.into_iter();
    made.flat_map(|(check, verdicts)| verdicts.into_iter().map(move |verdict| (check, verdict)))
        .collect()
}

fn report(
    stage: Stage,
    database: Option<String>,
    checks: impl IntoIterator<Item = (Check, Verdict)>,
) -> StageReport {
    let checks = checks.into_iter();
    StageReport {
        stage,
        database,
        checks: checks
            .map(|(check, verdict)| result(check, verdict))
            .collect(),
    }
}

fn result(check: Check, verdict: Verdict) -> CheckResult {
    CheckResult { check, verdict }
}

fn results(check: Check, verdicts: Vec<Verdict>) -> impl Iterator<Item = CheckResult> {
    verdicts
        .into_iter()
        .map(move |verdict| result(check, verdict))
}

/// The checks that need a connection, without those of the project's migrations.
const AFTER_CONNECT: [Check; 13] = [
    SERVER_AUTH,
    SSLMODE,
    POOLER,
    FOLLOWER,
    MARK,
    OWN_DATABASE,
    ROUND_TRIPS,
    CONNECTIONS,
    SERVER_VERSION,
    CLOCK,
    LONG_TRANSACTIONS,
    TRANSACTION_ID_AGE,
    INVALID_INDEXES,
];

/// The reason why the checks that compare with the files of migrations are not made.
const UNUSABLE_FOLDER: &str = "the migrations cannot be used: see migration-files";

/// The longest time that the provider, the connection and the login take together.
const LONGEST_WAY: Duration = Duration::from_secs(60);
