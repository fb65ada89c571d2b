//! The qualifier of an invoked function's ARN: an alias, which names the stage, or a version.

use crate::stage::{Stage, StageKind};

/// Returns the kind that the alias is named after. It runs for each request, so it looks at
/// the end of the ARN first.
pub(super) fn kind_of_alias(arn: &str) -> Option<StageKind> {
    let (_, last) = arn.rsplit_once(':')?;
    let kind = StageKind::named(last)?;
    (qualifier(arn) == Some(last)).then_some(kind)
}

/// Returns the alias in an ARN if it says otherwise than `STAGELINK_STAGE`. An alias that is named
/// after a kind is that stage. Any other one, such as `live`, may stand for a stage that is called
/// after its kind; for a stage with a name of its own it has that name, so that no other stage's
/// alias leads there.
pub(super) fn other_alias(stage: Stage, arn: &str) -> Option<&str> {
    if !stage.has_own_name() {
        let alias = kind_of_alias(arn).filter(|kind| *kind != stage.kind())?;
        return Some(alias.as_str());
    }
    let is_alias = |alias: &&str| *alias != "$LATEST" && !is_version(alias);
    let alias = qualifier(arn).filter(is_alias);
    alias.filter(|alias| *alias != stage.name())
}

/// Returns whether a qualifier is the number of a version. An alias is never a number.
pub(super) fn is_version(qualifier: &str) -> bool {
    qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the part behind the function's name: an alias or a version.
pub(super) fn qualifier(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_function = parts.next() == Some("arn")
        && parts.nth(1) == Some("lambda")
        && parts.nth(2) == Some("function");
    let qualifier = parts.nth(1).filter(|_| is_function)?;
    parts.next().is_none().then_some(qualifier)
}
