//! `stagelink link`: gives each deploy context of a Netlify site the database of its stage.

mod context;
mod environment;
mod heroku;
mod http;
mod netlify;
mod plan;
mod print;
mod report;
mod stages;
mod wanted;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret, SecretString};
use stagelink::{Heroku as Provider, Provider as _, ProviderSettings, Stage};

use crate::args::LinkOptions;
use crate::progress::Step;

use self::context::Context;
use self::environment::{Environment, by_stage};
use self::heroku::Heroku;
use self::netlify::{Site, Variable, site_of};
use self::plan::{Change, changes, keep_apart};
use self::report::{Facts, Report};
use self::stages::Found;
use self::wanted::{Linked, Token, wanted};

pub(crate) use self::stages::is_own;

/// Links a site: finds the database of each stage, tries it, proves that no other stage's token
/// reads production's config vars, shows what is to be set, and sets it.
///
/// Nothing is set before all of that has gone well.
///
/// # Errors
///
/// Whatever keeps a context from getting the right database, and it alone.
pub async fn run(options: LinkOptions) -> anyhow::Result<()> {
    let plan = Plan::make(&options).await?;
    let (facts, changes) = (plan.facts(), &plan.changes);
    if options.print {
        let lines = print::lines(&facts, changes, &plan.token_names, &plan.has);
        return say(&lines.join("\n"));
    }
    let mut report = plan.report();
    let shows_plan = !options.json && (options.dry_run || !options.yes);
    if shows_plan {
        say(&report.text())?;
    }
    if options.dry_run {
        return match options.json {
            true => say(&serde_json::to_string(&report)?),
            false => say("nothing was set: this was a dry run"),
        };
    }
    let site = plan.site.as_ref().context("no site was looked up")?;
    if !changes.is_empty() {
        if !options.yes && !confirmed(&site.name)? {
            bail!("nothing was set");
        }
        set(site, changes, plan.scopes).await?;
    }
    report.is_set = true;
    if options.json {
        return say(&serde_json::to_string(&report)?);
    }
    if !shows_plan {
        say(&report.text())?;
    }
    say(match changes.is_empty() {
        true => "all of it was set already",
        false => "set: deploys from now on have it; those that are there keep what they had",
    })
}

/// What is to be done, and why it may be.
struct Plan {
    /// `None` where lines are printed without asking Netlify.
    site: Option<Site>,
    site_name: String,
    scopes: bool,
    contexts: Vec<(Context, Stage)>,
    found: Vec<Found>,
    token_names: BTreeMap<Stage, String>,
    wanted: Vec<plan::Wanted>,
    has: Vec<Variable>,
    changes: Vec<Change>,
    notes: Vec<String>,
}

impl Plan {
    async fn make(options: &LinkOptions) -> anyhow::Result<Self> {
        let environment = Environment::own();
        let asked = Asked::read(options, &environment)?;
        let site_name = site_of(options.site.as_deref(), &options.project)?;
        let step = Step::begin("site");
        let (site, has, shared) = look_up(options, &environment, &site_name).await?;
        let site_name = site.as_ref().map_or(site_name, |site| site.name.clone());
        step.done(&format!("{site_name}, {} variables", has.len()));

        let step = Step::begin("databases");
        let found = asked.find_databases(&environment, options.pin).await?;
        step.done(&format!("{} found and tried", found.len()));

        let step = Step::begin("tokens");
        let linked = asked.link(&environment, &found, &has, &shared)?;
        let proved = asked
            .prove_tokens(&environment, &linked, &has, &shared)
            .await?;
        step.done(&format!(
            "{proved} proved not to read production's config vars"
        ));

        let scopes = !options.without_scopes;
        let wanted = wanted(&linked);
        let changes = wanted
            .iter()
            .map(|wanted| {
                let before = has.iter().find(|variable| variable.key == wanted.key);
                changes(before, wanted, scopes)
            })
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        keep_apart(&changes, &asked.production_secrets(&found))?;
        let notes = notes(&linked, &found, &has, &shared, scopes);
        Ok(Self {
            site,
            site_name,
            scopes,
            contexts: asked.contexts.clone(),
            token_names: asked.token_names,
            wanted,
            has,
            changes,
            notes,
            found,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            site: &self.site_name,
            scopes: self.scopes,
            stages: &self.found,
            contexts: &self.contexts,
        }
    }

    fn report(&self) -> Report<'_> {
        let notes = self.notes.clone();
        Report::new(&self.facts(), &self.wanted, &self.changes, &self.has, notes)
    }
}

/// What a person asked for.
struct Asked {
    contexts: Vec<(Context, Stage)>,
    pipeline: String,
    apps: BTreeMap<Stage, String>,
    token_names: BTreeMap<Stage, String>,
    tokens: BTreeMap<Stage, SecretString>,
    /// The token that this command itself asks with. It is given to nobody.
    own_token: SecretString,
    heroku_url: String,
}

