//! `stagelink dev`: runs the whole site on this machine.

mod board;
mod build_news;
mod environment;
mod migrations;
mod reload;
mod remote;
mod requests;
mod schedules;
mod sources;
mod watch;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;

use anyhow::Context as _;
use stagelink::StageKind;
use stagelink_local::faults::{FaultServer, SharedServer};
use stagelink_local::heroku::Stage;
use stagelink_local::netlify::SiteConfig;
use stagelink_local::netlify_api::{Hosting, NetlifyApi};
use stagelink_local::{Cloud, CloudConfig, ErrorKind, StageConfig, StagePromotion, StageSite};
use stagelink_local_postgres::{
    Error as PostgresError, Server, ServerOptions, ServerSource, random_password,
};
use stagelink_pipeline::SettingsFile;

use self::board::{Board, BoardPort};
use self::environment::{OwnVariables, StageVariables, VariablesOf};
use self::migrations::LocalMigrations;
use self::reload::Reload;
use self::requests::{RequestPrinter, RequestStyle};
use crate::args::DevOptions;
use crate::functions::BuiltFunction;
use crate::local_clouds::{self, RunningSiteFile};
use crate::output::{note, note_error, print, print_json};
use crate::postgres_source;
use crate::progress::Step;
use crate::project;
use crate::shutdown_signals::ShutdownSignals;
use crate::summary::DevSummary;
use crate::usage_error::of_usage;

/// Starts everything, prints the addresses and then each request, and stops everything on Ctrl-C.
/// `verbosity` is the number of `-v`.
///
/// # Errors
///
/// When a part does not start. The parts that run already are stopped.
pub async fn run(options: DevOptions, verbosity: u8) -> anyhow::Result<()> {
    let style = RequestStyle {
        json: options.json,
        noise: verbosity > 0 || std::env::var_os("RUST_LOG").is_some(),
        is_remote: false,
    };
    if let Some(stage) = &options.remote {
        return remote::run(&options, stage, style).await;
    }
    let mut signals = ShutdownSignals::listen_in_a_server()?;
    let mut running = tokio::select! {
        running = DevEnvironment::start(&options) => running?,
        // Dropping the future stops what it has started so far.
        _ = signals.next() => return Ok(()),
    };
    let requests = running.cloud.requests().subscribe();
    let printed = running.print_summary(options.json);
    let names: Vec<_> = running.cloud.stages().iter().map(StageSite::name).collect();
    let printer = RequestPrinter::start(requests, style, &names);
    if printed.is_ok() {
        tokio::select! {
            _ = signals.next() => {}
            () = running.follow_changes() => {}
        }
        if !options.json {
            note("stopping …");
        }
    }
    let stopped = signals.until_stopped(running.stop()).await;
    printer.stop().await;
    printed.and(stopped)
}

/// Stops Postgres after a start that has failed, whose error is the one to return.
async fn stop_after_failure(stop: impl Future<Output = Result<(), PostgresError>>) {
    if let Err(error) = stop.await {
        note_error(&error.into());
    }
}

/// Everything that runs, in the order of its start.
struct DevEnvironment {
    postgres: SharedServer,
    cloud: Cloud,
    functions: Vec<BuiltFunction>,
    migrations: LocalMigrations,
    reload: Reload,
    announced: Announced,
    board: Option<Board>,
}

/// The servers that other commands use, and the file by which they find them.
struct Announced {
    netlify: NetlifyApi,
    /// Serves the deploys that the local Netlify gets, beside the site.
    hosting: Hosting,
    faults: FaultServer,
    /// The file by which `--local` finds this.
    _file: RunningSiteFile,
}

impl Announced {
    async fn stop(self) {
        self.faults.stop().await;
        self.hosting.stop().await;
        self.netlify.stop().await;
    }
}

