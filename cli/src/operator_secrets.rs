//! The tokens of an operator, which no program of a project gets as it is built: a build script is code of any
//! dependency.

use tokio::process::Command;

/// Removes the tokens from what a program inherits. `DATABASE_URL` stays, since macros of sqlx connect with it,
/// and so do the credentials of AWS and of registries.
pub(crate) fn withhold(command: &mut Command) {
    for name in TOKENS {
        command.env_remove(name);
    }
}

/// The variables of the tokens of the control plane, and of a function's own secrets.
const TOKENS: [&str; 6] = [
    "HEROKU_API_KEY",
    "NEON_API_KEY",
    "NETLIFY_AUTH_TOKEN",
    "RENDER_API_KEY",
    "STAGELINK_CREDENTIALS",
    "STAGELINK_SELF_CHECK_KEY",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_withheld_and_other_variables_stay() {
        let mut command = Command::new("cargo");
        command.env("DATABASE_URL", "x");
        withhold(&mut command);
        let variables = command.as_std().get_envs();
        let removed = variables.filter(|(_, value)| value.is_none());
        let removed: Vec<_> = removed.filter_map(|(name, _)| name.to_str()).collect();
        assert_eq!(removed, TOKENS);
    }
}
