//! The request of `stagelink link`, from its options and the environment.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use stagelink::{Stage, StageKind};
use stagelink_pipeline::{ApiAccess, LinkRequest, ProjectStages, SettingsFile};

use crate::args::LinkOptions;
use crate::local_clouds::{self, LocalClouds};
use crate::local_stages;
use crate::login;
use crate::missing::Missing;
use crate::operator_secrets;
use crate::project;
use crate::site;
use crate::stage_name;
use crate::usage_error::of_usage;

/// Builds the request from the options and this process's environment.
///
/// # Errors
///
/// An option or variable that is missing, misspelled or unusable. No value of a variable is in the message.
pub(super) async fn from_options(options: &LinkOptions) -> anyhow::Result<LinkRequest> {
    let local = local_clouds::clouds(&options.local)?;
    let environment = match &local {
        Some(clouds) => Environment::of_local_clouds(clouds),
        None => Environment::of_process(),
    };
    crate::environment::ensure_known_names(&environment.0)?;
    let file = project::settings_file(&options.local.project)?;
    let file = file.as_ref();
    // What the options say is judged before the Heroku command line is asked for its login.
    let stages = stages_of(options, file)?;
    let mut project = file.map_or_else(ProjectStages::default, ProjectStages::of_file);
    if let Some(branch) = &options.staging_branch {
        project = project.with_branch(Stage::STAGING, branch);
    }
    project.contexts(&stages, true)?;
    let apps = by_stage("--app", &options.apps, file).map_err(of_usage)?;
    let tokens = by_stage("--token-for", &options.tokens, file).map_err(of_usage)?;
    ensure_linked("--app", &apps, |stage| {
        stages.contains(&stage) || project.is_compared(stage)
    })
    .map_err(of_usage)?;
    let local_apps = local_apps(options, &project)?;
    if options.stages.is_empty() {
        local_stages::note_others(&options.local, file)?;
    }
    if let Some(file) = file.filter(|_| local.is_none()) {
        let mut unnamed = stages.iter().filter(|stage| !apps.contains_key(stage));
        unnamed.try_for_each(|stage| file.ensure_app(*stage))?;
    }
    ensure_linked("--token-for", &tokens, |stage| stages.contains(&stage)).map_err(of_usage)?;
    for (stage, name) in &tokens {
        ensure_variable_name(name, *stage).map_err(of_usage)?;
    }

    // The local Heroku has all stages, whatever source the file names for them.
    let file = file.filter(|_| local.is_none());
    let mut missing = Missing::default();
    let named_site = match &local {
        Some(clouds) => Some(clouds.site.as_str()),
        None => options.site.as_deref(),
    };
    let site = missing.take(site::required(named_site, file, &options.local.project));
    let pipeline = environment.var("STAGELINK_HEROKU_PIPELINE");
    let pipeline = pipeline.or(file.and_then(SettingsFile::pipeline)).context(
        "STAGELINK_HEROKU_PIPELINE is not set: set it to the name of the Heroku pipeline whose \
         stages are linked, or set heroku.pipeline in stagelink.toml",
    );
    let pipeline = missing.take(pipeline);
    let heroku = missing.take(environment.heroku().await);
    let netlify = match environment.netlify() {
        // To print commands no token of Netlify's is needed.
        Err(_) if options.print => None,
        found => missing.take(found),
    };
    let mut of_stages = Vec::new();
    for (stage, variable) in tokens {
        if let Some(token) = missing.take(environment.token(&variable, stage)) {
            of_stages.push((stage, variable, token));
        }
    }
    let (Some(site), Some(pipeline), Some(heroku)) = (site, pipeline, heroku) else {
        return Err(missing.into_error());
    };
    missing.check()?;

    let mut request = LinkRequest::new(site, pipeline, heroku)
        .with_settings(&environment.0)
        .with_stages(&stages, project, !options.skip_branch_deploys)?;
    let config_var = file.and_then(SettingsFile::config_var);
    if let (Some(name), None) = (config_var, environment.var("STAGELINK_CONFIG_VAR")) {
        request = request.with_settings([("STAGELINK_CONFIG_VAR", name)]);
    }
    if let Some(netlify) = netlify {
        request = request.with_netlify(netlify);
    }
    for (&stage, settings) in file.map(SettingsFile::stages).into_iter().flatten() {
        let is_used = stages.contains(&stage) || stage.kind() >= StageKind::Staging;
        if let Some(app) = settings.heroku_app().filter(|_| is_used) {
            request = request.with_app(stage, app)?;
        }
        if let Some(provider) = settings.provider() {
            request = request.with_stage_elsewhere(stage, provider);
        }
    }
    for (stage, app) in local_apps.into_iter().chain(apps) {
        request = request.with_app(stage, app)?;
    }
    for (stage, variable, token) in of_stages {
        request = request.with_token(stage, variable, token)?;
    }
    if options.pin {
        request = request.with_pinned_servers();
    }
    if options.without_scopes {
        request = request.without_scopes();
    }
    if options.without_production {
        request = request.without_production();
    }
    if options.remove_leaks {
        request = request.with_leaks_removed();
    }
    Ok(request)
}

