//! The look at what a stage runs: its aliases, and the versions that they point to.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;

use crate::aws::{Alias, FunctionConfiguration, Lambda};
use crate::error::{Error, ErrorKind};
use crate::promotion::function_versions::{FunctionVersions, is_number};
use crate::promotion::lambda::stage::LambdaStage;

/// A function of a stage, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct LiveFunction {
    /// The name of the project's function.
    pub(crate) name: String,
    /// The name of the function on Lambda.
    pub(crate) lambda: String,
    /// The stage's alias; `None` where the function has none, or does not exist.
    pub(crate) alias: Option<Alias>,
    /// The version behind the alias.
    pub(crate) version: Option<FunctionConfiguration>,
}

impl LiveFunction {
    /// Returns the number of the version behind the alias.
    pub(crate) fn number(&self) -> Option<&str> {
        self.alias.as_ref().map(|alias| alias.version.as_str())
    }
}

/// Looks at the functions of a stage.
///
/// # Errors
///
/// The failure of a call of AWS; [`ErrorKind::Promotion`] for an alias that another tool moves, or
/// that points to no version.
pub(crate) async fn look(lambda: &Lambda, stage: &LambdaStage) -> Result<Vec<LiveFunction>, Error> {
    look_at_aliases(lambda, stage.alias(), &stage.functions).await
}

/// Looks at the alias of this name of each function, as [`look`] does.
///
/// # Errors
///
/// Those of [`look`].
pub(crate) async fn look_at_aliases(
    lambda: &Lambda,
    alias: &str,
    functions: &BTreeMap<String, String>,
) -> Result<Vec<LiveFunction>, Error> {
    let functions = functions.iter();
    try_join_all(functions.map(|(name, function)| look_at(lambda, alias, name, function))).await
}

async fn look_at(
    lambda: &Lambda,
    alias_name: &str,
    name: &str,
    function: &str,
) -> Result<LiveFunction, Error> {
    let alias = lambda.alias(function, alias_name).await?;
    let mut version = None;
    if let Some(alias) = &alias {
        let of = format!("the alias {alias_name} of {function}");
        ensure_undivided(alias, &of)?;
        if !is_number(&alias.version) {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "{of} points to {}, which is no version that stays as it is: point it to a \
                     published version, or delete the alias",
                    alias.version
                ),
            ));
        }
        version = lambda.configuration(function, Some(&alias.version)).await?;
    }
    Ok(LiveFunction {
        name: name.to_owned(),
        lambda: function.to_owned(),
        alias,
        version,
    })
}

/// Makes sure that one version has all requests of an alias. `of` names it.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where a traffic shift is under way, which another tool has begun.
pub(super) fn ensure_undivided(alias: &Alias, of: &str) -> Result<(), Error> {
    match alias.is_split() {
        false => Ok(()),
        true => Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "{of} divides its requests between two versions: wait for the end of that change, or end it, \
                 so that one version has all"
            ),
        )),
    }
}

/// Returns the versions that the aliases point to.
pub(crate) fn versions_of(functions: &[LiveFunction]) -> FunctionVersions {
    let mut versions = FunctionVersions::default();
    for function in functions {
        if let Some(number) = function.number() {
            versions.insert(&function.lambda, number);
        }
    }
    versions
}

/// Returns the SHA-256 of an archive as Lambda writes it, from that of a manifest.
pub(crate) fn base64_sha256(hex: &str) -> String {
    STANDARD.encode(hex::decode(hex).unwrap_or_default())
}
