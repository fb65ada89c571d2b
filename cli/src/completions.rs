//! `stagelink completions`: prints the script by which a shell completes the command's arguments.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::{Args, CompletionsOptions};
use crate::output::print;

/// Prints the script for a shell.
///
/// # Errors
///
/// When it cannot be written.
pub fn run(options: &CompletionsOptions) -> anyhow::Result<()> {
    print(script(options.shell).trim_end())
}

/// Returns the script for a shell, with all commands and their options.
fn script(shell: Shell) -> String {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::output::is_printed_as_it_is;

    #[test]
    fn each_shell_has_a_script_with_the_commands_and_their_options() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["migrate", "widen-history", "token-for", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            assert!(is_printed_as_it_is(&script), "{shell}");
        }
    }
}