/// Returns the apps that the stages of the local clouds name, where several are of one kind.
fn local_apps(
    options: &LinkOptions,
    project: &ProjectStages,
) -> anyhow::Result<BTreeMap<Stage, String>> {
    let mut apps = BTreeMap::new();
    for stage in local_clouds::stages(&options.local)?.into_iter().flatten() {
        let variables = local_clouds::variables(&options.local, Some(stage))?;
        let app = variables.and_then(|mut variables| variables.remove("STAGELINK_HEROKU_APP"));
        if let Some(app) = app.filter(|_| project.is_compared(stage)) {
            apps.insert(stage, app);
        }
    }
    Ok(apps)
}

/// The variables of the environment that are set to something, without white space around them.
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(crate) fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        Self::new(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    /// The environment in which the clouds of a running `stagelink dev` take the place of the real
    /// ones: of this process's it has other programs' variables alone.
    pub(crate) fn of_local_clouds(clouds: &LocalClouds) -> Self {
        let mut environment = Self::of_process();
        let is_own = |name: &str| {
            let mut prefixes = ["STAGELINK_", "HEROKU_", "NETLIFY_"].iter();
            prefixes.any(|prefix| name.starts_with(prefix))
        };
        environment.0.retain(|name, _| !is_own(name));
        let own = [
            ("STAGELINK_HEROKU_PIPELINE", &clouds.pipeline),
            ("STAGELINK_HEROKU_API_URL", &clouds.heroku_url),
            ("HEROKU_API_KEY", &clouds.heroku_token),
            ("NETLIFY_API_URL", &clouds.netlify_url),
            ("NETLIFY_AUTH_TOKEN", &clouds.netlify_token),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.clone()));
        environment.0.extend(own);
        environment
    }

    fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = variables
            .into_iter()
            .map(|(name, value)| (name, value.trim().to_owned()));
        Self(trimmed.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn required(&self, name: &str, advice: &str) -> anyhow::Result<&str> {
        self.var(name)
            .with_context(|| format!("{name} is not set: {advice}"))
    }

    /// Returns the access to Heroku, with the token of the environment or of the command line's
    /// login.
    async fn heroku(&self) -> anyhow::Result<ApiAccess> {
        let url = self.var("STAGELINK_HEROKU_API_URL");
        let (token, origin) = match self.var("HEROKU_API_KEY") {
            Some(token) => (Some(token.into()), "HEROKU_API_KEY"),
            None => (
                login::heroku::token(url).await,
                "the login of the Heroku command line",
            ),
        };
        let token = token.context(
            "HEROKU_API_KEY is not set, and the Heroku command line has no login for this API: set \
             it to a token that reads the config vars of all stages (`heroku \
             authorizations:create --scope read-protected`), which stays on this machine, or run \
             `heroku login`",
        )?;
        let url = url.unwrap_or("https://api.heroku.com");
        Ok(ApiAccess::new(url, token, origin))
    }

    /// Returns the access to Netlify, with the token of the environment or of the command line's
    /// login; `None` where there is no token.
    pub(crate) fn netlify_access(&self) -> Option<ApiAccess> {
        let url = self.var("NETLIFY_API_URL");
        let url = url.unwrap_or("https://api.netlify.com");
        let (token, origin) = match self.var("NETLIFY_AUTH_TOKEN") {
            Some(token) => (Some(token.into()), "NETLIFY_AUTH_TOKEN"),
            None => (
                login::netlify::token(url),
                "the login of the Netlify command line",
            ),
        };
        Some(ApiAccess::new(url, token?, origin))
    }

    /// Returns the access to Netlify.
    fn netlify(&self) -> anyhow::Result<ApiAccess> {
        self.netlify_access().context(
            "NETLIFY_AUTH_TOKEN is not set, and the Netlify command line has no login for this API: make a \
             personal access token in Netlify's user settings, under Applications, run `netlify \
             login`, or print commands for the Netlify command line with --print",
        )
    }

    /// Returns the token that `--token-for` gives a stage: the value of the variable it names.
    pub(crate) fn token(&self, name: &str, stage: Stage) -> anyhow::Result<SecretString> {
        ensure_variable_name(name, stage)?;
        let advice = format!("it was named by --token-for as the token of stage {stage}");
        let token = SecretString::from(self.required(name, &advice)?);
        operator_secrets::add_secret(&token);
        Ok(token)
    }
}

/// Makes sure that `--token-for` names a variable. Text that is no name may be the token itself, and
/// is not repeated.
fn ensure_variable_name(name: &str, stage: Stage) -> anyhow::Result<()> {
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if !is_name {
        bail!(
            "--token-for {stage}=… takes the name of an environment variable that holds the \
             token, such as --token-for {stage}={}_HEROKU_API_KEY, and not the token",
            stage.name().to_uppercase().replace('-', "_")
        );
    }
    Ok(())
}

