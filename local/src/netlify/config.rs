//! The configuration of a site in netlify.toml, `_redirects` and `_headers`, with warnings for what
//! has no effect.

use super::headers::HeaderRule;
use super::redirects::Redirect;
use super::rules::{
    HeaderBlock, RedirectRule, RuleError, parse_header_table, parse_headers_file,
    parse_redirect_table, parse_redirects_file, remove_duplicates, unknown_keys,
};
use crate::{Error, ErrorKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use toml::de::DeTable;

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

fn parse_redirect_tables(
    text: &str,
    tables: Option<&toml::Value>,
    config: &mut SiteConfig,
) -> Vec<Placed<RedirectRule>> {
    let mut rules = Vec::new();
    for (place, table) in tables_of(text, "redirects", tables, config) {
        for key in unknown_keys(table) {
            config.warn(
                &place,
                format_args!("{key} is ignored: the local site does not support it"),
            );
        }
        match parse_redirect_table(table) {
            Ok(rule) => rules.push(Placed { place, rule }),
            Err(reason) => {
                config.warn(&place, format_args!("the redirect is ignored: {reason}"));
            }
        }
    }
    rules
}

fn parse_header_tables(
    text: &str,
    tables: Option<&toml::Value>,
    config: &mut SiteConfig,
) -> Vec<Placed<HeaderBlock>> {
    let mut blocks = Vec::new();
    for (place, table) in tables_of(text, "headers", tables, config) {
        match parse_header_table(table) {
            Ok(block) => blocks.extend(block.map(|rule| Placed { place, rule })),
            Err(reason) => config.warn(
                &place,
                format_args!("the headers rule is ignored: {reason}"),
            ),
        }
    }
    blocks
}

/// Returns the tables of an array with their places.
fn tables_of<'a>(
    text: &str,
    key: &str,
    value: Option<&'a toml::Value>,
    config: &mut SiteConfig,
) -> Vec<(String, &'a toml::Value)> {
    let Some(value) = value else {
        return Vec::new();
    };
    let Some(tables) = value.as_array() else {
        config.warn(
            TOML,
            format_args!("{key} is ignored: it must be an array of tables, [[{key}]]"),
        );
        return Vec::new();
    };
    let lines = lines_of(text, key);
    let place = |index: usize| match lines.get(index) {
        Some(line) => format!("{TOML} line {line}"),
        None => TOML.to_owned(),
    };
    tables
        .iter()
        .enumerate()
        .map(|(index, table)| (place(index), table))
        .collect()
}

/// Returns the line of each element of an array.
fn lines_of(text: &str, key: &str) -> Vec<usize> {
    let Ok(table) = DeTable::parse(text) else {
        return Vec::new();
    };
    let array = table.get_ref().get(key);
    let elements = array.and_then(|array| array.get_ref().as_array());
    elements
        .into_iter()
        .flatten()
        .map(|element| line_at(text, element.span().start))
        .collect()
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Reads a file as text, or returns `None` if there is none. Bytes that are not UTF-8 are replaced,
/// as on Netlify.
fn read(file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read(file) {
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
            "netlify.toml line 21: forse is ignored",
            "netlify.toml line 25: the redirect from \"/admin/*\" is ignored: the condition Role",
            "netlify.toml line 30: the redirect from \"/proxy/*\" is ignored: a proxy",
        ] {
            assert!(warnings.contains(key), "{key} in {warnings}");
        }
        assert_eq!(config.redirects.len(), 1);
        assert!(!warnings.contains("s3cret"));
    }

    #[test]
    fn invalid_config_is_refused_with_line_and_reason() {
        let wrong = "[build]\npublish = \"public\"\n\n[functions]\ndirectory = 7\n";
        let error = parse(wrong).unwrap_err().to_string();
        assert!(error.contains("netlify.toml: line 5: "), "{error}");
        assert!(error.contains("expected a string"), "{error}");

        let error = parse("[build]\npublish = \"a\"\nTOKEN = \"s3cret\n").unwrap_err();
        assert!(error.to_string().contains("line 3: "), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn wrong_rule_costs_itself_and_a_warning_with_its_line() {
        let config = parse(
            "[build]\npublish = \"public\"\n\
             [[redirects]]\nfrom = \"/a\"\nto = 7\n\
             [[redirects]]\nfrom = \"/b\"\n\
             [[redirects]]\nfrom = \"/c/*\"\nstatus = 200.0\n\
             [[redirects]]\nfrom = \"/d\"\nto = \"/e\"\nstatus = \"301\"\n\
             [[headers]]\nfor = \"/*\"\nvalues = {a = 1}\n\
             [[headers]]\nfor = \"/*.js\"\nvalues = {a = [\"1\"]}\n",
        )
        .unwrap();
        assert_eq!((config.redirects.len(), config.headers.len()), (2, 1));
        assert_eq!(
            config.warnings,
            [
                "netlify.toml line 3: the redirect is ignored: \"to\" is not text",
                "netlify.toml line 6: the redirect is ignored: it has no \"to\", which only a \
                 rule from \"…/*\" with status 200 can omit",
                "netlify.toml line 15: the headers rule is ignored: the header \"a\" has a value \
                 that is not text",
            ]
        );
        let config = parse("redirects = 1\nheaders = {}\n[build]\npublish = \"a\"").unwrap();
        assert_eq!(config.warnings.len(), 2);
        assert!(config.warnings[0].contains("[[redirects]]"));
    }

    #[test]
    fn query_for_a_function_warns() {
        let rules = "[build]\npublish = \"a\"\n[[redirects]]\nfrom = \"/a\"\nstatus = 200\n";
        let warnings = |to: &str| parse(&format!("{rules}to = \"{to}\"")).unwrap().warnings;
        let warned = warnings("/.netlify/functions/f?x=1");
        assert!(
            warned[0].contains("put the value in the path"),
            "{warned:?}"
        );
        for to in [
            "/.netlify/functions/f",
            "/f.html?x=1",
            "/.netlify/functions/f#?x",
        ] {
            assert_eq!(warnings(to), [""; 0], "{to}");
        }
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
    fn config_without_a_file_has_the_defaults_of_netlify() {
        let site = tempfile::tempdir().unwrap();
        let config = SiteConfig::load(site.path()).unwrap();
        assert_eq!(config.publish, site.path());
        assert_eq!(config.functions, site.path().join("netlify/functions"));
        assert!(config.warnings[0].contains("there is no such file"));
    }

    #[test]
    fn rules_of_the_published_folder_come_before_those_of_the_toml() {
        let site = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(site.path().join(name), text).unwrap();
        std::fs::create_dir(site.path().join("public")).unwrap();
        let toml = "[build]\npublish = \"public\"\n[[redirects]]\nfrom = \"/c\"\nto = \"/d\"\n\
                    [[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n";
        write("netlify.toml", toml);
        // A file at the root is for `netlify dev` alone.
        write("_redirects", "/root /x\n");
        write("public/_redirects", "/a /b\n/e\n/c /x\n");
        write("public/_headers", "/*.js\n  X-A: 1\nnothing\n");
        let config = SiteConfig::load(site.path()).unwrap();
        // The first `/a` is repeated by the last, which counts.
        assert_eq!((config.redirects.len(), config.headers.len()), (3, 1));
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
        assert!(
            config.warnings[0].starts_with("public/_redirects line 2: the redirect is ignored")
        );
        assert!(config.warnings[1].starts_with("public/_headers line 3: the headers rule"));
    }
}
