//! The request to link a site: the site, the pipeline, the stages, and the tokens.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Settings, Stage, StageKind};

use crate::api::ApiAccess;
use crate::error::{Error, ErrorKind};
use crate::link::moved_stage::MovedStage;
use crate::link::project_stages::ProjectStages;
use crate::netlify::DeployContext;
use crate::settings_file::{NewSettingsFile, NewStage};

/// A request to link a Netlify site to the databases of a Heroku pipeline.
///
/// By default production gets the database of stage production, the branch `staging` that of
/// stage staging, and deploy previews and other branches are stage review. A preview has no
/// database unless its stage has an app or a token.
#[derive(Clone, Debug)]
pub struct LinkRequest {
    pub(super) site: String,
    pub(super) netlify: Option<ApiAccess>,
    /// Access with the operator's own token, which no function gets.
    pub(super) heroku: ApiAccess,
    pub(super) pipeline: String,
    pub(super) contexts: Vec<(DeployContext, Stage)>,
    /// The stages of the project, whether they are linked or not.
    pub(super) project: ProjectStages,
    pub(super) apps: BTreeMap<Stage, String>,
    /// Access with the token that the functions of a stage get.
    pub(super) tokens: BTreeMap<Stage, ApiAccess>,
    /// The settings that functions share with this request.
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) pins_servers: bool,
    pub(super) has_scopes: bool,
    /// True if production's database has to be found, so that others are compared with it.
    pub(super) needs_production: bool,
    pub(super) removes_leaks: bool,
    /// The stages that were left out, since their database is elsewhere than on Heroku.
    pub(super) moved: Vec<MovedStage>,
    /// The stages whose database `stagelink.toml` has elsewhere, with the place.
    pub(super) elsewhere: BTreeMap<Stage, &'static str>,
}

impl LinkRequest {
    /// Makes a request for a site, by its name or id. The token of `heroku` reads the config vars
    /// of all stages of the pipeline; no function gets it.
    pub fn new(site: impl Into<String>, pipeline: impl Into<String>, heroku: ApiAccess) -> Self {
        Self {
            site: site.into(),
            netlify: None,
            heroku,
            pipeline: pipeline.into(),
            contexts: vec![
                (DeployContext::Production, Stage::PRODUCTION),
                (DeployContext::Branch("staging".to_owned()), Stage::STAGING),
                (DeployContext::DeployPreview, Stage::REVIEW),
                (DeployContext::BranchDeploy, Stage::REVIEW),
            ],
            project: ProjectStages::default(),
            apps: BTreeMap::new(),
            tokens: BTreeMap::new(),
            settings: Vec::new(),
            pins_servers: false,
            has_scopes: true,
            needs_production: true,
            removes_leaks: false,
            moved: Vec::new(),
            elsewhere: BTreeMap::new(),
        }
    }

    /// Sets the access to Netlify. Without it the site counts as new, and a plan cannot be
    /// applied.
    #[must_use]
    pub fn with_netlify(mut self, netlify: ApiAccess) -> Self {
        self.netlify = Some(netlify);
        self
    }

    /// Links these stages of a project alone. With `other_branches` the deploys of other branches
    /// get the stage of previews.
    ///
    /// Without a stage their functions would report that no stage is known, which is as safe and
    /// explains less. The context `dev` is never linked: a developer's machine has
    /// `stagelink dev`.
    ///
    /// # Errors
    ///
    /// As [`ProjectStages::contexts`].
    pub fn with_stages(
        mut self,
        stages: &[Stage],
        project: ProjectStages,
        other_branches: bool,
    ) -> Result<Self, Error> {
        self.contexts = project.contexts(stages, other_branches)?;
        self.project = project;
        Ok(self)
    }

    /// Names the app of a stage that has several in the pipeline, or for stage review the app of
    /// previews that have no review app. Comes after [`with_stages`](Self::with_stages).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the stage is neither linked nor compared with linked ones.
    pub fn with_app(mut self, stage: Stage, app: impl Into<String>) -> Result<Self, Error> {
        if !self.project.is_compared(stage) {
            self.ensure_linked("--app", stage)?;
        }
        self.apps.insert(stage, app.into());
        Ok(self)
    }

    /// Gives the functions of a stage a token that asks Heroku again when the credentials are
    /// stale. `variable` is where the token comes from. Comes after
    /// [`with_stages`](Self::with_stages).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the stage is not linked.
    pub fn with_token(
        mut self,
        stage: Stage,
        variable: impl Into<String>,
        token: SecretString,
    ) -> Result<Self, Error> {
        self.ensure_linked("--token-for", stage)?;
        let access = ApiAccess::new(&self.heroku.url, token, variable);
        self.tokens.insert(stage, access);
        Ok(self)
    }

