//! The report: the verdict of each check, by stage.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use stagelink::Stage;

use crate::doctor::check::Check;
use crate::doctor::verdict::{Level, Verdict};

/// The report of `stagelink doctor`.
#[derive(Clone, Debug)]
pub struct DoctorReport {
    /// The stages, in the order of the request.
    pub stages: Vec<StageReport>,
    /// The checks that belong to no stage alone.
    pub project: Vec<CheckResult>,
}

/// The report on one stage.
#[derive(Clone, Debug)]
pub struct StageReport {
    /// The stage.
    pub stage: Stage,
    /// The database with its server, where it was reached.
    pub database: Option<String>,
    /// The checks, in the order of the table.
    pub checks: Vec<CheckResult>,
}

/// The verdict of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The check.
    pub check: Check,
    /// Its verdict.
    pub verdict: Verdict,
}

impl DoctorReport {
    /// Returns all checks, those of the project last.
    pub fn checks(&self) -> impl Iterator<Item = &CheckResult> {
        let of_stages = self.stages.iter().flat_map(|stage| &stage.checks);
        of_stages.chain(&self.project)
    }

    /// Returns the number of findings of a level.
    pub fn count(&self, level: Level) -> usize {
        let findings = self.checks().flat_map(|of| of.verdict.findings());
        findings.filter(|found| found.level == level).count()
    }

    /// Returns the number of checks that were not made.
    pub fn not_checked(&self) -> usize {
        let is_open = |of: &&CheckResult| matches!(of.verdict, Verdict::NotChecked(_));
        self.checks().filter(is_open).count()
    }

    /// Returns the number of checks that found nothing.
    pub fn sound(&self) -> usize {
        let is_sound = |of: &&CheckResult| matches!(of.verdict, Verdict::Sound(_));
        self.checks().filter(is_sound).count()
    }
}

impl Serialize for DoctorReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("stages", &self.stages)?;
        map.serialize_entry("project", &self.project)?;
        map.serialize_entry("errors", &self.count(Level::Error))?;
        map.serialize_entry("warnings", &self.count(Level::Warning))?;
        map.serialize_entry("not_checked", &self.not_checked())?;
        map.serialize_entry("sound", &self.sound())?;
        map.end()
    }
}

impl Serialize for StageReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("stage", self.stage.as_str())?;
        map.serialize_entry("database", &self.database)?;
        map.serialize_entry("checks", &self.checks)?;
        map.end()
    }
}

impl Serialize for CheckResult {
    /// Writes `id`, `result` (`sound`, `warning`, `error` or `not_checked`), and what belongs to it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct One<'a> {
            level: Level,
            message: &'a str,
            advice: &'a str,
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.check.id)?;
        match &self.verdict {
            Verdict::Sound(seen) => {
                map.serialize_entry("result", "sound")?;
                map.serialize_entry("seen", seen)?;
            }
            Verdict::NotChecked(reason) => {
                map.serialize_entry("result", "not_checked")?;
                map.serialize_entry("reason", reason)?;
            }
            Verdict::Findings(findings) => {
                let worst = findings.iter().map(|found| found.level).max();
                map.serialize_entry("result", &worst)?;
                let findings: Vec<_> = findings
                    .iter()
                    .map(|found| One {
                        level: found.level,
                        message: &found.message,
                        advice: &found.advice,
                    })
                    .collect();
                map.serialize_entry("findings", &findings)?;
                map.serialize_entry(
                    "guide",
                    &format!("docs/guides/troubleshooting.md#{}", self.check.anchor()),
                )?;
            }
        }
        map.end()
    }
}
