//! The configuration of a site in netlify.toml, with warnings for unsupported keys.

use super::headers::HeaderRule;
use super::redirects::Redirect;
use crate::{Error, ErrorKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Configuration of a site, from its netlify.toml.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SiteConfig {
    /// Directory of published files, `[build] publish` under the site's directory. Without that key
    /// it is the site's directory, as on Netlify, and there is a warning.
    pub publish: PathBuf,
    /// Directory of functions, `[functions] directory`. Default: `netlify/functions`, as on
    /// Netlify.
    pub functions: PathBuf,
    /// Build command, `[build] command`. The stand-in does not run it.
    pub command: Option<String>,
    /// Redirects and rewrites, in the file's order.
    pub redirects: Vec<Redirect>,
    /// Custom headers of published files.
    pub headers: Vec<HeaderRule>,
    /// Messages about keys that have no effect here.
    pub warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    build: Build,
    functions: Functions,
    redirects: Vec<RedirectTable>,
    headers: Vec<HeaderTable>,
    /// Build settings for a context or branch.
    context: BTreeMap<String, Context>,
    /// Settings of `netlify dev`, which do not apply here.
    #[serde(rename = "dev")]
    _dev: Option<toml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Build {
    base: Option<String>,
    publish: Option<String>,
    command: Option<String>,
    /// The older key of `[functions] directory`.
    functions: Option<String>,
}

/// The supported keys of a block `[context.x]`. Each other key causes a warning.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    /// Has no effect on serving.
    #[serde(rename = "command")]
    _command: Option<String>,
    publish: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Functions {
    directory: Option<String>,
}

#[derive(Deserialize)]
struct RedirectTable {
    #[serde(alias = "origin")]
    from: String,
    #[serde(alias = "destination")]
    to: String,
    status: Option<u16>,
    #[serde(default)]
    force: bool,
    // Without its conditions a rule would match requests that it must not match, so a rule with one
    // of these is ignored.
    #[serde(alias = "params", alias = "parameters")]
    query: Option<toml::Value>,
    conditions: Option<toml::Value>,
    #[serde(alias = "sign", alias = "signing")]
    signed: Option<toml::Value>,
    headers: Option<toml::Value>,
}

#[derive(Deserialize)]
struct HeaderTable {
    #[serde(rename = "for")]
    path: String,
    #[serde(default)]
    values: BTreeMap<String, String>,
}

impl SiteConfig {
    /// Loads `netlify.toml` from a site's directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if there is no such file, or as for [`SiteConfig::parse`];
    /// [`ErrorKind::System`] if it cannot be read.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let file = directory.join("netlify.toml");
        let text = std::fs::read_to_string(&file).map_err(|cause| {
            let kind = match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData => ErrorKind::Input,
                _ => ErrorKind::System,
            };
            Error::new(kind, format!("could not read {}", file.display())).with_source(cause)
        })?;
        let mut config = Self::parse(&text, directory)?;
        for name in ["_redirects", "_headers"] {
            if config.publish.join(name).exists() {
                let name = config.publish.join(name);
                config.warn(format!(
                    "{} is ignored: write its rules in netlify.toml",
                    name.display()
                ));
            }
        }
        Ok(config)
    }

    /// Parses the text of a netlify.toml. Its paths are relative to `directory`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`], with line and reason, if the text is not TOML, if a value has the
    /// wrong type, and if a path leads out of `directory`.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, Error> {
        let mut ignored = Vec::new();
        let file: File = toml::Deserializer::parse(text)
            .and_then(|toml| {
                serde_ignored::deserialize(toml, |path| ignored.push(path.to_string()))
            })
            .map_err(|error| syntax_error(text, directory, &error))?;

        let base = resolve_path(
            directory,
            "build.base",
            file.build.base.as_deref().unwrap_or(""),
        )?;
        let publish = file.build.publish.as_deref();
        let functions = file.functions.directory.or(file.build.functions);
        let functions = functions.as_deref().unwrap_or("netlify/functions");
        let mut config = Self {
            publish: resolve_path(&base, "build.publish", publish.unwrap_or(""))?,
            functions: resolve_path(&base, "functions.directory", functions)?,
            command: file.build.command,
            redirects: Vec::new(),
            headers: Vec::new(),
            warnings: Vec::new(),
        };
        if publish.is_none() {
            let all = config.publish.display();
            config.warn(format!(
                "no build.publish is set, so all of {all} is published"
            ));
        }
        for (name, context) in &file.context {
            if context.publish.is_some() && context.publish.as_deref() != publish {
                config.warn(format!(
                    "context.{name}.publish is ignored: all contexts are served from {}",
                    config.publish.display()
                ));
            }
        }
        for (index, table) in file.redirects.into_iter().enumerate() {
            match table.into_redirect() {
                Ok(rule) => config.redirects.push(rule),
                Err(reason) => config.warn(format!("redirect {} is ignored: {reason}", index + 1)),
            }
        }
        for table in &file.headers {
            let rule = HeaderRule::parse(&table.path, &table.values, &mut config.warnings);
            config.headers.extend(rule);
        }
        for key in ignored.iter().map(|key| describe_key(key)) {
            let is_build_environment = key == "build.environment"
                || key.starts_with("context.") && key.ends_with(".environment");
            let reason = match is_build_environment {
                true => "on Netlify it applies to the build and not to functions",
                false => "the local site does not support it",
            };
            config.warn(format!("{key} is ignored: {reason}"));
        }
        Ok(config)
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }
}

