//! The command `stagelink`.

use std::process::ExitCode;

use clap::Parser as _;
use stagelink_cli::args::{Args, Command};
use stagelink_cli::{build, credentials, dev, link, mark, migrate, new, output, verbosity};
use stagelink_pipeline::Error;

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
            match error.downcast_ref::<Error>() {
                Some(error) => {
                    output::note(format_args!("error: {}", error.headline()));
                    for detail in error.details() {
                        output::note(format_args!("  {detail}"));
                    }
                }
                None => output::note(format_args!("error: {error}")),
            }
            for cause in error.chain().skip(1) {
                output::note(format_args!("  because: {cause}"));
            }
            ExitCode::FAILURE
        }
    }
}