impl Asked {
    fn read(options: &LinkOptions, environment: &Environment) -> anyhow::Result<Self> {
        let stages: Vec<Stage> = match options.stages.as_slice() {
            [] => vec![Stage::Production, Stage::Staging, Stage::Review],
            names => names
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, _>>()?,
        };
        let contexts = context::linked(
            &stages,
            &options.staging_branch,
            !options.skip_branch_deploys,
        )?;
        let apps = by_stage("--app", &options.apps)?;
        let token_names = by_stage("--token-for", &options.tokens)?;
        for (option, stage) in apps
            .keys()
            .map(|stage| ("--app", stage))
            .chain(token_names.keys().map(|stage| ("--token-for", stage)))
        {
            if !stages.contains(stage) {
                bail!("{option} is for stage {stage}, which is not linked");
            }
        }
        let tokens = token_names
            .iter()
            .map(|(stage, name)| Ok((*stage, environment.token(name, *stage)?)))
            .collect::<anyhow::Result<_>>()?;
        let pipeline = environment.needed(
            "STAGELINK_HEROKU_PIPELINE",
            "set it to the name of the Heroku pipeline whose stages are linked",
        )?;
        let own_token = environment.needed(
            "HEROKU_API_KEY",
            "set it to a token that reads the config vars of all stages (`heroku \
             authorizations:create --scope read-protected`); it stays on this machine",
        )?;
        let heroku_url = environment
            .var("STAGELINK_HEROKU_API_URL")
            .unwrap_or("https://api.heroku.com");
        Ok(Self {
            contexts,
            pipeline: pipeline.to_owned(),
            apps,
            token_names,
            tokens,
            own_token: own_token.into(),
            heroku_url: heroku_url.to_owned(),
        })
    }

    fn app(&self, stage: Stage) -> Option<&str> {
        self.apps.get(&stage).map(String::as_str)
    }

    /// The databases of the stages that have one: a preview's is its pull request's, so it is
    /// asked for only where an app is named.
    async fn find_databases(
        &self,
        environment: &Environment,
        wants_pin: bool,
    ) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        for stage in Stage::ALL.into_iter().rev() {
            let app = self.app(stage);
            let is_linked = self.contexts.iter().any(|(_, own)| *own == stage);
            if !is_linked || (stage == Stage::Review && app.is_none()) {
                continue;
            }
            let (pipeline, token) = (&self.pipeline, &self.own_token);
            let one = stages::find(environment, stage, pipeline, app, token, wants_pin)
                .await
                .with_context(|| format!("could not link stage {stage}"))?;
            found.push(one);
        }
        stages::are_apart(&found)?;
        Ok(found)
    }

    /// All contexts with what each takes.
    fn link<'a>(
        &'a self,
        environment: &'a Environment,
        found: &'a [Found],
        has: &[Variable],
        shared: &[Variable],
    ) -> anyhow::Result<Vec<Linked<'a>>> {
        let one = |(context, stage): &(Context, Stage)| Linked {
            context: context.clone(),
            stage: *stage,
            token: match self.tokens.get(stage) {
                Some(token) => Token::Given(token.clone()),
                None if value_in(TOKEN, context, has, shared).is_some() => Token::Kept,
                None => Token::None,
            },
            pipeline: &self.pipeline,
            app: self.app(*stage),
            shared: environment.shared().collect(),
            found: found.iter().find(|found| found.examination.stage == *stage),
        };
        Ok(self.contexts.iter().map(one).collect())
    }

    /// Proves of each token that a context other than production's has, or is to get, that it
    /// does not read production's config vars; and of each that is to be set that it does what
    /// it is for. Tells how many were proved.
    async fn prove_tokens(
        &self,
        environment: &Environment,
        linked: &[Linked<'_>],
        has: &[Variable],
        shared: &[Variable],
    ) -> anyhow::Result<usize> {
        let own = Heroku::new(&self.heroku_url, self.own_token.clone(), TOKEN)?;
        let mut production = own.production_apps(&self.pipeline).await?;
        production.extend(self.app(Stage::Production).map(str::to_owned));
        let mut proved: Vec<(Stage, SecretString)> = Vec::new();
        for linked in linked {
            let stage = linked.stage;
            let (token, from) = match &linked.token {
                Token::None => continue,
                Token::Given(token) => (token.clone(), self.token_names[&stage].clone()),
                Token::Kept if stage == Stage::Production => continue,
                Token::Kept => {
                    let context = &linked.context;
                    let Some(token) = value_in(TOKEN, context, has, shared).flatten() else {
                        bail!(
                            "the site has a {TOKEN} for the context {context} already, which is a \
                             secret, so nobody can prove that it does not read production's \
                             config vars: give the token of stage {stage} with --token-for, or \
                             remove it with `netlify env:unset {TOKEN}`"
                        );
                    };
                    (token, format!("{TOKEN} of the site"))
                }
            };
            let is_proved = |(of, same): &(Stage, SecretString)| {
                *of == stage && same.expose_secret() == token.expose_secret()
            };
            if proved.iter().any(is_proved) {
                continue;
            }
            let heroku = Heroku::new(&self.heroku_url, token.clone(), &from)?;
            if stage != Stage::Production {
                heroku.reads_none_of(&production, stage).await?;
                proved.push((stage, token.clone()));
            }
            if stage == Stage::Review {
                heroku.sees_review_apps(&self.pipeline).await?;
            }
            if linked.found.is_some() {
                let (pipeline, app) = (&self.pipeline, self.app(stage));
                let settings = stages::settings(environment, stage, pipeline, app, &token)?;
                if let Some(ProviderSettings::Heroku(settings)) = settings.provider {
                    let answer = Provider::new(settings)?.resolve(stage).await;
                    answer.with_context(|| {
                        format!("the token of stage {stage} (in {from}) does not tell its database")
                    })?;
                }
            }
        }
        Ok(proved.len())
    }

    /// What no context but production's may get.
    fn production_secrets(&self, found: &[Found]) -> Vec<SecretString> {
        let of_production = |found: &&Found| found.examination.stage == Stage::Production;
        let urls = found.iter().filter(of_production).flat_map(Found::secrets);
        urls.chain(self.tokens.get(&Stage::Production).cloned())
            .collect()
    }
}