impl RedirectTable {
    fn into_redirect(self) -> Result<Redirect, String> {
        let conditions = [
            ("query", self.query),
            ("conditions", self.conditions),
            ("signed", self.signed),
            ("headers", self.headers),
        ];
        // The Netlify CLI writes all four into the file that it uploads, most of them empty.
        let is_empty =
            |condition: &toml::Value| condition.as_table().is_some_and(toml::Table::is_empty);
        for (name, condition) in conditions {
            if condition.is_some_and(|condition| !is_empty(&condition)) {
                return Err(format!(
                    "{name} (from {:?}) is not available locally",
                    self.from
                ));
            }
        }
        let status = self.status.unwrap_or(Redirect::DEFAULT_STATUS);
        Redirect::new(&self.from, &self.to, status, self.force).map_err(|error| error.to_string())
    }
}

/// Returns the name of a key for warnings: `redirects.0.x` is `x of redirect 1`.
fn describe_key(key: &str) -> String {
    let mut parts = key.splitn(3, '.');
    let (table, index, rest) = (parts.next(), parts.next(), parts.next());
    match (table, index.map(str::parse::<usize>), rest) {
        (Some("redirects"), Some(Ok(index)), Some(rest)) => {
            format!("{rest} of redirect {}", index + 1)
        }
        (Some("headers"), Some(Ok(index)), Some(rest)) => {
            format!("{rest} of headers rule {}", index + 1)
        }
        _ => key.to_owned(),
    }
}

/// Returns the error for invalid TOML, with line number and reason. It omits the line itself, which
/// may hold a value of `[build.environment]`.
fn syntax_error(text: &str, directory: &Path, error: &toml::de::Error) -> Error {
    let file = directory.join("netlify.toml");
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = match before {
        Some(before) => format!("line {}: ", before.matches('\n').count() + 1),
        None => String::new(),
    };
    let reason = error.message();
    Error::new(
        ErrorKind::Input,
        format!("could not use {}: {place}{reason}", file.display()),
    )
}

