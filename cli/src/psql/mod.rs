//! `stagelink psql`: opens psql on a stage's database.

mod arguments;
mod program;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::bail;
use stagelink::{StageKind, StageMark, one_line};
use stagelink_pipeline::PsqlSession;

use crate::args::PsqlOptions;
use crate::failure::Failure;
use crate::operator_secrets;
use crate::output::{note, note_error, print_json};
use crate::planned_change::asked;
use crate::stage_database::settings_of;

/// Prepares a session, and runs psql in it. The exit code is that of psql, or 1 where psql was not
/// started.
///
/// # Errors
///
/// When the options or the settings cannot be used.
pub async fn run(options: PsqlOptions) -> anyhow::Result<ExitCode> {
    let settings = match settings(&options).await {
        Ok(settings) => settings,
        Err(error) => {
            if options.json {
                print_json(&Failure::new(&error))?;
            }
            return Err(error);
        }
    };
    match open(settings, &options).await {
        Ok(code) => Ok(code),
        Err(error) => {
            if options.json {
                print_json(&Failure::new(&error))?;
            }
            note_error(&error);
            Ok(ExitCode::from(1))
        }
    }
}

async fn settings(options: &PsqlOptions) -> anyhow::Result<stagelink::Settings> {
    arguments::ensure_keep_the_database(&options.arguments)?;
    operator_secrets::add_url_variables_of(&options.local.project);
    let settings = settings_of(&[], options.stage.name(), &options.local).await?;
    Ok(settings?)
}

async fn open(settings: stagelink::Settings, options: &PsqlOptions) -> anyhow::Result<ExitCode> {
    let is_production = settings.stage.kind() == StageKind::Production;
    let is_read_only = options.read_only || (is_production && !options.write);
    if is_production && options.write && !options.yes && !std::io::stdin().is_terminal() {
        bail!(
            "psql was not opened: --write on a stage of kind production asks, and standard input is \
             no terminal; add --yes to write without a question"
        );
    }
    let session = PsqlSession::prepare(settings, is_read_only).await?;
    let info = &session.info;
    note(format_args!(
        "  stage {}: database {} as role {} on {}, which was proved by {}",
        info.stage,
        one_line(&info.database),
        one_line(&info.role),
        one_line(&info.server),
        info.server_auth
    ));
    if is_read_only {
        let how = match (options.read_only, is_production) {
            (false, _) => "--write allows writing",
            (true, true) => "--write in place of --read-only allows writing",
            (true, false) => "without --read-only the session may write",
        };
        note(format_args!(
            "  ! read-only: this only stops mistakes, since BEGIN READ WRITE undoes it; {how}"
        ));
    }
    let is_unmarked = info.mark == StageMark::None;
    if is_unmarked {
        note(format_args!(
            "  ! the database has no stage mark, so nothing shows that it is that of stage {}",
            info.stage
        ));
    }
    let may_write_elsewhere = is_unmarked && !is_read_only;
    if may_write_elsewhere && !options.yes && !std::io::stdin().is_terminal() {
        bail!(
            "psql was not opened: the database has no stage mark, the session could write to another \
             stage's, and standard input is no terminal to ask on; mark it (`stagelink mark set \
             --stage {}`), or add --read-only, or --yes to write without a question",
            info.stage
        );
    }
    if (may_write_elsewhere || (is_production && !is_read_only)) && !options.yes {
        let database = match is_unmarked {
            true => format!(
                "database {}, which has no stage mark,",
                one_line(&info.database)
            ),
            false => "the database".to_owned(),
        };
        let question = format!(
            "Open psql on {database} of stage {} and let it write?",
            info.stage
        );
        if !asked(&question).await? {
            bail!("psql was not opened");
        }
    }
    program::run(session, &options.arguments).await
}
