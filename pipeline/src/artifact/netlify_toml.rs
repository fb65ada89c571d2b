//! The parts of a project's netlify.toml that a deploy carries, and those that it cannot.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};
use toml::{Table, Value};

use crate::error::{Error, ErrorKind};
use crate::regular_file;

/// A netlify.toml that is read for a deploy.
#[derive(Debug)]
pub(super) struct NetlifyToml {
    table: Table,
    /// The parts that a deploy cannot carry, by name.
    pub(super) not_carried: Vec<String>,
}

/// The schedule and the settings of a function.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FunctionSettings {
    pub(super) schedule: Option<String>,
    /// By the names of Netlify's `functions_config`.
    pub(super) settings: BTreeMap<String, Json>,
}

impl NetlifyToml {
    /// Parses the text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it is not TOML, or names no folder to publish.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let message = format!("netlify.toml is not valid TOML: {}", error.message());
            Error::new(ErrorKind::Settings, message)
        })?;
        let mut toml = Self {
            table,
            not_carried: Vec::new(),
        };
        toml.find_what_is_not_carried();
        Ok(toml)
    }

    /// Returns the folder that is published.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when none is named, or the project itself is.
    pub(super) fn publish(&self) -> Result<&str, Error> {
        let refused = |message: &str| Err(Error::new(ErrorKind::Settings, message));
        let publish = self.build("publish").and_then(Value::as_str);
        match publish.map(|publish| publish.trim_matches('/')) {
            None => refused(
                "netlify.toml names no folder to publish: add `publish = \"public\"` to its table \
                 [build]",
            ),
            Some("" | ".") => refused(
                "netlify.toml publishes the whole project: name a folder with the published files \
                 alone in `publish` of its table [build]",
            ),
            Some(publish) => Ok(publish),
        }
    }

    /// Returns the folder of the functions, where one is named.
    pub(super) fn functions_folder(&self) -> Option<&str> {
        let functions = self.table.get("functions").and_then(Value::as_table);
        let directory = functions.and_then(|table| table.get("directory"));
        directory.or_else(|| self.build("functions"))?.as_str()
    }

    /// Returns the settings of a function: those of all, and of each pattern that matches its name,
    /// the table of its own name last.
    pub(super) fn settings_of(&self, function: &str) -> FunctionSettings {
        let mut found = FunctionSettings::default();
        let Some(functions) = self.table.get("functions").and_then(Value::as_table) else {
            return found;
        };
        found.read(functions);
        let tables = || {
            let tables = functions.iter();
            tables.filter_map(|(pattern, value)| Some((pattern, value.as_table()?)))
        };
        for (pattern, table) in tables() {
            if pattern != function && matches(pattern, function) {
                found.read(table);
            }
        }
        if let Some(table) = functions.get(function).and_then(Value::as_table) {
            found.read(table);
        }
        found
    }

    fn build(&self, key: &str) -> Option<&Value> {
        self.table.get("build")?.as_table()?.get(key)
    }

    fn find_what_is_not_carried(&mut self) {
        let mut parts = Vec::new();
        let is_empty = |value: &Value| match value {
            Value::Array(items) => items.is_empty(),
            Value::Table(table) => table.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        for key in ["plugins", "edge_functions", "integrations"] {
            if self.table.get(key).is_some_and(|value| !is_empty(value)) {
                parts.push(format!("{key} of netlify.toml"));
            }
        }
        for key in ["base", "edge_functions"] {
            if self.build(key).is_some_and(|value| !is_empty(value)) {
                parts.push(format!("build.{key} of netlify.toml"));
            }
        }
        let contexts = self.table.get("context").and_then(Value::as_table);
        for (context, table) in contexts.into_iter().flatten() {
            for (key, value) in table.as_table().into_iter().flatten() {
                // The first is of builds alone. The second reaches builds, and no function.
                let is_of_build = matches!(key.as_str(), "command" | "environment");
                let is_of_build = is_of_build || (key == "build" && is_build_alone(value));
                if !is_of_build {
                    parts.push(format!("context.{context}.{key} of netlify.toml"));
                }
            }
        }
        if let Some(functions) = self.table.get("functions").and_then(Value::as_table) {
            for (key, value) in functions {
                match value {
                    Value::Table(table) => {
                        if key.contains(['?', '[', ']', '{', '}', '(', ')', '!']) {
                            parts.push(format!("the pattern functions.\"{key}\" of netlify.toml"));
                        }
                        let unknown = table.keys().filter(|key| !is_known(key));
                        parts.extend(
                            unknown.map(|of| format!("functions.\"{key}\".{of} of netlify.toml")),
                        );
                    }
                    _ if key == "directory" || is_known(key) => {}
                    _ => parts.push(format!("functions.{key} of netlify.toml")),
                }
            }
        }
        self.not_carried = parts;
    }
}

impl FunctionSettings {
    fn read(&mut self, table: &Table) {
        if let Some(schedule) = table.get("schedule").and_then(Value::as_str) {
            self.schedule = Some(schedule.to_owned());
        }
        for key in CARRIED_SETTINGS {
            let value = match table.get(key) {
                Some(Value::String(text)) => json!(text),
                Some(Value::Integer(number)) => json!(number),
                Some(Value::Float(number)) => json!(number),
                _ => continue,
            };
            self.settings.insert(key.to_owned(), value);
        }
    }
}

