//! The tables of `stagelink.toml` as they stand in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use stagelink::{Stage, StageKind};

use crate::error::Error;
use crate::settings_file::check::{ensure_text, syntax_error};
use crate::settings_file::drill::DrillSettings;
use crate::settings_file::lambda::{self, LambdaTable};
use crate::settings_file::mistake::Mistake;
use crate::settings_file::rollback_window::{DEFAULT_ROLLBACK_WINDOW, parse};
use crate::settings_file::stage::{HerokuTable, StageSettings, StageTable};
use crate::settings_file::tested_path::TestedPath;

/// The whole file. A key that is not known is an error: a misspelled one would be ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) netlify: NetlifyTable,
    #[serde(default)]
    pub(super) heroku: HerokuTable,
    #[serde(default)]
    stages: BTreeMap<String, StageTable>,
    #[serde(default)]
    pub(super) migrations: MigrationsTable,
    #[serde(default)]
    pub(super) lambda: LambdaTable,
    #[serde(default)]
    policy: PolicyTable,
    drill: Option<DrillSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with the key site")]
pub(super) struct NetlifyTable {
    pub(super) site: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with the key folder")]
pub(super) struct MigrationsTable {
    pub(super) folder: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with the keys rollback_window and tested_paths"
)]
struct PolicyTable {
    rollback_window: Option<String>,
    #[serde(default)]
    tested_paths: Vec<TestedPath>,
}

impl Document {
    /// Parses the text of the file.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let document: Self = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
        let checked = document.ensure_texts();
        checked.map_err(|mistake| mistake.into_error(text))?;
        Ok(document)
    }

    /// Returns the settings of each stage.
    pub(super) fn stages(&self) -> Result<BTreeMap<Stage, StageSettings>, Mistake> {
        let mut stages = BTreeMap::new();
        for (name, table) in &self.stages {
            let stage = stage_of(name, table.kind.as_deref())?;
            stages.insert(stage, table.settings(stage, &self.heroku)?);
        }
        ensure_distinct(&stages)?;
        let own = stages
            .iter()
            .map(|(stage, settings)| (stage.name(), settings.lambda()));
        lambda::ensure_distinct(&self.lambda.functions, own)?;
        Ok(stages)
    }

    /// Returns the time for which a rollback stays possible.
    pub(super) fn rollback_window(&self) -> Result<Duration, Mistake> {
        let Some(window) = self.policy.rollback_window.as_deref() else {
            return Ok(DEFAULT_ROLLBACK_WINDOW);
        };
        let key = "policy.rollback_window";
        parse(window).map_err(|reason| Mistake::new(format!("{key} {reason}"), key))
    }

    /// Returns the paths that a deploy has to answer before it goes live.
    pub(super) fn tested_paths(&self) -> Result<Vec<TestedPath>, Mistake> {
        let key = "policy.tested_paths";
        for tested in &self.policy.tested_paths {
            let checked = tested.validate();
            checked.map_err(|reason| Mistake::new(format!("{key} {reason}"), key))?;
        }
        Ok(self.policy.tested_paths.clone())
    }

    /// Returns the requests of a drill.
    pub(super) fn drill(&self) -> Result<Option<DrillSettings>, Mistake> {
        if let Some(drill) = &self.drill {
            let checked = drill.validate();
            checked.map_err(|reason| Mistake::new(format!("drill {reason}"), "drill"))?;
        }
        Ok(self.drill.clone())
    }

    fn ensure_texts(&self) -> Result<(), Mistake> {
        ensure_text("netlify.site", self.netlify.site.as_deref())?;
        ensure_text("heroku.pipeline", self.heroku.pipeline.as_deref())?;
        ensure_text("heroku.config_var", self.heroku.config_var.as_deref())?;
        ensure_text(
            "policy.rollback_window",
            self.policy.rollback_window.as_deref(),
        )?;
        let folder = self.migrations.folder.as_deref();
        ensure_text(
            "migrations.folder",
            folder.and_then(|folder| folder.to_str()),
        )?;
        lambda::ensure_names(&["lambda", "functions"], &self.lambda.functions)
    }
}

/// Returns the stage of a table with this name and kind. A table that is named after a kind needs no
/// kind.
fn stage_of(name: &str, kind: Option<&str>) -> Result<Stage, Mistake> {
    let table = || vec!["stages".to_owned(), name.to_owned()];
    let at_kind = || [table(), vec!["kind".to_owned()]].concat();
    let named = name.parse::<StageKind>().ok();
    let kind = match (kind, named) {
        (None, Some(named)) => return Ok(named.into()),
        (None, None) => {
            let shown: String = name.chars().take(40).collect();
            return Err(Mistake::at(
                format!(
                    "a stage with a name of its own needs a kind: add kind = \"review\", \
                     \"development\", \"staging\" or \"production\" to {shown:?}"
                ),
                table(),
            ));
        }
        (Some(kind), _) => kind.parse::<StageKind>().map_err(|error| {
            let meant = nearest_kind(kind);
            let meant = meant.map(|kind| format!("; did you mean {kind}?"));
            let meant = meant.unwrap_or_default();
            Mistake::at(format!("a stage has an {error}{meant}"), at_kind())
        })?,
    };
    if let Some(named) = named.filter(|named| *named != kind) {
        return Err(Mistake::at(
            format!(
                "stages.{named} is named after one kind and has another, {kind}: give the table a \
                 name of its own"
            ),
            at_kind(),
        ));
    }
    Stage::new(kind, name)
        .map_err(|error| Mistake::at(format!("a table of stages: {error}"), table()))
}

/// Returns the kind that a text is most likely meant for: the one that begins with the same letters.
fn nearest_kind(text: &str) -> Option<StageKind> {
    let kinds = [
        StageKind::Review,
        StageKind::Development,
        StageKind::Staging,
        StageKind::Production,
    ];
    let text = text.to_ascii_lowercase();
    let mut kinds = kinds.into_iter();
    kinds.find(|kind| text.get(..3) == kind.as_str().get(..3))
}

/// Makes sure that no two stages have one branch, or one app of the pipeline.
fn ensure_distinct(stages: &BTreeMap<Stage, StageSettings>) -> Result<(), Mistake> {
    let mut seen = BTreeMap::new();
    for (stage, settings) in stages {
        let values = [
            ("branch", settings.branch()),
            ("app", settings.heroku_app()),
        ];
        for (key, value) in values {
            let Some(value) = value else { continue };
            // A preview may have the app of another kind.
            let Some(other) = seen.insert((stage.kind(), key, value), stage.name()) else {
                continue;
            };
            let name = stage.name();
            return Err(Mistake::new(
                format!(
                    "stages {other} and {name} have one {key}, {value}: give each its own, as \
                     {key} in its table"
                ),
                format_args!("stages.{name}.{key}"),
            ));
        }
    }
    Ok(())
}
