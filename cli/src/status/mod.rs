//! `stagelink status`: shows what each stage of a pipeline has.

mod cell;
pub(crate) mod request;
mod running_text;
mod stage_text;
mod table;
mod time;
mod unfinished_text;

use std::process::ExitCode;

use stagelink_pipeline::StatusBoard;

use crate::args::StatusOptions;
use crate::failure::Failure;
use crate::output::{print_json, print_styled};
use crate::progress::Step;
use crate::table::terminal_width;

/// Looks up all stages, and shows them. The exit code is 1 where a part could not be looked up.
///
/// # Errors
///
/// When the options or the settings cannot be used.
pub async fn run(options: StatusOptions) -> anyhow::Result<ExitCode> {
    let result = look_up(&options).await;
    if let Err(error) = &result
        && options.json
    {
        print_json(&Failure::new(error))?;
    }
    let board = result?;
    match options.json {
        true => print_json(&board)?,
        false => print_styled(table::text(&board, terminal_width(), table::has_colors()))?,
    }
    Ok(match board.is_complete() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

async fn look_up(options: &StatusOptions) -> anyhow::Result<StatusBoard> {
    let request = request::from_options(options).await?;
    let step = Step::begin("stages");
    let tell = step.teller();
    let count = request.stages.len();
    let board = StatusBoard::look_up(request, tell).await;
    step.done(&format!("{count} looked up"));
    Ok(board)
}
