//! Variables of a single deploy: the `environment` of the request that creates or declares it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::api_error::ApiError;
use super::env_vars::EnvScope;

/// A variable that one deploy has of its own. For the deploy's functions it overrides the site's and
/// the account's variable of the same name.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeployVariable {
    /// Name of the variable.
    pub key: String,
    /// Value of the variable. An empty value removes the variable for this deploy.
    pub value: String,
    /// True for a secret, whose value no response contains.
    pub is_secret: bool,
    /// Code that gets the variable. Only the functions' scope has an effect.
    pub scopes: BTreeSet<EnvScope>,
}

/// The variables of a deploy. They are set once.
#[derive(Debug, Default)]
pub(super) struct DeployEnvironment(Vec<DeployVariable>);

impl DeployEnvironment {
    /// Sets the variables from the `environment` of a request. If they are set already, the request's
    /// are ignored.
    ///
    /// # Errors
    ///
    /// 422 for a variable that Netlify documents as invalid. The error contains no value.
    pub(super) fn set_once(&mut self, environment: &Value) -> Result<(), ApiError> {
        if self.0.is_empty() {
            self.0 = parse(environment)?;
        }
        Ok(())
    }

    pub(super) fn list(&self) -> &[DeployVariable] {
        &self.0
    }

    /// Overrides variables in the environment of the deploy's functions.
    pub(super) fn merge_into(&self, environment: &mut BTreeMap<String, String>) {
        let is_for_functions =
            |variable: &&DeployVariable| variable.scopes.contains(&EnvScope::Functions);
        for variable in self.0.iter().filter(is_for_functions) {
            if variable.value.is_empty() {
                environment.remove(&variable.key);
            } else {
                environment.insert(variable.key.clone(), variable.value.clone());
            }
        }
    }
}

