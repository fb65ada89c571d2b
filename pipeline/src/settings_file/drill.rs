//! The requests that `stagelink drill` sends to a site, as the table `[drill]` says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, ErrorKind};
use crate::settings_file::check::syntax_error;

/// The requests of a drill, the table `[drill]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with the keys read, write and count"
)]
#[non_exhaustive]
pub struct DrillSettings {
    /// The path that is read with GET.
    pub read: Option<String>,
    /// The write.
    pub write: Option<DrillWrite>,
    /// The request that tells how often each write is stored.
    pub count: Option<DrillCount>,
}

/// The write of a drill.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { path = \"/api/notes\", body = { text = \"{id}\" } }"
)]
#[non_exhaustive]
pub struct DrillWrite {
    /// The method, POST by default.
    #[serde(default = "post")]
    pub method: String,
    /// The path.
    pub path: String,
    /// The body: a text, or a table that is sent as JSON. `{id}` stands for a text that each write has
    /// for itself.
    body: toml::Value,
    /// True if each write has an `Idempotency-Key`. What failed is then sent once more.
    #[serde(default)]
    pub idempotency_key: bool,
    /// Further headers. `Content-Type` is `application/json` by default.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// The request by which a drill counts how often each write is stored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { path = \"/api/notes\" }")]
#[non_exhaustive]
pub struct DrillCount {
    /// A path whose response has the text `{id}` of a write as often as the write is stored. With `{id}`
    /// in it, it is asked for each write; else its response has all writes.
    pub path: String,
    /// The member of the response that leads to the next page, as a JSON pointer such as `/next`.
    pub next: Option<String>,
    /// The query parameter that takes the value of that member.
    pub parameter: Option<String>,
}

impl DrillWrite {
    /// The body as it is sent, with `{id}` in it.
    pub fn body(&self) -> String {
        match &self.body {
            toml::Value::String(text) => text.clone(),
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }
}

fn post() -> String {
    "POST".to_owned()
}

/// A file with the table `[drill]` alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrillFile {
    drill: DrillSettings,
}

impl DrillSettings {
    /// Reads them from a file that has the table `[drill]` alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it cannot be read, or has a value that cannot be used.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::with_source(
                ErrorKind::Settings,
                format!("could not read {shown}"),
                error,
            )
        })?;
        let file: Result<DrillFile, _> = toml::from_str(&text);
        let in_file = |error: Error| error.context(format!("could not use {shown}"));
        let drill = file
            .map_err(|error| in_file(syntax_error(&text, &error)))?
            .drill;
        drill.validate().map_err(|reason| {
            in_file(Error::new(ErrorKind::Settings, format!("drill {reason}")))
        })?;
        Ok(drill)
    }

    /// Makes sure that a drill can be run with them.
    ///
    /// # Errors
    ///
    /// The reason, which does not repeat a value.
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        let paths = [
            self.read.as_deref(),
            self.write.as_ref().map(|write| write.path.as_str()),
            self.count.as_ref().map(|count| count.path.as_str()),
        ];
        let is_path = |path: &str| {
            let is_visible = path.bytes().all(|byte| byte.is_ascii_graphic());
            path.starts_with('/') && !path.starts_with("//") && is_visible
        };
        if !paths.into_iter().flatten().all(is_path) {
            return Err("wants paths that begin with one slash, without spaces");
        }
        if self.read.is_none() && self.write.is_none() {
            return Err("wants a read or a write");
        }
        let Some(write) = &self.write else {
            return match self.count {
                Some(_) => Err("has a count, and no write to count"),
                None => Ok(()),
            };
        };
        let method = write.method.as_str();
        if !["POST", "PUT", "PATCH", "DELETE"].contains(&method) {
            return Err("wants POST, PUT, PATCH or DELETE as the method of its write");
        }
        if !matches!(write.body, toml::Value::String(_) | toml::Value::Table(_)) {
            return Err("wants a text or a table as the body of its write");
        }
        let Some(count) = &self.count else {
            return Ok(());
        };
        if !(write.path.contains("{id}") || write.body().contains("{id}")) {
            return Err("counts writes, so the body of its write wants {id}");
        }
        match (&count.next, &count.parameter) {
            (None, None) | (Some(_), Some(_)) => Ok(()),
            _ => Err("wants next and parameter of its count together"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(text: &str) -> Result<DrillSettings, String> {
        let drill: DrillSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        drill.validate()?;
        Ok(drill)
    }

    #[test]
    fn write_and_count_are_read_with_their_defaults() {
        let found = drill(
            "read = \"/a\"\nwrite = { path = \"/a\", body = { text = \"{id}\" } }\n\
             count = { path = \"/a?limit=100\", next = \"/next\", parameter = \"cursor\" }",
        );
        let found = found.unwrap();
        let write = found.write.unwrap();
        assert_eq!(
            (write.method.as_str(), write.idempotency_key),
            ("POST", false)
        );
        assert_eq!(found.count.unwrap().next.as_deref(), Some("/next"));
    }

    #[test]
    fn what_no_drill_can_use_is_refused() {
        for (text, reason) in [
            ("", "a read or a write"),
            ("read = \"a\"", "begin with one slash"),
            ("read = \"//a\"", "begin with one slash"),
            (
                "read = \"/a\"\ncount = { path = \"/a\" }",
                "no write to count",
            ),
            ("write = { path = \"/a\", body = 7 }", "a text or a table"),
            (
                "write = { path = \"/a\", body = \"x\", method = \"GET\" }",
                "POST, PUT",
            ),
            (
                "write = { path = \"/a\", body = \"x\" }\ncount = { path = \"/a\" }",
                "wants {id}",
            ),
            (
                "write = { path = \"/a\", body = \"{id}\" }\ncount = { path = \"/a\", next = \"/n\" }",
                "together",
            ),
            ("reads = \"/a\"", "unknown field"),
        ] {
            let found = drill(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
