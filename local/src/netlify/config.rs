//! The configuration of a site in netlify.toml, `_redirects` and `_headers`, with warnings for what
//! has no effect.

mod schedules;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use self::schedules::parse_schedules;
use self::tables::{line_at, parse_header_tables, parse_redirect_tables};
use super::headers::HeaderRule;
use super::redirects::Redirect;
use super::rules::{
    HeaderBlock, RedirectRule, RuleError, parse_headers_file, parse_redirects_file,
    remove_duplicates,
};
use super::schedule::Schedule;
use crate::{Error, ErrorKind};

/// Configuration of a site, from its netlify.toml and the rules in its published folder.
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
    /// Schedules of functions by their names, `[functions."name"] schedule`.
    pub schedules: BTreeMap<String, Schedule>,
    /// Redirects and rewrites: those of `_redirects` before those of netlify.toml.
    pub redirects: Vec<Redirect>,
    /// Custom headers of published files: those of `_headers` before those of netlify.toml.
    pub headers: Vec<HeaderRule>,
    /// Messages about rules and keys that have no effect here, each with its file, and with its line
    /// for a rule.
    pub warnings: Vec<String>,
}

/// A rule and its place, as in `public/_redirects line 3`.
#[derive(Debug)]
struct Placed<T> {
    place: String,
    rule: T,
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    build: Build,
    functions: Functions,
    redirects: Option<toml::Value>,
    headers: Option<toml::Value>,
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

impl SiteConfig {
    /// Loads `netlify.toml` from a site's directory, and `_redirects` and `_headers` from its
    /// published folder. Each of the three may be missing.
    ///
    /// # Errors
    ///
    /// As for [`SiteConfig::parse`], and [`ErrorKind::System`] if a file cannot be read.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let loaded = LoadedToml::load(directory)?;
        let publish = loaded.config.publish.clone();
        loaded.with_files(directory, &publish)
    }

    /// Loads the configuration of a deploy: its netlify.toml is among the published files.
    #[cfg(feature = "netlify-api")]
    pub(crate) fn load_deploy(publish: &Path) -> Result<Self, Error> {
        let loaded = LoadedToml::load(publish)?;
        let mut config = loaded.with_files(publish, publish)?;
        config.publish = publish.to_owned();
        Ok(config)
    }

    /// Parses the text of a netlify.toml, without the other files. Its paths are relative to
    /// `directory`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`], with line and reason, if the text is not TOML, if a value outside of
    /// the rules has the wrong type, and if a path leads out of `directory`.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, Error> {
        let loaded = LoadedToml::parse(text, directory)?;
        Ok(loaded.finish(Vec::new(), Vec::new()))
    }

    fn warn(&mut self, place: &str, warning: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {warning}"));
    }
}

/// The content of netlify.toml, before the rules of the other files come to it.
#[derive(Debug)]
struct LoadedToml {
    config: SiteConfig,
    redirects: Vec<Placed<RedirectRule>>,
    headers: Vec<Placed<HeaderBlock>>,
}

