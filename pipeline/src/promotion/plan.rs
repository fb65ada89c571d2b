//! The plan of a promotion: what the source runs, what the target has, and what would be done.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::artifact::Manifest;
use crate::error::{Error, ErrorKind};
use crate::netlify::{Deploy, Site};
use crate::promotion::ancestry::Commits;
use crate::promotion::deploy_record;
use crate::promotion::progress::COMMAND;
use crate::promotion::request::PromotionRequest;
use crate::promotion::schema::{SchemaPlan, SchemaTarget};
use crate::promotion::source::{self, RecordedDeploy};
use crate::promotion::unfinished_change::ensure_none_is_interrupted;
use crate::promotion::visitor::Visitor;

/// The plan of a promotion. Making it changes nothing.
#[derive(Debug)]
pub struct PromotionPlan {
    pub(super) site: Site,
    pub(super) source: RecordedDeploy,
    pub(super) schema: SchemaPlan,
    summary: PlanSummary,
}

/// The facts of a plan, for a table or JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanSummary {
    /// The stage whose artifact is promoted.
    pub from: String,
    /// The stage that gets it.
    pub to: String,
    /// The site.
    pub site: String,
    /// The digest of the artifact.
    pub artifact: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// True if it was built with changes that are in no commit.
    pub has_uncommitted_changes: bool,
    /// The deploy of the source.
    pub source_deploy: String,
    /// The functions.
    pub functions: Vec<String>,
    /// The number of static files.
    pub files: usize,
    /// The deploy that is published now.
    pub published_deploy: String,
    /// The artifact that the target runs now, where that is known.
    pub replaced_artifact: Option<String>,
    /// True if the site's publishing is stopped by a lock already, and not by an unfinished run of this one.
    pub is_locked: bool,
    /// True if the target runs this artifact already, and no run of this promotion is unfinished.
    pub is_promoted: bool,
    /// The migrations that are applied before the deploy, as `V5__add_mail`.
    pub migrations: Vec<String>,
    /// The migrations of *after* that become possible by the promotion.
    pub possible_after: Vec<String>,
    /// The paths that the new deploy has to answer before it is live, besides the self-check of each
    /// function, as `/api/notes (200)`.
    pub tested_paths: Vec<String>,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

