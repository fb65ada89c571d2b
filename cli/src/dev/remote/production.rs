//! The word more that the database of a stage of kind production takes.

use std::io::{IsTerminal as _, stdin};

use anyhow::bail;
use stagelink::one_line;

use crate::terminal::{answer_to, drop_what_was_typed};
use crate::usage_error::of_usage;

/// Makes sure that a stage of kind production was named by `--production` too, at a terminal.
///
/// # Errors
///
/// When it was not, or there is no terminal to ask at.
pub(super) fn ensure_wanted(stage: &str, is_named: bool) -> anyhow::Result<()> {
    if !is_named {
        return Err(of_usage(anyhow::anyhow!(
            "stage {stage} is of kind production: add --production to read its real data, and type \
             its app's name at the terminal"
        )));
    }
    if !stdin().is_terminal() {
        bail!(
            "--remote {stage} asks for the name of production's app, and standard input is no terminal: \
             no option stands in for that"
        );
    }
    Ok(())
}

/// Asks for the app's name. What was typed before counts for nothing. A signal may end the command meanwhile.
///
/// # Errors
///
/// When another word is typed.
pub(super) async fn confirm(stage: &str, app: &str) -> anyhow::Result<()> {
    let (stage, app) = (one_line(stage), one_line(app));
    drop_what_was_typed();
    let question =
        format!("Local functions will read the real data of stage {stage}. Type {app} to go on:");
    let answer = answer_to(&question).await?;
    match answer.trim() == app.to_string() {
        true => Ok(()),
        false => bail!("nothing was started: the answer is not the name {app}"),
    }
}
