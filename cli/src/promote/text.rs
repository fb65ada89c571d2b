//! The plan and the report of a promotion as text.

use stagelink::one_line;
use stagelink_pipeline::{PlanSummary, PromotionReport};

use crate::table::Table;

/// Returns the plan as a table with its notes below.
pub(crate) fn plan(plan: &PlanSummary) -> String {
    let mut table = Table::with_header(["promote", &format!("{} → {}", plan.from, plan.to)]);
    let commit = plan.commit.as_deref().map_or("not known", short);
    let commit = match plan.has_uncommitted_changes {
        true => format!("{commit}, with changes that are in no commit"),
        false => commit.to_owned(),
    };
    let replaced = match (&plan.replaced_artifact, plan.is_promoted) {
        (_, true) => "the same artifact: --again promotes it once more".to_owned(),
        (Some(artifact), false) => format!("artifact {}", short(artifact)),
        (None, false) => "an artifact that is not known".to_owned(),
    };
    let migrations = match plan.migrations.is_empty() {
        true => "none".to_owned(),
        false => plan.migrations.join(", "),
    };
    let mut test = "the self-check of each function".to_owned();
    for path in &plan.tested_paths {
        test.push_str(&format!(", {}", one_line(path)));
    }
    for (name, value) in [
        ("site", plan.site.clone()),
        ("artifact", short(&plan.artifact).to_owned()),
        ("commit", commit),
        ("deploy", plan.source_deploy.clone()),
        ("functions", plan.functions.join(", ")),
        ("static files", plan.files.to_string()),
        ("replaces", format!("{}, {replaced}", plan.published_deploy)),
        (
            "publishing",
            match plan.is_locked {
                true => "locked, and stays so".to_owned(),
                false => "is locked meanwhile".to_owned(),
            },
        ),
        ("migrations", migrations),
        ("test", test),
    ] {
        table.add_row([name, &value]);
    }
    let mut text = table.to_string();
    for name in &plan.possible_after {
        text.push_str(&format!(
            "\n  {} becomes possible: `stagelink migrate {} --after`, once the rollback window is over",
            one_line(name),
            plan.to
        ));
    }
    for note in &plan.notes {
        text.push_str(&format!("\n  ! {}", one_line(note)));
    }
    text
}

/// Returns the report as lines.
pub(super) fn report(report: &PromotionReport, to: &str) -> String {
    let mut text = format!(
        "{to} runs artifact {}: {}\n  deploy {} ({}), before it {}\n  {} requests to Netlify, {} s",
        short(&report.artifact),
        report.live,
        report.deploy,
        report.address,
        report.previous,
        report.api_requests,
        report.seconds,
    );
    if !report.migrations.is_empty() {
        text.push_str(&format!("\n  applied: {}", report.migrations.join(", ")));
    }
    for name in &report.possible_after {
        text.push_str(&format!(
            "\n  possible once the rollback window is over: {}, by `stagelink migrate {to} --after`",
            one_line(name)
        ));
    }
    for note in &report.notes {
        text.push_str(&format!("\n  ! {}", one_line(note)));
    }
    text.push_str(&format!("\n  back: `stagelink rollback {to}`"));
    text
}

/// Returns the beginning of a digest or commit, as people read it.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
