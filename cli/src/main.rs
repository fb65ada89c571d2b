//! The command `stagelink`.

use std::process::ExitCode;

use clap::Parser as _;
use stagelink_cli::args::{Args, Command};
use stagelink_cli::{build, credentials, dev, link, mark, migrate, new, output, verbosity};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    verbosity::init(args.verbose);
    let result = match args.command.unwrap_or_default() {
        Command::Build(options) => build::run(options).await,
        Command::Dev(options) => dev::run(options).await,
        Command::Mark(command) => mark::run(command).await,
        Command::Link(options) => link::run(options).await,
        Command::Migrate(options) => migrate::run(options).await,
        Command::New(options) => new::run(&options),
        Command::Credentials(options) => credentials::run(options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note_error(&error);
            ExitCode::FAILURE
        }
    }
}
