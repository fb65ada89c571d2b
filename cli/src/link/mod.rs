//! `stagelink link`: links a Netlify site, with the plan and a question before anything is set.

mod netlify_commands;
pub(crate) mod request;
mod settings_file;
mod table;

use std::io::IsTerminal as _;

use anyhow::bail;
use serde::Serialize;
use stagelink::one_line;
use stagelink_pipeline::{
    LinkPlan, LinkRequest, ProvedTokens, SETTINGS_FILE, SiteVariables, StageDatabases, UrlOwners,
    ValueFinding, VariableChange,
};

use crate::args::LinkOptions;
use crate::failure::Failure;
use crate::link::settings_file::ProposedFile;
use crate::output::{note, print, print_beside, print_json, print_wrapped};
use crate::planned_change::asked;
use crate::progress::Step;

/// Links a site: looks up its variables and the stages' databases, proves the tokens, finds the
/// owners of the site's database URLs, shows the plan, and applies it.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is set before the plan was shown. A leak that
/// the plan leaves is an error, also where the plan is only shown or printed.
pub async fn run(options: LinkOptions) -> anyhow::Result<()> {
    let mut has_printed = false;
    let result = link(&options, &mut has_printed).await;
    if let Err(error) = &result
        && options.json
        && !has_printed
    {
        print_json(&Failure::new(error))?;
    }
    result
}

/// Links a site. `has_printed` becomes true as the plan is printed as JSON, of which there is one
/// line.
async fn link(options: &LinkOptions, has_printed: &mut bool) -> anyhow::Result<()> {
    let request = request::from_options(options).await?;
    let (request, site, mut plan) = make_plan(request, options.stages.is_empty()).await?;
    let proposed = ProposedFile::of(&request, options)?;
    if options.print {
        let tokens = request::tokens(options)?;
        let lines = netlify_commands::lines(&plan, &tokens, site.is_known());
        print(lines.join("\n"))?;
        return ensure_no_leak_stays(&plan);
    }
    let mut text = table::text(&plan);
    if let Some(file) = &proposed {
        let path = file.path().display();
        text.push_str(&format!(
            "\n{path} will be written: it names the site, the pipeline and the stages for the other \
             commands, and holds no secret"
        ));
    }
    if options.local.local.is_some() {
        let path = options.local.project.join(SETTINGS_FILE);
        let what = match path.exists() {
            true => "stagelink.toml stays as it is",
            false => "no stagelink.toml is written",
        };
        text.push_str(&format!(
            "\n{what}: the site and the pipeline are those of this run of `stagelink dev`"
        ));
    }
    match options.json {
        // Standard output has one line, at the end.
        true => print_beside(&text)?,
        false => print_wrapped(&text)?,
    }
    if options.dry_run {
        if options.json {
            *has_printed = true;
            print_plan(&plan, false)?;
        }
        ensure_no_leak_stays(&plan)?;
        return match options.json {
            true => Ok(()),
            false => print_wrapped(match plan.findings.iter().any(ValueFinding::is_leak) {
                true => {
                    "nothing was set: this was a dry run; with --yes a run also needs \
                     --remove-leaks"
                }
                false => "nothing was set: this was a dry run",
            }),
        };
    }
    confirm(&mut plan, options.yes || options.local.local.is_some()).await?;
    if !plan.changes().is_empty() {
        apply(&plan, &site).await?;
    }
    // The site is linked, with the file or without it.
    if let Some(Err(error)) = proposed.as_ref().map(ProposedFile::write) {
        note(format_args!("  ! {error:#}"));
    }
    if options.json {
        *has_printed = true;
        return print_plan(&plan, true);
    }
    print_wrapped(match plan.changes().is_empty() {
        true => "nothing to change: the site has all of these variables",
        false => "set: new deploys get these variables; existing deploys keep the old ones",
    })
}

async fn make_plan(
    request: LinkRequest,
    leaves_moved_stages: bool,
) -> anyhow::Result<(LinkRequest, SiteVariables, LinkPlan)> {
    let step = Step::begin("site");
    let site = SiteVariables::look_up(&request).await?;
    let request = match leaves_moved_stages {
        true => request.without_moved_stages(&site)?,
        false => request,
    };
    request.ensure_not_moved(&site)?;
    step.done(&match site.is_known() {
        true => format!("{}, {} variables", site.name(), site.count()),
        false => format!(
            "{}, whose variables are not read without a token of Netlify",
            site.name()
        ),
    });

    let step = Step::begin("databases");
    let databases = StageDatabases::find(&request).await?;
    step.done(&format!(
        "{} found and tried, {} compared with them",
        databases.linked().len(),
        databases.all().count() - databases.linked().len()
    ));

    let step = Step::begin("tokens");
    let tokens = ProvedTokens::prove(&request, &site, &databases).await?;
    step.done(&format!(
        "{} proved not to read production's config vars",
        tokens.count()
    ));

    let step = Step::begin("database URLs");
    let owners = UrlOwners::find(&request, &site, &databases).await?;
    step.done(&format!(
        "{} in the variables that can be read",
        owners.count()
    ));
    let plan = LinkPlan::new(&request, &site, &databases, &tokens, &owners)?;
    Ok((request, site, plan))
}

/// Makes sure that the plan, once it is applied with its removals, leaves no leak.
fn ensure_no_leak_stays(plan: &LinkPlan) -> anyhow::Result<()> {
    let mut applied = plan.clone();
    applied.confirm_removals();
    Ok(applied.ensure_no_leak()?)
}

/// Makes sure that the operator wants the plan, whose values may lead to another stage.
async fn confirm(plan: &mut LinkPlan, is_confirmed: bool) -> anyhow::Result<()> {
    if plan.changes().is_empty() || is_confirmed {
        return Ok(plan.ensure_no_leak()?);
    }
    if !std::io::stdin().is_terminal() {
        plan.ensure_no_leak()?;
        bail!("nothing was set: add --yes to set it without a question, or --dry-run");
    }
    // A leak that stays is refused before the question.
    ensure_no_leak_stays(plan)?;
    let leaks = plan.findings.iter().filter(|finding| finding.is_leak());
    let removals = match leaks.count() {
        0 => String::new(),
        1 => ", and remove the value that leads to another stage".to_owned(),
        count => format!(", and remove {count} values that lead to another stage"),
    };
    let question = format!(
        "Set these variables of the site {}{removals}?",
        one_line(&plan.site)
    );
    if !asked(&question).await? {
        bail!("nothing was set");
    }
    plan.confirm_removals();
    Ok(())
}

async fn apply(plan: &LinkPlan, site: &SiteVariables) -> anyhow::Result<()> {
    let step = Step::begin("variables");
    let tell = step.teller();
    plan.apply(site, |change| tell(change.key())).await?;
    // The rows of the table: one call may set several.
    let set = plan
        .variables
        .iter()
        .filter(|row| !matches!(row.change, VariableChange::Unchanged | VariableChange::Kept));
    step.done(&format!(
        "{} values changed, in {} calls",
        set.count(),
        plan.changes().len()
    ));
    Ok(())
}

/// A plan in JSON, and whether it was applied.
#[derive(Serialize)]
struct Report<'a> {
    is_set: bool,
    #[serde(flatten)]
    plan: &'a LinkPlan,
}

fn print_plan(plan: &LinkPlan, is_set: bool) -> anyhow::Result<()> {
    print_json(&Report { is_set, plan })
}