/// The site with its variables, and those that all sites of its account have. To print lines
/// no token is needed; then the site counts as new.
async fn look_up(
    options: &LinkOptions,
    environment: &Environment,
    site: &str,
) -> anyhow::Result<(Option<Site>, Vec<Variable>, Vec<Variable>)> {
    if options.print && environment.var("NETLIFY_AUTH_TOKEN").is_none() {
        return Ok((None, Vec::new(), Vec::new()));
    }
    let token = environment.needed(
        "NETLIFY_AUTH_TOKEN",
        "make a personal access token in Netlify's user settings, under Applications, or print \
         the lines for the Netlify command line with --print",
    )?;
    let url = environment
        .var("NETLIFY_API_URL")
        .unwrap_or("https://api.netlify.com");
    let site = Site::find(url, token.into(), site).await?;
    let has = site.variables().await?;
    let shared = site.shared_variables().await?;
    Ok((Some(site), has, shared))
}

/// The value that a variable has in a context, by the site or by its account. The outer one is
/// `None` where it has none, the inner where it cannot be read.
fn value_in(
    key: &str,
    context: &Context,
    has: &[Variable],
    shared: &[Variable],
) -> Option<Option<SecretString>> {
    let own = |variables: &[Variable]| {
        let variable = variables.iter().find(|variable| variable.key == key)?;
        let value = variable.value_in(context)?;
        Some(value.text.clone())
    };
    own(has).or_else(|| own(shared))
}

/// What a person should know beside.
fn notes(
    linked: &[Linked<'_>],
    found: &[Found],
    has: &[Variable],
    shared: &[Variable],
    scopes: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    for found in found.iter().filter(|found| !found.is_marked()) {
        let stage = found.examination.stage;
        notes.push(format!(
            "the database of stage {stage} is not marked: `stagelink mark set --stage {stage}`, \
             then link again, and no other database is let in"
        ));
    }
    for linked in linked {
        let (context, stage) = (&linked.context, linked.stage);
        let has_token = !matches!(linked.token, Token::None);
        if *context == Context::BranchDeploy {
            notes.push(
                "branches without a stage of their own have no database; give one a stage with \
                 --staging-branch"
                    .to_owned(),
            );
        } else if !has_token && stage == Stage::Review && linked.found.is_none() {
            notes.push(
                "previews have no database: for the review app of each pull request give them a \
                 token with --token-for review=VARIABLE"
                    .to_owned(),
            );
        } else if !has_token {
            notes.push(format!(
                "stage {stage} has no token: link again after its password was rotated, or give \
                 it one with --token-for {stage}=VARIABLE"
            ));
        }
        if value_in("DATABASE_URL", context, has, shared).is_some() {
            notes.push(format!(
                "the site has a DATABASE_URL for the context {context} as well: whose it is, is \
                 not known here, and the functions can read it"
            ));
        }
    }
    if !scopes {
        notes.push("what is set reaches the site's builds too, and all that they run".to_owned());
    }
    notes
}

/// Makes the changes, one after the other.
async fn set(site: &Site, changes: &[Change], scopes: bool) -> anyhow::Result<()> {
    let step = Step::begin("variables");
    let tell = step.teller();
    for (number, change) in changes.iter().enumerate() {
        tell(change.key());
        site.make(change, scopes).await.with_context(|| {
            format!(
                "{number} of {} changes were made before this; link again to make all",
                changes.len()
            )
        })?;
    }
    step.done(&format!("{} changes made", changes.len()));
    Ok(())
}

fn confirmed(site: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nothing was set: add --yes to set it without being asked, or --dry-run");
    }
    eprint!("Set these variables of the site {site}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("could not read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("could not write to standard output")
}

/// What Heroku is asked with.
const TOKEN: &str = "HEROKU_API_KEY";
