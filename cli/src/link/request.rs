//! The request of `stagelink link`, from its options and the environment.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use serde::Deserialize;
use stagelink::Stage;
use stagelink_pipeline::{ApiAccess, LinkRequest};

use crate::args::LinkOptions;

/// Builds the request from the options and this process's environment.
///
/// # Errors
///
/// An option or variable that is missing, misspelled or unusable. No value of a variable is in the message.
pub(super) fn from_options(options: &LinkOptions) -> anyhow::Result<LinkRequest> {
    let environment = Environment::of_process();
    stagelink::ensure_known_names(&environment.0)?;
    let site = site_of(options.site.as_deref(), &options.project)?;
    let pipeline = environment.required(
        "STAGELINK_HEROKU_PIPELINE",
        "set it to the name of the Heroku pipeline whose stages are linked",
    )?;
    let heroku = environment.access(
        "STAGELINK_HEROKU_API_URL",
        "https://api.heroku.com",
        "HEROKU_API_KEY",
        "set it to a token that reads the config vars of all stages (`heroku \
         authorizations:create --scope read-protected`); it stays on this machine",
    )?;
    let stages: Vec<Stage> = match options.stages.as_slice() {
        [] => vec![Stage::Production, Stage::Staging, Stage::Review],
        names => names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
    };
    let mut request = LinkRequest::new(site, pipeline, heroku)
        .with_settings(&environment.0)
        .with_stages(
            &stages,
            &options.staging_branch,
            !options.skip_branch_deploys,
        )?;
    // To print commands no token of Netlify's is needed.
    if !options.print || environment.var("NETLIFY_AUTH_TOKEN").is_some() {
        request = request.with_netlify(environment.access(
            "NETLIFY_API_URL",
            "https://api.netlify.com",
            "NETLIFY_AUTH_TOKEN",
            "make a personal access token in Netlify's user settings, under Applications, or \
             print commands for the Netlify command line with --print",
        )?);
    }
    for (stage, app) in by_stage("--app", &options.apps)? {
        request = request.with_app(stage, app)?;
    }
    for (stage, variable) in by_stage("--token-for", &options.tokens)? {
        let token = environment.token(&variable, stage)?;
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

/// The variables of the environment that are set to something, without white space around them.
struct Environment(BTreeMap<String, String>);

impl Environment {
    fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        Self::new(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = variables
            .into_iter()
            .map(|(name, value)| (name, value.trim().to_owned()));
        Self(trimmed.filter(|(_, value)| !value.is_empty()).collect())
    }

    fn var(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn required(&self, name: &str, advice: &str) -> anyhow::Result<&str> {
        self.var(name)
            .with_context(|| format!("{name} is not set: {advice}"))
    }

    fn access(
        &self,
        url_variable: &str,
        default_url: &str,
        token_variable: &str,
        advice: &str,
    ) -> anyhow::Result<ApiAccess> {
        let token = self.required(token_variable, advice)?;
        let url = self.var(url_variable).unwrap_or(default_url);
        Ok(ApiAccess::new(url, token.into(), token_variable))
    }

    /// Returns the token that `--token-for` gives a stage: the value of the variable it names.
    fn token(&self, name: &str, stage: Stage) -> anyhow::Result<SecretString> {
        // Text that is no name may be the token itself, and is not repeated.
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if !is_name {
            bail!(
                "--token-for {stage}=… takes the name of an environment variable that holds the \
                 token, such as --token-for {stage}={}_HEROKU_API_KEY, and not the token",
                stage.as_str().to_uppercase()
            );
        }
        let advice = format!("it was named by --token-for as the token of stage {stage}");
        Ok(self.required(name, &advice)?.into())
    }
}

/// Parses options of the form `STAGE=VALUE`. A wrong value is not repeated.
pub(super) fn by_stage(option: &str, given: &[String]) -> anyhow::Result<BTreeMap<Stage, String>> {
    let mut by_stage = BTreeMap::new();
    for text in given {
        let (stage, rest) = text
            .split_once('=')
            .with_context(|| format!("{option} is not of the form STAGE=…"))?;
        let stage: Stage = stage
            .parse()
            .map_err(|_| anyhow::anyhow!("{option} does not begin with a stage"))?;
        if rest.trim().is_empty() || by_stage.insert(stage, rest.trim().to_owned()).is_some() {
            bail!("{option} needs exactly one value for stage {stage}");
        }
    }
    Ok(by_stage)
}

/// Returns the site's name or id: the named one, or the one that `netlify link` linked the
/// project's folder to.
fn site_of(named: Option<&str>, project: &Path) -> anyhow::Result<String> {
    if let Some(site) = named.map(str::trim).filter(|site| !site.is_empty()) {
        return Ok(site.to_owned());
    }
    let file = project.join(".netlify").join("state.json");
    let advice = "name the site with --site, or link the folder with `netlify link`";
    let Ok(text) = std::fs::read_to_string(&file) else {
        bail!(
            "no site is named, and there is no {}: {advice}",
            file.display()
        );
    };
    serde_json::from_str::<State>(&text)
        .ok()
        .and_then(|state| state.site_id)
        .with_context(|| format!("{} names no site: {advice}", file.display()))
}

/// The state that the Netlify command line keeps in a linked folder.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "siteId")]
    site_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_named_and_never_given() {
        let vars = [("STAGING_TOKEN", " t "), ("EMPTY", " ")];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::new(vars);
        let token = |name| environment.token(name, Stage::Staging);
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
            by_stage("--app", &given)
        };
        let apps = read(&["staging=a", "review=b"]).unwrap();
        assert_eq!(apps[&Stage::Staging], "a");
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
    }

    #[test]
    fn site_is_the_named_one_or_that_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let site = |named| site_of(named, folder.path()).map_err(|error| error.to_string());
        assert!(site(None).unwrap_err().contains("--site"));
        std::fs::create_dir(folder.path().join(".netlify")).unwrap();
        let file = folder.path().join(".netlify/state.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(site(None).unwrap_err().contains("names no site"));
        std::fs::write(&file, r#"{"siteId":"1-2","other":1}"#).unwrap();
        assert_eq!(site(None).unwrap(), "1-2");
        assert_eq!(site(Some("shop")).unwrap(), "shop");
    }
}
