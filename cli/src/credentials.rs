//! `stagelink credentials`: a stage's credentials as functions are deployed with them.

use std::io::Write as _;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use stagelink_pipeline::ensure_own_stage;

use crate::args::CredentialsOptions;
use crate::mark;

/// Finds and tries a stage's database as its functions will, and prints the value of
/// `STAGELINK_CREDENTIALS`: a secret.
///
/// # Errors
///
/// When the database cannot be reached, or is marked as another stage's.
pub async fn run(options: CredentialsOptions) -> anyhow::Result<()> {
    // What was sealed before may be what is to be replaced.
    let link = mark::link_without(&["STAGELINK_CREDENTIALS"], options.stage.as_deref());
    let found = link.inspect().await?;
    ensure_own_stage(&found)?;
    writeln!(
        std::io::stdout().lock(),
        "{}",
        found.credentials.to_variable(found.stage).expose_secret()
    )
    .context("could not write to standard output")
}
