//! The project's own variables in `stagelink dev`: `.env`, `.env.STAGE`, `--env` and `RUST_LOG`.

mod references;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use stagelink::one_line;
use stagelink_pipeline::is_lambda_runtime_variable;

use self::references::Hidden;

/// The sources of a project's own variables. A value never gets into a message.
pub(super) struct OwnVariables {
    project: PathBuf,
    of: VariablesOf,
    /// The variables of `--env`, which are those of each stage.
    options: Vec<(String, String)>,
    /// The command's own `RUST_LOG`.
    log_filter: Option<String>,
}

/// The stages whose functions get the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VariablesOf {
    /// Those of the local clouds: none gets an address with credentials beyond this machine.
    LocalStages,
    /// The one of `--remote`, whose data is real: `.env.STAGE` is of the local stage, and not read.
    RemoteStage,
}

/// The project's own variables of a stage.
#[derive(Clone, Default, PartialEq)]
pub(super) struct StageVariables {
    pub(super) variables: BTreeMap<String, String>,
    /// Remarks about variables that are left out.
    pub(super) notes: BTreeSet<String>,
}

impl OwnVariables {
    /// Reads the options. `of_command` returns a variable of the command's own environment.
    ///
    /// # Errors
    ///
    /// When one of `--env` is neither `NAME=VALUE` nor the name of a variable that the command has.
    pub(super) fn new(
        project: &Path,
        of: VariablesOf,
        options: &[SecretString],
        of_command: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut variables = Vec::new();
        for option in options {
            let option = option.expose_secret();
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, of_command(option)),
            };
            // A word that is no name may be a value.
            if !is_name(name) {
                bail!("--env takes NAME=VALUE, or the NAME of a variable of the command");
            }
            let Some(value) = value else {
                bail!(
                    "--env {name} has no value: set {name} for the command, or write {name}=VALUE"
                );
            };
            variables.push((name.to_owned(), value));
        }
        Ok(Self {
            project: project.to_owned(),
            of,
            options: variables,
            log_filter: of_command("RUST_LOG"),
        })
    }

    /// Reads the variables of a stage's functions. A later source overrides an earlier one: `.env`,
    /// `.env.STAGE`, the command's `RUST_LOG`, `--env`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or parsed, or a variable is one that local functions never get: the
    /// error has its name and its place.
    pub(super) fn of_stage(&self, stage: &str) -> anyhow::Result<StageVariables> {
        let mut found = StageVariables::default();
        let mut known = BTreeMap::new();
        for file in self.file_names(stage) {
            for (name, value) in self.file(&file, &mut known)? {
                found.add(self.of, &file, name, value)?;
            }
        }
        let of_local_stage = format!(".env.{stage}");
        if self.of == VariablesOf::RemoteStage && self.project.join(&of_local_stage).exists() {
            let note =
                format!("{of_local_stage} is of the local stage, and not read with --remote");
            found.notes.insert(note);
        }
        if let Some(filter) = &self.log_filter {
            let name = "RUST_LOG".to_owned();
            found.add(self.of, "the environment", name, filter.clone())?;
        }
        for (name, value) in &self.options {
            found.add(self.of, "--env", name.clone(), value.clone())?;
        }
        Ok(found)
    }

    /// Returns the names of the files with variables of a stage, in the order in which they are read.
    pub(super) fn file_names(&self, stage: &str) -> Vec<String> {
        let mut names = vec![".env".to_owned()];
        if self.of == VariablesOf::LocalStages {
            names.push(format!(".env.{stage}"));
        }
        names
    }

    /// Reads a file; one that is missing has no variables. `known` are those that it may refer to, and gets its
    /// own.
    fn file(
        &self,
        name: &str,
        known: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let text = match fs::read_to_string(self.project.join(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("could not read {name}")),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let hidden = Hidden::new(text);
        let mut variables = Vec::new();
        for variable in dotenvy::Iter::new(hidden.text.as_bytes()) {
            // The error of the parser quotes the line, which may hold a secret.
            let variable = variable.map_err(|error| match error {
                dotenvy::Error::LineParse(end, _) => {
                    let last = variables.last().map(|(name, _): &(String, _)| &**name);
                    line_number(&hidden.text, last, &end)
                }
                _ => None,
            });
            match variable {
                Ok((own, value)) => {
                    let Ok(value) = hidden.expand(&value, known) else {
                        bail!(
                            "could not read {name}: {} refers by $ to a variable that no line above it sets; \
                             the command's own variables are not for functions. In single quotes $ stands for \
                             itself",
                            one_line(&own)
                        );
                    };
                    known.insert(own.clone(), value.clone());
                    variables.push((own, value));
                }
                Err(None) => bail!("could not read {name}: it is not of lines NAME=VALUE"),
                Err(Some(line)) => bail!(
                    "could not read {name}: line {line} is not NAME=VALUE; a value with a space, a \
                     quote or a # needs quotes around it"
                ),
            }
        }
        Ok(variables)
    }
}

