//! The command that goes on with an unfinished one, and the errors where its progress cannot be gone on with or
//! taken back.

use stagelink::Stage;

use crate::error::{Error, ErrorKind};

/// Returns the error of progress of another form: that of another platform, or of another version.
pub(crate) fn unreadable(command: &str, stage: Stage) -> Error {
    Error::new(
        ErrorKind::Promotion,
        format!(
            "an earlier `stagelink {command}` to stage {stage} is not finished, and its progress is not of \
             the form of this command: use the platform (--on) and the version of stagelink with which it \
             was begun, or set the stage right by hand and delete the row of the table stagelink_leases"
        ),
    )
}

/// Returns the error of progress on another site, whose lock and deploys it is about.
pub(crate) fn of_another_site(command: &str, stage: Stage, site: &str) -> Error {
    let site = stagelink::one_line(site);
    elsewhere(
        command,
        stage,
        &format!("on another site, with the id {site}"),
    )
}

/// Returns the error of progress in another account or region of AWS, whose aliases it is about.
pub(crate) fn of_another_account(command: &str, stage: Stage, account: &str) -> Error {
    let account = stagelink::one_line(account);
    elsewhere(
        command,
        stage,
        &format!("in another account or region of AWS ({account})"),
    )
}

fn elsewhere(command: &str, stage: Stage, place: &str) -> Error {
    Error::new(
        ErrorKind::Promotion,
        format!(
            "an earlier `stagelink {command}` to stage {stage} is not finished, {place}: run it there, or there \
             with --abort"
        ),
    )
}

/// Returns the command that goes on with an unfinished one, or takes it back with `--abort`.
pub(crate) fn rerun(command: &str, stage: &str) -> String {
    let stage = stagelink::one_line(stage);
    match command {
        "promote" => format!("stagelink promote --to {stage}"),
        other => format!("stagelink {} {stage}", stagelink::one_line(other)),
    }
}
