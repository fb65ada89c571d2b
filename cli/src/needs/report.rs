//! The needs of artifacts, and whether a stage's database can run them, as text and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use stagelink::{DatabaseInfo, one_line};
use stagelink_pipeline::{
    GateVerdict, ListedMigration, MigrationList, RecordedMigration, gate, gate_site,
};

use super::function_artifacts::FunctionArtifacts;
use crate::table::Table;

/// A stage's database with its history.
pub(super) struct StageHistory {
    pub(super) found: DatabaseInfo,
    pub(super) history: Vec<RecordedMigration>,
}

/// The needs of artifacts, and whether a database can run them.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    artifacts: Vec<ArtifactReport<'a>>,
    #[serde(flatten)]
    stage: Option<StageReport<'a>>,
    #[serde(skip)]
    history: &'a [RecordedMigration],
}

/// The needs of a function's artifacts that have one list.
#[derive(Serialize)]
struct ArtifactReport<'a> {
    function: &'a str,
    files: Vec<String>,
    /// True if the function has other artifacts, built with other migrations.
    has_others: bool,
    /// The migrations that they were built with; null where the programs do not say.
    migrations: Option<&'a [ListedMigration]>,
    #[serde(flatten)]
    verdict: Option<Verdict>,
}

/// The answer for all artifacts together.
#[derive(Serialize)]
struct StageReport<'a> {
    stage: String,
    database: &'a str,
    server: &'a str,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Serialize)]
struct Verdict {
    /// `runs`, `needs-first`, `unknown` or `cannot-run`.
    verdict: &'static str,
    reasons: Vec<String>,
    /// The migrations to apply first, as `V1__name`.
    first: Vec<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(artifacts: &'a [FunctionArtifacts], stage: Option<&'a StageHistory>) -> Self {
        let history = stage.map_or(&[][..], |stage| &stage.history);
        let lists = || artifacts.iter().map(|artifact| artifact.list.as_ref());
        let report = |artifact: &'a FunctionArtifacts| ArtifactReport {
            function: &artifact.function,
            files: artifact.file_names(),
            has_others: artifact.has_others,
            migrations: artifact.list.as_ref().map(MigrationList::migrations),
            verdict: stage.map(|_| Verdict::of(&gate(artifact.list.as_ref(), history))),
        };
        Self {
            artifacts: artifacts.iter().map(report).collect(),
            stage: stage.map(|stage| StageReport {
                stage: stage.found.stage.to_string(),
                database: &stage.found.database,
                server: &stage.found.server,
                verdict: Verdict::of(&gate_site(lists(), history)),
            }),
            history,
        }
    }

    /// Returns the reason for which the stage's database cannot run the artifacts as it is.
    pub(super) fn refusal(&self) -> Option<String> {
        let stage = self.stage.as_ref()?;
        let name = &stage.stage;
        match stage.verdict.verdict {
            "runs" => None,
            "needs-first" => Some(format!(
                "the database of stage {name} lacks migrations that are needed first: \
                 `stagelink migrate {name}` applies them"
            )),
            "unknown" => Some(format!(
                "it is not known whether the database of stage {name} can run this"
            )),
            _ => Some(format!("the database of stage {name} cannot run this")),
        }
    }

    /// Returns the report as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut groups: Vec<(&Option<&[ListedMigration]>, Vec<&ArtifactReport<'_>>)> = Vec::new();
        for artifact in &self.artifacts {
            match groups
                .iter_mut()
                .find(|(list, _)| **list == artifact.migrations)
            {
                Some((_, group)) => group.push(artifact),
                None => groups.push((&artifact.migrations, vec![artifact])),
            }
        }
        for (list, group) in groups {
            for artifact in group {
                let files = artifact.files.join(", ");
                let (function, files) = (one_line(artifact.function), one_line(&files));
                let built_with = match list {
                    None => "does not say which migrations it needs".to_owned(),
                    Some([_]) => "built with 1 migration".to_owned(),
                    Some(list) => format!("built with {} migrations", list.len()),
                };
                let _ = writeln!(text, "{function} ({files}): {built_with}");
            }
            if let Some(list) = list
                && !list.is_empty()
            {
                let _ = writeln!(text, "{}", self.table(list));
            }
        }
        let differing = self.artifacts.iter().filter(|of| of.has_others);
        let differing: BTreeSet<_> = differing.map(|of| of.function).collect();
        for function in differing {
            let _ = writeln!(
                text,
                "! the artifacts of {} were built with different migrations: build each again, or \
                 remove those that are out of date",
                one_line(function)
            );
        }
        if let Some(stage) = &self.stage {
            let _ = write!(
                text,
                "stage {}, database {} at {}: {}",
                stage.stage,
                one_line(stage.database),
                one_line(stage.server),
                match stage.verdict.verdict {
                    "runs" => "can run this",
                    "needs-first" => "needs migrations first",
                    "unknown" => "unknown",
                    _ => "cannot run this",
                }
            );
            for reason in &stage.verdict.reasons {
                let _ = write!(text, "\n  {}", one_line(reason));
            }
        }
        text.trim_end().to_owned()
    }

    fn table(&self, list: &[ListedMigration]) -> String {
        let Some(stage) = &self.stage else {
            let mut table = Table::with_header(["migration", "class", "SHA-256 of the SQL"]);
            for listed in list {
                table.add_row([&listed.to_string(), listed.class.name(), &listed.sha256]);
            }
            return table.to_string();
        };
        let header = ["migration", "class", "SHA-256 of the SQL", &stage.stage];
        let mut table = Table::with_header(header);
        for listed in list {
            let mut rows = self.history.iter();
            let state = match rows.find(|row| row.version == listed.version) {
                Some(row) if row.is_of(listed) => "applied",
                Some(_) => "another one",
                None => "not applied",
            };
            let name = listed.to_string();
            table.add_row([&name, listed.class.name(), &listed.sha256, state]);
        }
        table.to_string()
    }
}

impl Verdict {
    fn of(verdict: &GateVerdict) -> Self {
        let first = match verdict {
            GateVerdict::NeedsFirst(first) => first.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        Self {
            verdict: verdict.name(),
            reasons: verdict.reasons(),
            first,
        }
    }
}
