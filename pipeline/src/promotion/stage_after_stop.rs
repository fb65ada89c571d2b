//! The look at a stage whose command was stopped: what is live, and what is left to go on with.

use stagelink::{Database, one_line};

use crate::api::ApiAccess;
use crate::aws::{AwsAccess, Lambda};
use crate::error::Error;
use crate::netlify::Site;
use crate::promotion::deploy_record::{DeployRecord, deploy_records};
use crate::promotion::lambda::{LambdaStage, look, versions_of};
use crate::promotion::unfinished_change::UnfinishedChange;

/// A stage whose command may be stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageAfterStop {
    database: Database,
    code: Code,
}

/// The place of the stage's code.
#[derive(Clone, Debug)]
enum Code {
    /// A site, and the branch whose deploys belong to the stage; `None` for the published deploy.
    Netlify(ApiAccess, String, Option<String>),
    Lambda(AwsAccess, LambdaStage),
}

impl StageAfterStop {
    /// Makes it of a site, by its name or id; of the branch whose deploys belong to the stage, or `None` for
    /// the published deploy; and of the stage's database.
    pub fn on_netlify(
        (access, site): (ApiAccess, String),
        branch: Option<String>,
        database: Database,
    ) -> Self {
        Self {
            database,
            code: Code::Netlify(access, site, branch),
        }
    }

    /// Makes it of a stage on AWS Lambda.
    pub fn on_lambda(access: AwsAccess, stage: LambdaStage) -> Self {
        Self {
            database: stage.database.clone(),
            code: Code::Lambda(access, stage),
        }
    }

    /// Looks at what is live and at what is left to go on with, and returns a sentence about each. A look-up
    /// that fails is one, too.
    pub async fn look(&self) -> Vec<String> {
        let (live, left) = tokio::join!(self.live(), left_over(&self.database));
        let (change, records) = match left {
            Ok((change, records)) => (Ok(change), records),
            Err(error) => (Err(error), Vec::new()),
        };
        let live = match live {
            Ok(Some(live)) => {
                let change = change.as_ref().ok().and_then(Option::as_ref);
                self.sentence(&live, change, &records)
            }
            Ok(None) => "no deploy is live".to_owned(),
            Err(error) => format!("what is live could not be looked up: {}", error.report()),
        };
        let left = match change {
            Ok(Some(change)) => format!("{change}: {}", change.ways()),
            Ok(None) => "nothing is left of it to go on with".to_owned(),
            Err(error) => format!("what is left could not be looked up: {}", error.report()),
        };
        vec![live, left]
    }

    /// Returns the id of the deploy that is live, or the versions.
    async fn live(&self) -> Result<Option<String>, Error> {
        match &self.code {
            Code::Netlify(access, site, branch) => {
                let site = Site::find(access, site, true).await?;
                let deploy = match branch {
                    Some(branch) => site.newest_deploy(branch).await?,
                    None => site.published_deploy()?,
                };
                Ok(deploy.map(|deploy| deploy.id))
            }
            Code::Lambda(access, stage) => {
                let lambda = Lambda::connect(access).await?;
                Ok(versions_of(&look(&lambda, stage).await?).to_text())
            }
        }
    }

    fn sentence(
        &self,
        live: &str,
        change: Option<&UnfinishedChange>,
        records: &[DeployRecord],
    ) -> String {
        let subject = match &self.code {
            Code::Netlify(..) => format!("the deploy {} is live", one_line(live)),
            Code::Lambda(..) => format!("live are the versions {}", one_line(live)),
        };
        if let Some(change) = change.filter(|change| change.leaves_untested(live, records)) {
            let title = change.title();
            return match &self.code {
                Code::Netlify(..) => {
                    format!("{subject}, that of the {title}, and has not passed its test there")
                }
                Code::Lambda(..) => format!(
                    "{subject}: aliases are moved to those of the {title}, which have not passed their test there"
                ),
            };
        }
        let record = records.iter().find(|record| record.has_made(live));
        let artifact = match record {
            Some(record) => format!(
                " (artifact {})",
                record.artifact.get(..12).unwrap_or_default()
            ),
            None => String::new(),
        };
        let is_before = change.is_some_and(|change| change.previous.as_deref() == Some(live));
        match is_before {
            true => format!("{subject}{artifact}, as before"),
            false => format!("{subject}{artifact}"),
        }
    }
}

async fn left_over(
    database: &Database,
) -> Result<(Option<UnfinishedChange>, Vec<DeployRecord>), Error> {
    let change = UnfinishedChange::look(database).await?;
    Ok((change, deploy_records(database, MOST_RECORDS).await?))
}

/// More than were made since the live one.
const MOST_RECORDS: u32 = 100;