impl StageVariables {
    fn add(
        &mut self,
        of: VariablesOf,
        source: &str,
        name: String,
        value: String,
    ) -> anyhow::Result<()> {
        if !is_name(&name) {
            bail!("{source} has a variable whose name is not of letters, digits and _");
        }
        if value.contains('\0') {
            bail!(
                "{source} sets {name} to a value with a NUL character, which no variable can hold"
            );
        }
        stagelink::ensure_known_names([(&name, &value)])?;
        if is_of_the_stage(&name) {
            bail!(
                "{source} sets {name}, which says whose database it is: a local function gets that of \
                 its stage, and `stagelink dev` does not lead it to another one. Remove {name} \
                 from {source}"
            );
        }
        let is_local = of == VariablesOf::LocalStages;
        if is_local && value::points_beyond_this_machine(&name, &value) {
            let of_remote =
                match source.starts_with(".env.") || reason_to_leave_out(&name).is_some() {
                    true => "",
                    false => "; with --remote STAGE it is given",
                };
            // Other variables have those for libpq's host.
            let credentials = match value::names_a_host(&name) {
                true => "",
                false => " with its credentials",
            };
            bail!(
                "{source} sets {name} to an address beyond this machine{credentials}: functions of \
                 a local stage do not get it, so that none changes what is real. Set {name} to a service on \
                 this machine, or remove it from {source}{of_remote}"
            );
        }
        if let Some(reason) = reason_to_leave_out(&name) {
            let note = format!("{source}: {name} is left out, {reason}");
            self.notes.insert(note);
            return Ok(());
        }
        self.variables.insert(name, value);
        Ok(())
    }
}

/// Returns whether a variable leads to a database, or to the provider that knows one.
fn is_of_the_stage(name: &str) -> bool {
    let tokens = ["HEROKU_API_KEY", "NEON_API_KEY", "RENDER_API_KEY"];
    let prefixes = [
        "STAGELINK_STAGE",
        "STAGELINK_CREDENTIALS",
        "STAGELINK_PROVIDER",
        "STAGELINK_HEROKU_",
        "STAGELINK_NEON_",
        "STAGELINK_RENDER_",
        "STAGELINK_CONFIG_VAR",
        "STAGELINK_REQUIRE_MARK",
        "STAGELINK_SERVER_PIN",
        "STAGELINK_ROOT_CERTIFICATES",
        "STAGELINK_DANGER_",
        "STAGELINK_POOLER",
        "STAGELINK_SELF_CHECK_KEY",
    ];
    tokens.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns why functions do not get a variable that does no harm.
fn reason_to_leave_out(name: &str) -> Option<&'static str> {
    if name == "DATABASE_URL" {
        return Some("since functions find their stage's database by themselves");
    }
    if is_lambda_runtime_variable(name) {
        return Some("since AWS Lambda sets it");
    }
    let is_read = stagelink::is_performance_variable(name);
    (name.starts_with("STAGELINK_") && !is_read).then_some("since no function reads it")
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// Returns the number of the line that cannot be parsed: the first one with this end behind that of
/// the last variable.
fn line_number(text: &str, last: Option<&str>, end: &str) -> Option<usize> {
    let end = end.lines().next()?.trim();
    let is_last = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        last.is_some_and(|name| line.starts_with(name))
    };
    let lines = || text.lines().enumerate();
    let after = lines().filter(|(_, line)| is_last(line)).last();
    let after = after.map_or(0, |(number, _)| number + 1);
    let mut candidates = lines().skip(after);
    let found = candidates.find(|(_, line)| line.trim().ends_with(end));
    found.map(|(number, _)| number + 1)
}

#[cfg(test)]
mod tests;
