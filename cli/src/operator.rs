//! The person or job that runs a command, for the records of migrations and deploys.

use std::os::unix::fs::MetadataExt as _;
use std::{env, fs};

/// Returns the name of the user and that of the machine, as `user@host`, as far as they are known.
pub(crate) fn name() -> String {
    name_of(
        |name| env::var(name).ok(),
        || fs::read_to_string("/etc/hostname").ok(),
        || user_in(&fs::read_to_string("/etc/passwd").ok()?, own_uid()?),
    )
}

/// Returns the user's number of this process.
fn own_uid() -> Option<u32> {
    // A process owns its folder there.
    fs::metadata("/proc/self").ok().map(|of| of.uid())
}

/// Returns the name of a user's number in a file of the form of `/etc/passwd`.
fn user_in(passwd: &str, uid: u32) -> Option<String> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next().filter(|name| !name.is_empty())?;
        let is_own = fields.nth(1)?.parse() == Ok(uid);
        is_own.then(|| name.to_owned())
    })
}

fn name_of(
    variable: impl Fn(&str) -> Option<String>,
    hostname_file: impl Fn() -> Option<String>,
    system_user: impl Fn() -> Option<String>,
) -> String {
    let first = |names: &[&str]| {
        let values = names.iter().filter_map(|name| variable(name));
        let mut values = values.map(|value| value.trim().to_owned());
        values.find(|value| !value.is_empty())
    };
    // A job of GitHub Actions runs as one user for all.
    let user = first(&["GITHUB_ACTOR", "USER", "LOGNAME", "USERNAME"]);
    // A container sets none of these.
    let user = user.or_else(system_user);
    let host = first(&["HOSTNAME", "COMPUTERNAME"])
        .or_else(|| hostname_file().map(|name| name.trim().to_owned()))
        .filter(|name| !name.is_empty());
    match (user, host) {
        (Some(user), Some(host)) => format!("{user}@{host}"),
        (user, host) => user.or(host).unwrap_or_default(),
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
            (&[], Some("desk"), "desk"),
            (&[], None, ""),
        ] {
            let variable = |name: &str| {
                let mut found = variables.iter().filter(|(known, _)| *known == name);
                found.next().map(|(_, value)| (*value).to_owned())
            };
            let name = name_of(variable, || file.map(str::to_owned), || None);
            assert_eq!(name, expected);
        }
        let of_system = || Some("root".to_owned());
        let name = name_of(|_| None, || Some("desk".to_owned()), of_system);
        assert_eq!(name, "root@desk");
    }

    #[test]
    fn user_of_the_system_is_that_of_the_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n:x:7:7\nodd\nann:x:1000:1000::/home/ann:/bin/sh\n";
        for (uid, expected) in [(0, Some("root")), (1000, Some("ann")), (7, None), (5, None)] {
            assert_eq!(user_in(passwd, uid).as_deref(), expected, "{uid}");
        }
    }
}
