//! The rules by which a run applies, holds back or refuses the files of each class.

use std::collections::BTreeSet;
use std::fmt;

use crate::migrations::class::{Class, Finding};
use crate::migrations::file::MigrationFile;
use crate::migrations::statement::ObjectName;

/// The strictness of a run about the classes of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Files of each class are applied, as tests and local stages without a deploy want it: no code
    /// runs there that a change could break.
    Nothing,
    /// Files of *stop* and *ask*, and those that mix classes, are refused; those of *after* wait
    /// for their phase.
    OfStage(DeployPhase),
}

/// The time of a run, by the deploy of the code that its files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeployPhase {
    /// Before the deploy: files of *before* are applied.
    Before,
    /// After it, when the code that ran before no longer runs: files of *after* are applied, too.
    After,
}

/// The decision about a pending file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// The run applies it.
    Applies,
    /// It is of *after*, and waits for a run after the deploy.
    Waits,
    /// It does not go together with a file before it, for this reason. The run ends here.
    HeldBack(String),
}

impl Admission {
    /// Returns the name in plans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Applies => "applies",
            Self::Waits => "waits",
            Self::HeldBack(_) => "held back",
        }
    }

    /// Returns the reason for which the file is held back.
    pub(super) fn held_back(&self) -> Option<&str> {
        match self {
            Self::HeldBack(because) => Some(because),
            Self::Applies | Self::Waits => None,
        }
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A pending file, as far as its admission depends on it.
pub(super) struct Candidate<'a> {
    /// The file's path, for messages.
    pub(super) path: &'a str,
    /// *Before* or *after*.
    pub(super) class: Class,
    /// The objects that it uses; `None` where it may use others, too.
    pub(super) objects: Option<BTreeSet<&'a ObjectName>>,
}

/// Decides about the pending files of a run, in their order.
///
/// A file that does not have to wait may pass a waiting one only if the two use no object in common:
/// else it would be applied to another schema than the one it was written for. Likewise a file of
/// *after* may not follow one of *before* in the same run if they have an object in common: it is
/// for the time after the deploy of the code that the other one is for.
pub(super) fn admit(phase: DeployPhase, candidates: &[Candidate<'_>]) -> Vec<Admission> {
    let mut admissions: Vec<Admission> = Vec::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let earlier = &candidates[..number];
        let admission = match (phase, candidate.class) {
            _ if matches!(admissions.last(), Some(Admission::HeldBack(_))) => {
                let last = earlier.last().map_or("", |one| one.path);
                Admission::HeldBack(format!("it comes after {last}"))
            }
            (DeployPhase::Before, Class::After) => Admission::Waits,
            (DeployPhase::Before, _) => match in_common(candidate, earlier, Class::After) {
                None => Admission::Applies,
                Some((other, shared)) => Admission::HeldBack(format!(
                    "{other}, which comes before it, waits until the code that runs now is gone, and \
                     {shared}: then apply {other} with --after"
                )),
            },
            (DeployPhase::After, Class::After) => {
                match in_common(candidate, earlier, Class::Before) {
                    None => Admission::Applies,
                    Some((other, shared)) => Admission::HeldBack(format!(
                        "it is for the time after the deploy, {other} for the time before it, and \
                         {shared}: deploy the code, and run the command with --after again"
                    )),
                }
            }
            (DeployPhase::After, _) => Admission::Applies,
        };
        admissions.push(admission);
    }
    admissions
}

/// Returns the first earlier file of a class that has an object in common with the file, and what it
/// is.
fn in_common<'a>(
    candidate: &Candidate<'_>,
    earlier: &[Candidate<'a>],
    class: Class,
) -> Option<(&'a str, String)> {
    let mut of_class = earlier
        .iter()
        .filter(|one| (one.class == Class::After) == (class == Class::After));
    of_class.find_map(|one| {
        let shared = match (&candidate.objects, &one.objects) {
            (Some(own), Some(others)) => {
                let object = own.intersection(others).next()?;
                format!("both use {object}")
            }
            _ => "one of them may use more than it names".to_owned(),
        };
        Some((one.path, shared))
    })
}

