//! The stage that functions of a deploy context will serve, by the site's variable `STAGELINK_STAGE`.

use stagelink::Stage;

use crate::error::{Error, ErrorKind};
use crate::netlify::{DeployContext, FUNCTIONS_SCOPE, Site, Variable};

/// Makes sure that functions of this context serve this stage. Returns the site's own variables.
///
/// # Errors
///
/// [`ErrorKind::Isolation`] where the variable names another stage; [`ErrorKind::Settings`] where it is
/// not set, or cannot be read; and those of the requests.
pub(super) async fn ensure_stage(
    site: &Site,
    context: &DeployContext,
    stage: Stage,
) -> Result<Vec<Variable>, Error> {
    let own = site.variables().await?;
    let account = match find(&own, context) {
        Some(_) => None,
        None => site.account_variables().await?,
    };
    let found = find(&own, context).or_else(|| find(account.as_deref()?, context));
    judge(found, context, stage)?;
    Ok(own)
}

/// Returns the value of the variable that functions of a context get.
fn find<'a>(variables: &'a [Variable], context: &DeployContext) -> Option<FoundValue<'a>> {
    let reaches_functions = |variable: &&Variable| {
        let mut scopes = variable.scopes.iter();
        variable.scopes.is_empty() || scopes.any(|scope| scope == FUNCTIONS_SCOPE)
    };
    let mut named = variables.iter().filter(|variable| variable.key == VARIABLE);
    let value = named.find(reaches_functions)?.value_in(context)?;
    Some(FoundValue(value.text.as_ref()))
}

/// A value, which `None` hides.
#[derive(Clone, Copy)]
struct FoundValue<'a>(Option<&'a secrecy::SecretString>);

fn judge(
    found: Option<FoundValue<'_>>,
    context: &DeployContext,
    stage: Stage,
) -> Result<(), Error> {
    use secrecy::ExposeSecret as _;
    let Some(FoundValue(value)) = found else {
        return Err(Error::new(
            ErrorKind::Settings,
            format!(
                "{VARIABLE} is not set for functions in Netlify's context {context}, so they would \
                 answer no request: `stagelink link` sets it with the stage's credentials"
            ),
        ));
    };
    let Some(value) = value else {
        return Err(Error::new(
            ErrorKind::Settings,
            format!(
                "{VARIABLE} is a secret in Netlify's context {context}, so which stage a deploy would \
                 serve is not known: `stagelink link` sets it as a variable that can be read"
            ),
        ));
    };
    let text = value.expose_secret().trim();
    match text.parse::<Stage>() {
        Ok(found) if found == stage => Ok(()),
        Ok(found) => Err(Error::new(
            ErrorKind::Isolation,
            format!(
                "{VARIABLE} is {found} in Netlify's context {context}, so this would be a deploy of \
                 stage {found}, not of {stage}: correct the variable (`stagelink link`), or the stage's \
                 branch in stagelink.toml"
            ),
        )),
        Err(error) => {
            let message = format!("{VARIABLE} names no stage in Netlify's context {context}");
            Err(Error::with_source(ErrorKind::Settings, message, error))
        }
    }
}

const VARIABLE: &str = "STAGELINK_STAGE";

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(json: &str, context: &DeployContext, stage: Stage) -> Result<(), String> {
        let json: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        let json = json.into_iter();
        let variables: Vec<Variable> = json
            .map(|json| serde_json::from_value::<crate::netlify::VariableJson>(json).unwrap())
            .map(Variable::from)
            .collect();
        judge(find(&variables, context), context, stage).map_err(|error| error.report())
    }

    #[test]
    fn stage_of_the_context_is_the_one_that_is_deployed() {
        let json = r#"[{"key":"OTHER","values":[]},
            {"key":"STAGELINK_STAGE","scopes":["functions"],"values":[
            {"context":"production","value":"production"},
            {"context":"branch","context_parameter":"staging","value":"staging"},
            {"context":"branch","context_parameter":"qa","value":"production"},
            {"context":"branch-deploy","value":"reviw"}]}]"#;
        let branch = |name: &str| DeployContext::Branch(name.to_owned());
        let judged = |context: &DeployContext, stage| judged(json, context, stage);
        assert_eq!(
            judged(&DeployContext::Production, Stage::PRODUCTION),
            Ok(())
        );
        assert_eq!(judged(&branch("staging"), Stage::STAGING), Ok(()));
        for (context, stage, reason) in [
            (
                DeployContext::Production,
                Stage::STAGING,
                "is production in",
            ),
            (branch("staging"), Stage::PRODUCTION, "is staging in"),
            (branch("qa"), Stage::STAGING, "a deploy of stage production"),
            (branch("other"), Stage::STAGING, "names no stage"),
            (DeployContext::DeployPreview, Stage::REVIEW, "is not set"),
        ] {
            let error = judged(&context, stage).unwrap_err();
            assert!(error.contains(reason), "{context}: {error}");
        }
    }

    #[test]
    fn variable_that_functions_do_not_get_or_nobody_can_read_is_no_answer() {
        let context = DeployContext::Production;
        for (scopes, is_secret, reason) in [
            (r#"["builds"]"#, false, Some("is not set")),
            (r#"["functions"]"#, true, Some("is a secret")),
            ("[]", false, None),
            ("null", false, None),
        ] {
            let json = format!(
                r#"[{{"key":"STAGELINK_STAGE","scopes":{scopes},"is_secret":{is_secret},
                "values":[{{"context":"all","value":"production"}}]}}]"#
            );
            let judged = judged(&json, &context, Stage::PRODUCTION);
            match reason {
                None => assert_eq!(judged, Ok(()), "{json}"),
                Some(reason) => assert!(judged.unwrap_err().contains(reason), "{json}"),
            }
        }
    }
}
