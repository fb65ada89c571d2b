//! What a netlify.toml says, and what of it this stand-in cannot keep.

use super::headers::HeaderRule;
use super::redirects::Redirect;
use crate::{Error, ErrorKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A site's netlify.toml, read for serving the site on this machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SiteConfig {
    /// The directory of published files, `[build] publish` under the site's directory. Without
    /// that key it is the site's directory itself, as on Netlify; a warning says so.
    pub publish: PathBuf,
    /// The directory of functions, `[functions] directory`; by default `netlify/functions`,
    /// as on Netlify.
    pub functions: PathBuf,
    /// What builds the site, `[build] command`. Nothing here runs it.
    pub command: Option<String>,
    /// The redirects and rewrites, in the file's order.
    pub redirects: Vec<Redirect>,
    /// The custom headers of published files.
    pub headers: Vec<HeaderRule>,
    /// What the file asks for and does not get here, for a person to read.
    pub warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    build: Build,
    functions: Functions,
    redirects: Vec<RedirectTable>,
    headers: Vec<HeaderTable>,
    /// How the site is built for one context or branch.
    context: BTreeMap<String, Context>,
    /// What `netlify dev` does, which is another program.
    #[serde(rename = "dev")]
    _dev: Option<toml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Build {
    base: Option<String>,
    publish: Option<String>,
    command: Option<String>,
    /// The older place of `[functions] directory`.
    functions: Option<String>,
}

/// What a block `[context.x]` may hold. Whatever else it has is not read, and told.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    /// How it is built changes nothing of how it is served.
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
    // A rule without its limits would let through what it was to keep out, so
    // a rule with one of these is left out whole.
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
    /// Reads `netlify.toml` in a site's directory.
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
            Error::new(kind, format!("could not read {}", file.display())).because(cause)
        })?;
        let mut config = Self::parse(&text, directory)?;
        for name in ["_redirects", "_headers"] {
            if config.publish.join(name).exists() {
                let name = config.publish.join(name);
                config.warn(format!(
                    "{} is not read: write its rules in netlify.toml",
                    name.display()
                ));
            }
        }
        Ok(config)
    }

    /// Reads the text of a netlify.toml; its paths are under `directory`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`], with line and reason, if it is not TOML or a key has a value of
    /// the wrong type, and if a path leads out of `directory`.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, Error> {
        let mut ignored = Vec::new();
        let file: File = toml::Deserializer::parse(text)
            .and_then(|toml| {
                serde_ignored::deserialize(toml, |path| ignored.push(path.to_string()))
            })
            .map_err(|error| broken(text, directory, &error))?;

        let base = inside(
            directory,
            "build.base",
            file.build.base.as_deref().unwrap_or(""),
        )?;
        let publish = file.build.publish.as_deref();
        let functions = file.functions.directory.or(file.build.functions);
        let functions = functions.as_deref().unwrap_or("netlify/functions");
        let mut config = Self {
            publish: inside(&base, "build.publish", publish.unwrap_or(""))?,
            functions: inside(&base, "functions.directory", functions)?,
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
                    "context.{name}.publish is not read: all contexts are served from {}",
                    config.publish.display()
                ));
            }
        }
        for (index, table) in file.redirects.into_iter().enumerate() {
            match table.rule() {
                Ok(rule) => config.redirects.push(rule),
                Err(reason) => config.warn(format!("redirect {} is left out: {reason}", index + 1)),
            }
        }
        for table in &file.headers {
            let rule = HeaderRule::parse(&table.path, &table.values, &mut config.warnings);
            config.headers.extend(rule);
        }
        for key in ignored.iter().map(|key| readable(key)) {
            let is_of_build = key == "build.environment"
                || key.starts_with("context.") && key.ends_with(".environment");
            let why = match is_of_build {
                true => "on Netlify it reaches the build, never a function",
                false => "the local site has nothing for it",
            };
            config.warn(format!("{key} is not read: {why}"));
        }
        Ok(config)
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }
}

impl RedirectTable {
    fn rule(self) -> Result<Redirect, String> {
        let limits = [
            ("query", self.query),
            ("conditions", self.conditions),
            ("signed", self.signed),
            ("headers", self.headers),
        ];
        // The Netlify CLI writes all four into the file that it uploads, most of them empty.
        let empty = |limit: &toml::Value| limit.as_table().is_some_and(toml::Table::is_empty);
        for (name, limit) in limits {
            if limit.is_some_and(|limit| !empty(&limit)) {
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

/// A key's place as the other warnings name it: `redirects.0.x` is `x of redirect 1`.
fn readable(key: &str) -> String {
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

/// Only the line's number and the reason: the line itself may hold a value of
/// `[build.environment]`.
fn broken(text: &str, directory: &Path, error: &toml::de::Error) -> Error {
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

/// A path of netlify.toml; a leading slash means the site's directory, as on Netlify.
fn inside(directory: &Path, key: &str, given: &str) -> Result<PathBuf, Error> {
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
                        "could not use {key} {given:?}: it leads out of {}",
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
    fn config_of_a_usual_site_is_read_without_warnings() {
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
    fn config_with_keys_that_are_not_kept_says_each() {
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
        let said = config.warnings.join("\n");
        for key in [
            "build.edge_functions",
            "build.environment",
            "functions.hello",
            "context.staging.publish",
            "context.staging.environment is not read: on Netlify it reaches the build",
            "context.production.redirects",
            "context.production.functions",
            "plugins",
            "forse of redirect 1",
            "redirect 2 is left out: conditions",
            "redirect 3 is left out",
        ] {
            assert!(said.contains(key), "{key} in {said}");
        }
        assert_eq!(config.redirects.len(), 1);
        assert!(!said.contains("s3cret"));
    }

    #[test]
    fn config_that_is_broken_names_the_line_and_the_reason() {
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
    fn config_paths_are_under_the_base_and_stay_in_it() {
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
