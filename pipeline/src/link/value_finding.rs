//! A finding about a value of a site that reaches functions of a stage, and the refusal of leaks.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};
use stagelink::{Stage, one_line};

use crate::error::{Error, ErrorKind};
use crate::link::value_place::ValuePlace;
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
    /// True if it reaches a context that the request links.
    #[serde(skip)]
    pub(super) reaches_linked: bool,
    #[serde(skip)]
    pub(super) place: ValuePlace,
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
    /// The value holds a Heroku token of which it is not known what it reads, for this reason.
    UnknownToken(String),
    /// The value is a secret, which cannot be read.
    NotChecked,
}

/// Makes sure that no leak stays, and that each removal is wanted.
///
/// # Errors
///
/// [`ErrorKind::Isolation`] for a leak that the plan does not remove, or removes without consent.
pub(super) fn ensure_no_leak(findings: &[ValueFinding], may_remove: bool) -> Result<(), Error> {
    let leaks = |is_wanted: fn(&&ValueFinding) -> bool| {
        let leaks = findings.iter().filter(|finding| finding.is_leak());
        leaks.filter(is_wanted).collect::<Vec<_>>()
    };
    let refused = |message: String| Err(Error::new(ErrorKind::Isolation, message));
    let of_account = leaks(|leak| leak.is_of_account);
    if !of_account.is_empty() {
        return refused(format!(
            "{}; nothing was set, and `stagelink link` changes the site's own variables only: {}",
            joined(&of_account, "; "),
            removals(&of_account)
        ));
    }
    let left = leaks(|leak| !leak.is_removed);
    if !left.is_empty() {
        let (shown, by_hand) = (joined(&left, "; "), removals(&left));
        return refused(match left.iter().all(|leak| leak.can_be_linked()) {
            true => format!(
                "{shown}; nothing was set: link the stage of these contexts too, which removes it, \
                 or {by_hand}"
            ),
            false => format!(
                "{shown}; nothing was set, and `stagelink link` removes no value of these contexts: \
                 {by_hand}"
            ),
        });
    }
    let removed = leaks(|leak| leak.is_removed);
    if !removed.is_empty() && !may_remove {
        return refused(format!(
            "{}; nothing was set: add --remove-leaks to remove it as the plan shows, or {}",
            joined(&removed, "; "),
            removals(&removed)
        ));
    }
    Ok(())
}

/// Advice to remove all of these values by hand.
fn removals(leaks: &[&ValueFinding]) -> String {
    let advice: BTreeSet<String> = leaks.iter().map(|leak| leak.place.removal()).collect();
    joined(advice, ", and ")
}

impl ValueFinding {
    /// Returns whether the value leads functions to another stage's database.
    pub fn is_leak(&self) -> bool {
        matches!(self.kind, FindingKind::OtherStage(_))
    }

    /// Returns whether a run that links the stage of a context that it reaches would remove it.
    fn can_be_linked(&self) -> bool {
        let is_of_stage = |context: &DeployContext| !matches!(context, DeployContext::Other(_));
        !self.reaches_linked && self.reaches.iter().any(is_of_stage)
    }
}

impl fmt::Display for ValueFinding {
    /// Writes one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, reaches) = (&self.place, joined(&self.reaches, ", "));
        let found = match &self.kind {
            FindingKind::OtherStage(stages) => {
                let stages = joined(stages, " and ");
                format!("holds the database URL or a secret of stage {stages}")
            }
            FindingKind::UnknownDatabase(databases) => {
                let databases = joined(databases, ", ");
                format!("leads to a database of which no stage is known: {databases},")
            }
            FindingKind::UnknownToken(reason) => {
                format!("holds a Heroku token, of which it is not known what it reads ({reason}),")
            }
            FindingKind::NotChecked => "was not checked, since it is a secret,".to_owned(),
        };
        one_line(format_args!("{place} {found} and reaches {reaches}")).fmt(f)
    }
}

fn joined(items: impl IntoIterator<Item = impl fmt::Display>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

fn display_each<S: Serializer>(stages: &BTreeSet<Stage>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(stages.iter().map(Stage::as_str))
}
