//! The commands that messages advise, as they are called here: by the name by which this one was
//! called, and with its `--local`.
//!
//! A message of any crate names a command as `` `stagelink mark set --stage qa` ``. The output writes
//! it for this project; `as_called` is for a text that is laid out in columns before.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::CommandFactory as _;

use crate::args::{Args, Command, LocalOptions, MarkCommand, MigrateCommand};

/// The way in which this command was called.
#[derive(Debug, Default)]
struct Call {
    /// The program, in place of `stagelink`.
    program: Option<String>,
    /// The option by which commands find the local clouds, if this one was called with it.
    local: Option<String>,
}

static CALL: OnceLock<Call> = OnceLock::new();

/// Keeps how this command was called. `scripts/stagelink` of a project sets `STAGELINK_COMMAND` to its
/// own name.
pub fn init(args: &Args) {
    let local = local_of(args.command.as_ref());
    // Only the first call counts.
    let _ = CALL.set(Call {
        program: Caller::of_this_process().program(),
        local: local.filter(|local| !local.is_empty()),
    });
}

/// The facts that tell by which words this command can be called again.
#[derive(Debug, Default)]
struct Caller {
    /// The value of `STAGELINK_COMMAND`.
    own_name: Option<String>,
    /// The path or name by which it was called.
    called: String,
    /// True if `cargo run` of the checkout has called it.
    is_cargo_run: bool,
    /// True if a person reads along.
    is_terminal: bool,
    /// The folders of `PATH`.
    path: Vec<PathBuf>,
}

impl Caller {
    fn of_this_process() -> Self {
        let variable = |name| std::env::var(name).ok();
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Cargo sets it for what it runs: a test has that of the tests' package.
        let manifest = variable("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let real = |folder: &Path| folder.canonicalize().ok();
        let package = real(Path::new(MANIFEST_FOLDER));
        let workspace = package.as_deref().and_then(Path::parent);
        let folder = std::env::current_dir().ok();
        let is_in_workspace = folder
            .zip(workspace)
            .is_some_and(|(folder, workspace)| folder.starts_with(workspace));
        let is_of_package = package.is_some() && manifest.and_then(|of| real(&of)) == package;
        Self {
            own_name: variable("STAGELINK_COMMAND"),
            called: std::env::args().next().unwrap_or_default(),
            is_cargo_run: is_of_package && is_in_workspace,
            is_terminal: std::io::stderr().is_terminal(),
            path: std::env::split_paths(&path).collect(),
        }
    }

    /// Returns the words that call this command here; `None` for `stagelink`.
    fn program(self) -> Option<String> {
        if let Some(name) = self.own_name.filter(|name| is_plain(name)) {
            return Some(name);
        }
        if self.is_cargo_run {
            return Some("cargo run --".to_owned());
        }
        let is_on_path = || {
            self.path
                .iter()
                .any(|folder| folder.join("stagelink").is_file())
        };
        let is_named = match Path::new(&self.called).is_absolute() {
            // A program calls it so, too, and reads no advice.
            true => self.is_terminal && !is_on_path(),
            false => self.called.contains('/'),
        };
        (is_named && is_plain(&self.called)).then_some(self.called)
    }
}

/// Returns the option by which an advised command finds the local clouds, where this one is for them.
fn local_of(command: Option<&Command>) -> Option<String> {
    match command {
        // `stagelink dev` runs the local clouds, so what it advises is for them.
        None => Some("--local".to_owned()),
        Some(Command::Dev(options)) if options.remote.is_none() => Some("--local".to_owned()),
        Some(command) => {
            let local = local_options(command)?;
            Some(local.advised().trim().to_owned())
        }
    }
}

/// Returns a text with the commands in it as they are called here.
pub(crate) fn as_called(text: &str) -> Cow<'_, str> {
    match CALL.get() {
        Some(call) if text.contains(OPENING) => call.rewrite(text).into(),
        _ => text.into(),
    }
}

