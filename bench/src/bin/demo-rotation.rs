//! Counts the requests that fail while the database's password is rotated, for three sources of
//! its URL.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use stagelink_bench::{Programs, RotationPlan, run_rotation};
use stagelink_cli::progress::Step;
use stagelink_local_postgres::{Server, ServerOptions, ServerSource};

/// Counts the requests that fail while the database's password is rotated, for three sources of
/// its URL.
///
/// The same guestbook runs three times under the same load: with stagelink, with a URL that is
/// looked up and cached, and with a URL that was copied into the environment. After some seconds
/// the passwords are rotated as Heroku does it. The load goes on until the cache has expired.
#[derive(Parser)]
#[command(name = "demo-rotation", max_term_width = 100)]
struct Args {
    /// Time for which the cache keeps the URL. 300 is the usual default of caches of secrets; with
    /// it the run takes 5:20 minutes.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    cache_seconds: u64,

    /// Requests per second to each instance.
    #[arg(long, value_name = "REQUESTS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,

    /// Instances of each function. The role may hold 20 connections.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=10))]
    instances: u8,

    /// Source of Postgres, as for `stagelink dev`: `auto`, `docker`, `docker:IMAGE`, `local`,
    /// `local:DIR`, `npm`, `npm:17`, or the URL of a server with TLS.
    #[arg(
        long,
        value_name = "SOURCE",
        env = "STAGELINK_POSTGRES",
        default_value = "auto",
        hide_env_values = true
    )]
    postgres: String,

    /// Prints the results as one line of JSON instead of a table and a timeline.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match demo(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: Args) -> anyhow::Result<()> {
    let plan = RotationPlan {
        cache: Duration::from_secs(args.cache_seconds),
        rate: args.rate,
        instances: args.instances.into(),
    };
    let source = args.postgres.parse()?;
    let programs = Programs::build().await?;
    let postgres = start_postgres(source).await?;
    let report = run_rotation(&plan, &programs, &postgres).await;
    postgres.stop().await?;
    let report = report?;
    let text = if args.json {
        report.json()?
    } else {
        format!("\n{}", report.text())
    };
    writeln!(std::io::stdout(), "{text}").context("could not write to standard output")
}

async fn start_postgres(source: ServerSource) -> anyhow::Result<Server> {
    let step = Step::begin("Postgres");
    let server = Server::start(
        ServerOptions::new()
            .source(source)
            .on_progress(step.teller()),
    )
    .await?;
    step.done(&format!("{}, port {}", server.description(), server.port()));
    Ok(server)
}
