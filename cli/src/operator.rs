//! The person or job that runs a command, for the records of migrations and deploys.

use std::{env, fs};

/// Returns the name of the user and that of the machine, as `user@host`, as far as they are known.
pub(crate) fn name() -> String {
    name_of(
        |name| env::var(name).ok(),
        || fs::read_to_string("/etc/hostname").ok(),
    )
}

fn name_of(
    variable: impl Fn(&str) -> Option<String>,
    hostname_file: impl Fn() -> Option<String>,
) -> String {
    let first = |names: &[&str]| {
        let values = names.iter().filter_map(|name| variable(name));
        let mut values = values.map(|value| value.trim().to_owned());
        values.find(|value| !value.is_empty())
    };
    // A job of GitHub Actions runs as one user for all.
    let user = first(&["GITHUB_ACTOR", "USER", "LOGNAME", "USERNAME"]);
    let host = first(&["HOSTNAME", "COMPUTERNAME"])
        .or_else(|| hostname_file().map(|name| name.trim().to_owned()))
        .filter(|name| !name.is_empty());
    match (user, host) {
        (user, Some(host)) => format!("{}@{host}", user.unwrap_or_default()),
        (user, None) => user.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_what_the_system_tells() {
        for (variables, file, expected) in [
            (
                &[("USER", "ann"), ("HOSTNAME", "desk")][..],
                None,
                "ann@desk",
            ),
            (
                &[("USER", " "), ("LOGNAME", "ann")],
                Some("desk\n"),
                "ann@desk",
            ),
            (&[("GITHUB_ACTOR", "ann"), ("USER", "runner")], None, "ann"),
            (&[], Some("desk"), "@desk"),
            (&[], None, ""),
        ] {
            let variable = |name: &str| {
                let mut found = variables.iter().filter(|(known, _)| *known == name);
                found.next().map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(name_of(variable, || file.map(str::to_owned)), expected);
        }
    }
}
