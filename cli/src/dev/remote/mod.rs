//! `stagelink dev --remote STAGE`: local functions on the real database of one stage, which they read alone.
//!
//! # Behaviour
//!
//! - Nothing but the functions, the site and the board runs: no local cloud, so no fault can be injected, no
//!   migration is applied, no schedule fires, and no other command finds the stage with `--local`.
//! - The board promotes and rolls back the real stage once the operator confirms it at the terminal.
//! - The functions get neither the operator's token nor a credential that may write: a relay on this machine
//!   ([`relay`]) looks the database up for them, each time through the real provider, and proves it anew.
//! - A credential that may write is let in with `--guarded` alone, and production with `--production` and its
//!   app's name typed at the terminal.

mod production;
mod relay;
mod stage;
mod variables;

use std::path::Path;

use anyhow::Context as _;
use stagelink_local::netlify::SiteConfig;
use stagelink_local::{FunctionSite, FunctionSiteConfig};

use self::relay::CredentialRelay;
use self::stage::RemoteStage;
use super::board::Board;
use super::environment::{OwnVariables, StageVariables, VariablesOf};
use super::reload::Reload;
use super::requests::{RequestPrinter, RequestStyle};
use super::{board_port, note_left_out};
use crate::args::DevOptions;
use crate::functions::BuiltFunction;
use crate::output::{note, print, print_json};
use crate::progress::Step;
use crate::project;
use crate::shutdown_signals::ShutdownSignals;
use crate::summary::RemoteSummary;
use crate::usage_error::of_usage;

/// Serves the functions on the stage's database until Ctrl-C.
///
/// # Errors
///
/// When the stage's database cannot be found, or its credential may write and `--guarded` was not
/// given; when a part does not start.
pub(super) async fn run(
    options: &DevOptions,
    stage: &str,
    style: RequestStyle,
) -> anyhow::Result<()> {
    let mut signals = ShutdownSignals::listen_in_a_server()?;
    let mut running = tokio::select! {
        running = RemoteEnvironment::start(options, stage) => running?,
        _ = signals.next() => return Ok(()),
    };
    let requests = running.site.requests().subscribe();
    let printed = running.print_summary(options.json);
    let style = RequestStyle {
        is_remote: true,
        ..style
    };
    let printer = RequestPrinter::start(requests, style, &[stage]);
    if printed.is_ok() {
        tokio::select! {
            _ = signals.next() => {}
            () = running.reload.follow(&running.site) => {}
        }
        if !options.json {
            note("stopping …");
        }
    }
    let stop = async {
        running.stop().await;
        Ok(())
    };
    let stopped = signals.until_stopped(stop).await;
    printer.stop().await;
    printed.and(stopped)
}

/// Everything that runs, in the order of its start.
struct RemoteEnvironment {
    relay: CredentialRelay,
    site: FunctionSite,
    functions: Vec<BuiltFunction>,
    reload: Reload,
    board: Option<Board>,
}

impl RemoteEnvironment {
    async fn start(options: &DevOptions, name: &str) -> anyhow::Result<Self> {
        let project = project::open(&options.project)?;
        let file = project::settings_file(&project)?;
        // Before anything is looked up: a word that is missing is no matter of the database.
        let stage = RemoteStage::of(options, name, file.as_ref())?;
        let config = SiteConfig::load(&project)?;
        for warning in &config.warnings {
            note(format_args!("  ! {warning}"));
        }
        let of_command = |name: &str| std::env::var(name).ok();
        let own = OwnVariables::new(
            &project,
            VariablesOf::RemoteStage,
            &options.environment,
            of_command,
        )
        .map_err(of_usage)?;
        let variables = own.of_stage(stage.name())?;
        let of_stage = (stage.name().to_owned(), variables);
        note_left_out([&of_stage.1]);
        super::ensure_ports_are_free(options, &project)?;
        let relay = CredentialRelay::start(stage.open().await?).await?;
        let started = Self::start_site(options, &project, config, own, of_stage, &relay);
        match started.await {
            Ok((site, functions, reload, board)) => Ok(Self {
                relay,
                site,
                functions,
                reload,
                board,
            }),
            Err(error) => {
                relay.stop().await;
                Err(error)
            }
        }
    }

    async fn start_site(
        options: &DevOptions,
        project: &Path,
        config: SiteConfig,
        own: OwnVariables,
        (stage, variables): (String, StageVariables),
        relay: &CredentialRelay,
    ) -> anyhow::Result<(FunctionSite, Vec<BuiltFunction>, Reload, Option<Board>)> {
        let of_stages = [(stage.clone(), variables.clone())].into();
        let begun = Reload::begin(project, options.release, &config, own, of_stages);
        let mut reload = begun.await?;
        let functions = reload.build_first().await?;
        let step = Step::begin("the site");
        let mut site = FunctionSiteConfig::new(&stage, config);
        site.functions = functions
            .iter()
            .map(|built| (built.name.clone(), built.executable.clone()))
            .collect();
        site.variables = relay.variables();
        site.own_variables = variables.variables;
        site.port = options.port;
        let site = FunctionSite::start(site, |_| ()).await?;
        step.done(site.url());
        reload.first_is_served();
        let board = match board_port(options) {
            None => None,
            Some(port) => {
                let started =
                    Board::start_remote(port, project, &site, relay.facts(), reload.news()).await;
                match started {
                    Ok(board) => Some(board),
                    Err(error) => {
                        site.stop().await;
                        return Err(error).context("could not start the board");
                    }
                }
            }
        };
        Ok((site, functions, reload, board))
    }

    fn print_summary(&self, json: bool) -> anyhow::Result<()> {
        let facts = self.relay.facts().borrow().clone();
        let board = self.board.as_ref().map(Board::url);
        let summary = RemoteSummary::of(&self.site, &facts, board);
        if json {
            return print_json(&summary);
        }
        if !self.site.schedules().is_empty() {
            note("  ! no schedule fires with --remote");
        }
        let names: Vec<_> = self.functions.iter().map(|built| &*built.name).collect();
        print(format_args!(
            "\n{}\nCtrl-C stops everything.",
            summary.text(&names)
        ))
    }

    async fn stop(self) {
        if let Some(board) = self.board {
            board.stop().await;
        }
        self.site.stop().await;
        self.relay.stop().await;
    }
}