    fn ensure_linked(&self, option: &str, stage: Stage) -> Result<(), Error> {
        match self.stages().contains(&stage) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Settings,
                format!("{option} is for stage {stage}, which is not linked"),
            )),
        }
    }

    /// Takes the settings of [`SHARED_SETTINGS`] from these variables, which functions get too, and those of
    /// [`OPERATOR_SETTINGS`].
    #[must_use]
    pub fn with_settings<N: AsRef<str>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in variables {
            let mut known = SHARED_SETTINGS.iter().chain(OPERATOR_SETTINGS);
            if let Some(name) = known.find(|own| **own == name.as_ref()) {
                self.settings.push((name, value.into()));
            }
        }
        self
    }

    /// Pins the public key of each server: functions refuse a server with another key until the
    /// site is linked again.
    #[must_use]
    pub fn with_pinned_servers(mut self) -> Self {
        self.pins_servers = true;
        self
    }

    /// Sets variables without scopes, for a plan of Netlify that has none: they reach the site's
    /// builds too.
    #[must_use]
    pub fn without_scopes(mut self) -> Self {
        self.has_scopes = false;
        self
    }

    /// Links other stages where production's database cannot be found: they are not compared with
    /// it then, which the plan says.
    #[must_use]
    pub fn without_production(mut self) -> Self {
        self.needs_production = false;
        self
    }

    /// Lets the plan remove values of the site that hold another stage's database URL or token.
    /// Without it such a plan is shown and not applied, unless
    /// [`LinkPlan::confirm_removals`](crate::LinkPlan::confirm_removals) is called.
    #[must_use]
    pub fn with_leaks_removed(mut self) -> Self {
        self.removes_leaks = true;
        self
    }

    /// Returns the file that has this request's site, pipeline, stages and apps, for a project
    /// without one. `None` where a stage was left out: the file would have to name a database that
    /// this request does not know.
    pub fn settings_file(&self) -> Option<NewSettingsFile> {
        let stages = self.stages().into_iter();
        self.moved.is_empty().then(|| NewSettingsFile {
            site: self.site.clone(),
            pipeline: self.pipeline.clone(),
            stages: stages
                .map(|stage| {
                    let has_branch = stage.kind() == StageKind::Staging;
                    NewStage {
                        branch: has_branch.then(|| self.project.branch(&stage).to_owned()),
                        app: self.app(stage).map(str::to_owned),
                        stage,
                    }
                })
                .collect(),
        })
    }

    /// The linked stages, production first.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let mut stages: Vec<Stage> = self.contexts.iter().map(|(_, stage)| *stage).collect();
        stages.dedup();
        stages
    }

    /// The linked stages, and those that they are compared with.
    pub(super) fn known_stages(&self) -> BTreeSet<Stage> {
        let compared = self.project.compared().iter().copied();
        self.stages().into_iter().chain(compared).collect()
    }

    pub(super) fn app(&self, stage: Stage) -> Option<&str> {
        self.apps.get(&stage).map(String::as_str)
    }

    /// The settings by which a function of the stage asks Heroku with this token.
    ///
    /// # Errors
    ///
    /// The SDK's error for a setting that cannot be used.
    pub(super) fn settings_of(
        &self,
        stage: Stage,
        token: &SecretString,
    ) -> Result<Settings, stagelink::Error> {
        let own = [
            ("STAGELINK_STAGE", stage.as_str()),
            ("STAGELINK_PROVIDER", "heroku"),
            ("STAGELINK_HEROKU_PIPELINE", &self.pipeline),
            ("STAGELINK_HEROKU_APP", self.app(stage).unwrap_or_default()),
            ("HEROKU_API_KEY", token.expose_secret()),
            ("STAGELINK_HEROKU_API_URL", self.heroku.url.trim()),
        ];
        let shared = self.shared_settings();
        let shared = shared.filter(|(name, _)| own.iter().all(|(own, _)| own != name));
        let of_operator = self.settings_among(OPERATOR_SETTINGS);
        Settings::from_vars(own.into_iter().chain(shared).chain(of_operator))
    }

    pub(super) fn shared_settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.settings_among(SHARED_SETTINGS)
    }

    /// The TLS library by which the operator connects, where the environment names one.
    pub(super) fn tls_library(&self) -> Option<(&'static str, &str)> {
        self.settings_among(&[TLS_LIBRARY]).next()
    }

    fn settings_among(
        &self,
        names: &'static [&'static str],
    ) -> impl Iterator<Item = (&'static str, &str)> {
        let settings = self.settings.iter();
        let settings = settings.filter(|(name, _)| names.contains(name));
        settings.map(|(name, value)| (*name, value.as_str()))
    }
}

/// The settings that find a database, and prove that it is the right one. Functions need the same
/// ones as the operator who links them.
pub const SHARED_SETTINGS: &[&str] = &[
    "STAGELINK_CONFIG_VAR",
    "STAGELINK_HEROKU_API_URL",
    "STAGELINK_POOLER",
    "STAGELINK_ROOT_CERTIFICATES",
];

/// The settings of the operator's own connections: the way to the internet of his machine, and its TLS
/// library. Functions get the library only where they cannot use their database without it.
pub const OPERATOR_SETTINGS: &[&str] = &[TLS_LIBRARY, "STAGELINK_PROVIDER_ROOT_CERTIFICATES"];

pub(super) const TLS_LIBRARY: &str = "STAGELINK_TLS_LIBRARY";

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> LinkRequest {
        let heroku = ApiAccess::new("https://h", "c4n4ry".into(), "HEROKU_API_KEY");
        LinkRequest::new("shop", "shop", heroku)
    }

    #[test]
    fn all_stages_but_development_are_linked_by_default() {
        let all = [Stage::REVIEW, Stage::STAGING, Stage::PRODUCTION];
        let contexts = ProjectStages::default().contexts(&all, true).unwrap();
        assert_eq!(request().contexts, contexts);
    }

    #[test]
    fn option_for_a_stage_that_is_not_linked_is_refused() {
        let request = request().with_stages(&[Stage::STAGING], ProjectStages::default(), true);
        let request = request.unwrap();
        let token = request.clone().with_token(Stage::REVIEW, "A", "t".into());
        let app = request.clone().with_app(Stage::REVIEW, "a");
        for refused in [app, token] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("which is not linked"), "{error}");
        }
        assert!(request.with_app(Stage::PRODUCTION, "a").is_ok());
    }
}
