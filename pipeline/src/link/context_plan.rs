//! The variables that each deploy context should have: pure.

use secrecy::SecretString;
use stagelink::{Stage, StageKind};

use crate::link::prove::{ContextToken, ProvedTokens};
use crate::link::request::{LinkRequest, TLS_LIBRARY};
use crate::link::site_tokens::TOKEN;
use crate::link::site_variables::SiteVariables;
use crate::link::stage_database::StageDatabase;
use crate::netlify::DeployContext;

/// A linked context with its stage, token and database.
#[derive(Debug)]
pub(super) struct ContextPlan<'a> {
    pub(super) context: &'a DeployContext,
    pub(super) stage: Stage,
    pub(super) token: &'a ContextToken,
    pub(super) database: Option<&'a StageDatabase>,
    request: &'a LinkRequest,
}

/// The values that a variable should have in the linked contexts. Its values in other contexts
/// are left alone.
#[derive(Clone, Debug)]
pub struct DesiredVariable {
    /// The variable's name.
    pub key: &'static str,
    /// True if its values should be secret.
    pub is_secret: bool,
    /// Its values.
    pub values: Vec<(DeployContext, SecretString)>,
    /// The contexts in which it must have no value of its own.
    pub absent: Vec<DeployContext>,
}

impl<'a> ContextPlan<'a> {
    /// The plans of all linked contexts, in the request's order.
    pub(super) fn all(
        request: &'a LinkRequest,
        databases: &'a [StageDatabase],
        tokens: &'a ProvedTokens,
    ) -> Vec<Self> {
        let contexts = request.contexts.iter().zip(&tokens.of_contexts);
        contexts
            .map(|((context, stage), token)| ContextPlan {
                context,
                stage: *stage,
                token,
                database: databases.iter().find(|found| found.stage() == *stage),
                request,
            })
            .collect()
    }

    /// Returns whether the context's functions have a token.
    pub(super) fn has_token(&self) -> bool {
        !matches!(self.token, ContextToken::None)
    }