/// Returns whether a table says how a site is built, and nothing of what is deployed.
fn is_build_alone(build: &Value) -> bool {
    let is_alone = |table: &Table| {
        let mut keys = table.keys();
        keys.all(|key| matches!(key.as_str(), "command" | "environment" | "ignore"))
    };
    build.as_table().is_some_and(is_alone)
}

fn is_known(key: &str) -> bool {
    key == "schedule" || CARRIED_SETTINGS.contains(&key) || OF_SCRIPTS.contains(&key)
}

/// Returns whether a pattern, in which `*` stands for any text, matches a name.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| matches(after, &rest[at..]))
        }),
    }
}

/// Reads a project's netlify.toml.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when it is missing or cannot be read, and those of
/// [`NetlifyToml::parse`].
pub(super) fn read(project: &Path) -> Result<(NetlifyToml, Vec<u8>), Error> {
    let path = project.join(FILE);
    let text = regular_file::read_to_string(&path).map_err(|error| {
        let message = format!(
            "could not read {}, which says what a deploy publishes",
            path.display()
        );
        Error::with_source(ErrorKind::Settings, message, error)
    })?;
    Ok((NetlifyToml::parse(&text)?, text.into_bytes()))
}

/// The name of the file, in the project and in a deploy.
pub(super) const FILE: &str = "netlify.toml";

/// The settings of a function that `functions_config` has, by the same names.
const CARRIED_SETTINGS: [&str; 3] = ["memory", "region", "vcpu"];

/// The settings that a finished program does not have.
const OF_SCRIPTS: [&str; 5] = [
    "deno_import_map",
    "external_node_modules",
    "ignored_node_modules",
    "node_bundler",
    "node_version",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn not_carried(text: &str) -> Vec<String> {
        NetlifyToml::parse(text).unwrap().not_carried
    }

    #[test]
    fn own_project_is_carried() {
        let text = include_str!("../../../netlify.toml");
        let toml = NetlifyToml::parse(text).unwrap();
        assert_eq!(toml.not_carried, [""; 0]);
        assert_eq!(toml.publish().unwrap(), "public");
        assert_eq!(toml.functions_folder(), Some("dist/functions"));
    }

    #[test]
    fn parts_that_a_deploy_cannot_carry_are_named() {
        for (text, expected) in [
            ("[[plugins]]\npackage = \"x\"", "plugins of"),
            ("[[edge_functions]]\npath = \"/\"", "edge_functions of"),
            ("[build]\nbase = \"apps/a\"", "build.base of"),
            (
                "[context.staging]\npublish = \"b\"",
                "context.staging.publish of",
            ),
            (
                "[[context.dev.redirects]]\nfrom = \"/\"",
                "context.dev.redirects of",
            ),
            (
                "[context.dev.build]\npublish = \"b\"",
                "context.dev.build of",
            ),
            (
                "[functions]\nincluded_files = [\"a\"]",
                "functions.included_files of",
            ),
            (
                "[functions.\"a\"]\ntimeout = 9",
                "functions.\"a\".timeout of",
            ),
            (
                "[functions.\"{a,b}\"]\nmemory = 9",
                "pattern functions.\"{a,b}\" of",
            ),
        ] {
            let found = not_carried(text);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{text}: {found:?}"
            );
        }
        for text in [
            "plugins = []\n[build]\nbase = \"\"",
            "[context.dev]\ncommand = \"x\"\nenvironment = { A = \"1\" }",
            "[functions]\nnode_bundler = \"esbuild\"\n[functions.a]\nregion = \"cmh\"",
        ] {
            assert_eq!(not_carried(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn table_of_a_functions_own_name_comes_last() {
        let toml = NetlifyToml::parse(
            "[functions.nightly-mail]\nschedule = \"@daily\"\nmemory = 3\n\
             [functions.\"*\"]\nschedule = \"@hourly\"\nvcpu = 0.5\n\
             [functions.\"n*-mail\"]\nmemory = 2\nregion = \"cmh\"\n",
        )
        .unwrap();
        let of = toml.settings_of("nightly-mail");
        assert_eq!(of.schedule.as_deref(), Some("@daily"));
        assert_eq!(
            json!(of.settings),
            json!({"memory": 3, "region": "cmh", "vcpu": 0.5})
        );
        let other = toml.settings_of("other");
        assert_eq!(other.schedule.as_deref(), Some("@hourly"));
        assert_eq!(json!(other.settings), json!({"vcpu": 0.5}));
    }

    #[test]
    fn folder_to_publish_is_named_and_not_the_project() {
        for (text, expected) in [
            ("", "names no folder"),
            ("[build]\npublish = \".\"", "the whole project"),
            ("[build]\npublish = \"/\"", "the whole project"),
        ] {
            let error = NetlifyToml::parse(text).unwrap().publish().unwrap_err();
            assert!(error.report().contains(expected), "{text}");
        }
        let error = NetlifyToml::parse("a = \"c4n4ry").unwrap_err().report();
        assert!(
            error.contains("not valid TOML") && !error.contains("c4n4ry"),
            "{error}"
        );
    }
}
