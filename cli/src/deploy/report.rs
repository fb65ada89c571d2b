//! The plan and the result of `stagelink deploy`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use stagelink::{StageKind, one_line};
use stagelink_pipeline::{
    DeployPlan, DeployReport, DeploySummary, MigrationPlan, PlannedMigration,
};

use crate::migrate::plan_text;

/// The plan of a deploy, and its result where there is one.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    summary: DeploySummary,
    database: &'a str,
    server: &'a str,
    /// The files that the database does not have, as `stagelink migrate --json` shows them.
    pending: Vec<PlannedMigration<'a>>,
    /// Absent where only the plan was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a DeployReport>,
}

/// Returns the plan and the result as JSON.
pub(super) fn json<'a>(
    plan: &'a DeployPlan,
    result: Option<&'a DeployReport>,
) -> impl Serialize + use<'a> {
    let found = plan.database();
    Report {
        summary: plan.summary(),
        database: &found.database,
        server: &found.server,
        pending: plan
            .migrations()
            .into_iter()
            .flat_map(MigrationPlan::pending)
            .collect(),
        result,
    }
}

/// Returns a line about the plan.
pub(super) fn headline(summary: &DeploySummary) -> String {
    format!(
        "artifact {}, {} and {}",
        short(&summary.artifact),
        counted(summary.functions.len(), "function"),
        counted(summary.files, "file")
    )
}

/// Returns the plan as text; with the SQL of each migration if it `is_result`.
pub(super) fn plan(plan: &DeployPlan, is_result: bool) -> String {
    let summary = plan.summary();
    let mut text = format!(
        "site {}, context {}: a deploy of stage {}\n{}\n  functions: {}\n  commit: {}",
        one_line(&summary.site),
        one_line(&summary.context),
        summary.stage,
        headline(&summary),
        match summary.functions.is_empty() {
            true => "none".to_owned(),
            false => summary.functions.join(", "),
        },
        match (&summary.commit, summary.dirty) {
            (Some(commit), false) => commit.clone(),
            (Some(commit), true) => format!("{commit}, with changes that are in no commit"),
            (None, _) => "not known".to_owned(),
        },
    );
    match &summary.previous {
        Some(deploy) => drop(write!(
            text,
            "\n  serves the stage now: deploy {}",
            one_line(deploy)
        )),
        None => text.push_str("\n  serves the stage now: no deploy"),
    }
    if let Some(migrations) = plan.migrations() {
        let _ = write!(
            text,
            "\n\n{}",
            plan_text(plan.database(), migrations, is_result)
        );
    }
    if plan.database().stage.kind() == StageKind::Production {
        text.push_str(
            "\n\nthis builds and deploys to production directly. `stagelink promote` puts live what \
             another stage has tested, byte for byte",
        );
    }
    for refusal in &summary.refusals {
        let _ = write!(text, "\n\nrefused: {}", one_line(refusal));
    }
    text
}

/// Returns the result as text.
pub(super) fn result(plan: &DeployPlan, report: &DeployReport) -> String {
    let summary = plan.summary();
    let mut text = format!(
        "stage {} has deploy {} of artifact {}",
        summary.stage,
        one_line(&report.deploy),
        short(&summary.artifact)
    );
    if let Some(address) = &report.address {
        let _ = write!(text, "\n  {}", one_line(address));
    }
    if let Some(permalink) = &report.permalink
        && report.address.as_ref() != Some(permalink)
    {
        let _ = write!(text, "\n  {} (only this deploy)", one_line(permalink));
    }
    text.push_str(&unpublished(report));
    if !summary.waiting.is_empty() {
        let _ = write!(
            text,
            "\n{} for `stagelink migrate {} --after`",
            match summary.waiting.len() {
                1 => "one migration waits".to_owned(),
                count => format!("{count} migrations wait"),
            },
            summary.stage
        );
        if !report.is_published {
            text.push_str(", once visitors see this deploy");
        }
    }
    text
}

/// Returns the reason why visitors do not see the deploy, and what to do; nothing where they do.
fn unpublished(report: &DeployReport) -> String {
    let instead = report.published_instead.as_deref().map(one_line);
    let reason = match instead {
        _ if report.is_published => return String::new(),
        Some(_) if report.is_locked => {
            "since publishing is locked: unlock and publish it on Netlify".to_owned()
        }
        Some(instead) => format!(
            "since the deploy {instead} was published meanwhile: if this one is to be live, publish it on \
             Netlify"
        ),
        None => "since Netlify has not published it: publish it there".to_owned(),
    };
    format!("\nit is ready, and the site's visitors do not see it, {reason}")
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}