    /// The context's variables by their names.
    ///
    /// The deploys of other branches are no pull request's previews, so they get their stage
    /// alone: the branch of stage staging falls back on their values. A preview with a token
    /// finds the database of its own pull request, so it gets no credentials.
    fn variables(&self) -> Vec<(&'static str, SecretString)> {
        let mut variables: Vec<(&'static str, SecretString)> =
            vec![("STAGELINK_STAGE", self.stage.as_str().into())];
        if *self.context == DeployContext::BranchDeploy {
            return variables;
        }
        let has_token = self.has_token();
        if has_token {
            variables.push(("STAGELINK_PROVIDER", "heroku".into()));
            variables.push((
                "STAGELINK_HEROKU_PIPELINE",
                self.request.pipeline.as_str().into(),
            ));
            if let Some(app) = self.request.app(self.stage) {
                variables.push(("STAGELINK_HEROKU_APP", app.into()));
            }
        }
        if let ContextToken::Given(token) = self.token {
            variables.push((TOKEN, token.clone()));
        }
        if let Some(database) = self.database
            && !(has_token && self.stage.kind() == StageKind::Review)
        {
            let value = database.credentials.to_variable(self.stage);
            variables.push((CREDENTIALS, value));
            let proof = database.proof.iter();
            variables.extend(proof.map(|(name, value)| (*name, value.as_str().into())));
        }
        if has_token || self.database.is_some() {
            let shared = self.request.shared_settings();
            variables.extend(shared.map(|(name, value)| (name, value.into())));
        }
        variables
    }
}

/// Returns the variables that a site should have, in the order in which they are set: harmless
/// ones first and the stage last, so that a new site is linked completely or not at all.
pub(super) fn desired_variables(
    contexts: &[ContextPlan<'_>],
    site: &SiteVariables,
) -> Vec<DesiredVariable> {
    let of_contexts: Vec<_> = contexts
        .iter()
        .map(|plan| (plan.context, plan.variables()))
        .collect();
    let mut desired: Vec<_> = ORDER
        .iter()
        .map(|&key| {
            let mut desired = DesiredVariable {
                key,
                is_secret: [TOKEN, CREDENTIALS].contains(&key),
                values: Vec::new(),
                absent: Vec::new(),
            };
            for (context, variables) in &of_contexts {
                match variables.iter().find(|(name, _)| *name == key) {
                    Some((_, value)) => desired.values.push(((*context).clone(), value.clone())),
                    // An earlier run may have set it.
                    None if key != TOKEN => desired.absent.push((*context).clone()),
                    None => {}
                }
            }
            if key == CREDENTIALS {
                // They are one stage's, and never those of all contexts.
                desired.absent.push(DeployContext::All);
            }
            desired
        })
        .collect();
    let former = site.own(FORMER_CREDENTIALS).into_iter();
    desired.push(DesiredVariable {
        key: FORMER_CREDENTIALS,
        is_secret: true,
        values: Vec::new(),
        absent: former
            .flat_map(|variable| &variable.values)
            .map(|value| value.context.clone())
            .filter(|context| is_of_linked_stage(context, contexts))
            .collect(),
    });
    desired
}

/// Returns whether a context belongs to a linked stage, or to no stage at all.
fn is_of_linked_stage(context: &DeployContext, contexts: &[ContextPlan<'_>]) -> bool {
    contexts.iter().any(|plan| match context {
        DeployContext::Production => plan.stage.kind() == StageKind::Production,
        DeployContext::Branch(branch) => match plan.request.project.stage_of_branch(branch) {
            Some(stage) => plan.stage == stage,
            None => plan.stage.kind() == StageKind::Staging,
        },
        DeployContext::BranchDeploy | DeployContext::DeployPreview => {
            plan.stage.kind() == StageKind::Review
        }
        DeployContext::All | DeployContext::Other(_) => true,
    })
}

const ORDER: &[&str] = &[
    "STAGELINK_PROVIDER",
    "STAGELINK_HEROKU_PIPELINE",
    "STAGELINK_HEROKU_APP",
    "STAGELINK_CONFIG_VAR",
    "STAGELINK_HEROKU_API_URL",
    "STAGELINK_POOLER",
    TLS_LIBRARY,
    "STAGELINK_ROOT_CERTIFICATES",
    "STAGELINK_SERVER_PIN",
    "STAGELINK_DIRECT_TLS",
    "STAGELINK_REQUIRE_MARK",
    TOKEN,
    CREDENTIALS,
    "STAGELINK_STAGE",
];

/// The variable that holds a function's deploy-time credentials.
const CREDENTIALS: &str = "STAGELINK_CREDENTIALS";

/// The former name of [`CREDENTIALS`]: the SDK refuses to start where it is set.
pub(super) const FORMER_CREDENTIALS: &str = "STAGELINK_SEALED";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiAccess;
    use crate::netlify::{Variable, VariableValue};

    /// A request that links one context alone, and the token of that context.
    fn linked(
        context: DeployContext,
        stage: Stage,
        token: ContextToken,
    ) -> (LinkRequest, ProvedTokens) {
        let heroku = ApiAccess::new("https://h", "t".into(), "HEROKU_API_KEY");
        let settings = [("STAGELINK_CONFIG_VAR", "SHOP_URL"), ("OTHER", "x")];
        let mut request = LinkRequest::new("shop-site", "shop", heroku).with_settings(settings);
        request.contexts = vec![(context, stage)];
        (request, ProvedTokens::of(vec![token]))
    }

    fn site(own: Vec<Variable>) -> SiteVariables {
        SiteVariables {
            site: None,
            name: "shop-site".to_owned(),
            own,
            account: None,
        }
    }

    /// The variables that a context gets, and those that it must not have.
    fn of(
        (request, tokens): &(LinkRequest, ProvedTokens),
        context: &DeployContext,
    ) -> (Vec<String>, Vec<&'static str>) {
        let plans = ContextPlan::all(request, &[], tokens);
        let desired = desired_variables(&plans, &site(Vec::new()));
        let value = |of: &DesiredVariable| {
            let (_, value) = of.values.iter().find(|(own, _)| own == context)?;
            let value = match of.is_secret {
                true => "(a secret)",
                false => secrecy::ExposeSecret::expose_secret(value),
            };
            Some(format!("{}={value}", of.key))
        };
        let is_absent = |of: &&DesiredVariable| of.absent.contains(context);
        (
            desired.iter().filter_map(value).collect(),
            desired.iter().filter(is_absent).map(|of| of.key).collect(),
        )
    }

    /// The variables that a context without a database must not have. A token stays, since it is
    /// proved.
    fn but_token_and_stage() -> impl Iterator<Item = &'static &'static str> {
        let kept = [TOKEN, "STAGELINK_STAGE"];
        ORDER.iter().filter(move |key| !kept.contains(key))
    }

    #[test]
    fn context_with_a_token_knows_where_to_ask() {
        let production = linked(
            DeployContext::Production,
            Stage::PRODUCTION,
            ContextToken::Given("c4n4ry".into()),
        );
        let (has, absent) = of(&production, &DeployContext::Production);
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
        let others = ORDER.iter().filter(|key| {
            let is_set = |set: &String| set.starts_with(&format!("{key}="));
            !has.iter().any(is_set)
        });
        assert!(absent.iter().eq(others), "{absent:?}");
    }

    #[test]
    fn preview_without_a_token_has_its_stage_alone() {
        let context = DeployContext::DeployPreview;
        let preview = linked(context.clone(), Stage::REVIEW, ContextToken::None);
        let (has, absent) = of(&preview, &context);
        assert_eq!(has, ["STAGELINK_STAGE=review"]);
        assert!(absent.iter().eq(but_token_and_stage()), "{absent:?}");
    }

    #[test]
    fn other_branches_get_nothing_that_the_branch_of_staging_could_inherit() {
        let context = DeployContext::BranchDeploy;
        let token = ContextToken::Given("c4n4ry".into());
        let branches = linked(context.clone(), Stage::REVIEW, token);
        let (has, absent) = of(&branches, &context);
        assert_eq!(has, ["STAGELINK_STAGE=review"]);
        assert!(absent.iter().eq(but_token_and_stage()), "{absent:?}");
    }

    #[test]
    fn deploy_time_credentials_are_never_set_for_all_contexts() {
        let context = DeployContext::Production;
        let linked = linked(context, Stage::PRODUCTION, ContextToken::None);
        assert_eq!(of(&linked, &DeployContext::All).1, [CREDENTIALS]);
    }

    #[test]
    fn former_credentials_go_from_all_contexts_but_those_of_other_stages() {
        use DeployContext::{All, Branch, DeployPreview, Other, Production};
        let contexts = [
            Production,
            Branch("old".to_owned()),
            DeployPreview,
            Other("dev".to_owned()),
            All,
        ];
        let values = contexts.map(|context| VariableValue {
            id: Some("1".to_owned()),
            context,
            text: None,
        });
        let site = site(vec![Variable {
            key: FORMER_CREDENTIALS.to_owned(),
            scopes: Vec::new(),
            is_secret: true,
            updated_at: None,
            values: values.into(),
        }]);
        let staging = Branch("staging".to_owned());
        let (request, tokens) = linked(staging, Stage::STAGING, ContextToken::None);
        let desired = desired_variables(&ContextPlan::all(&request, &[], &tokens), &site);
        let former = desired.last().unwrap();
        assert_eq!(former.key, FORMER_CREDENTIALS);
        let others = [Branch("old".to_owned()), Other("dev".to_owned()), All];
        assert_eq!(former.absent, others);
    }
}