/// Rules about what is outside of the database, which hold for an empty one, too.
const REACH_OUTSIDE: [&str; 6] = [
    "ban-alter-database-options",
    "ban-alter-role-options",
    "ban-alter-system-options",
    "ban-drop-database",
    "drop-owned",
    "shared-object",
];

/// Returns whether a rule is about what is outside of the database.
pub(super) fn reaches_outside(finding: &Finding) -> bool {
    REACH_OUTSIDE.contains(&finding.rule.name)
}

/// Returns the reason why a finding refuses its file; `None` for one of *after*, or overridden.
pub(super) fn refusal(file: &MigrationFile, finding: &Finding) -> Option<String> {
    let (path, version) = (file.path(), file.version());
    let (line, rule) = (finding.line, finding.rule);
    if finding.is_overridden {
        return None;
    }
    let begins = format!("{path} line {line}: {} ({})", rule.reason, rule.name);
    match rule.class {
        Class::Stop => Some(format!(
            "{begins}: write in its place: {}",
            finding.safe_form
        )),
        Class::Ask => Some(format!(
            "{begins}, so a person has to look at it: {}, with --override {}@V{version} --reason TEXT",
            finding.safe_form, rule.name
        )),
        Class::Before | Class::After => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decides about files, each as `class: objects`; `?` are objects that are not known.
    fn decided(phase: DeployPhase, files: &[&str]) -> Vec<String> {
        let names: Vec<(Class, Option<Vec<ObjectName>>)> = files
            .iter()
            .map(|file| {
                let (class, objects) = file.split_once(": ").expect("a class");
                let class = match class {
                    "after" => Class::After,
                    _ => Class::Before,
                };
                let names = objects.split(' ').map(ObjectName::new).collect();
                (class, (objects != "?").then_some(names))
            })
            .collect();
        let candidates: Vec<_> = names
            .iter()
            .map(|(class, objects)| Candidate {
                path: "V1__a.sql",
                class: *class,
                objects: objects.as_ref().map(|objects| objects.iter().collect()),
            })
            .collect();
        let decisions = admit(phase, &candidates);
        decisions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn run_before_a_deploy_leaves_the_files_of_after() {
        use DeployPhase::{After, Before};
        let (applies, waits, held) = ("applies", "waits", "held back");
        for (phase, files, expected) in [
            (
                Before,
                &["before: a", "before: a"][..],
                &[applies, applies][..],
            ),
            (Before, &["after: a"], &[waits]),
            (Before, &["before: a", "after: a"], &[applies, waits]),
            (Before, &["after: a", "before: b"], &[waits, applies]),
            (Before, &["after: a b", "before: b c"], &[waits, held]),
            (Before, &["after: a", "before: ?"], &[waits, held]),
            (Before, &["after: ?", "before: a"], &[waits, held]),
            (
                Before,
                &["after: a", "after: a", "before: b"],
                &[waits, waits, applies],
            ),
            // What comes after a file that is held back is held back, too.
            (
                Before,
                &["after: a", "before: a", "before: b", "after: c"],
                &[waits, held, held, held],
            ),
            (After, &["after: a", "before: a"], &[applies, applies]),
            (After, &["before: b", "after: a"], &[applies, applies]),
            (After, &["before: a", "after: a"], &[applies, held]),
            (After, &["before: ?", "after: a"], &[applies, held]),
            (After, &["before: a", "before: a"], &[applies, applies]),
            (
                After,
                &["after: a", "before: a", "after: a"],
                &[applies, applies, held],
            ),
        ] {
            assert_eq!(decided(phase, files), expected, "{phase:?} {files:?}");
        }
    }
}