impl fmt::Debug for DeployVariable {
    /// Leaves out the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeployVariable")
            .field("key", &self.key)
            .field("is_secret", &self.is_secret)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

fn parse(environment: &Value) -> Result<Vec<DeployVariable>, ApiError> {
    let list = environment
        .as_array()
        .ok_or_else(|| ApiError::invalid("environment is not a list"))?;
    let mut keys = BTreeSet::new();
    list.iter()
        .map(|json| {
            let variable = parse_variable(json)?;
            if !keys.insert(variable.key.clone()) {
                let message = format!("environment has {} twice", variable.key);
                return Err(ApiError::invalid(message));
            }
            Ok(variable)
        })
        .collect()
}

fn parse_variable(json: &Value) -> Result<DeployVariable, ApiError> {
    let missing = |field: &str| {
        ApiError::invalid(format!(
            "a variable of environment has no valid {field}; key, value, is_secret and scopes are \
             required"
        ))
    };
    let text = |field: &str| json[field].as_str().ok_or_else(|| missing(field));
    let key = text("key")?;
    check_key(key)?;
    let scopes = json["scopes"].as_array().ok_or_else(|| missing("scopes"))?;
    let scopes: BTreeSet<_> = scopes
        .iter()
        .map(|name| name.as_str().and_then(EnvScope::parse))
        .collect::<Option<_>>()
        .filter(|scopes: &BTreeSet<_>| !scopes.is_empty())
        .ok_or_else(|| missing("scopes"))?;
    Ok(DeployVariable {
        key: key.to_owned(),
        value: text("value")?.to_owned(),
        is_secret: json["is_secret"]
            .as_bool()
            .ok_or_else(|| missing("is_secret"))?,
        scopes,
    })
}

/// Checks the name of a variable by the rules of netlify-cli 27.10.2. Netlify's own check may be
/// looser.
fn check_key(key: &str) -> Result<(), ApiError> {
    let mut letters = key.bytes();
    let is_valid = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && key.len() <= KEY_LIMIT_BYTES;
    if !is_valid {
        return Err(ApiError::invalid(format!(
            "{key:?} is not a valid key: it begins with a letter and has at most {KEY_LIMIT_BYTES} \
             letters, digits and _"
        )));
    }
    let is_reserved = RESERVED.iter().any(|it| it.eq_ignore_ascii_case(key));
    if is_reserved {
        return Err(ApiError::invalid(format!("{key} is a reserved key")));
    }
    Ok(())
}

const KEY_LIMIT_BYTES: usize = 255;

/// Names that Netlify and AWS Lambda set themselves.
const RESERVED: [&str; 31] = [
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "NETLIFY",
    "BUILD_ID",
    "CONTEXT",
    "REPOSITORY_URL",
    "BRANCH",
    "HEAD",
    "COMMIT_REF",
    "CACHED_COMMIT_REF",
    "PULL_REQUEST",
    "REVIEW_ID",
    "URL",
    "DEPLOY_URL",
    "DEPLOY_PRIME_URL",
    "DEPLOY_ID",
    "SITE_NAME",
    "SITE_ID",
    "NETLIFY_IMAGES_CDN_DOMAIN",
    "INCOMING_HOOK_TITLE",
    "INCOMING_HOOK_URL",
    "INCOMING_HOOK_BODY",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variable(key: &str, value: &str, scopes: &[&str]) -> Value {
        json!({"key": key, "value": value, "is_secret": true, "scopes": scopes})
    }

    #[test]
    fn variables_override_and_remove_those_of_the_functions_scope() {
        let mut own = DeployEnvironment::default();
        let list = json!([
            variable("A", "own", &["functions"]),
            variable("B", "", &["functions", "builds"]),
            variable("C", "own", &["builds", "runtime", "post-processing"]),
        ]);
        own.set_once(&list).unwrap();
        own.set_once(&json!([variable("A", "later", &["functions"])]))
            .unwrap();
        let site = ["A", "B", "C", "D"].map(|key| (key.to_owned(), "site".to_owned()));
        let mut environment = BTreeMap::from(site);
        own.merge_into(&mut environment);
        let expected = [("A", "own"), ("C", "site"), ("D", "site")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(environment, BTreeMap::from(expected));
    }

    #[test]
    fn invalid_variable_is_refused_without_its_value() {
        let long = "A".repeat(KEY_LIMIT_BYTES + 1);
        let mut refused = vec![json!({"A": "canary"}), json!(["canary"])];
        for key in [
            "",
            "1A",
            "A-B",
            "É",
            &long,
            "AWS_REGION",
            "INCOMING_HOOK_BODY",
            "url",
        ] {
            refused.push(json!([variable(key, "canary", &["functions"])]));
        }
        for scopes in [&[][..], &["function"]] {
            refused.push(json!([variable("A", "canary", scopes)]));
        }
        for field in ["key", "value", "is_secret", "scopes"] {
            let mut missing = variable("A", "canary", &["functions"]);
            missing.as_object_mut().unwrap().remove(field);
            refused.push(json!([missing]));
        }
        let one = variable("A", "canary", &["functions"]);
        refused.push(json!([one, one]));
        for list in refused {
            let mut own = DeployEnvironment::default();
            let error = own.set_once(&list).expect_err("an error");
            assert!(!error.message().contains("canary"), "{}", error.message());
            assert!(own.list().is_empty(), "{list}");
        }
        let longest = "A".repeat(KEY_LIMIT_BYTES);
        let list = json!([
            variable(&longest, "", &["functions"]),
            variable("AWS", "", &["runtime"])
        ]);
        assert!(DeployEnvironment::default().set_once(&list).is_ok());
    }

    #[test]
    fn debug_shows_no_value() {
        let mut own = DeployEnvironment::default();
        own.set_once(&json!([variable("A", "canary", &["functions"])]))
            .unwrap();
        let debug = format!("{own:?}");
        assert!(
            debug.contains("\"A\"") && !debug.contains("canary"),
            "{debug}"
        );
    }
}
