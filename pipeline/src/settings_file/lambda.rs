//! The functions of a project on AWS Lambda, as `stagelink.toml` names them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::settings_file::check::is_plain_name;
use crate::settings_file::mistake::Mistake;

/// The table `[lambda]`.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with the key functions, such as functions = { guestbook = \"shop-guestbook\" }"
)]
pub(super) struct LambdaTable {
    #[serde(default)]
    pub(super) functions: BTreeMap<String, String>,
}

/// Makes sure that each function has a name, and each function on Lambda one that AWS takes.
pub(super) fn ensure_names(
    table: &[&str],
    functions: &BTreeMap<String, String>,
) -> Result<(), Mistake> {
    let at = |key: &str| {
        let path = [table, &[key]].concat();
        path.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (function, lambda) in functions {
        if function.is_empty() || !is_plain_name(function) {
            return Err(Mistake::at(
                format!(
                    "{} has a key that is no name of a function: write the name of a package in \
                     functions/, with letters, digits, hyphens and underscores",
                    table.join(".")
                ),
                at(function),
            ));
        }
        // Not repeated: it may hold a secret that does not look like one.
        if !is_lambda_name(lambda) {
            return Err(Mistake::at(
                format!(
                    "{}.{function} is no name of a function on AWS Lambda: write its name alone, with 1 to \
                     64 letters, digits, hyphens and underscores, and neither its ARN nor an alias",
                    table.join(".")
                ),
                at(function),
            ));
        }
    }
    Ok(())
}

/// Makes sure that no two functions of a stage are one function on Lambda. `own` has the names of stages
/// with the functions of their own.
pub(super) fn ensure_distinct<'a>(
    shared: &BTreeMap<String, String>,
    own: impl Iterator<Item = (&'a str, &'a BTreeMap<String, String>)>,
) -> Result<(), Mistake> {
    let has_one_twice = |functions: &BTreeMap<String, String>| {
        let mut seen = BTreeMap::new();
        functions.iter().find_map(|(function, lambda)| {
            let other = seen.insert(lambda.clone(), function.clone())?;
            Some(format!(
                "the functions {other} and {function} are one function on Lambda, {lambda}: give each \
                 its own"
            ))
        })
    };
    if let Some(message) = has_one_twice(shared) {
        let key = "lambda.functions";
        return Err(Mistake::new(message, key));
    }
    for (name, own) in own {
        if let Some(message) = has_one_twice(&of_stage(shared, own)) {
            let (message, key) = (
                format!("stage {name}: {message}"),
                format!("stages.{name}.lambda"),
            );
            return Err(Mistake::new(message, key));
        }
    }
    Ok(())
}

/// Returns the functions of a stage on Lambda: its own, and of the other functions those that stages
/// share.
pub(super) fn of_stage(
    shared: &BTreeMap<String, String>,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut functions = shared.clone();
    functions.extend(own.clone());
    functions
}

/// Returns whether AWS takes a text as the name of a function.
fn is_lambda_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}
