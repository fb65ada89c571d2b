//! The command `stagelink`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use clap::error::{ContextKind, ErrorKind};
use stagelink_cli::args::{Args, Command, MigrateCommand, MigrateOptions};
use stagelink_cli::{
    build, called_as, completions, credentials, deploy, dev, doctor, drill, env, fault, history,
    invoke, link, mark, migrate, needs, new, output, promote, psql, rollback, stage_choice, status,
    usage_error, verbosity,
};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit_code(Err(error.into()), 1),
    };
    let code = runtime.block_on(run());
    // A call of the system that does not return, as of a network folder, does not keep the process.
    runtime.shutdown_timeout(LAST_CALLS);
    code
}

/// The time in which calls that the command has started in the background come to their end.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Runs the command of the arguments.
async fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help is no error, and goes to standard output.
            let stages = stage_note(&error);
            let arguments: Vec<String> = arguments().collect();
            let port = unexpected(&error).and_then(|it| stage_choice::port_note(&it, &arguments));
            if error.use_stderr() && wants_json() {
                let text = error.to_string();
                let text = text.lines().next().unwrap_or_default();
                let text = text.strip_prefix("error: ").unwrap_or(text);
                let text = match (&stages, &port) {
                    (Some(stages), _) => format!("no stage is named: {stages}"),
                    (None, Some(port)) => format!("{text}; {port}"),
                    (None, None) => text.to_owned(),
                };
                let _ = output::print_json(&serde_json::json!({ "error": text }));
            }
            let _ = error.print();
            for note in stages.into_iter().chain(port) {
                output::note(note);
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    verbosity::init(args.verbose);
    called_as::init(&args);
    output::obey_no_color();
    let result = match args.command.unwrap_or_default() {
        Command::Build(options) => return exit_code(build::run(options).await, 1),
        Command::Deploy(options) => return exit_code(deploy::run(options).await, 1),
        Command::Dev(options) => dev::run(options, args.verbose).await,
        // Its exit code tells errors and warnings apart.
        Command::Doctor(options) => return doctor::run(options).await,
        Command::Drill(options) => return exit_code(drill::run(options).await, 1),
        Command::Fault(options) => fault::run(options).await,
        Command::History(options) => history::run(options).await,
        // Its 1 means that the function failed.
        Command::Invoke(options) => return exit_code(invoke::run(options).await, 1),
        Command::Mark(command) => mark::run(command).await,
        Command::Link(options) => link::run(options).await,
        // Its 1 means a difference, or that nothing is known.
        Command::Migrate(MigrateOptions {
            command: Some(MigrateCommand::Drift(options)),
            ..
        }) => return exit_code(migrate::drift::run(&options).await, 2),
        Command::Migrate(options) => return exit_code(migrate::run(options).await, 1),
        Command::New(options) => new::run(&options).await,
        Command::Promote(options) => return exit_code(promote::run(options).await, 1),
        Command::Rollback(options) => return exit_code(rollback::run(options).await, 1),
        Command::Completions(options) => completions::run(&options),
        Command::Credentials(options) => credentials::run(options).await,
        // Its 1 means that the database cannot run the artifacts as it is.
        Command::Needs(options) => return exit_code(needs::run(options).await, 2),
        // Their 1 means that a part could not be looked up.
        Command::Env(options) => return exit_code(env::run(options).await, 2),
        Command::Psql(options) => return exit_code(psql::run(options).await, 2),
        Command::Status(options) => return exit_code(status::run(options).await, 2),
    };
    exit_code(result.map(|()| ExitCode::SUCCESS), 1)
}

/// Returns the stages to choose from, where none is named and the command needs one.
fn stage_note(error: &clap::Error) -> Option<String> {
    let missing = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let is_stage = missing.is_some_and(|missing| missing.contains("<STAGE>"));
    (error.kind() == ErrorKind::MissingRequiredArgument && is_stage)
        .then(|| stage_choice::to_choose_from(&arguments().collect::<Vec<_>>()))
}

/// Returns the argument that the command does not expect.
fn unexpected(error: &clap::Error) -> Option<String> {
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    let argument = error.get(ContextKind::InvalidArg);
    argument.filter(|_| is_unknown).map(ToString::to_string)
}

/// Returns the arguments of the command, with what is no UTF-8 in them replaced.
fn arguments() -> impl Iterator<Item = String> {
    let arguments = std::env::args_os().skip(1);
    arguments.map(|argument| argument.to_string_lossy().into_owned())
}

/// Returns whether the arguments, which cannot be parsed, have the option for JSON.
fn wants_json() -> bool {
    let arguments = std::env::args_os().skip(1);
    let mut arguments = arguments.take_while(|argument| argument != "--");
    arguments.any(|argument| argument == "--json")
}

/// Shows an error, and returns the exit code of the command: 2 for an error of the arguments, else
/// `of_error`.
fn exit_code(result: anyhow::Result<ExitCode>, of_error: u8) -> ExitCode {
    result.unwrap_or_else(|error| {
        output::note_error(&error);
        ExitCode::from(usage_error::exit_code(&error, of_error))
    })
}
