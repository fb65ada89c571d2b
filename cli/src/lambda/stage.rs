//! A stage on AWS Lambda, as `stagelink.toml` and the environment say.

use anyhow::bail;
use stagelink::{Database, Settings, Stage};
use stagelink_pipeline::{AwsAccess, LambdaStage, SettingsFile, UrlAccess};

use crate::args::{LambdaUrl, LocalOptions};
use crate::stage_database::settings_of;

/// Returns the command `aws`, with the settings of the environment.
///
/// # Errors
///
/// When there is none, or the command is about the local clouds.
pub(crate) fn access(local: &LocalOptions) -> anyhow::Result<AwsAccess> {
    if local.local.is_some() {
        bail!(
            "the local clouds of `stagelink dev` serve the project's own build, which has no versions on \
             AWS Lambda: leave out --local"
        );
    }
    Ok(AwsAccess::find(|name| std::env::var_os(name))?)
}

/// Returns a stage with its functions and its database.
///
/// # Errors
///
/// When the file names no functions of the stage, or its database is not known.
pub(crate) async fn stage(
    stage: Stage,
    file: Option<&SettingsFile>,
    local: &LocalOptions,
) -> anyhow::Result<LambdaStage> {
    let functions = file.map(|file| file.lambda_functions(stage));
    let functions = functions.unwrap_or_default();
    if functions.is_empty() {
        bail!(
            "stagelink.toml names no functions of stage {stage} on AWS Lambda: add [lambda] with functions \
             = {{ NAME = \"FUNCTION\" }}, or lambda to the table [stages.{}]",
            stage.name()
        );
    }
    let database = database(stage, local).await?;
    Ok(LambdaStage::new(stage, functions, database))
}

/// Returns a stage's database itself, without a pooler: a lease needs a session of its own.
///
/// # Errors
///
/// When it is not known.
pub(crate) async fn database(stage: Stage, local: &LocalOptions) -> anyhow::Result<Database> {
    let settings = settings_of(&[], Some(&stage.to_string()), local).await?;
    let settings = settings.map(Settings::with_app_names);
    Ok(Database::new(settings.map(Settings::without_pooler)))
}

/// Returns the callers of a function URL, as the library has them.
pub(crate) fn url_access(url: LambdaUrl) -> UrlAccess {
    match url {
        LambdaUrl::Iam => UrlAccess::Iam,
        LambdaUrl::Public => UrlAccess::Public,
    }
}