impl DevEnvironment {
    async fn start(options: &DevOptions) -> anyhow::Result<Self> {
        let source = postgres_source::choose(options)?;
        let project = project::open(&options.project)?;
        let file = project::settings_file(&project)?;
        let config = SiteConfig::load(&project)?;
        for warning in &config.warnings {
            note(format_args!("  ! {warning}"));
        }
        let of_command = |name: &str| std::env::var(name).ok();
        let own = OwnVariables::new(
            &project,
            VariablesOf::LocalStages,
            &options.environment,
            of_command,
        )
        .map_err(of_usage)?;
        let mut stages = Vec::new();
        for (name, stage) in stages_of(file.as_ref())? {
            let variables = own.of_stage(&name)?;
            stages.push((name, stage, variables));
        }
        note_left_out(stages.iter().map(|(_, _, own)| own));
        // Before the build, which takes a minute.
        ensure_ports_are_free(options, &project)?;
        let variables = stages
            .iter()
            .map(|(name, _, own)| (name.clone(), own.clone()));
        let release = options.release;
        let begun = Reload::begin(&project, release, &config, own, variables.collect());
        let mut reload = begun.await?;
        let functions = reload.build_first().await?;
        let postgres = start_postgres(options, source).await?;
        let mut migrations =
            LocalMigrations::of_folder(project::migrations_folder(&project, file.as_ref()));
        let started = Self::start_cloud(
            options,
            file.as_ref(),
            config,
            stages,
            &functions,
            &postgres,
            &mut migrations,
        );
        let cloud = match started.await {
            Ok(cloud) => cloud,
            Err(error) => {
                stop_after_failure(postgres.stop()).await;
                return Err(error);
            }
        };
        reload.first_is_served();
        let databases = postgres.database_admin();
        let postgres = SharedServer::new(postgres);
        cloud.faults().set_server(postgres.clone());
        let announced = async {
            let announced = announce(&project, &cloud).await?;
            let Some(port) = board_port(options) else {
                return Ok((announced, None));
            };
            let board = Board::start(port, &project, &cloud, databases, reload.news()).await?;
            anyhow::Ok((announced, Some(board)))
        };
        match announced.await {
            Ok((announced, board)) => Ok(Self {
                postgres,
                cloud,
                functions,
                migrations,
                reload,
                announced,
                board,
            }),
            Err(error) => {
                cloud.stop().await;
                stop_after_failure(postgres.stop()).await;
                Err(error)
            }
        }
    }

    async fn start_cloud(
        options: &DevOptions,
        file: Option<&SettingsFile>,
        config: SiteConfig,
        of_file: Vec<(String, Stage, StageVariables)>,
        functions: &[BuiltFunction],
        postgres: &Server,
        migrations: &mut LocalMigrations,
    ) -> anyhow::Result<Cloud> {
        let step = Step::begin("Heroku and the site");
        let mut stages = Vec::new();
        for (name, stage, own) in of_file {
            // The name is that of the role, too, in which a hyphen would need quotes.
            let database = name.replace('-', "_");
            let database = postgres
                .create_database(&database, &random_password())
                .await?;
            stages.push(StageConfig {
                name,
                stage,
                database,
                variables: own.variables,
            });
        }
        let cloud_config = CloudConfig {
            pipeline: pipeline_of(options, file),
            stages,
            databases: postgres.database_admin(),
            functions: functions
                .iter()
                .map(|built| (built.name.clone(), built.executable.clone()))
                .collect(),
            variables: [("STAGELINK_REQUIRE_MARK".to_owned(), "true".to_owned())].into(),
            site: config,
            site_port: options.port,
            heroku_port: options.heroku_port,
        };
        // A client that is already there, as `netlify dev` is, finds no stage without its tables.
        let prepare = async move |stages: &[StageSite]| {
            step.done(&site_urls(stages));
            let step = Step::begin("marks and migrations");
            step.done(&migrations.mark_and_apply(stages).await?);
            anyhow::Ok(())
        };
        let cloud = Cloud::start_with(cloud_config, |_, _| (), prepare).await?;
        cloud.on_promotion(|promotion| note(promotion_line(promotion)));
        Ok(cloud)
    }

