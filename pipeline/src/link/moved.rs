//! Stages whose functions have their database elsewhere than on Heroku: they were moved, and are
//! never put back by a link.

use secrecy::ExposeSecret;
use stagelink::{DatabaseUrl, Stage};

use crate::error::{Error, ErrorKind};
use crate::link::moved_stage::{MoveSource, MovedStage};
use crate::link::request::LinkRequest;
use crate::link::site_variables::SiteVariables;
use crate::netlify::DeployContext;
use crate::settings_file::StageProvider;

impl LinkRequest {
    /// Says that the database of a stage is not on Heroku, but of this provider, as
    /// `stagelink.toml` has it.
    #[must_use]
    pub fn with_stage_elsewhere(mut self, stage: Stage, provider: &StageProvider) -> Self {
        let place = match provider {
            StageProvider::Heroku { .. } => return self,
            StageProvider::Neon { .. } => NEON,
            StageProvider::Render { .. } => RENDER,
            StageProvider::Url { .. } => FIXED_URL,
        };
        self.elsewhere.insert(stage, place);
        self
    }

    /// Leaves out the stages that the site's variables show to be moved from Heroku to Neon, to
    /// Render or to a fixed URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when no stage is left.
    pub fn without_moved_stages(mut self, site: &SiteVariables) -> Result<Self, Error> {
        let moved = moved_stages(&self, site);
        let is_moved = |stage: Stage| moved.iter().any(|moved| moved.stage == stage);
        // A branch without a stage of its own falls back on that of the other branches.
        let has_own_stage = |context: &DeployContext| {
            let own = site.own(STAGE);
            own.is_some_and(|own| own.value_for(context).is_some())
        };
        let is_inherited = moved.iter().any(|moved| {
            matches!(moved.context, DeployContext::Branch(_)) && !has_own_stage(&moved.context)
        });
        self.contexts.retain(|(context, stage)| {
            let reaches_moved = is_inherited && *context == DeployContext::BranchDeploy;
            !is_moved(*stage) && !reaches_moved
        });
        if let (true, Some(first)) = (self.contexts.is_empty(), moved.first()) {
            return Err(refused(first));
        }
        self.moved = moved;
        Ok(self)
    }

    /// Makes sure that no stage of this request was moved from Heroku.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for the first one that was.
    pub fn ensure_not_moved(&self, site: &SiteVariables) -> Result<(), Error> {
        moved_stages(self, site)
            .first()
            .map_or(Ok(()), |moved| Err(refused(moved)))
    }

    /// The stage as it was left out of this request.
    pub(super) fn moved_stage(&self, stage: Stage) -> Option<&MovedStage> {
        self.moved.iter().find(|moved| moved.stage == stage)
    }
}

fn refused(moved: &MovedStage) -> Error {
    let removal = match &moved.source {
        MoveSource::Variable(variable) => variable.removal(),
        MoveSource::SettingsFile => format!(
            "remove its source from the table [stages.{}] of stagelink.toml",
            moved.stage.name()
        ),
    };
    Error::new(
        ErrorKind::Settings,
        format!(
            "{moved}, and a link would put it back to Heroku: nothing was set; link other stages \
             with --stage, or to move the stage back {removal} first"
        ),
    )
}

/// The linked stages that have their database elsewhere, each once.
fn moved_stages(request: &LinkRequest, site: &SiteVariables) -> Vec<MovedStage> {
    let mut moved: Vec<MovedStage> = Vec::new();
    for (context, stage) in &request.contexts {
        // The deploys of other branches get their stage alone.
        let has_database = *context != DeployContext::BranchDeploy;
        let is_new = moved.iter().all(|known| known.stage != *stage);
        if !has_database || !is_new {
            continue;
        }
        let by_file = request.elsewhere.get(stage);
        let by_file = by_file.map(|place| (*place, MoveSource::SettingsFile));
        let by_site = || {
            let (place, key) = elsewhere(site, context)?;
            Some((place, MoveSource::Variable(site.place_in(key, context)?)))
        };
        if let Some((place, source)) = by_file.or_else(by_site) {
            moved.push(MovedStage {
                stage: *stage,
                context: context.clone(),
                place,
                source,
            });
        }
    }
    moved
}