impl Call {
    fn rewrite(&self, text: &str) -> String {
        let (mut rewritten, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(OPENING) {
            let (before, command) = rest.split_at(start + 1);
            rewritten.push_str(before);
            rest = command;
            // A command that is broken into lines is not one to copy.
            let end = command.find(['`', '\n', '│']);
            if let Some(end) = end.filter(|end| command[*end..].starts_with('`')) {
                rewritten.push_str(&self.command(&command[..end]));
                rest = &command[end..];
            }
        }
        rewritten + rest
    }

    fn command(&self, command: &str) -> String {
        let arguments = command.strip_prefix("stagelink ").unwrap_or_default();
        let program = self.program.as_deref().unwrap_or("stagelink");
        match &self.local {
            Some(local) if takes_local(arguments) => match arguments.split_once(" -- ") {
                Some((options, rest)) => format!("{program} {options} {local} -- {rest}"),
                None => format!("{program} {arguments} {local}"),
            },
            _ => format!("{program} {arguments}"),
        }
    }
}

/// Returns whether `--local` is an option of the command with these arguments, and not among them.
fn takes_local(arguments: &str) -> bool {
    let mut command = Args::command();
    let mut words = arguments.split(' ');
    while let Some(found) = words.next().and_then(|word| command.find_subcommand(word)) {
        command = found.clone();
    }
    let mut options = command.get_arguments();
    options.any(|option| option.get_long() == Some("local")) && !arguments.contains("--local")
}

/// Returns whether a program's name needs no quotes in a shell, nor ends the command in a message.
fn is_plain(program: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+~@".contains(c);
    !program.is_empty() && program.chars().all(is_plain)
}

fn local_options(command: &Command) -> Option<&LocalOptions> {
    match command {
        Command::Link(options) => Some(&options.local),
        Command::Mark(
            MarkCommand::Show(options)
            | MarkCommand::Set { options, .. }
            | MarkCommand::Remove { options, .. },
        ) => Some(&options.local),
        Command::Credentials(options) => Some(&options.local),
        Command::Migrate(options) => match &options.command {
            None => Some(&options.local),
            Some(MigrateCommand::Drift(options)) => Some(&options.local),
            Some(MigrateCommand::WidenHistory(options)) => Some(&options.local),
            Some(MigrateCommand::New(_)) => None,
        },
        Command::Needs(options) => Some(&options.local),
        Command::Status(options) => Some(&options.local),
        Command::Doctor(options) => Some(&options.local),
        Command::Psql(options) => Some(&options.local),
        Command::Deploy(options) => Some(&options.local),
        Command::Promote(options) => Some(&options.local),
        Command::Rollback(options) => Some(&options.local),
        Command::Drill(options) => Some(&options.local),
        Command::Fault(options) => Some(&options.local),
        Command::History(options) => Some(&options.local),
        Command::New(_)
        | Command::Invoke(_)
        | Command::Dev(_)
        | Command::Build(_)
        | Command::Env(_)
        | Command::Completions(_) => None,
    }
}

/// The folder of this package, where it was built.
const MANIFEST_FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The beginning of each command in a message.
const OPENING: &str = "`stagelink ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_dev_advises_are_for_its_local_clouds() {
        use clap::Parser as _;
        for (words, expected) in [
            (&["stagelink"][..], Some("--local")),
            (&["stagelink", "dev"], Some("--local")),
            (&["stagelink", "dev", "--remote", "staging"], None),
            (&["stagelink", "status", "--local"], Some("--local")),
        ] {
            let args = Args::try_parse_from(words).unwrap();
            let local = local_of(args.command.as_ref());
            assert_eq!(local.as_deref(), expected, "{words:?}");
        }
    }

    fn call(program: Option<&str>, local: Option<&str>) -> Call {
        Call {
            program: program.map(str::to_owned),
            local: local.map(str::to_owned),
        }
    }

    #[test]
    fn commands_have_the_name_and_the_option_of_this_one() {
        let text = "run `stagelink mark set --stage qa --replace`, or `stagelink migrate drift qa \
                    --accept`; `stagelink dev` runs";
        let local = call(Some("scripts/stagelink"), Some("--local=8888"));
        assert_eq!(
            local.rewrite(text),
            "run `scripts/stagelink mark set --stage qa --replace --local=8888`, or \
             `scripts/stagelink migrate drift qa --accept --local=8888`; `scripts/stagelink dev` runs"
        );
        assert_eq!(call(None, None).rewrite(text), text);
        let local = call(None, Some("--local"));
        for (text, expected) in [
            (
                "`stagelink psql qa -- -c x`",
                "`stagelink psql qa --local -- -c x`",
            ),
            (
                "`stagelink migrate new NAME`",
                "`stagelink migrate new NAME`",
            ),
            ("`stagelink build`", "`stagelink build`"),
            ("`stagelink link --local`", "`stagelink link --local`"),
            (
                "`stagelink migrate --local=1`",
                "`stagelink migrate --local=1`",
            ),
            ("the crate `stagelink`", "the crate `stagelink`"),
            ("`stagelink mark\\n set`", "`stagelink mark\\n set`"),
            ("│ `stagelink mark │ x` `", "│ `stagelink mark │ x` `"),
            ("`stagelink mark", "`stagelink mark"),
        ] {
            let text = text.replace("\\n", "\n");
            assert_eq!(local.rewrite(&text), expected.replace("\\n", "\n"));
        }
    }

    #[test]
    fn advised_commands_can_be_run_as_they_are_printed() {
        let folder = tempfile::tempdir().unwrap();
        let caller = |called: &str| Caller {
            called: called.to_owned(),
            path: vec![folder.path().to_owned()],
            is_terminal: true,
            ..Caller::default()
        };
        let absolute = "/clone/target/debug/stagelink";
        assert_eq!(caller("stagelink").program(), None);
        assert_eq!(caller(absolute).program().as_deref(), Some(absolute));
        let for_a_program = Caller {
            is_terminal: false,
            ..caller(absolute)
        };
        assert_eq!(for_a_program.program(), None);
        let relative = "target/debug/stagelink";
        assert_eq!(caller(relative).program().as_deref(), Some(relative));
        assert_eq!(caller("a b/stagelink").program(), None);
        let by_cargo = Caller {
            is_cargo_run: true,
            ..caller(relative)
        };
        let program = by_cargo.program();
        assert_eq!(program.as_deref(), Some("cargo run --"));
        let psql = "`stagelink psql qa -- -c x`";
        let expected = "`cargo run -- psql qa --local -- -c x`";
        assert_eq!(
            call(program.as_deref(), Some("--local")).rewrite(psql),
            expected
        );
        let by_script = Caller {
            own_name: Some("scripts/stagelink".to_owned()),
            ..caller(absolute)
        };
        assert_eq!(by_script.program().as_deref(), Some("scripts/stagelink"));
        std::fs::write(folder.path().join("stagelink"), "").unwrap();
        assert_eq!(caller(absolute).program(), None);
    }

    #[test]
    fn name_that_a_shell_would_take_apart_is_not_used() {
        assert!(is_plain("../shop/scripts/stagelink") && is_plain("stagelink"));
        for name in ["", "a b", "x`y", "$(id)", "a\nb", "\u{1b}[2J"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