impl PromotionPlan {
    /// Looks up what the source runs and what the target has, and makes the plan.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] where the promotion cannot be done, and [`ErrorKind::Migration`] where
    /// the target's schema does not allow it, each with what would have to happen; the errors of
    /// Netlify and the database.
    pub async fn make(request: &PromotionRequest) -> Result<Self, Error> {
        let (from, to) = (request.from, request.to);
        let visitor = Visitor::new()?;
        let unfinished = ensure_none_is_interrupted(&request.database, COMMAND).await?;
        let mut site = Site::find(&request.access, &request.site, true).await?;
        site.set_ready_limit(request.ready_limit);
        if site.refuses_api_deploys() == Some(true) {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "the site {} takes production deploys from its Git repository alone: allow \
                     deploys by the API in its settings (prevent_non_git_prod_deploys)",
                    site.name()
                ),
            ));
        }
        let published = site.published_deploy()?.ok_or_else(|| {
            Error::new(
                ErrorKind::Promotion,
                format!(
                    "the site {} has no published deploy, whose lock would keep an untested one \
                     from going live: make the first one by `stagelink deploy {to}`",
                    site.name()
                ),
            )
        });
        let source = source::of_branch(&site, from, &request.from_branch, &visitor).await;
        // A new site lacks both deploys, and one answer names both.
        let (source, published) = match (source, published) {
            (Ok(source), Ok(published)) => (source, published),
            (Err(error), Err(second)) => return Err(error.and_details(vec![second.to_string()])),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        };
        let manifest = &source.manifest;
        let commit = manifest.commit.name.as_deref();
        let records = deploy_record::deploy_records(&request.database, MOST_RECORDS).await?;
        let running = records
            .into_iter()
            .find(|record| record.has_made(&published.id));
        let mut notes = Vec::new();
        notes.extend(
            unfinished
                .iter()
                .map(|earlier| earlier.note(&manifest.digest())),
        );
        let own = unfinished.filter(|earlier| earlier.is_gone_on_with_by(&manifest.digest()));
        let of_record = running.as_ref().and_then(|record| record.commit.as_deref());
        let of_own = own
            .as_ref()
            .filter(|own| own.deploy.as_ref() == Some(&published.id));
        let of_record = of_record.or(of_own.and_then(|own| own.commit.as_deref()));
        let of_deploy = published.commit_ref.as_deref();
        let of_deploy = of_deploy.filter(|commit| !commit.is_empty());
        let commits = Commits {
            from: (from, commit),
            to: (to, of_record.or(of_deploy)),
        };
        let checkout = &*request.checkout;
        commits
            .ensure_none_is_taken_back(checkout, &mut notes)
            .await?;
        if manifest.commit.is_dirty {
            notes.push(format!(
                "{from} was deployed with changes that are in no commit, so its functions cannot be \
                 built anew"
            ));
        }
        let schema = SchemaPlan::make(&schema_target(request), manifest).await?;
        let replaced = match running {
            Some(running) => Some(running.artifact),
            None => recorded_artifact(&published, &visitor).await,
        };
        let digest = manifest.digest();
        notes.extend(unproved(manifest));
        let summary = PlanSummary {
            from: from.to_string(),
            to: to.to_string(),
            site: site.name().to_owned(),
            artifact: digest.clone(),
            commit: manifest.commit.name.clone(),
            has_uncommitted_changes: manifest.commit.is_dirty,
            source_deploy: source.deploy.id.clone(),
            functions: manifest.content.functions.keys().cloned().collect(),
            files: manifest.content.files.len(),
            published_deploy: published.id.clone(),
            is_promoted: replaced.as_ref() == Some(&digest) && own.is_none(),
            replaced_artifact: replaced,
            is_locked: published.locked == Some(true) && !own.is_some_and(|own| own.has_locked),
            migrations: schema
                .applying()
                .map(|one| format!("V{}__{}", one.version, one.name))
                .collect(),
            possible_after: schema.possible_after(),
            tested_paths: request.paths.iter().map(ToString::to_string).collect(),
            notes,
        };
        Ok(Self {
            site,
            source,
            schema,
            summary,
        })
    }

    /// Returns the facts of the plan.
    pub fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    /// Returns a sum of all that a promotion by this plan depends on. Another plan of the same sum
    /// does the same.
    pub(super) fn sum(&self) -> String {
        let facts = &self.summary;
        let text = serde_json::json!([
            facts.artifact,
            facts.source_deploy,
            facts.published_deploy,
            facts.is_locked,
            facts.migrations,
        ]);
        hex::encode(Sha256::digest(text.to_string()))
    }
}

/// Returns the part of a request that is about the schema.
fn schema_target(request: &PromotionRequest) -> SchemaTarget<'_> {
    SchemaTarget {
        from: request.from,
        to: request.to,
        database: &request.database,
        migrations: request.migrations.as_ref(),
        options: &request.migration_options,
        checkout: &*request.checkout,
    }
}

/// Returns the artifact that a deploy says it is, if it says so.
async fn recorded_artifact(deploy: &Deploy, visitor: &Visitor) -> Option<String> {
    let address = source::address_of(deploy).ok()?;
    let manifest = source::read_record(&address, visitor).await.ok()?;
    Some(manifest.digest())
}

/// Returns a remark on the functions that answer no request, so that their self-check cannot be asked.
fn unproved(manifest: &Manifest) -> Option<String> {
    let names: Vec<_> = manifest.uncallable().collect();
    (!names.is_empty()).then(|| {
        format!(
            "the functions {} answer no request, so their programs are the same by their archives' \
             digests alone",
            names.join(", ")
        )
    })
}

/// The number of records among which that of the published deploy is looked for.
const MOST_RECORDS: u32 = 100;
