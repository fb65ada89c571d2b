//! The stages to choose from, where a command needs one and none is named.

use std::path::{Path, PathBuf};

use crate::args::LocalOptions;
use crate::local_clouds;
use crate::port_hint::port_hint;
use crate::project;
use crate::stage_name::listed;

/// Returns the stages that a command with these arguments may name, in the current folder: `the stage is
/// staging or production`. With `--local` they are those that run.
pub fn to_choose_from(arguments: &[String]) -> String {
    let running = local_port(arguments).and_then(|port| {
        local_clouds::running(&LocalOptions {
            local: Some(port),
            project: PathBuf::from("."),
        })
        .ok()
    });
    if let Some(running) = running {
        return format!("the stage is {}", running.names.join(" or "));
    }
    let file = project::settings_file(Path::new(".")).ok().flatten();
    format!("the stage is {}", listed(file.as_ref()))
}

/// Returns how the port of `--local` is written, where an argument that is not expected seems to be one.
pub fn port_note(unexpected: &str, arguments: &[String]) -> Option<String> {
    local_port(arguments)?;
    port_hint(unexpected).map(|hint| hint.trim_start_matches("; ").to_owned())
}

/// Returns the value of `--local` among arguments that cannot be parsed; 0 is any port.
fn local_port(arguments: &[String]) -> Option<u16> {
    let options = arguments.iter().take_while(|argument| *argument != "--");
    let mut values = options.filter_map(|argument| argument.strip_prefix("--local"));
    values.find_map(|value| match value.strip_prefix('=') {
        Some(port) => port.parse().ok(),
        None => value.is_empty().then_some(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_that_is_no_part_of_its_option_is_told() {
        let arguments = ["status", "--local", "9100"].map(str::to_owned);
        let note = port_note("9100", &arguments);
        let expected = "a port is written behind an equals sign: --local=9100";
        assert_eq!(note.as_deref(), Some(expected));
        assert_eq!(port_note("qa", &arguments), None);
        assert_eq!(port_note("9100", &["status".to_owned()]), None);
        let with_port = ["--local=8888", "--", "--local=1"].map(str::to_owned);
        assert_eq!(local_port(&with_port), Some(8888));
        assert_eq!(local_port(&with_port[1..]), None);
    }
}