    /// Serves what is saved, and applies migrations as they appear, for ever.
    async fn follow_changes(&mut self) {
        let news = self.reload.news().clone();
        let migrations = self.migrations.follow(&self.cloud, &news);
        tokio::join!(migrations, self.reload.follow(&self.cloud));
    }

    fn print_summary(&self, json: bool) -> anyhow::Result<()> {
        let board = self.board.as_ref().map(Board::url);
        let summary = DevSummary::of(&self.cloud, board);
        if json {
            return print_json(&summary);
        }
        let names: Vec<_> = self.functions.iter().map(|built| &*built.name).collect();
        schedules::note_problems(&self.cloud, &names);
        print(format_args!(
            "\n{}\nCtrl-C stops everything.",
            summary.text(&names)
        ))
    }

    async fn stop(self) -> anyhow::Result<()> {
        if let Some(board) = self.board {
            board.stop().await;
        }
        self.announced.stop().await;
        self.cloud.stop().await;
        self.postgres.stop().await?;
        Ok(())
    }
}

/// Starts the local Netlify with the site, whose deploys it serves, and the server for faults, and
/// writes the file by which other commands find them and the other clouds.
async fn announce(project: &Path, cloud: &Cloud) -> anyhow::Result<Announced> {
    let netlify = NetlifyApi::start(0).await?;
    // Their lines are among those of the requests.
    let hosting = netlify.host_with_requests(cloud.requests(), |_| ()).await?;
    // A pipeline may have a name that no site can have.
    let site = [cloud.pipeline(), "stagelink"];
    let site = site
        .into_iter()
        .find(|site| netlify.create_site(site).is_ok());
    let site = site.context("could not create the site at the local Netlify")?;
    let faults = FaultServer::start(cloud.faults().clone()).await?;
    let file = RunningSiteFile::write(project, cloud, &netlify, site, &faults)?;
    Ok(Announced {
        netlify,
        hosting,
        faults,
        _file: file,
    })
}

/// Makes sure that the ports which the options name are free.
///
/// # Errors
///
/// When one is taken. The message says whether another `stagelink dev` of the project has it.
fn ensure_ports_are_free(options: &DevOptions, project: &Path) -> anyhow::Result<()> {
    for (option, port) in [
        ("--port", options.port),
        ("--heroku-port", options.heroku_port),
        ("--board-port", options.board_port.unwrap_or_default()),
        ("--postgres-port", options.postgres_port),
    ] {
        let Err(error) = stagelink_local::check_port(port) else {
            continue;
        };
        let own = local_clouds::process_at(project, port);
        let own = own.filter(|_| error.kind() == ErrorKind::PortInUse && option == "--port");
        return Err(error).with_context(|| match own {
            Some(process) => format!(
                "could not use port {port}: another `stagelink dev` of this project has it (process \
                 {process}); stop that one with Ctrl-C, or give this one another port with {option}"
            ),
            None => format!("could not use port {port}: {option} sets another"),
        });
    }
    Ok(())
}

/// Returns the port of the board, if there is to be one.
fn board_port(options: &DevOptions) -> Option<BoardPort> {
    match (options.no_board, options.board_port) {
        (true, _) => None,
        (false, Some(port)) => Some(BoardPort::Exactly(port)),
        // Of port 0, a free one, none is before.
        (false, None) => Some(BoardPort::Preferably(options.port.saturating_sub(1))),
    }
}

/// Returns the name of the local pipeline. The file may have an id, or a name that leaves no room for
/// the stage in the names of the apps (Heroku's are of 30 characters at most): then it is
/// `stagelink`.
fn pipeline_of(options: &DevOptions, file: Option<&SettingsFile>) -> String {
    let is_name = |name: &&str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        (3..=18).contains(&name.len()) && starts_well && name.chars().all(is_plain)
    };
    let of_file = file.and_then(SettingsFile::pipeline).filter(is_name);
    let named = options.pipeline.as_deref().or(of_file);
    named.unwrap_or("stagelink").to_owned()
}

