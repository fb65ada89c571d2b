//! The variables that cargo sets for a program which it runs, such as this one by `cargo run`. Another cargo
//! below it must not see them: the build script of `ring` runs again when one of them differs, and everything
//! above `ring` is then compiled anew, with each change between the two ways to start it.

use std::process::Command;

/// Removes the variables of the cargo that runs this process from what a program inherits.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/environment-variables.html> (2026-11), "Environment
/// variables Cargo sets for crates". `CARGO` stays, which names the cargo to use.
pub fn forget(command: &mut Command) {
    for name in names(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        command.env_remove(name);
    }
}

fn names(all: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    all.filter(|name| {
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name.as_str())
    })
}

const PREFIXES: [&str; 4] = ["CARGO_BIN_", "CARGO_CFG_", "CARGO_MANIFEST_", "CARGO_PKG_"];

const NAMES: [&str; 3] = [
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_outer_cargo_are_known_from_the_users_own() {
        let own = [
            "CARGO",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_INCREMENTAL",
            "PATH",
        ];
        let outer = [
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
        ];
        let all = own.into_iter().chain(outer).map(str::to_owned);
        assert_eq!(names(all).collect::<Vec<_>>(), outer);
    }

    #[test]
    fn cargo_below_a_test_does_not_see_the_package_of_the_test() {
        let mut command = Command::new("cargo");
        forget(&mut command);
        let variables = command.get_envs();
        let removed: Vec<_> = variables.filter(|(_, value)| value.is_none()).collect();
        assert!(
            removed
                .iter()
                .any(|(name, _)| *name == "CARGO_MANIFEST_DIR")
        );
    }
}
