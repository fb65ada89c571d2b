//! The variables that each context should have: pure.

use secrecy::{ExposeSecret, SecretString};
use stagelink::Stage;

use super::context::Context;
use super::plan::Wanted;
use super::stages::Found;

/// What a context gets to ask Heroku with, once its sealed URL has gone stale.
#[derive(Debug)]
pub(crate) enum Token {
    /// Nothing: it has what is sealed, or no database.
    None,
    /// A token, which is set.
    Given(SecretString),
    /// A token that the site has there already.
    Kept,
}

/// A context that is linked, with all that it takes.
#[derive(Debug)]
pub(crate) struct Linked<'a> {
    pub(crate) context: Context,
    pub(crate) stage: Stage,
    pub(crate) token: Token,
    pub(crate) pipeline: &'a str,
    pub(crate) app: Option<&'a str>,
    /// The settings that it shares with this command.
    pub(crate) shared: Vec<(&'static str, &'a str)>,
    pub(crate) found: Option<&'a Found>,
}

impl Linked<'_> {
    /// The context's variables by their names.
    ///
    /// Branches without a stage of their own are previews of no pull request, so they get
    /// their stage alone, and nothing that the branch of staging would fall back on. A preview
    /// with a token finds its own database, so nobody else's is sealed for it.
    fn variables(&self) -> Vec<(&'static str, SecretString)> {
        let mut variables: Vec<(&'static str, SecretString)> =
            vec![("STAGELINK_STAGE", self.stage.as_str().into())];
        if self.context == Context::BranchDeploy {
            return variables;
        }
        let asks = !matches!(self.token, Token::None);
        if asks {
            variables.push(("STAGELINK_PROVIDER", "heroku".into()));
            variables.push(("STAGELINK_HEROKU_PIPELINE", self.pipeline.into()));
            if let Some(app) = self.app {
                variables.push(("STAGELINK_HEROKU_APP", app.into()));
            }
        }
        if let Token::Given(token) = &self.token {
            variables.push(("HEROKU_API_KEY", token.clone()));
        }
        if let Some(found) = self.found
            && !(asks && self.stage == Stage::Review)
        {
            variables.push(("STAGELINK_CREDENTIALS", found.sealed.clone()));
            let proof = found.proof.iter();
            variables.extend(proof.map(|(name, value)| (*name, value.as_str().into())));
        }
        if asks || self.found.is_some() {
            let shared = self.shared.iter();
            variables.extend(shared.map(|(name, value)| (*name, (*value).into())));
        }
        variables
    }
}

/// What is wanted of each variable, in the order in which they are set: what is harmless
/// first, the stage last, so that a new site is linked whole or not at all.
pub(crate) fn wanted(linked: &[Linked<'_>]) -> Vec<Wanted> {
    let of_contexts: Vec<_> = linked
        .iter()
        .map(|linked| (&linked.context, linked.variables()))
        .collect();
    ORDER
        .iter()
        .map(|&key| {
            let mut wanted = Wanted {
                key,
                is_secret: SECRET.contains(&key),
                values: Vec::new(),
                absent: Vec::new(),
            };
            for (context, variables) in &of_contexts {
                match variables.iter().find(|(name, _)| *name == key) {
                    Some((_, value)) => wanted.values.push(((*context).clone(), value.clone())),
                    None if MANAGED.contains(&key) => wanted.absent.push((*context).clone()),
                    None => {}
                }
            }
            if key == "STAGELINK_CREDENTIALS" {
                // What is sealed is one stage's, and never all's.
                wanted.absent.push(Context::All);
            }
            wanted
        })
        .collect()
}

/// Whether a value is shown to people: its text, or that it is a secret.
pub(crate) fn shown(is_secret: bool, value: &SecretString) -> &str {
    match is_secret {
        true => "(a secret)",
        false => value.expose_secret(),
    }
}

const ORDER: &[&str] = &[
    "STAGELINK_PROVIDER",
    "STAGELINK_HEROKU_PIPELINE",
    "STAGELINK_HEROKU_APP",
    "STAGELINK_CONFIG_VAR",
    "STAGELINK_HEROKU_API_URL",
    "STAGELINK_POOLER",
    "STAGELINK_ROOT_CERTIFICATES",
    "STAGELINK_SERVER_PIN",
    "STAGELINK_DIRECT_TLS",
    "STAGELINK_REQUIRE_MARK",
    "HEROKU_API_KEY",
    "STAGELINK_CREDENTIALS",
    "STAGELINK_STAGE",
];

const SECRET: &[&str] = &["HEROKU_API_KEY", "STAGELINK_CREDENTIALS"];

/// Those that would lead to another database where a context should not have them.
const MANAGED: &[&str] = &[
    "STAGELINK_PROVIDER",
    "STAGELINK_HEROKU_PIPELINE",
    "STAGELINK_HEROKU_APP",
    "STAGELINK_CREDENTIALS",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(context: Context, stage: Stage, token: Token) -> Linked<'static> {
        Linked {
            context,
            stage,
            token,
            pipeline: "shop",
            app: None,
            shared: vec![("STAGELINK_CONFIG_VAR", "SHOP_URL")],
            found: None,
        }
    }

    /// What a context gets, and what must be gone from it.
    fn of(linked: &[Linked<'_>], context: &Context) -> (Vec<String>, Vec<&'static str>) {
        let wanted = wanted(linked);
        let has = |of: &Wanted| {
            let value = of.values.iter().find(|(own, _)| own == context);
            value.map(|(_, value)| format!("{}={}", of.key, shown(of.is_secret, value)))
        };
        let gone = |of: &&Wanted| of.absent.contains(context);
        (
            wanted.iter().filter_map(has).collect(),
            wanted.iter().filter(gone).map(|of| of.key).collect(),
        )
    }

    #[test]
    fn context_with_a_token_is_told_where_to_ask() {
        let production = linked(
            Context::Production,
            Stage::Production,
            Token::Given("c4n4ry".into()),
        );
        let (has, gone) = of(&[production], &Context::Production);
        assert_eq!(
            has,
            [
                "STAGELINK_PROVIDER=heroku",
                "STAGELINK_HEROKU_PIPELINE=shop",
                "STAGELINK_CONFIG_VAR=SHOP_URL",
                "HEROKU_API_KEY=(a secret)",
                "STAGELINK_STAGE=production"
            ]
        );
        assert_eq!(gone, ["STAGELINK_HEROKU_APP", "STAGELINK_CREDENTIALS"]);
    }

    #[test]
    fn preview_without_a_token_has_its_stage_alone() {
        let preview = linked(Context::DeployPreview, Stage::Review, Token::None);
        let (has, gone) = of(&[preview], &Context::DeployPreview);
        assert_eq!(has, ["STAGELINK_STAGE=review"]);
        assert_eq!(gone, MANAGED);
    }

    #[test]
    fn other_branches_get_nothing_that_the_branch_of_staging_could_inherit() {
        let token = Token::Given("c4n4ry".into());
        let branches = linked(Context::BranchDeploy, Stage::Review, token);
        let (has, gone) = of(&[branches], &Context::BranchDeploy);
        assert_eq!(has, ["STAGELINK_STAGE=review"]);
        assert_eq!(gone, MANAGED);
    }

    #[test]
    fn deploy_time_credentials_are_never_set_for_all_contexts() {
        assert_eq!(of(&[], &Context::All).1, ["STAGELINK_CREDENTIALS"]);
    }
}