/// Resolves a path of netlify.toml. A leading slash means the site's directory, as on Netlify.
fn resolve_path(directory: &Path, key: &str, given: &str) -> Result<PathBuf, Error> {
    let mut path = Vec::new();
    for component in Path::new(given).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir if path.pop().is_some() => {}
            Component::ParentDir => {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!(
                        "could not use {key} {given:?}: the path leads out of {}",
                        directory.display()
                    ),
                ));
            }
        }
    }
    Ok(path
        .into_iter()
        .fold(directory.to_owned(), |path, name| path.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SiteConfig, Error> {
        SiteConfig::parse(text, Path::new("/site"))
    }

    #[test]
    fn typical_config_is_parsed_without_warnings() {
        let config = parse(
            r##"
            [build]
            command = "cargo build --release"
            publish = "public/"
            [functions]
            directory = "functions"
            [[redirects]]
            from = "/api/*"
            to = "/.netlify/functions/:splat"
            status = 200
            force = true
            [[redirects]]
            from = "/old"
            to = "/new"
            [redirects.query]
            [redirects.conditions]
            [[headers]]
            for = "/*"
            [headers.values]
            X-Frame-Options = "DENY"
            [context.production]
            command = "cargo build --release"
            [context.staging]
            command = "cargo build"
            publish = "public/"
            [dev]
            framework = "#custom"
            "##,
        )
        .unwrap();
        assert_eq!(config.publish, Path::new("/site/public"));
        assert_eq!(config.functions, Path::new("/site/functions"));
        assert_eq!(config.command.as_deref(), Some("cargo build --release"));
        assert_eq!((config.redirects.len(), config.headers.len()), (2, 1));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn config_warns_of_each_unsupported_key() {
        let config = parse(
            r#"
            [build]
            publish = "public"
            edge_functions = "edge"
            [build.environment]
            TOKEN = "s3cret"
            [functions."hello"]
            schedule = "@daily"
            [context.staging]
            command = "x"
            publish = "other"
            [context.staging.environment]
            TOKEN = "s3cret"
            [[context.production.redirects]]
            from = "/a"
            to = "/b"
            [context.production.functions]
            directory = "other"
            [[plugins]]
            package = "p"
            [[redirects]]
            from = "/a"
            to = "/b"
            forse = true
            [[redirects]]
            from = "/admin/*"
            to = "/.netlify/functions/admin"
            status = 200
            conditions = { Role = ["admin"] }
            [[redirects]]
            from = "/proxy/*"
            to = "https://example.test/:splat"
            status = 200
            "#,
        )
        .unwrap();
        let warnings = config.warnings.join("\n");
        for key in [
            "build.edge_functions",
            "build.environment",
            "functions.hello",
            "context.staging.publish",
            "context.staging.environment is ignored: on Netlify it applies to the build",
            "context.production.redirects",
            "context.production.functions",
            "plugins",
            "forse of redirect 1",
            "redirect 2 is ignored: conditions",
            "redirect 3 is ignored",
        ] {
            assert!(warnings.contains(key), "{key} in {warnings}");
        }
        assert_eq!(config.redirects.len(), 1);
        assert!(!warnings.contains("s3cret"));
    }

    #[test]
    fn invalid_config_is_refused_with_line_and_reason() {
        let wrong = "[build]\npublish = \"public\"\n\n[[redirects]]\nfrom = \"/a\"\nto = 7\n";
        let error = parse(wrong).unwrap_err().to_string();
        assert!(error.contains("netlify.toml: line 6: "), "{error}");
        assert!(error.contains("expected a string"), "{error}");

        let error = parse("[build]\npublish = \"a\"\nTOKEN = \"s3cret\n").unwrap_err();
        assert!(error.to_string().contains("line 3: "), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");

        let error = parse("[[redirects]]\nfrom = \"/a\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1: missing field `to`"), "{error}");
    }

    #[test]
    fn config_paths_are_relative_to_the_base_and_stay_in_it() {
        let config = parse("[build]\nbase = \"web\"\npublish = \"/dist/../out\"").unwrap();
        assert_eq!(config.publish, Path::new("/site/web/out"));
        assert_eq!(config.functions, Path::new("/site/web/netlify/functions"));
        let error = parse("[build]\npublish = \"../secrets\"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
    }

    #[test]
    fn config_without_a_publish_directory_warns() {
        let config = parse("").unwrap();
        assert_eq!(config.publish, Path::new("/site"));
        assert!(config.warnings[0].contains("build.publish"));
    }

    #[test]
    fn load_without_a_file_is_an_input_error() {
        let empty = tempfile::tempdir().unwrap();
        let error = SiteConfig::load(empty.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        std::fs::write(empty.path().join("netlify.toml"), "").unwrap();
        std::fs::write(empty.path().join("_redirects"), "/a /b").unwrap();
        let config = SiteConfig::load(empty.path()).unwrap();
        assert!(
            config
                .warnings
                .iter()
                .any(|warning| warning.contains("_redirects"))
        );
    }
}