/// The place of a context's database that is not on Heroku, and the variable that says so.
fn elsewhere(
    site: &SiteVariables,
    context: &DeployContext,
) -> Option<(&'static str, &'static str)> {
    let value = |name| site.value_in(name, context);
    let text = |name| {
        let text = value(name)?.text.as_ref()?.expose_secret().trim();
        (!text.is_empty()).then(|| text.to_ascii_lowercase())
    };
    if let Some(provider) = text(PROVIDER) {
        let place = match provider.as_str() {
            "neon" => NEON,
            "render" => RENDER,
            "url" => FIXED_URL,
            _ => return None,
        };
        return Some((place, PROVIDER));
    }
    for (variable, place) in [
        ("STAGELINK_NEON_BRANCH", NEON),
        ("STAGELINK_NEON_PROJECT", NEON),
        ("STAGELINK_RENDER_POSTGRES", RENDER),
    ] {
        if value(variable).is_some() {
            return Some((place, variable));
        }
    }
    let credentials = value(CREDENTIALS)?.text.as_ref()?.expose_secret();
    let (_, url) = credentials.split_once('=')?;
    let url = url.split_once("#scram=").map_or(url, |(url, _)| url);
    let url = DatabaseUrl::parse(url, CREDENTIALS).ok()?;
    let is_below = |domain: &str| url.host().to_ascii_lowercase().ends_with(domain);
    match (is_below(".neon.tech"), is_below(".render.com")) {
        (true, _) => Some((NEON, CREDENTIALS)),
        (_, true) => Some((RENDER, CREDENTIALS)),
        _ => None,
    }
}

const NEON: &str = "at Neon";
const RENDER: &str = "at Render";
const FIXED_URL: &str = "at a fixed URL";

const STAGE: &str = "STAGELINK_STAGE";
const PROVIDER: &str = "STAGELINK_PROVIDER";
const CREDENTIALS: &str = "STAGELINK_CREDENTIALS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiAccess;
    use crate::netlify::{Variable, VariableValue};

    fn site(values: &[(&str, DeployContext, Option<&str>)]) -> SiteVariables {
        let variable = |(key, context, text): &(&str, DeployContext, Option<&str>)| Variable {
            key: (*key).to_owned(),
            scopes: Vec::new(),
            is_secret: text.is_none(),
            updated_at: None,
            values: vec![VariableValue {
                id: None,
                context: context.clone(),
                text: text.map(Into::into),
            }],
        };
        SiteVariables {
            site: None,
            name: "shop-site".to_owned(),
            own: values.iter().map(variable).collect(),
            account: None,
        }
    }

    fn moved(values: &[(&str, DeployContext, Option<&str>)]) -> Vec<(Stage, &'static str)> {
        let heroku = ApiAccess::new("https://h", "t".into(), "HEROKU_API_KEY");
        let request = LinkRequest::new("shop-site", "shop", heroku);
        let moved = moved_stages(&request, &site(values));
        moved
            .iter()
            .map(|moved| (moved.stage, moved.place))
            .collect()
    }

    #[test]
    fn stage_is_moved_by_what_its_context_says() {
        use DeployContext::{All, DeployPreview, Production};
        let staging = || DeployContext::Branch("staging".to_owned());
        for (key, context, text, expected) in [
            (
                PROVIDER,
                Production,
                Some(" Neon "),
                Some((Stage::PRODUCTION, NEON)),
            ),
            (
                PROVIDER,
                staging(),
                Some("render"),
                Some((Stage::STAGING, RENDER)),
            ),
            (
                PROVIDER,
                DeployPreview,
                Some("url"),
                Some((Stage::REVIEW, "at a fixed URL")),
            ),
            (PROVIDER, Production, Some("heroku"), None),
            (PROVIDER, Production, Some(""), None),
            (
                "STAGELINK_NEON_BRANCH",
                staging(),
                Some("br-1"),
                Some((Stage::STAGING, NEON)),
            ),
            (
                "STAGELINK_NEON_PROJECT",
                Production,
                None,
                Some((Stage::PRODUCTION, NEON)),
            ),
            (
                "STAGELINK_RENDER_POSTGRES",
                Production,
                Some("dpg-1"),
                Some((Stage::PRODUCTION, RENDER)),
            ),
            (
                CREDENTIALS,
                Production,
                Some("production=postgres://u:p@ep-1.eu.aws.neon.tech/d#scram=x"),
                Some((Stage::PRODUCTION, NEON)),
            ),
            (
                CREDENTIALS,
                Production,
                Some("production=postgres://u:p@h/d"),
                None,
            ),
            (CREDENTIALS, Production, None, None),
        ] {
            let found = moved(&[(key, context, text)]);
            assert_eq!(found, Vec::from_iter(expected), "{key} {text:?}");
        }
        let all = moved(&[(PROVIDER, All, Some("neon"))]);
        assert_eq!(all.len(), 3);
        let back = [
            (PROVIDER, All, Some("heroku")),
            ("STAGELINK_NEON_PROJECT", All, Some("x")),
        ];
        assert_eq!(moved(&back), []);
    }
}
