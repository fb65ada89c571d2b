//! A provider in place of none, whose answer is the reason that there is none.

use crate::config::IgnoredSource;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::provider::{Provider, ResolveRequest};
use crate::stage::Stage;

/// Stands in where no provider is set: beside deploy-time credentials, or in a preview that has
/// no database.
pub(super) struct UnsetProvider {
    has_deploy_time: bool,
    ignored: Option<IgnoredSource>,
}

impl UnsetProvider {
    /// Creates the stand-in. Warns of a source that the environment locates in vain: its URL or
    /// token is within reach of the function, or the operator counts on it.
    pub(super) fn new(stage: Stage, has_deploy_time: bool, ignored: Option<IgnoredSource>) -> Self {
        if let Some(IgnoredSource { variable, provider }) = ignored {
            let place = place(has_deploy_time, stage);
            tracing::warn!(
                "{variable} is set, and ignored {place}, since it may be another stage's: remove \
                 it, or set STAGELINK_PROVIDER={provider} if it is the database of stage {stage}"
            );
        }
        Self {
            has_deploy_time,
            ignored,
        }
    }
}

impl Provider for UnsetProvider {
    async fn resolve(&self, request: &ResolveRequest) -> Result<Credentials, Error> {
        let stage = request.stage;
        if self.has_deploy_time {
            return Err(no_new_credentials(stage, self.ignored));
        }
        Err(Error::no_database(no_database(stage, self.ignored), None))
    }

    fn is_fixed(&self) -> bool {
        true
    }
}

fn no_new_credentials(stage: Stage, ignored: Option<IgnoredSource>) -> Error {
    let message = match ignored {
        None => format!(
            "no provider is configured to ask for new credentials of stage {stage}: set the \
             variables of a provider beside STAGELINK_CREDENTIALS, such as \
             STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY, or set STAGELINK_CREDENTIALS again"
        ),
        Some(IgnoredSource { variable, provider }) => format!(
            "no provider is configured to ask for new credentials of stage {stage}: {variable} is \
             set, but ignored {}, since it may be another stage's; if it is the database of stage \
             {stage}, set STAGELINK_PROVIDER={provider}, else set STAGELINK_CREDENTIALS again and \
             remove {variable}",
            place(true, stage)
        ),
    };
    Error::new(ErrorKind::Settings, message)
}

fn no_database(stage: Stage, ignored: Option<IgnoredSource>) -> String {
    match ignored {
        None => format!(
            "stage {stage} has no database here: no source of one is set; for a database per pull \
             request set STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY"
        ),
        Some(IgnoredSource { variable, provider }) => format!(
            "stage {stage} has no database here: {variable} is set, but ignored {}, since it may be \
             another stage's; if it is a database for previews, set STAGELINK_PROVIDER={provider}; \
             for a database per pull request set STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY",
            place(false, stage)
        ),
    }
}

/// Names the reason for which a source is ignored.
fn place(has_deploy_time: bool, stage: Stage) -> String {
    match has_deploy_time {
        true => "beside STAGELINK_CREDENTIALS".to_owned(),
        false => format!("in stage {stage}"),
    }
}