impl LoadedToml {
    fn load(directory: &Path) -> Result<Self, Error> {
        let text = read(&directory.join(TOML))?;
        let mut loaded = Self::parse(text.as_deref().unwrap_or_default(), directory)?;
        if text.is_none() {
            let none = "there is no such file, so Netlify's defaults apply";
            loaded.config.warnings.insert(0, format!("{TOML}: {none}"));
        }
        Ok(loaded)
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Error> {
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
        let mut config = SiteConfig {
            publish: resolve_path(&base, "build.publish", publish.unwrap_or(""))?,
            functions: resolve_path(&base, "functions.directory", functions)?,
            command: file.build.command,
            schedules: BTreeMap::new(),
            redirects: Vec::new(),
            headers: Vec::new(),
            warnings: Vec::new(),
        };
        if publish.is_none() {
            let all = config.publish.display().to_string();
            config.warn(
                TOML,
                format_args!("no build.publish is set, so all of {all} is published"),
            );
        }
        for (name, context) in &file.context {
            if context.publish.is_some() && context.publish.as_deref() != publish {
                let served = config.publish.display().to_string();
                config.warn(
                    TOML,
                    format_args!(
                        "context.{name}.publish is ignored: all contexts are served from {served}"
                    ),
                );
            }
        }
        let redirects = parse_redirect_tables(text, file.redirects.as_ref(), &mut config);
        let headers = parse_header_tables(text, file.headers.as_ref(), &mut config);
        parse_schedules(text, &mut config, &mut ignored);
        for key in ignored {
            let is_build_environment = key == "build.environment"
                || key.starts_with("context.") && key.ends_with(".environment");
            let reason = match is_build_environment {
                true => "on Netlify it applies to the build and not to functions",
                false => "the local site does not support it",
            };
            config.warn(TOML, format_args!("{key} is ignored: {reason}"));
        }
        Ok(Self {
            config,
            redirects,
            headers,
        })
    }

    /// Adds the rules of the files in the published folder.
    fn with_files(mut self, directory: &Path, publish: &Path) -> Result<SiteConfig, Error> {
        let read = |name: &str| {
            let path = publish.join(name);
            let shown = path.strip_prefix(directory).unwrap_or(&path);
            Ok::<_, Error>((
                shown.display().to_string(),
                read(&path)?.unwrap_or_default(),
            ))
        };
        let (shown, text) = read("_redirects")?;
        let redirects = self.place_redirects(&shown, &text);
        let (shown, text) = read("_headers")?;
        let headers = self.place_headers(&shown, &text);
        Ok(self.finish(redirects, headers))
    }

    fn place_redirects(&mut self, file: &str, text: &str) -> Vec<Placed<RedirectRule>> {
        let (rules, errors) = parse_redirects_file(text);
        self.place(file, "redirect", rules, errors)
    }

    fn place_headers(&mut self, file: &str, text: &str) -> Vec<Placed<HeaderBlock>> {
        let (blocks, errors) = parse_headers_file(text);
        self.place(file, "headers rule", blocks, errors)
    }

    /// Returns the rules with their places, and warns of the errors.
    fn place<T>(
        &mut self,
        file: &str,
        what: &str,
        rules: Vec<(usize, T)>,
        errors: Vec<RuleError>,
    ) -> Vec<Placed<T>> {
        for RuleError { line, reason } in errors {
            let place = format!("{file} line {line}");
            self.config
                .warn(&place, format_args!("the {what} is ignored: {reason}"));
        }
        let rules = rules.into_iter().map(|(line, rule)| Placed {
            place: format!("{file} line {line}"),
            rule,
        });
        rules.collect()
    }

    /// Merges the rules of the files with those of netlify.toml, in Netlify's order.
    fn finish(
        self,
        redirects: Vec<Placed<RedirectRule>>,
        headers: Vec<Placed<HeaderBlock>>,
    ) -> SiteConfig {
        let mut config = self.config;
        for Placed { place, rule } in merge(redirects, self.redirects) {
            match Redirect::new(&rule) {
                Ok(redirect) => {
                    if is_function_with_query(&rule.to) {
                        config.warn(
                            &place,
                            format_args!(
                                "on Netlify a function does not always get the query of a \
                                 destination ({}): put the value in the path",
                                rule.to
                            ),
                        );
                    }
                    config.redirects.push(redirect);
                }
                Err(reason) => config.warn(
                    &place,
                    format_args!("the redirect from {:?} is ignored: {reason}", rule.from),
                ),
            }
        }
        for Placed { place, rule } in merge(headers, self.headers) {
            let mut warnings = Vec::new();
            match HeaderRule::new(&rule, &mut warnings) {
                Ok(rule) => config.headers.push(rule),
                Err(reason) => warnings.push(format!("the headers rule is ignored: {reason}")),
            }
            for warning in warnings {
                config.warn(&place, warning);
            }
        }
        config
    }
}

/// Returns the rules of a file before those of netlify.toml, each once.
fn merge<T: PartialEq>(file: Vec<Placed<T>>, toml: Vec<Placed<T>>) -> Vec<Placed<T>> {
    remove_duplicates(file.into_iter().chain(toml).collect())
}

/// Rules of the three files as Netlify's parsers return them, and the warnings about the others.
#[cfg(feature = "testing")]
pub type MergedRules = (Vec<RedirectRule>, Vec<HeaderBlock>, Vec<String>);

/// Merges the rules of the three files.
///
/// # Errors
///
/// As for [`SiteConfig::parse`].
#[cfg(feature = "testing")]
pub fn merged_rules(toml: &str, redirects: &str, headers: &str) -> Result<MergedRules, Error> {
    let mut loaded = LoadedToml::parse(toml, Path::new("."))?;
    let redirects = loaded.place_redirects("_redirects", redirects);
    let headers = loaded.place_headers("_headers", headers);
    let rules = merge(redirects, loaded.redirects).into_iter();
    let blocks = merge(headers, loaded.headers).into_iter();
    Ok((
        rules.map(|placed| placed.rule).collect(),
        blocks.map(|placed| placed.rule).collect(),
        loaded.config.warnings,
    ))
}

/// Returns whether a rule leads to a function, with a query of its own.
fn is_function_with_query(to: &str) -> bool {
    let query = to
        .strip_prefix("/.netlify/functions/")
        .and_then(|rest| rest.split('#').next()?.split_once('?'));
    query.is_some_and(|(_, query)| !query.is_empty())
}

/// Reads a file as text, or returns `None` if there is none. Bytes that are not UTF-8 are replaced,
/// as on Netlify.
fn read(file: &Path) -> Result<Option<String>, Error> {
    // The read of a named pipe may never end. That of a folder fails by itself.
    let content = match std::fs::metadata(file) {
        Ok(found) if !found.is_file() && !found.is_dir() => {
            Err(io::Error::other("it is no regular file"))
        }
        _ => std::fs::read(file),
    };
    match content {
        Ok(content) => Ok(Some(String::from_utf8_lossy(&content).into_owned())),
        Err(cause) if is_missing(&cause) => Ok(None),
        Err(cause) => {
            let message = format!("could not read {}", file.display());
            Err(Error::new(ErrorKind::System, message).with_source(cause))
        }
    }
}

/// Returns whether there is no such file: the published folder itself may be missing, too.
fn is_missing(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

const TOML: &str = "netlify.toml";

/// Returns the error for invalid TOML, with line number and reason. It omits the line itself, which
/// may hold a value of `[build.environment]`.
fn syntax_error(text: &str, directory: &Path, error: &toml::de::Error) -> Error {
    let file = directory.join(TOML);
    let place = match error.span() {
        Some(span) => format!("line {}: ", line_at(text, span.start)),
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
