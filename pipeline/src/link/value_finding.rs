//! A finding about a value of a site that reaches functions of a stage, and the refusal of leaks.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};
use stagelink::Stage;

use crate::error::{Error, ErrorKind};
use crate::netlify::DeployContext;

/// A value of the site or its account that reaches functions of a stage, and that is not shown to
/// be that stage's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ValueFinding {
    /// The variable's name.
    pub variable: String,
    /// The context whose value it is.
    pub context: DeployContext,
    /// True if the variable is the account's and not the site's own.
    pub is_of_account: bool,
    /// The contexts of stages in which the value applies.
    pub reaches: Vec<DeployContext>,
    /// The kind of the finding.
    pub kind: FindingKind,
    /// True if the plan removes the value.
    pub is_removed: bool,
}

/// The kinds of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A leak: the value leads to the database of these stages, or holds their secrets.
    OtherStage(#[serde(serialize_with = "display_each")] BTreeSet<Stage>),
    /// The value leads to these databases, of which no stage is known.
    UnknownDatabase(BTreeSet<String>),
    /// The value is a secret, which cannot be read.
    NotChecked,
}

/// Makes sure that no leak stays, and that each removal is wanted.
///
/// # Errors
///
/// [`ErrorKind::Isolation`] for a leak that the plan does not remove, or removes without consent.
pub(super) fn ensure_no_leak(findings: &[ValueFinding], may_remove: bool) -> Result<(), Error> {
    let leaks = |is_wanted: fn(&ValueFinding) -> bool| {
        let leaks = findings
            .iter()
            .filter(|finding| finding.is_leak() && is_wanted(finding));
        let leaks: Vec<_> = leaks.map(ValueFinding::to_string).collect();
        leaks.join("; ")
    };
    let refused = |message: String| Err(Error::new(ErrorKind::Isolation, message));
    let of_account = leaks(|leak| leak.is_of_account);
    if !of_account.is_empty() {
        return refused(format!(
            "{of_account}; nothing was set, and `stagelink link` changes the site's own variables \
             only: remove it from the account's environment variables at Netlify"
        ));
    }
    let left = leaks(|leak| !leak.is_removed);
    if !left.is_empty() {
        return refused(format!(
            "{left}; nothing was set: link the stage of these contexts too, which removes it, or \
             remove it with `netlify env:unset`"
        ));
    }
    let removed = leaks(|leak| leak.is_removed);
    if !removed.is_empty() && !may_remove {
        return refused(format!(
            "{removed}; nothing was set: add --remove-leaks to remove it as the plan shows, or \
             remove it with `netlify env:unset`"
        ));
    }
    Ok(())
}

impl ValueFinding {
    /// Returns whether the value leads functions to another stage's database.
    pub fn is_leak(&self) -> bool {
        matches!(self.kind, FindingKind::OtherStage(_))
    }
}

impl fmt::Display for ValueFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = if self.is_of_account {
            "account"
        } else {
            "site"
        };
        let (variable, context) = (&self.variable, &self.context);
        write!(f, "{variable} of the {owner} for the context {context} ")?;
        match &self.kind {
            FindingKind::OtherStage(stages) => {
                let stages = joined(stages, " and ");
                write!(f, "holds the database URL or a secret of stage {stages}")?;
            }
            FindingKind::UnknownDatabase(databases) => {
                let databases = joined(databases, ", ");
                write!(
                    f,
                    "leads to a database of which no stage is known: {databases},"
                )?;
            }
            FindingKind::NotChecked => f.write_str("was not checked, since it is a secret,")?,
        }
        write!(f, " and reaches {}", joined(&self.reaches, ", "))
    }
}

fn joined(items: impl IntoIterator<Item = impl fmt::Display>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

fn display_each<S: Serializer>(stages: &BTreeSet<Stage>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(stages.iter().map(|stage| stage.as_str()))
}
