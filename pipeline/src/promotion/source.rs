//! The artifact that a stage runs: its deploy, and the record file that the deploy publishes.

use reqwest::StatusCode;
use stagelink::Stage;

use crate::artifact::{Manifest, RECORD_FILE};
use crate::error::{Error, ErrorKind};
use crate::netlify::{Deploy, Site};
use crate::promotion::visitor::Visitor;

/// A deploy with the record of its artifact.
#[derive(Clone, Debug)]
pub(crate) struct RecordedDeploy {
    pub(crate) deploy: Deploy,
    /// Its own address, without a trailing slash.
    pub(crate) address: String,
    pub(crate) manifest: Manifest,
}

/// Looks up what a stage runs that belongs to a branch.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where there is no deploy, or it has no record; the message says how one is
/// made.
pub(crate) async fn of_branch(
    site: &Site,
    stage: Stage,
    branch: &str,
    visitor: &Visitor,
) -> Result<RecordedDeploy, Error> {
    let Some(deploy) = site.newest_deploy(branch).await? else {
        return Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "stage {stage} has no deploy: the branch {branch} of the site {} has none that is \
                 ready; deploy to it first, with `stagelink deploy {stage}`",
                site.name()
            ),
        ));
    };
    let address = address_of(&deploy)?;
    let manifest = read_record(&address, visitor).await.map_err(|error| {
        error.context(format!(
            "nothing tells what stage {stage} runs (deploy {})",
            deploy.id
        ))
    })?;
    Ok(RecordedDeploy {
        deploy,
        address,
        manifest,
    })
}

/// Returns the own address of a deploy, without a trailing slash.
///
/// # Errors
///
/// [`ErrorKind::Refused`] where Netlify does not tell it.
pub(crate) fn address_of(deploy: &Deploy) -> Result<String, Error> {
    let permalink = deploy.permalink().map(|url| url.trim_end_matches('/'));
    permalink.map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Refused,
            format!("Netlify does not tell the address of deploy {}", deploy.id),
        )
    })
}

/// Reads the record file of a deploy, from its own address.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where there is none, or it cannot be used; [`ErrorKind::Unavailable`]
/// where the deploy does not answer.
pub(crate) async fn read_record(address: &str, visitor: &Visitor) -> Result<Manifest, Error> {
    let url = format!("{address}/{RECORD_FILE}");
    let visit = visitor.get(&url, None).await?;
    let refused = |message: String| Err(Error::new(ErrorKind::Promotion, message));
    match visit.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            return refused(format!(
                "the deploy has no record file {RECORD_FILE}, so it was made by other means than \
                 `stagelink deploy`, or a build with `stagelink build`: deploy it so"
            ));
        }
        StatusCode::UNAUTHORIZED => {
            return refused(format!(
                "{url} answers 401: the site is protected by a password or a login, which keeps \
                 stagelink out, too; take the protection off for deploys other than production"
            ));
        }
        status => {
            return refused(format!(
                "{url} answers {}, where the record file was expected",
                status.as_u16()
            ));
        }
    }
    Manifest::read_record_file(&visit.body)
        .map_err(|error| error.context(format!("could not use {url}")))
}
