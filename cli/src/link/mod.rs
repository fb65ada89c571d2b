//! `stagelink link`: links a Netlify site, with the plan and a question before anything is set.

mod netlify_commands;
mod request;
mod table;

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use serde::Serialize;
use stagelink_pipeline::{LinkPlan, LinkRequest, ProvedTokens, SiteVariables, StageDatabase};

use crate::args::LinkOptions;
use crate::output::print;
use crate::progress::Step;

/// Links a site: looks up its variables and the stages' databases, proves the tokens, shows the
/// plan, and applies it.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is set before the plan is complete.
pub async fn run(options: LinkOptions) -> anyhow::Result<()> {
    let request = request::from_options(&options)?;
    let (site, plan) = make_plan(&request).await?;
    if options.print {
        let tokens = request::by_stage("--token-for", &options.tokens)?;
        return print(&netlify_commands::lines(&plan, &tokens).join("\n"));
    }
    let shows_plan = !options.json && (options.dry_run || !options.yes);
    if shows_plan {
        print(&table::text(&plan))?;
    }
    if options.dry_run {
        return match options.json {
            true => print_json(&plan, false),
            false => print("nothing was set: this was a dry run"),
        };
    }
    if !plan.changes().is_empty() {
        if !options.yes && !is_confirmed(&plan.site)? {
            bail!("nothing was set");
        }
        apply(&plan, &site).await?;
    }
    if options.json {
        return print_json(&plan, true);
    }
    if !shows_plan {
        print(&table::text(&plan))?;
    }
    print(match plan.changes().is_empty() {
        true => "nothing to change: the site has all of these variables",
        false => "set: new deploys get these variables; existing deploys keep the old ones",
    })
}

async fn make_plan(request: &LinkRequest) -> anyhow::Result<(SiteVariables, LinkPlan)> {
    let step = Step::begin("site");
    let site = SiteVariables::look_up(request).await?;
    step.done(&format!("{}, {} variables", site.name(), site.count()));

    let step = Step::begin("databases");
    let databases = StageDatabase::find_all(request).await?;
    step.done(&format!("{} found and tried", databases.len()));

    let step = Step::begin("tokens");
    let tokens = ProvedTokens::prove(request, &site, &databases).await?;
    step.done(&format!(
        "{} proved not to read production's config vars",
        tokens.count()
    ));
    let plan = LinkPlan::new(request, &site, &databases, &tokens)?;
    Ok((site, plan))
}

async fn apply(plan: &LinkPlan, site: &SiteVariables) -> anyhow::Result<()> {
    let step = Step::begin("variables");
    let tell = step.teller();
    plan.apply(site, |change| tell(change.key())).await?;
    step.done(&format!("{} changes made", plan.changes().len()));
    Ok(())
}

fn is_confirmed(site: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nothing was set: add --yes to set it without a question, or --dry-run");
    }
    write!(
        std::io::stderr(),
        "Set these variables of the site {site}? [y/N] "
    )
    .context("could not ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("could not read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A plan in JSON, and whether it was applied.
#[derive(Serialize)]
struct Report<'a> {
    is_set: bool,
    #[serde(flatten)]
    plan: &'a LinkPlan,
}

fn print_json(plan: &LinkPlan, is_set: bool) -> anyhow::Result<()> {
    print(&serde_json::to_string(&Report { is_set, plan })?)
}