/// Returns the stages of `stagelink.toml` that run here by their names, each with its stage in the
/// pipeline and a database on the local Heroku
/// whatever provider it has elsewhere; without a file staging and production. A preview's stage
/// needs a pull request, so review is left out.
fn stages_of(file: Option<&SettingsFile>) -> anyhow::Result<Vec<(String, Stage)>> {
    let stages = file.map(SettingsFile::stages).into_iter().flatten();
    let stages = stages
        .map(|(stage, _)| *stage)
        .filter(|stage| stage.kind() != StageKind::Review);
    let mut stages: Vec<_> = stages.collect();
    if stages.is_empty() {
        stages = vec![stagelink::Stage::STAGING, stagelink::Stage::PRODUCTION];
    }
    let stages = stages.iter().map(|stage| {
        let of_pipeline = stage.kind().as_str().parse()?;
        Ok((stage.name().to_owned(), of_pipeline))
    });
    stages.collect()
}

async fn start_postgres(options: &DevOptions, source: ServerSource) -> anyhow::Result<Server> {
    let step = Step::begin_long("Postgres");
    let mut server_options = ServerOptions::new()
        .source(source)
        .port(options.postgres_port)
        .on_progress(step.teller());
    if let Some(directory) = &options.data {
        server_options = server_options.data_directory(directory);
    }
    let server = Server::start(server_options).await?;
    step.done(&format!("{}, port {}", server.description(), server.port()));
    Ok(server)
}

/// Prints the remarks about variables that functions do not get, each once.
fn note_left_out<'a>(stages: impl IntoIterator<Item = &'a StageVariables>) {
    let notes: BTreeSet<_> = stages.into_iter().flat_map(|own| &own.notes).collect();
    for text in notes {
        note(format_args!("  ! {text}"));
    }
}

fn site_urls(stages: &[StageSite]) -> String {
    let urls: Vec<_> = stages.iter().map(StageSite::url).collect();
    urls.join(", ")
}

/// Returns the line about a promotion by `heroku pipelines:promote`.
fn promotion_line(promotion: &StagePromotion) -> String {
    let StagePromotion { from, to, .. } = promotion;
    match &promotion.error {
        None => {
            let functions = promotion.functions.join(", ");
            format!(
                "  promoted: {to} runs the functions of {from} ({functions}) on its own database"
            )
        }
        Some(error) => {
            format!("  ! {from} was not promoted to {to}, which runs what it ran: {error}")
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn stages(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        let stages = stages_of(file.as_ref()).unwrap();
        stages.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn pipeline_is_that_of_the_file_where_its_name_fits() {
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        let named = |name: &str, words: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let text = format!("heroku.pipeline = {name:?}");
            std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
            let file = SettingsFile::load(folder.path()).unwrap();
            let options = DevOptions::parse_from([&["dev"], words].concat());
            pipeline_of(&options, file.as_ref())
        };
        assert_eq!(named("shop", &[]), "shop");
        assert_eq!(named("shop", &["--pipeline", "other"]), "other");
        for odd in [id, "a-name-that-leaves-no-room", "Shop", "shop.com"] {
            assert_eq!(named(odd, &[]), "stagelink", "{odd}");
        }
    }

    #[test]
    fn stages_of_the_file_run_but_not_review() {
        assert_eq!(
            stages("[stages.review]\n[stages.production]\n[stages.development]"),
            ["development", "production"]
        );
        assert_eq!(
            stages("[stages.qa]\nkind = \"staging\"\n[stages.demo]\nkind = \"review\""),
            ["qa"]
        );
        for text in ["", "[stages.review]"] {
            assert_eq!(stages(text), ["staging", "production"]);
        }
        assert_eq!(stages_of(None).unwrap().len(), 2);
    }
}