/// Makes sure that an option is for linked stages alone.
fn ensure_linked(
    option: &str,
    given: &BTreeMap<Stage, String>,
    is_linked: impl Fn(Stage) -> bool,
) -> anyhow::Result<()> {
    match given.keys().find(|stage| !is_linked(**stage)) {
        Some(stage) => bail!("{option} is for stage {stage}, which is not linked"),
        None => Ok(()),
    }
}

/// Returns the variables that `--token-for` names, by their stages.
///
/// # Errors
///
/// A text that is not of the form `STAGE=VARIABLE`, and a file that cannot be used.
pub(super) fn tokens(options: &LinkOptions) -> anyhow::Result<BTreeMap<Stage, String>> {
    let file = project::settings_file(&options.local.project)?;
    by_stage("--token-for", &options.tokens, file.as_ref())
}

/// Returns the stages to link: the named ones, else those of the kinds production and staging that the
/// file has, and that of previews.
fn stages_of(options: &LinkOptions, file: Option<&SettingsFile>) -> anyhow::Result<Vec<Stage>> {
    if !options.stages.is_empty() {
        let named = options.stages.iter();
        // Previews, too, are linked to a pipeline: the local Heroku has none of their databases.
        let parse = |name: &String| match stage_name::parse(name, file)? {
            stage if stage.kind() == StageKind::Review => Ok(stage),
            _ => local_stages::parse(name, file, &options.local),
        };
        return named.map(parse).collect();
    }
    let stages = file.map(SettingsFile::stages);
    let Some(stages) = stages.filter(|stages| !stages.is_empty()) else {
        return Ok(vec![Stage::PRODUCTION, Stage::STAGING, Stage::REVIEW]);
    };
    let of_kind = |is_wanted: fn(StageKind) -> bool| {
        let stages = stages.keys().copied();
        stages.filter(move |stage| is_wanted(stage.kind()))
    };
    let previews: Vec<Stage> = of_kind(|kind| kind == StageKind::Review).collect();
    let previews = match previews.contains(&Stage::REVIEW) || previews.is_empty() {
        true => vec![Stage::REVIEW],
        false => previews,
    };
    Ok(of_kind(|kind| kind >= StageKind::Staging)
        .chain(previews)
        .collect())
}

/// Parses options of the form `STAGE=VALUE`. A wrong value is not repeated.
pub(crate) fn by_stage(
    option: &str,
    given: &[String],
    file: Option<&SettingsFile>,
) -> anyhow::Result<BTreeMap<Stage, String>> {
    let mut by_stage = BTreeMap::new();
    for text in given {
        let (stage, rest) = text
            .split_once('=')
            .with_context(|| format!("{option} is not of the form STAGE=…"))?;
        let stage = stage_name::parse(stage, file).map_err(|_| {
            let stages = stage_name::listed(file);
            anyhow::anyhow!(
                "{option} does not begin with a stage: it takes STAGE=…, and STAGE is {stages}"
            )
        })?;
        if rest.trim().is_empty() || by_stage.insert(stage, rest.trim().to_owned()).is_some() {
            bail!("{option} needs exactly one value for stage {stage}");
        }
    }
    Ok(by_stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_named_and_never_given() {
        let vars = [("STAGING_TOKEN", " t "), ("EMPTY", " ")];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::new(vars);
        let token = |name| environment.token(name, Stage::STAGING);
        assert!(token("STAGING_TOKEN").is_ok());
        let unset = token("EMPTY").unwrap_err().to_string();
        assert!(unset.contains("EMPTY is not set"), "{unset}");
        for given in ["HRKU-c4n4ry", "c4n4ry", "HRKU-C4N4RY", "0C4N4RY"] {
            let error = format!("{:?}", token(given).unwrap_err());
            assert!(!error.to_lowercase().contains("c4n4ry"), "{error}");
        }
    }

    #[test]
    fn options_by_stage_are_read_and_a_wrong_one_is_not_shown() {
        let read = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|&text| text.to_owned()).collect();
            by_stage("--app", &given, None)
        };
        let apps = read(&["staging=a", "review=b"]).unwrap();
        assert_eq!(apps[&Stage::STAGING], "a");
        for wrong in [
            &["c4n4ry"][..],
            &["c4n4ry=a"],
            &["staging="],
            &["staging=c4n4ry", "staging=c4n4ry"],
        ] {
            let error = format!("{:?}", read(wrong).unwrap_err());
            assert!(
                error.contains("--app") && !error.contains("c4n4ry"),
                "{error}"
            );
        }
        for file in [None, Some("[stages.live]\nkind = \"production\"\n")] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(text) = file {
                std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
            }
            let file = SettingsFile::load(folder.path()).unwrap();
            let stages = stage_name::listed(file.as_ref());
            let error = by_stage("--token-for", &["bogus=T".to_owned()], file.as_ref());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&stages), "{error}");
            assert!(!error.contains("bogus"), "{error}");
        }
    }
}
